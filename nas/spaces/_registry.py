"""The names of search spaces: built-ins register themselves, others come through entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final, TypeAlias

from ...networks.errors import UnknownNameError, UsageError
from .base import SearchSpace

ENTRY_POINTS: Final = "lutra.spaces"

Factory: TypeAlias = Callable[[tuple[int, ...]], SearchSpace]
"""Makes a space for images of these heights (and widths), in pixels."""

_LARGEST = 4096
_registered: dict[str, tuple[Factory, tuple[int, ...]]] = {}


def register(name: str, *resolutions: int) -> Callable[[Factory], Factory]:
    """Decorator: makes a space available under ``name``, for images of ``resolutions`` unless others are asked for.

    Raises:
        UsageError: another space has that name.
    """

    def decorate(factory: Factory) -> Factory:
        if name in _registered:
            raise UsageError(f"two spaces are called {name!r}", hint="rename one of them")
        _registered[name] = factory, resolutions
        return factory

    return decorate


def names() -> tuple[str, ...]:
    """Names of all spaces, those of installed plug-ins included."""
    return tuple(sorted({*_registered, *(entry.name for entry in entry_points(group=ENTRY_POINTS))}))


def build(name: str) -> SearchSpace:
    """The space called ``name``; ``name@160`` or ``name@160,224`` is the same for other sizes of image.

    Raises:
        UnknownNameError: no such space; lists the known ones.
        UsageError: sizes that make no sense, or that the space does not have.
    """
    base, at, sizes = name.partition("@")
    if base not in _registered:
        for entry in entry_points(group=ENTRY_POINTS, name=base):
            entry.load()  # importing it runs its `register`
    if base not in _registered:
        raise UnknownNameError("search space", base, names())
    factory, resolutions = _registered[base]
    if not at:
        return factory(resolutions)
    asked = _parse(name, sizes)
    space = factory(asked)
    space.name = f"{base}@{','.join(map(str, asked))}"  # so that its networks go under another name
    return space


def one_size(name: str, sizes: tuple[int, ...]) -> int:
    """The only size of image that was asked for.

    Raises:
        UsageError: there are several.
    """
    if len(sizes) != 1:
        raise UsageError(f"{name} takes images of one size", hint=f"write {name}@{sizes[0]}")
    return sizes[0]


def _parse(name: str, text: str) -> tuple[int, ...]:
    words = text.split(",")
    good = all(word.isascii() and word.isdecimal() and len(word) < 6 and 0 < int(word) <= _LARGEST for word in words)
    if not good or len({*map(int, words)}) < len(words):
        raise UsageError(
            f"{name!r} does not say for which images", hint="write different sizes in pixels behind the @: @160,224"
        )
    return tuple(sorted(map(int, words)))
