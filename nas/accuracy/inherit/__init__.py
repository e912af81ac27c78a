"""Networks that grow out of trained ones, or inherit from them, and compute the same at first (arXiv:1511.05641)."""

from .deeper import deepenable, deeper
from .heir import Heir, Kinship, inherit, kinship
from .modules import settle, statistics_behind, to_module, weights_of
from .mutation import grow
from .wider import Grown, widenable, wider

__all__ = [
    "Grown",
    "Heir",
    "Kinship",
    "deepenable",
    "deeper",
    "grow",
    "inherit",
    "kinship",
    "settle",
    "statistics_behind",
    "to_module",
    "weights_of",
    "widenable",
    "wider",
]
