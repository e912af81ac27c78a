"""`DenseTable`: what every network of a search space costs on one device, for millions of networks a second.

The kernels of a network of the space are those of its blocks (`LoweredSpace`), so its latency is a sum of one number a
decision: what `compose` gives for its kernels, to the precision of float32. Two things make it more than that.
A block costs what it costs in the layout in which it is met; choices are then written together with the layout that
the choices before have left. And how much of a network's weights comes from memory follows from all of its kernels
(`residency`); where that differs between networks of the space, the sums of both cases are mixed in that share.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import NotCoveredError, NotSupportedError, UnknownNameError, UsageError
from . import _native
from .chain import Chain, StateCosts
from .compose import RUN_CONSTANT
from .interpolation import halfwidth_of
from .residency import cold_shares
from .table import Table

if TYPE_CHECKING:
    from ..networks.lowering import Kernel
    from ..networks.lowering.blocks import LoweredSpace

COLD, RESIDENT, WEIGHTS, HALFWIDTH, ACTIVATIONS = range(5)
"""Rows of what is known of kernels: latency in ns with all weights from memory and with all from the last cache, bytes
of weights, half the 95 % interval of the former latency in ns, and the most bytes of activations that one moves."""

_ROWS: Final = 5
_SHARES: Final = (1.0, 0.0)  # all weights from memory; all from the last cache
_MAX_MET: Final = 65536  # what 16 bits count


class DenseTable:
    """The latency of every network of a space, or of several spaces with the same decisions (one for each input size).

    Letters: P decisions, C the most choices of one, n architectures.

    Args:
        spaces: the lowered space; or several, and then a first decision says which of them is meant.
        table: the device's rows.
        interpolate: answer for kernels without a row from the rows of their like (`Interpolator`), where those say
            enough whether weights come from memory or from the last cache.
        isa: which of the compiled kernels to use; by default the fastest that this machine can run. All give the same
            bits.

    Attributes:
        choices: how many choices each decision has.
        missing: distinct keys of the kernels without a number, of the whole space, sorted.

    Raises:
        UsageError: no space, or one with other decisions than the first.
        UnknownNameError: an instruction set that this machine does not have.
        CorruptModelError: as `Table.interpolator`.
        NotSupportedError: a decision's choices times the layouts in which they are met are over 65536.
    """

    def __init__(
        self,
        spaces: "LoweredSpace | Sequence[LoweredSpace]",
        table: Table,
        *,
        interpolate: bool = False,
        isa: str | None = None,
    ) -> None:
        if isa is not None and isa not in _native.available_isas():
            raise UnknownNameError("instruction set", isa, _native.available_isas())
        self._chain = chain = Chain.of(tuple(spaces) if isinstance(spaces, Sequence) else (spaces,))
        self._fingerprint = table.fingerprint
        prices = _Prices(table, chain.distinct, interpolate=interpolate)
        self._fixed = prices.of([*chain.start, *(chain.ends[0] if chain.plain else ())])
        run = table.constant(RUN_CONSTANT)
        self._fixed[[COLD, RESIDENT, HALFWIDTH]] += (run.latency_ns or 0.0) * np.array([1.0, 1.0, halfwidth_of(run)])
        self._costs = _costs(chain, prices)
        self.choices = chain.choices
        self.missing = prices.missing
        limits = np.array(self.choices, np.uint32)
        self._walk = None if chain.plain else _native.StateWalk(chain.transitions(), limits, start=0)
        self._limits = limits if chain.plain else np.full(len(limits) + 1, self._costs.shape[2], np.uint32)
        self._sums = self._compiled(isa)

    def latencies_ms(self, codes: Any, *, threads: int = 1, allow_missing: bool = False) -> NDArray[np.float32]:
        """The latencies of encoded architectures in ms.

        Args:
            codes: any integers [n, P]: a numpy array, a buffer or a tensor on the CPU (DLPack), in any order in
                memory. Nothing is copied. The fastest are uint8 in Fortran order (`numpy.asfortranarray`), where the
                choices of one decision lie beside each other.
            threads: how many to compute with; the result does not depend on it.
            allow_missing: give NaN for architectures with a kernel that has no number, instead of an error.

        Returns:
            float32 [n].

        Raises:
            UsageError: codes of another type or shape, or the first with a choice that there is not.
            NotCoveredError: an architecture has kernels without a number; names those of the first.
        """
        viewed = as_codes(codes, len(self.choices))
        if threads < 1:
            raise UsageError(f"{threads} threads", hint="give at least 1")
        try:
            latency_ns = self._latencies_ns(viewed, threads)
        except IndexError as error:
            raise UsageError(str(error), hint="choices count from 0") from None
        if self.missing and not allow_missing:
            self._require(viewed, latency_ns)
        return latency_ns * np.float32(1e-6)

    def cost_matrix(self, cold_share: float = 1.0) -> NDArray[np.float64]:
        """What each choice costs, for searchers that take expectations. With `fixed_ns` it adds up to a latency.

        Args:
            cold_share: share of the weights that come from memory (`lutra.luts.residency`).

        Returns:
            float64 [P, C] in ns; NaN where a kernel has no number, and behind the last choice of a decision.

        Raises:
            NotSupportedError: what a choice costs depends on the choices before it.
        """
        if not self._chain.plain:
            raise NotSupportedError(
                "what a choice costs depends on the layout, or on the input size, that the choices before have left",
                hint="ask for latencies_ms, or make one dense table for each input size",
            )
        return _mixed(self._costs, cold_share)

    def fixed_ns(self, cold_share: float = 1.0) -> float:
        """What every network pays besides its choices, in ns: its first and last layers, and running at all.

        Of networks whose last layers depend on the choices, without those.
        """
        return float(_mixed(self._fixed, cold_share))

    @property
    def common_cold_share(self) -> float | None:
        """The share of the weights that come from memory, where it is the same for all networks of the space or makes
        no difference; None where it follows from the network."""
        priced = np.concatenate([self._costs.reshape(len(self._costs), -1), self._fixed[:, None]], axis=1)
        if np.array_equal(priced[COLD], priced[RESIDENT], equal_nan=True):
            return 1.0
        weights = self._costs[WEIGHTS]
        least = self._fixed[WEIGHTS] + np.nanmin(weights, axis=1).sum() + self._fixed[ACTIVATIONS]
        most = self._fixed[WEIGHTS] + np.nanmax(weights, axis=1).sum() + np.nanmax(priced[ACTIVATIONS])
        low, high = cold_shares(np.array([least, most]), self._fingerprint)
        return float(low) if low == high else None

    def state_costs(self, cold_share: float = 1.0) -> StateCosts:
        """What each choice costs in each state in which it is met, in ns, for sums and least sums over all networks.

        Args:
            cold_share: share of the weights that come from memory (`lutra.luts.residency`).
        """
        return self._in_states(_mixed(self._costs, cold_share), self.fixed_ns(cold_share))

    def state_halfwidths(self) -> StateCosts:
        """Half the 95 % interval of what each choice costs in each state, in ns, with all weights from memory."""
        return self._in_states(self._costs[HALFWIDTH], float(self._fixed[HALFWIDTH]))

    def state_weights(self) -> StateCosts:
        """Bytes of the weights of each choice in each state in which it is met."""
        return self._in_states(self._costs[WEIGHTS], float(self._fixed[WEIGHTS]))

    def cold_share_of(self, weight_bytes: float) -> float:
        """Share of the weights that come from memory, of a network of so many bytes of weights whose activations are
        the largest of the space."""
        largest = max(float(self._fixed[ACTIVATIONS]), float(np.nanmax(self._costs[ACTIVATIONS], initial=0.0)))
        return float(cold_shares(np.array([weight_bytes + largest]), self._fingerprint)[0])

    def _in_states(self, costs: NDArray[np.float64], fixed: float) -> StateCosts:
        decisions, states = len(self.choices), self._chain.states
        ends = np.zeros(1) if self._chain.plain else costs[-1, :states]
        return StateCosts(
            fixed=fixed,
            costs=costs[:decisions].reshape(decisions, states, -1),
            behind=self._chain.transitions().astype(np.int64),
            ends=ends,
        )

    def _compiled(self, isa: str | None) -> tuple[tuple[_native.DenseCosts, float], ...]:
        """What is summed, with what each sum begins with: latencies; or both cases, weights and activations."""
        share = self.common_cold_share
        if share is not None:
            latency = _mixed(self._costs, share)
            return ((self._sum(latency, isa), self.fixed_ns(share)),)
        extra = self._costs[COLD] - self._costs[RESIDENT]
        return (
            (self._sum(self._costs[RESIDENT], isa), float(self._fixed[RESIDENT])),
            (self._sum(extra, isa), float(self._fixed[COLD] - self._fixed[RESIDENT])),
            (self._sum(np.nan_to_num(self._costs[WEIGHTS]), isa), float(self._fixed[WEIGHTS])),
            (self._sum(np.nan_to_num(self._costs[ACTIVATIONS]), isa, "max"), float(self._fixed[ACTIVATIONS])),
        )

    def _sum(
        self, costs: NDArray[np.float64], isa: str | None, reduce: Literal["sum", "max"] = "sum"
    ) -> _native.DenseCosts:
        return _native.DenseCosts(costs.astype(np.float32), self._limits, reduce=reduce, isa=isa)

    def _latencies_ns(self, codes: NDArray[Any], threads: int) -> NDArray[np.float32]:
        met = codes if self._walk is None else self._walk.expand(codes, threads=threads)
        sums = [costs.evaluate(met, start=start, threads=threads) for costs, start in self._sums]
        if len(sums) == 1:
            return sums[0]
        resident, extra, weights, activations = sums
        share = cold_shares(weights.astype(np.float64) + activations, self._fingerprint)
        return resident + share.astype(np.float32) * extra

    def _require(self, codes: NDArray[Any], latency_ns: NDArray[np.float32]) -> None:
        without = np.isnan(latency_ns)
        if not without.any():
            return
        first = int(np.argmax(without))
        keys = dict.fromkeys(kernel.key for kernel in self._chain.kernels(codes[first].tolist()))
        raise NotCoveredError(
            f"the table has no number for kernels of {int(without.sum())} of {len(without)} architectures, the first "
            f"of them number {first}",
            [key for key in keys if key in self.missing],
            hint="profile the space on this device, or pass interpolate=True or allow_missing=True",
        )


def as_codes(codes: Any, decisions: int) -> NDArray[Any]:
    """Encoded architectures as an array over the memory in which they lie.

    Args:
        codes: an array, a buffer, a tensor on the CPU (DLPack) or nested lists.
        decisions: how many of them an architecture has.

    Raises:
        UsageError: not integers [n, decisions], or not on the CPU.
    """
    if hasattr(codes, "__dlpack__") and not isinstance(codes, np.ndarray):
        try:
            array = np.from_dlpack(codes)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"codes cannot be read: {error}", hint="bring them to the CPU as integers") from None
    else:
        array = np.asarray(codes)
    if array.dtype.kind not in "iu" or not array.dtype.isnative:
        raise UsageError(f"codes are {array.dtype}", hint="give integers in the machine's byte order")
    if array.ndim != 2 or array.shape[1] != decisions:
        raise UsageError(
            f"codes are of shape {list(array.shape)}", hint=f"give one row per architecture: [n, {decisions}]"
        )
    return array


class _Prices:
    """What a table knows of kernels, each looked up once.

    Attributes:
        missing: keys of those without a number, sorted.
    """

    def __init__(self, table: Table, kernels: "Mapping[str, Kernel]", *, interpolate: bool) -> None:
        answers = {share: {key: table.lookup(key, cold_share=share) for key in kernels} for share in _SHARES}
        if interpolate:
            missing = [kernel for key, kernel in kernels.items() if not answers[1.0][key].covered]
            for share, known in answers.items():
                estimates = table.interpolator.answers(missing, cold_share=share) if missing else []
                known.update((estimate.key, estimate) for estimate in estimates)
        # Between the two shares latencies are linear. One that is too unsure with either is known with neither.
        found = {key: [answers[share][key].latency_ns for share in _SHARES] for key in kernels}
        self.missing = tuple(sorted(key for key, latencies_ns in found.items() if None in latencies_ns))
        self._known = {key: np.full(3, np.nan) for key in kernels}
        for key, (cold_ns, resident_ns) in found.items():
            if cold_ns is not None and resident_ns is not None:
                self._known[key][:] = cold_ns, resident_ns, cold_ns * halfwidth_of(answers[1.0][key])

    def of(self, kernels: "Iterable[Kernel]") -> NDArray[np.float64]:
        """`COLD` to `ACTIVATIONS` of kernels in a row, [5]; the latencies are NaN where one has no number."""
        total = np.zeros(_ROWS)
        for kernel in kernels:
            total[[COLD, RESIDENT, HALFWIDTH]] += self._known[kernel.key]
            total[WEIGHTS] += kernel.weight_bytes
            total[ACTIVATIONS] = max(total[ACTIVATIONS], kernel.bytes_moved - kernel.weight_bytes)
        return total


def _costs(chain: Chain, prices: _Prices) -> NDArray[np.float64]:
    """`COLD` to `ACTIVATIONS` of each choice, [5, P, states x C], NaN for what no network meets.

    Where there are several states, one more row has those of the ends, by state.
    """
    most = max(chain.choices, default=1)
    if chain.states * most > _MAX_MET:
        raise NotSupportedError(
            f"{most} choices in {chain.states} layouts and input sizes are over {_MAX_MET}",
            hint="make one dense table for each input size",
        )
    costs = np.full((_ROWS, len(chain.choices) + (not chain.plain), chain.states * most), np.nan)
    for position, step in enumerate(chain.steps):
        for (state, choice), (kernels, _) in step.items():
            costs[:, position, state * most + choice] = prices.of(kernels)
    if not chain.plain:
        for state, kernels in chain.ends.items():
            costs[:, -1, state] = prices.of(kernels)
    return costs


def _mixed(costs: NDArray[np.float64], cold_share: float) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = cold_share * costs[COLD] + (1 - cold_share) * costs[RESIDENT]
    return mixed
