"""Architecture search: the spaces that are searched, the strategies, and the loop that runs them."""

if __name__ != "lutra.nas":
    raise ImportError("import lutra.nas, not nas")

from . import searchers, spaces
from .executors import RayExecutor
from .pareto import crowding, front_ranks, hypervolume, non_dominated
from .problem import Constraint, Evaluations, Objective, Problem
from .rewards import soft_constraint_reward
from .search import SearchResult, make_searcher, require_feasible, search
from .searchers import Searcher

__all__ = [
    "Constraint",
    "Evaluations",
    "Objective",
    "Problem",
    "RayExecutor",
    "SearchResult",
    "Searcher",
    "crowding",
    "front_ranks",
    "hypervolume",
    "make_searcher",
    "non_dominated",
    "require_feasible",
    "search",
    "searchers",
    "soft_constraint_reward",
    "spaces",
]
