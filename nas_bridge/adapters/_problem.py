"""What adapters ask of a search's problem; `lutra.nas.Problem` has it, the bridge knows no search itself."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ..space import CodedSpace

Floats = NDArray[np.float64]


class Objective(Protocol):
    """Something to be made small, or large."""

    @property
    def name(self) -> str: ...

    @property
    def measure(self) -> Callable[[Any], Any]: ...

    @property
    def maximise(self) -> bool: ...

    @property
    def batched(self) -> bool: ...


class Constraint(Protocol):
    """A bound; `LatencyBudget` is one, too."""

    @property
    def name(self) -> str: ...

    @property
    def measure(self) -> Callable[[Any], Any]: ...

    @property
    def most(self) -> float: ...


class SearchProblem(Protocol):
    """What is searched for."""

    @property
    def space(self) -> CodedSpace: ...

    @property
    def objectives(self) -> Sequence[Objective]: ...

    @property
    def constraints(self) -> Sequence[Constraint]: ...


def losses_of(problem: SearchProblem, codes: NDArray[np.int64]) -> Floats:
    """The objectives of n architectures, [n, m], each to be made small; NaN where one failed.

    Raises:
        UsageError: an objective does not give one number for each.
    """
    return np.stack([_values(objective, codes) for objective in problem.objectives], axis=1)


def excesses_of(problem: SearchProblem, codes: NDArray[np.int64]) -> Floats:
    """By how much n architectures miss the bounds, relative to these, [n, k]; 0 or less keeps them."""
    columns = [
        (_checked(constraint.name, constraint.measure(codes), len(codes)) - constraint.most)
        / max(abs(constraint.most), 1e-12)
        for constraint in problem.constraints
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(codes), 0))


def _values(objective: Objective, codes: NDArray[np.int64]) -> Floats:
    found = objective.measure(codes) if objective.batched else [objective.measure(code) for code in codes]
    values = _checked(objective.name, found, len(codes))
    return -values if objective.maximise else values


def _checked(name: str, found: Any, count: int) -> Floats:
    values = np.asarray(found, np.float64)
    if values.shape != (count,):
        raise UsageError(f"{name} of {count} architectures came as {values.shape} numbers", hint="give one for each")
    return values
