"""Random search: the baseline that every other strategy must beat."""

from ..problem import Evaluations
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Searcher, Violation
from .sampling import Sampler


@register("random")
class RandomSearcher(Searcher):
    """Random architectures that keep the constraints, each choice of a decision equally likely, none twice.

    Args:
        space: where to search.
        objectives: how many losses an evaluation has.
        violation: what must be 0.
        seed: of all random choices.
    """

    several = True
    batch = 64

    def __init__(
        self, space: SearchSpace, *, objectives: int = 1, violation: Violation | None = None, seed: int = 0
    ) -> None:
        super().__init__(space, objectives=objectives, violation=violation, seed=seed)
        self._sampler = Sampler(space, violation, self.rng)

    def ask(self, n: int) -> Codes:
        return self._sampler.draw(n)

    def tell(self, codes: Codes, evaluations: Evaluations) -> None:
        del codes, evaluations  # nothing is learnt
