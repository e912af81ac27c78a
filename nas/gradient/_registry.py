"""The names of gradient searches: built-ins register themselves, others come through entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, TypeVar

from ...networks.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from .base import GradientSearch

ENTRY_POINTS: Final = "lutra.gradient_searches"

_Class = TypeVar("_Class", bound="type[GradientSearch]")
_registered: dict[str, "type[GradientSearch]"] = {}


def register(kind: str) -> Callable[[_Class], _Class]:
    """Class decorator: make a gradient search known under ``kind``.

    Raises:
        UsageError: another class has that name.
    """

    def decorate(cls: _Class) -> _Class:
        other = _registered.get(kind)
        if other is not None:
            raise UsageError(f"two gradient searches of kind {kind!r}: {other.__qualname__}, {cls.__qualname__}")
        cls.kind = kind
        _registered[kind] = cls
        return cls

    return decorate


def gradient_kinds() -> tuple[str, ...]:
    """Names of all gradient searches, those of installed plug-ins included."""
    return tuple(sorted({*_registered, *(entry.name for entry in entry_points(group=ENTRY_POINTS))}))


def gradient_class(kind: str) -> "type[GradientSearch]":
    """The class of a gradient search; imports the plug-in that brings it if need be.

    Raises:
        UnknownNameError: no such search; lists the known ones.
    """
    if kind not in _registered:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()  # importing it runs its `register`
    if kind not in _registered:
        raise UnknownNameError("gradient search", kind, gradient_kinds())
    return _registered[kind]
