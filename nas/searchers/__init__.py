"""Strategies: what to try next, given what became of what was tried."""

from ._registry import register, searcher_class, searcher_kinds
from .base import Searcher, Violation

__all__ = ["Searcher", "Violation", "register", "searcher_class", "searcher_kinds"]
