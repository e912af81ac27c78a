"""The names of the zoo and how a name becomes a `Network`."""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ShapeError, UnknownNameError, UsageError
from ..graph import Network, NetworkBuilder

Body = Callable[..., str]
"""``(builder, image, num_classes, **options) -> logits``: appends a whole network."""

_WIDTH_SUFFIX = re.compile(r"(?P<base>.+)_w(?P<width>\d+(\.\d+)?)")


@dataclass(frozen=True)
class Entry:
    """One name of the zoo.

    Attributes:
        name: what `build` takes; a name that ends in "/" takes a parameter behind the slash.
        body: appends the network to a builder.
        resolution: height and width the network was published with.
        num_classes: classes it was published with.
        fixed: options that the name decides.
        options: options that are left to the caller, with their defaults.
        parameter: the option that is written behind the slash; "" where the name is complete.
        input_shape: shape of one input where it is no square image of three channels, which then has no resolution.
    """

    name: str
    body: Body
    resolution: int
    num_classes: int
    fixed: Mapping[str, Any]
    options: Mapping[str, Any]
    parameter: str = ""
    input_shape: tuple[int, ...] = ()


_ENTRIES: dict[str, Entry] = {}


def register(
    name: str,
    *,
    resolution: int = 224,
    num_classes: int = 1000,
    parameter: str = "",
    input_shape: tuple[int, ...] = (),
    **fixed: Any,
) -> Callable[[Body], Body]:
    """Decorator: makes a body available under ``name`` with some of its options fixed; see `Entry`."""

    def add(body: Body) -> Body:
        if name in _ENTRIES:
            raise ValueError(f"network {name!r} is registered twice")
        parameters = inspect.signature(body).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in fixed}
        options.pop(parameter, None)
        _ENTRIES[name] = Entry(name, body, resolution, num_classes, fixed, options, parameter, input_shape)
        return body

    return add


def names(pattern: str = "*") -> tuple[str, ...]:
    """Names that match a shell-style pattern, sorted; without those that still need a parameter (a width, a cell)."""
    return tuple(sorted(e.name for e in _ENTRIES.values() if not e.parameter and fnmatchcase(e.name, pattern)))


def entry(name: str) -> Entry:
    """What is registered under ``name``, or under what it is a variant of.

    Raises:
        UnknownNameError: nothing is.
    """
    return _lookup(name)[0]


def build(
    name: str,
    *,
    batch: int = 1,
    resolution: int | tuple[int, int] | None = None,
    num_classes: int | None = None,
    **options: Any,
) -> Network:
    """The network of that name, from N x 3 x H x W images (or N inputs of its own shape) to N x ``num_classes`` logits.

    Args:
        name: one of `names`; "-" may be written for "_".
        batch: N.
        resolution: H = W, or (H, W); None means as published.
        num_classes: None means as published.
        options: whatever else this network can vary; `entry(name).options` lists it.

    Raises:
        UnknownNameError: no such network.
        UsageError: an option this network does not have, or a value that makes no sense.
        ShapeError: the image is too small for the network, or does not divide as it must.
    """
    found, given = _lookup(name)
    for option in options:
        if option not in found.options or option in given:
            left = [o for o in found.options if o not in given]
            raise UsageError(
                f"network {name!r} has no option {option!r}",
                hint=f"its options: {', '.join(('batch', 'resolution', 'num_classes', *left))}",
            )
    classes = positive_int("num_classes", found.num_classes if num_classes is None else num_classes)
    shape = _input_shape(found, resolution)
    b = NetworkBuilder(name)
    x = b.input((positive_int("batch", batch), *shape))
    try:
        return b.build(found.body(b, x, classes, **found.fixed, **given, **options))
    except ShapeError as error:
        published = f"the published resolution of {name} is {found.resolution}"
        size = "x".join(map(str, shape[1:]))
        raise ShapeError(
            f"{name} cannot be built for {size} images: {error.message}", hint=error.hint or published
        ) from None


def _input_shape(found: Entry, resolution: int | tuple[int, int] | None) -> tuple[int, ...]:
    """Shape of one input of a network."""
    if found.input_shape:
        if resolution is not None:
            raise UsageError(f"network {found.name!r} does not read square images", hint="leave the resolution out")
        return found.input_shape
    size = found.resolution if resolution is None else resolution
    height, width = size if isinstance(size, tuple) and len(size) == 2 else (size, size)
    return (3, positive_int("resolution", height), positive_int("resolution", width))


def _lookup(name: str) -> tuple[Entry, dict[str, Any]]:
    """The entry and the options that the name itself spells out."""
    if (underscored := name.replace("-", "_")) in _ENTRIES:
        name = underscored
    if name in _ENTRIES and not _ENTRIES[name].parameter:
        return _ENTRIES[name], {}
    family, slash, rest = name.partition("/")
    if rest and family + slash in _ENTRIES:
        found = _ENTRIES[family + slash]
        return found, {found.parameter: rest}
    match = _WIDTH_SUFFIX.fullmatch(name)
    if match and match["base"] in _ENTRIES and "width_mult" in _ENTRIES[match["base"]].options:
        return _ENTRIES[match["base"]], {"width_mult": float(match["width"])}
    raise UnknownNameError("network", name, _ENTRIES)


def positive_int(what: str, value: Any) -> int:
    """``value`` if it is an integer of at least 1.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{what} must be a positive integer, not {value!r}", hint=f"give {what} as 1 or more")
    return value


def positive_number(what: str, value: Any) -> float:
    """``value`` if it is a finite number above 0.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise UsageError(f"{what} must be a number above 0, not {value!r}")
    return float(value)
