"""The names of estimators: built-ins register themselves, others come through entry points."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, TypeVar

from ...networks.errors import MissingDependencyError, UnknownNameError, UsageError
from .base import AccuracyEstimator

ENTRY_POINTS: Final = "lutra.estimators"
_BUILT_IN: Final = ("counting", "zero_shot", "from_scratch", "once_for_all", "hypernetwork")
"""Modules that register estimators when they are imported; not before, since they need torch."""

_Class = TypeVar("_Class", bound=type[AccuracyEstimator])
_registered: dict[str, type[AccuracyEstimator]] = {}


def register(kind: str) -> Callable[[_Class], _Class]:
    """Class decorator: make an estimator known under ``kind``.

    Raises:
        UsageError: another class has that name.
    """

    def decorate(cls: _Class) -> _Class:
        other = _registered.get(kind)
        if other is not None:
            raise UsageError(f"two estimators of kind {kind!r}: {other.__qualname__}, {cls.__qualname__}")
        cls.kind = kind
        _registered[kind] = cls
        return cls

    return decorate


def estimator_kinds() -> tuple[str, ...]:
    """Names of all estimators, those of installed plug-ins included.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    _load_built_ins()
    return tuple(sorted({*_registered, *(entry.name for entry in entry_points(group=ENTRY_POINTS))}))


def estimator_class(kind: str) -> type[AccuracyEstimator]:
    """The class of an estimator; imports the plug-in that brings it if need be.

    Raises:
        UnknownNameError: no such estimator; lists the known ones.
        MissingDependencyError: torch is not installed.
    """
    _load_built_ins()
    if kind not in _registered:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()  # importing it runs its `register`
    if kind not in _registered:
        raise UnknownNameError("estimator", kind, estimator_kinds())
    return _registered[kind]


def _load_built_ins() -> None:
    for module in _BUILT_IN:
        try:
            import_module(f".{module}", __package__)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingDependencyError("torch", "learn", "estimating accuracy") from None
