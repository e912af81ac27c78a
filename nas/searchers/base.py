"""`Searcher`: the contract of every strategy: it asks for architectures to be tried and is told what became of them."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import UsageError
from ..problem import Evaluations
from ..spaces import Codes, SearchSpace

Violation: TypeAlias = Callable[[Codes], NDArray[np.float64]]
"""By how much n architectures break the constraints, [n]; 0 where they keep them. Cheap (`Problem.violations`)."""


class Searcher(ABC):
    """A strategy on one space.

    Everything it does follows from its parameters, its seed and what it was told, so that a search is resumed by
    telling a new searcher what the old one was told (`lutra.nas.search`).

    A subclass gives `ask` and `tell` and registers itself under a name (`register`).
    `lutra.nas.testing.SearcherContract` holds the tests that it must pass.

    Args:
        space: where to search.
        objectives: how many losses an evaluation has.
        violation: what must be 0; a searcher asks for no architecture that breaks it. None where all are allowed.
        seed: of all random choices.

    Attributes:
        kind: the name it is registered under.
        several: whether it can trade several objectives off.
        batch: how many it likes to be asked for at once: a generation, if it has such; 1 if it learns from each answer.

    Raises:
        UsageError: no objective, or several where the strategy takes one.
    """

    kind: ClassVar[str]
    several: ClassVar[bool] = False
    batch: int = 1

    def __init__(
        self, space: SearchSpace, *, objectives: int = 1, violation: Violation | None = None, seed: int = 0
    ) -> None:
        if objectives < 1 or (objectives > 1 and not self.several):
            raise UsageError(
                f"the strategy {type(self).kind!r} cannot trade {objectives} objectives off",
                hint="give one objective and bound the others, or take a strategy for several: nsga2",
            )
        self.space = space
        self.objectives = objectives
        self.violation = violation
        self.seed = seed
        self.rng = np.random.default_rng(seed)

    @abstractmethod
    def ask(self, n: int) -> Codes:
        """Up to ``n`` valid architectures to be evaluated next; fewer where the strategy needs answers first, none
        where it has nothing left to try.

        Raises:
            InfeasibleError: no architecture was found that keeps the constraints.
        """

    @abstractmethod
    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        """What became of architectures, in the order in which they were asked for. A failed one counts as the worst."""

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """What the strategy can be made with besides space, objectives, violation and seed."""
        common = inspect.signature(Searcher).parameters
        return tuple(name for name in inspect.signature(cls).parameters if name not in common)

    def parameters(self) -> dict[str, Any]:
        """What the strategy was made with besides space, objectives, violation and seed, as JSON data."""
        return {name: getattr(self, name) for name in self.parameter_names()}
