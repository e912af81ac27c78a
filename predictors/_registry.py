"""The kinds of predictors: built-ins register themselves, others come through entry points."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, TypeVar

from ..networks.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from .base import LatencyPredictor

ENTRY_POINTS: Final = "lutra.predictors"

_Class = TypeVar("_Class", bound="type[LatencyPredictor]")
_registered: dict[str, "type[LatencyPredictor]"] = {}


def register(kind: str) -> Callable[[_Class], _Class]:
    """Class decorator: make a predictor known under ``kind``, the name its saved form carries.

    Raises:
        UsageError: another class has that name.
    """

    def decorate(cls: _Class) -> _Class:
        other = _registered.get(kind)
        if other is not None:
            raise UsageError(f"two predictors of kind {kind!r}: {other.__qualname__}, {cls.__qualname__}")
        cls.kind = kind
        _registered[kind] = cls
        return cls

    return decorate


def predictor_kinds() -> tuple[str, ...]:
    """Names of all kinds, those of installed plug-ins included."""
    return tuple(sorted({*_registered, *(entry.name for entry in entry_points(group=ENTRY_POINTS))}))


def predictor_class(kind: str) -> "type[LatencyPredictor]":
    """The class of a kind; imports the plug-in that brings it if need be.

    Raises:
        UnknownNameError: no such kind; lists the known ones.
    """
    if kind not in _registered:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()  # importing it runs its `register`
    if kind not in _registered:
        raise UnknownNameError("predictor kind", kind, predictor_kinds())
    return _registered[kind]
