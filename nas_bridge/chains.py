"""Oracles of spaces that are chains of blocks: a latency is a sum over positions."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Table
from ..luts.blocktable import BlockTable
from ..luts.chain import StateCosts
from ..luts.dense import DenseTable
from ..networks.errors import NotCoveredError, NotSupportedError
from ..networks.lowering.blocks import LoweredSpace, lower_blocks
from ..predictors import TablePredictor, table_predictor
from ._blocks import keys_of_chain
from ._descent import Cheapest
from ._positions import canonical_one, chains_of, counts_of, positions_of
from ._probabilities import checked_probabilities, like
from ._terms import Terms
from ._walk import Walk
from .oracle import CostMatrix, LatencyOracle
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

_MS: Final = 1e-6  # of a ns
_TOLD: Final = 5
_SHARES: Final = 5  # shares of cold weights at which the cheapest architecture is looked for


class ChainOracle(LatencyOracle):
    """A latency as a sum over the positions of a chain.

    Args:
        space: whose codes are asked.
        device: name of the device.
        costs: in ms, of what stands at each position (in front of them, of the chain, where there are several).
        missing: what has no number, for errors.
        simulated: the device's latencies are computed.

    Raises:
        NotSupportedError: the space is no chain of blocks.
    """

    def __init__(
        self, space: CodedSpace, device: str, costs: StateCosts, missing: Sequence[str], *, simulated: bool = False
    ) -> None:
        super().__init__(space, device, simulated=simulated)
        self._positions, self._counts = positions_of(space), counts_of(space)
        self.missing = tuple(missing)
        self._weigh(costs)

    def _weigh(self, costs: StateCosts) -> None:
        """Take these for the costs."""
        self._terms = self._terms_of(costs)
        self._walk = self._walk_of(costs)

    def _terms_of(self, costs: StateCosts) -> Terms | None:
        return Terms.of(self._positions, self._counts, costs, several=len(self.space.chains()) > 1)

    def _walk_of(self, costs: StateCosts) -> Walk:
        return Walk(self._positions, self._counts, costs)

    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        latencies_ms: NDArray[Any] | None = None if self._terms is None else self._terms.latencies_ms(np.asarray(codes))
        if latencies_ms is None:
            latencies_ms = self._walk.of(self.space.validate(codes))
        self._require(latencies_ms)
        return latencies_ms.astype(np.float64)

    def cost_matrix(self) -> CostMatrix:
        found = None if self._terms is None else self._terms.matrix()
        if found is None:
            raise NotSupportedError(
                f"what a decision of the space {self.space.name!r} adds on {self.device} depends on others",
                hint="ask for latencies_ms or expected_ms, which both take that into account",
            )
        return CostMatrix(*found)

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        self._require_all()
        return like(self._walk.expected(checked_probabilities(probabilities, self.space)), probabilities)

    def cheapest(self, *, evaluations: int = 4096) -> Cheapest:
        del evaluations
        code, least_ms = self._walk.least()
        return Cheapest(canonical_one(self.space, code), least_ms, least_ms)

    def _require(self, latencies_ms: NDArray[Any]) -> None:
        without = np.isnan(latencies_ms)
        if without.any():
            raise self._not_covered(f"{int(without.sum())} of {len(without)} architectures")

    def _require_all(self) -> None:
        if not self._walk.covered:
            raise self._not_covered("a choice of the space")

    def _not_covered(self, what: str) -> NotCoveredError:
        named = "; ".join(self.missing[:_TOLD]) + f"; and {len(self.missing) - _TOLD} more" * (
            len(self.missing) > _TOLD
        )
        return NotCoveredError(
            f"the table of {self.device} has no number for {what} of the space {self.space.name!r}: {named}",
            self.missing,
            hint="measure what is missing on the device, or use the space that the table was made for",
        )


class TableOracle(ChainOracle):
    """Sums over a table of measured kernels, as `lutra.luts.dense.DenseTable` gives them.

    Where kernels depend on the layout that the choices before have left, every method takes that into account. Where
    the share of the weights that come from memory follows from the network, `latencies_ms` takes that of each;
    `expected_ms` takes the share of the expected bytes of weights, and no gradient through it; and what `cheapest`
    finds may lie a little above its bound.

    Args:
        space: a chain of blocks; each of its chains is lowered for the table's runtime.
        source: the device's rows; or their predictor, with what it was fitted to or calibrated by.
        device: name of the device; None takes the source's.
        interpolate: answer for kernels without a row from the rows of their like.

    Attributes:
        missing: keys of kernels without a number.

    Raises:
        NotSupportedError: the space is no chain, or cannot be lowered block by block.
        MissingDependencyError: the table's runtime is not installed.
    """

    def __init__(
        self,
        space: CodedSpace,
        source: Table | TablePredictor,
        *,
        device: str | None = None,
        interpolate: bool = True,
    ) -> None:
        self._predictor = source if isinstance(source, TablePredictor) else table_predictor(source)
        table = self._predictor.table
        self._dense = DenseTable(_lowered(space, table), table, interpolate=interpolate)
        self._share = self._dense.common_cold_share
        name, simulated = device or self._predictor.device, table.fingerprint.kind != "real"
        super().__init__(space, name, self._in_ms(1.0), self._dense.missing, simulated=simulated)
        self._price()

    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        if self._terms is not None:
            return super().latencies_ms(codes)
        chain, choices = self.space.chain_of(codes)
        met = np.column_stack([chain, choices]) if len(self.space.chains()) > 1 else choices
        sums_ms = self._dense.latencies_ms(met, allow_missing=True)
        self._require(sums_ms)
        return self._predictor.scale_ * sums_ms.astype(np.float64) + self._predictor.constant_ms_

    def refit(self, codes: ArrayLike, latencies_ms: ArrayLike) -> None:
        """Fit the table's predictor (a factor, and a constant from five architectures on) to measured ones.

        Args:
            codes: n architectures, integers [n, P].
            latencies_ms: their measured latencies, [n].

        Raises:
            UsageError: as the predictor's `fit`.
        """
        self._predictor.fit([self.space.decode(code) for code in self.space.validate(codes)], latencies_ms)
        self._price()

    def intervals_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """As the table's predictor gives them: from its rows, which are taken to err one way, and its own errors."""
        return self.estimates_ms(codes, coverage)[:, 1:]

    def estimates_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        latencies_ms = self.latencies_ms(codes)
        halfwidths_ms: NDArray[Any] | None = None
        if self._halfwidth_terms is not None:
            halfwidths_ms = self._halfwidth_terms.latencies_ms(np.asarray(codes))
        if halfwidths_ms is None:
            halfwidths_ms = self._halfwidths.of(self.space.validate(codes))
        factors = self._predictor.interval_factor(halfwidths_ms / latencies_ms, coverage)
        return np.array([latencies_ms, latencies_ms / factors, latencies_ms * factors]).T

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        if self._share is not None:
            return super().expected_ms(probabilities)
        self._require_all()
        checked = checked_probabilities(probabilities, self.space)
        weight_bytes = float(self._weights.expected([given.detach() for given in checked]))
        share = self._dense.cold_share_of(weight_bytes)
        cold_ms, resident_ms = self._walk.expected(checked), self._resident.expected(checked)
        return like(share * cold_ms + (1 - share) * resident_ms, probabilities)

    def cheapest(self, *, evaluations: int = 4096) -> Cheapest:
        if self._share is not None:
            return super().cheapest(evaluations=evaluations)
        walks = [self._walk_of(self._in_ms(share)) for share in np.linspace(0, 1, _SHARES)]
        found = [walk.least() for walk in walks]
        codes = self.space.canonical(np.stack([code for code, _ in found]))
        latencies_ms = self.latencies_ms(codes)
        best = int(latencies_ms.argmin())
        # The share of each network lies between none and all, and so its latency between its sums at these two.
        return Cheapest(codes[best], float(latencies_ms[best]), min(least_ms for _, least_ms in found))

    def _price(self) -> None:
        """Work out everything that follows from what the predictor was fitted to."""
        self._weigh(self._in_ms(1.0 if self._share is None else self._share))
        if self._share is None:
            self._terms = None
        halfwidths = _scaled(self._dense.state_halfwidths(), self._predictor.scale_ * _MS, 0.0)
        self._halfwidths, self._halfwidth_terms = self._walk_of(halfwidths), self._terms_of(halfwidths)
        self.__dict__.pop("_resident", None)

    @cached_property
    def _resident(self) -> Walk:
        return self._walk_of(self._in_ms(0.0))

    @cached_property
    def _weights(self) -> Walk:
        return self._walk_of(self._dense.state_weights())

    def _in_ms(self, share: float) -> StateCosts:
        return _scaled(self._dense.state_costs(share), self._predictor.scale_ * _MS, self._predictor.constant_ms_)


def _scaled(costs: StateCosts, factor: float, added: float) -> StateCosts:
    return StateCosts(costs.fixed * factor + added, costs.costs * factor, costs.behind, costs.ends * factor)


def _lowered(space: CodedSpace, table: Table) -> list[LoweredSpace]:
    device = table.fingerprint
    return [
        lower_blocks(chain, device.runtime_name, precision=device.precision, threads=device.threads)
        for chain in chains_of(space)
    ]


class BlockOracle(ChainOracle):
    """Sums over an imported table of building blocks, such as those of once-for-all and ProxylessNAS.

    Args:
        space: a chain of inverted bottlenecks, whose blocks are named by their sizes.
        table: what they cost. Where it tells sizes of images apart, each chain takes the rows of its own.
        device: name of the device; None takes the table's source.

    Attributes:
        missing: keys that the table has no row for.

    Raises:
        NotSupportedError: the space is no chain, or has blocks that such tables have no name for.
    """

    def __init__(self, space: CodedSpace, table: BlockTable, *, device: str | None = None) -> None:
        missing: dict[str, None] = {}
        costs = _costs_of_blocks(space, table, missing)
        super().__init__(space, device or table.source, costs, tuple(missing))


def _costs_of_blocks(space: CodedSpace, table: BlockTable, missing: dict[str, None]) -> StateCosts:
    """What blocks cost, in ms; the states are the chains, behind the beginning where there are several."""
    chains = chains_of(space)
    several, channels = len(chains) > 1, any("se" in block.attributes for block in table)
    keys = [keys_of_chain(chain, channels=channels) for chain in chains]
    sides = [chain.input.shape[-1] if table.image_sizes else None for chain in chains]
    by_side = list(zip(keys, sides, strict=True))

    def cost_ms(wanted: Sequence[str], side: int | None) -> float:
        blocks = {key: table.get(key, side) for key in wanted}
        absent = [key for key, block in blocks.items() if block is None]
        missing.update(dict.fromkeys(key if side is None else f"{key}@{side}" for key in absent))
        return np.nan if absent else _MS * sum(block.latency_ns for key in wanted if (block := blocks[key]))

    most = max(len(chains) * several, *(len(candidates) for candidates in keys[0].positions))
    costs = np.full((len(keys[0].positions) + several, several + len(chains), most), np.nan)
    ends_ms = [cost_ms((*chain.stem, *chain.head), side) for chain, side in by_side]
    if several:
        costs[0, 0, : len(chains)] = ends_ms
    for number, (chain, side) in enumerate(by_side):
        for position, candidates in enumerate(chain.positions):
            found = [cost_ms(candidate, side) for candidate in candidates]
            costs[position + several, number + several, : len(found)] = found
    behind = np.tile(np.arange(several + len(chains))[:, None], (len(costs), 1, most))
    if several:
        behind[0, 0] = np.minimum(np.arange(most), len(chains) - 1) + 1
    fixed_ms = 0.0 if several else ends_ms[0]
    return StateCosts(fixed_ms, costs, behind, np.zeros(several + len(chains)))
