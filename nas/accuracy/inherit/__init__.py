"""Networks that grow out of trained ones and compute the same at first: wider and deeper (arXiv:1511.05641)."""

from .deeper import deepenable, deeper
from .modules import statistics_behind, to_module, weights_of
from .mutation import grow
from .wider import Grown, widenable, wider

__all__ = [
    "Grown",
    "deepenable",
    "deeper",
    "grow",
    "statistics_behind",
    "to_module",
    "weights_of",
    "widenable",
    "wider",
]
