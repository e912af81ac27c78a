"""`KernelPredictor`: a table's rows, and boosted trees for the kernels that it has no row for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Self

from ..luts import Answer, Table
from ..luts.compose import Composition, compose
from ..luts.features import shape_of
from ..luts.residency import cold_share
from ..networks.errors import CorruptArtifactError, UsageError
from ..networks.lowering import Kernel
from ._artifact import Artifact
from ._kernel_trees import ANY, FamilyTrees, Growing, grown_families
from ._registry import register
from .additive import TablePredictor

_MOST: Final = 3.0  # a factor of twenty, either way: as good as nothing known


@register("kernels")
class KernelPredictor(TablePredictor):
    """Adds up a table's rows like `TablePredictor`; kernels without a row are judged by regression trees.

    The trees of each family of kernels are grown by gradient boosting on what decides their latency: MACs, bytes, MACs
    for each byte, all sizes, how much of whole vectors they fill, which caches they fit. Whatever can only cost more as
    it grows is held to that. Kernels of a family with fewer than eight rows are judged by trees of all the table's
    rows; they count as extrapolated, with an interval to match. So every network gets a number, and says how much of
    it is a guess; where that is too little, `TablePredictor` refuses instead.

    Growing trees needs scikit-learn; a saved predictor has its trees with it and does not.

    Args:
        table: the rows of one device.
        name: what people call the device; None takes the table's name.
        prior_error: relative error of the sum that is assumed until enough networks have been checked.
        rounds: trees of each family.
        depth: of each tree, at most.
        learning_rate: share of each tree that counts.
        seed: of the order in which splits of equal worth are tried.
    """

    interpolate = False
    _grown: tuple[Table, dict[str, FamilyTrees]] | None = None

    def __init__(
        self,
        table: Table,
        name: str | None = None,
        *,
        prior_error: float = 0.05,
        rounds: int = 100,
        depth: int = 4,
        learning_rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.table = table
        self.name = name
        self.prior_error = prior_error
        self.rounds = rounds
        self.depth = depth
        self.learning_rate = learning_rate
        self.seed = seed

    def families(self) -> dict[str, FamilyTrees]:
        """The trees of each family; grown when they are first asked for, and kept.

        Raises:
            MissingDependencyError: scikit-learn is not installed.
            UsageError: constructor parameters that make no sense.
        """
        if self._grown is None or self._grown[0] is not self.table:
            counts = (self.rounds, self.depth)
            if not all(isinstance(n, int) and n > 0 for n in counts) or not 0 < self.learning_rate <= 1:
                raise UsageError(
                    f"rounds, depth, learning_rate are {counts}, {self.learning_rate}",
                    hint="give counts of 1 or more, and a share up to 1",
                )
            how = Growing(rounds=self.rounds, depth=self.depth, learning_rate=self.learning_rate, seed=self.seed)
            self._grown = (self.table, grown_families(self.table, how))
        return self._grown[1]

    def to_artifact(self) -> Artifact:
        """The table, what `fit` learned, and the trees."""
        plain = super().to_artifact()
        states, arrays = {}, dict(plain.arrays)
        for number, (name, trees) in enumerate(self.families().items()):
            states[name], own = trees.state()
            arrays |= {f"{number}.{key}": array for key, array in own.items()}
        return replace(plain, state={**plain.state, "families": states}, arrays=arrays)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described."""
        predictor = super().from_artifact(artifact)
        try:
            grown = {}
            for number, (name, state) in enumerate(artifact.state["families"].items()):
                start = f"{number}."
                own = {key.removeprefix(start): a for key, a in artifact.arrays.items() if key.startswith(start)}
                grown[name] = FamilyTrees.restored(state, own)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptArtifactError(f"the saved trees are damaged: {error!r}", hint="save it again") from None
        predictor._grown = (predictor.table, grown)
        return predictor

    def _composed(self, kernels: Sequence[Kernel]) -> Composition:
        plain = compose(self.table, kernels)
        share = cold_share(kernels, self.table.fingerprint)
        judged: dict[str, Answer] = {}
        for kernel, answer in zip(kernels, plain.kernels, strict=True):
            if not answer.covered and answer.row is None and not kernel.lacks and kernel.key not in judged:
                judged[kernel.key] = self._judged(kernel, answer, share)
        return Composition(tuple(judged.get(answer.key, answer) for answer in plain.kernels), plain.run)

    def _judged(self, kernel: Kernel, answer: Answer, share: float) -> Answer:
        shape, families = shape_of(kernel), self.families()
        trees = families.get(shape.family) or families.get(ANY)
        if trees is None:
            return answer
        judgement = trees.judge(shape)
        return replace(
            answer,
            source="interpolated" if judgement.inside else "extrapolated",
            latency_ns=judgement.latency_ns * (share + (1 - share) * trees.resident),
            rel_halfwidth=min(judgement.log_halfwidth, _MOST),  # the sum's interval is one of logarithms, too
        )
