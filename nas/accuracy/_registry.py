"""The names of estimators. Built-ins are imported when one is asked for, and not before, since they need torch."""

from importlib import import_module
from typing import Final

from ...networks.errors import MissingDependencyError
from ...networks.kinds import Kinds
from .base import AccuracyEstimator

_BUILT_IN: Final = ("counting", "zero_shot", "from_scratch", "inherit.estimator", "once_for_all", "hypernetwork")


def _load_built_ins() -> None:
    for module in _BUILT_IN:
        try:
            import_module(f".{module}", __package__)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingDependencyError("torch", "learn", "estimating accuracy") from None


KINDS: Final[Kinds[AccuracyEstimator]] = Kinds("estimator", "lutra.estimators", load=_load_built_ins)

register = KINDS.register
estimator_kinds = KINDS.names
estimator_class = KINDS.get
