"""From a `Page` to HTML: of the site, or a file that fetches nothing."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from ...networks.errors import MissingDependencyError
from ...predictors.prediction import significant
from ..drawing import style_sheet
from ..drawing.architecture import KINDS
from .page import Page

if TYPE_CHECKING:
    from jinja2 import Environment

NAVIGATION: Final = {
    "devices": ("/devices", "Devices"),
    "networks": ("/networks", "Networks"),
    "work": ("/work", "Work and latency"),
    "compare": ("/compare", "Compare"),
    "jobs": ("/jobs", "Jobs"),
}
"""Entries of the site's head: where each leads, and its name."""

_STYLE: Final = "style.css"
_LISTED: Final = 12  # items of a list in what a job was asked
_LONGEST: Final = 200  # characters of a text in it
ASSETS: Final = {"page.js": "text/javascript", "icon.svg": "image/svg+xml", _STYLE: "text/css"}
"""Files that pages ask for, with their media types."""


def to_html(page: Page, *, twin: str = "", csrf: str = "", signed_in: bool = False, guest: bool = False) -> str:
    """A page of the site.

    Args:
        page: what it shows.
        twin: address of its JSON twin.
        csrf: token that its forms carry.
        signed_in: whether there is somebody to log out.
        guest: nobody has logged in, so that there is nowhere to go.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    frame = {"navigation": {} if guest else NAVIGATION, "twin": twin, "csrf": csrf, "signed_in": signed_in}
    return _rendered("site.html", page, frame)


def to_file(pages: Mapping[str, Page], title: str, lead: str) -> str:
    """Several pages below each other in one file: nothing is fetched, no script runs.

    Args:
        pages: what it shows, by the anchor of each.
        title: its heading.
        lead: a sentence below it.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    parts = {anchor: (page, _rendered("part.html", page, {})) for anchor, page in pages.items()}
    template = _environment().get_template("file.html")
    return template.render(title=title, lead=lead, style=style, policy=policy, parts=parts)


@cache
def asset(name: str) -> bytes:
    """The content of one of `ASSETS`."""
    if name not in ASSETS:
        raise KeyError(name)
    return style_sheet().encode() if name == _STYLE else files(__package__).joinpath("static", name).read_bytes()


def _rendered(outer: str, page: Page, frame: Mapping[str, Any]) -> str:
    environment = _environment()
    body = environment.get_template(page.template)
    return environment.get_template(outer).render(
        page=page, data=page.data, charts=page.charts, body=body, kinds=KINDS, **frame
    )


@cache
def _environment() -> "Environment":
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise MissingDependencyError("jinja2", "serve", "pages") from None
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"significant": _significant, "thousands": lambda n: f"{n:,}"}
    environment.filters |= {"moment": _moment, "brief": _brief}
    return environment


def _significant(value: float | None) -> str:
    return "–" if value is None else significant(value) if value >= 0 else f"-{significant(-value)}"


def _moment(text: str | None) -> str:
    """A moment to the second; people need no more."""
    return "–" if not text else text[:19].replace("T", " ") + " UTC"


def _brief(value: Any) -> str:
    """What was asked for, in a few words: networks that were sent as documents go by their names."""
    if isinstance(value, list):
        named = [item.get("name", "a network") if isinstance(item, dict) else str(item) for item in value]
        return ", ".join(named[:_LISTED]) + f" and {len(named) - _LISTED} more" * (len(named) > _LISTED)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_brief(item)}" for name, item in value.items())
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
