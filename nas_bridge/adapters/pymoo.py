"""A search's problem for pymoo's algorithms (pymoo.org; Blank, Deb, "pymoo: multi-objective optimization in Python",
IEEE Access 8, 2020).

::

    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    found = minimize(PymooProblem(problem), NSGA2(pop_size=50, **operators(problem.space)), ("n_eval", 500), seed=0)
    codes = problem.space.repair(found.X)
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import MissingDependencyError
from .._positions import counts_of
from ..space import CodedSpace
from ._problem import SearchProblem, excesses_of, losses_of

try:
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem
    from pymoo.core.repair import Repair
    from pymoo.core.sampling import Sampling
    from pymoo.operators.crossover.ux import UniformCrossover
except ImportError:
    raise MissingDependencyError("pymoo", "search-extras", "the adapter for pymoo") from None


_WORST: Final = 1e30  # infinity has no distance to itself, which crowding asks for


class PymooProblem(Problem):  # type: ignore[misc]  # pymoo has no types
    """Variables are the choices of the decisions; objectives are all to be made small, constraints to be 0 or less.

    An objective that gives NaN counts as very bad.

    Args:
        problem: what is searched for.
    """

    def __init__(self, problem: SearchProblem) -> None:
        counts = counts_of(problem.space)
        self.searched = problem
        super().__init__(
            n_var=len(counts),
            n_obj=len(problem.objectives),
            n_ieq_constr=len(problem.constraints),
            xl=np.zeros(len(counts), np.int64),
            xu=np.array(counts) - 1,
            vtype=int,
        )

    def _evaluate(self, x: NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        codes = self.searched.space.repair(np.asarray(x, np.float64).round().astype(np.int64))
        out["F"] = np.nan_to_num(losses_of(self.searched, codes), nan=_WORST)
        if self.searched.constraints:
            out["G"] = excesses_of(self.searched, codes)


def operators(space: CodedSpace) -> dict[str, Any]:
    """Sampling, crossover, mutation and repair for a genetic algorithm on codes, as its keyword arguments.

    Samples are the space's own; children take each choice from either parent; a mutation draws a choice anew, on
    average one of each architecture; everything is repaired and made canonical, so that a population has no network
    twice.
    """
    return {
        "sampling": _Sampling(space),
        "crossover": UniformCrossover(),
        "mutation": _Mutation(space),
        "repair": _Repair(space),
        "eliminate_duplicates": True,
    }


class _Sampling(Sampling):  # type: ignore[misc]
    def __init__(self, space: CodedSpace) -> None:
        super().__init__()
        self._space = space

    def _do(
        self, problem: Any, n_samples: int, *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> NDArray[np.int64]:
        del problem, args, kwargs
        return self._space.sample(n_samples, random_state)


class _Mutation(Mutation):  # type: ignore[misc]
    def __init__(self, space: CodedSpace) -> None:
        super().__init__()
        self._counts = np.array(counts_of(space))

    def _do(
        self, problem: Any, x: NDArray[Any], *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> NDArray[Any]:
        del problem, args, kwargs
        changed = random_state.random(x.shape) < 1 / len(self._counts)
        return np.where(changed, random_state.integers(0, self._counts, x.shape), x)


class _Repair(Repair):  # type: ignore[misc]
    def __init__(self, space: CodedSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Any, x: NDArray[Any], **kwargs: Any) -> NDArray[np.int64]:
        del problem, kwargs
        return self._space.repair(np.asarray(x).astype(np.int64))
