"""What requests of jobs may name: networks of the zoo or as JSON, spaces by name. Never a file, never code."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator

from ...networks.errors import LutraError

if TYPE_CHECKING:
    from ...nas.spaces import SearchSpace
    from ...networks import Network

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@,/|~+-]*", re.ASCII)
_FILES: Final = (".onnx", ".json", ".py", ".yaml", ".yml", ".elf", ".csv", ".parquet")


def _require_name(text: str) -> str:
    if not _NAME.fullmatch(text) or ".." in text or text.lower().endswith(_FILES):
        raise ValueError("a name is wanted, not a file")
    return text


def _require_network(source: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(source, str):
        _require_name(source)
    try:
        network_of(source)
    except LutraError as error:
        raise ValueError(error.message) from None
    return source


def _require_space(name: str) -> str:
    try:
        space_named(_require_name(name))
    except LutraError as error:
        raise ValueError(str(error)) from None
    return name


Name = Annotated[str, AfterValidator(_require_name)]
"""A name, which cannot be that of a file."""

NetworkSource = Annotated[str | dict[str, Any], AfterValidator(_require_network)]
"""A name of the zoo, or the document that `Network.to_json` gives."""

SpaceName = Annotated[str, AfterValidator(_require_space)]
"""A name of a search space, such as ``fbnet`` or ``ofa-mbv3@160``."""


def network_of(source: str | Mapping[str, Any], **options: int) -> "Network":
    """The network that a request names.

    Args:
        source: a name of the zoo, or a document.
        options: "batch" and "resolution", of networks of the zoo.

    Raises:
        UnknownNameError: the zoo has no such name.
        CorruptModelError: not such a document.
    """
    from ...networks import Network, zoo

    return zoo.build(source, **options) if isinstance(source, str) else Network.from_json(source)


def space_named(name: str) -> "SearchSpace":
    """The search space of a name; raises UnknownNameError where there is none."""
    from ...nas import spaces

    return spaces.build(name)


def networks_of(sources: Sequence[str | Mapping[str, Any]], **options: int | None) -> "list[Network]":
    """The networks that a request names; options that are None are left out.

    Raises:
        LutraError: as `network_of` raises.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return [network_of(source, **(given if isinstance(source, str) else {})) for source in sources]
