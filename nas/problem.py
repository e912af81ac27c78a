"""`Problem`: what a search looks for; `Evaluations`: what became of the architectures it tried."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from .spaces import Codes, SearchSpace

Measure: TypeAlias = Callable[[Codes], Any]
"""A number for each of n architectures, [n], from codes, n x d; or for one, from its code, d (`Objective.batched`)."""


@dataclass(frozen=True)
class Objective:
    """Something to be made small, or large.

    Attributes:
        name: what it is, with its unit: "accuracy_pct", "latency_ms", "macs".
        measure: gives it.
        maximise: whether more is better.
        batched: `measure` takes n codes at once, n x d, and is cheap; else it takes one code, d, and may run in a
            worker.
    """

    name: str
    measure: Measure
    maximise: bool = False
    batched: bool = True


@dataclass(frozen=True)
class Constraint:
    """A bound on something that is cheap to know of any architecture, so that none beyond it is ever evaluated.

    Attributes:
        name: what is bounded, with its unit.
        measure: gives it for n codes at once, n x d.
        most: the largest value allowed.
    """

    name: str
    measure: Measure
    most: float


@dataclass(frozen=True)
class Evaluations:
    """What became of n architectures; m objectives.

    Attributes:
        losses: float64 [n, m], each to be made small: an objective that is maximised stands with its sign turned. NaN
            where the evaluation failed.
        violations: float64 [n], by how much constraints are broken, each relative to its bound, summed; 0 where all
            hold.
        failures: [n], why an evaluation failed; None where it did not.
    """

    losses: NDArray[np.float64]
    violations: NDArray[np.float64]
    failures: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.violations)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which architectures were evaluated and break no constraint, [n]."""
        return ~np.isnan(self.losses).any(axis=1) & (self.violations <= 0)


@dataclass(frozen=True)
class Problem:
    """What is searched for.

    Attributes:
        space: where.
        objectives: one, or several to be traded off.
        constraints: what every answer must keep.

    Raises:
        UsageError: no objective, or two of one name.
    """

    space: SearchSpace
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) != len(names):
            raise UsageError(f"objectives {names}", hint="give one objective or more, each with its own name")

    def violations(self, codes: Codes) -> NDArray[np.float64]:
        """By how much n architectures break the constraints, each relative to its bound, summed: [n]; 0 is good.

        Raises:
            UsageError: a constraint's measure gives NaN, or not one number for each architecture.
        """
        total = np.zeros(len(codes))
        for constraint in self.constraints:
            values = np.asarray(constraint.measure(codes), np.float64)
            if values.shape != total.shape or np.isnan(values).any():
                raise UsageError(
                    f"constraint {constraint.name!r} gave {values.shape} numbers, {int(np.isnan(values).sum())} of "
                    f"them NaN, for {len(codes)} architectures",
                    hint="let its measure give one number for each architecture",
                )
            total += np.maximum(values - constraint.most, 0) / max(abs(constraint.most), 1e-12)
        return total

    def values(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Objectives with their own signs, [n, m], of losses."""
        signs = np.array([-1.0 if objective.maximise else 1.0 for objective in self.objectives])
        values: NDArray[np.float64] = losses * signs
        return values
