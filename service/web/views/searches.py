"""A search: the front, everything that was tried, predicted and measured again, and the network that was chosen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...drawing.architecture import architecture_svg
from ...drawing.scatter import Scatter, to_svg
from ...searching.settings import BOUNDS
from ..page import Page

if TYPE_CHECKING:
    from ....networks import Network

_LISTED: Final = 200


def search_page(
    result: Mapping[str, Any],
    tried: Sequence[Mapping[str, Any]],
    chosen: "Network | None" = None,
    *,
    live: Mapping[str, Any] | None = None,
    job: str | None = None,
) -> Page:
    """A finished search, or one that runs.

    Args:
        result: its ``result.json`` (`SearchReport.to_dict`), or as much of it as there is: ``front``, ``bounds``,
            ``device``, ``accuracy``.
        tried: architectures in the order in which they were tried: ``name``, ``accuracy``, ``latency_ms``.
        chosen: the network that was chosen, to be drawn.
        live: the job that runs it; None for a finished one.
        job: id of the finished job, which can be put beside others; None where it is of no server.
    """
    charts = {}
    front = result.get("front", [])
    if tried or front:
        charts["front"] = to_svg(_scatter(result, tried, front))
    if chosen is not None:
        charts["architecture"] = architecture_svg(chosen)
    return Page(
        template="search.html",
        title=f"Search of {result.get('space', {}).get('name', 'a space')}",
        place="jobs",
        data={"result": dict(result), "tried": len(tried), "latest": list(tried[-_LISTED:]), "live": live, "job": job},
        charts=charts,
    )


def asked_of(request: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As much of a search's result as is known before it ends.

    Args:
        request: of the search job.
        events: what it told, ``tried``.
    """
    bounds = {name: request[asked] for name, asked in BOUNDS.items() if request.get(asked) is not None}
    told: dict[str, Any] = {"space": {"name": request["space"]}, "strategy": {"name": request["strategy"]}}
    told |= {"accuracy": {"name": request["accuracy"], "label": request["accuracy"]}, "bounds": bounds}
    simulated = any(event["simulated"] for event in events)
    device = "a fitted predictor" if request.get("model") else request["device"]
    return told | {"device": {"name": device, "simulated": simulated}}


def _scatter(
    result: Mapping[str, Any], tried: Sequence[Mapping[str, Any]], front: Sequence[Mapping[str, Any]]
) -> Scatter:
    rows = [*tried, *(row for row in front if not any(row["name"] == other["name"] for other in tried))]
    names = [row["name"] for row in rows]
    x = np.array([row["latency_ms"] for row in rows], float)
    y = np.array([row["accuracy"] for row in rows], float)
    on_front = [names.index(row["name"]) for row in front] or _front(x, y)
    order = np.array(sorted(on_front, key=lambda i: x[i]), np.int64)
    chosen = next((names.index(row["name"]) for row in front if row.get("chosen")), None)
    measured = [(names.index(r["name"]), float(r["measured_ms"])) for r in front if r.get("measured_ms") is not None]
    return Scatter(
        x_label="latency, ms",
        y_label=str(result.get("accuracy", {}).get("label", "accuracy")),
        x=x,
        y=y,
        names=names,
        front=order,
        chosen=chosen,
        budget=result.get("bounds", {}).get("latency_ms"),
        measured=measured,
    )


def _front(x: "np.ndarray[Any, np.dtype[np.float64]]", y: "np.ndarray[Any, np.dtype[np.float64]]") -> list[int]:
    """Indices of those that are better than everything as quick; of what is still running."""
    best, found = -np.inf, []
    for i in np.lexsort((-y, x)):
        if y[i] > best:
            best = y[i]
            found.append(int(i))
    return found
