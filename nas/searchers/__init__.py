"""Strategies: what to try next, given what became of what was tried."""

from . import aging, evolution, grid, nsga2, random, reinforce, surrogate  # noqa: F401  (importing them registers them)
from ._registry import register, searcher_class, searcher_kinds
from .base import Searcher, Violation
from .sampling import Sampler

__all__ = ["Sampler", "Searcher", "Violation", "register", "searcher_class", "searcher_kinds"]
