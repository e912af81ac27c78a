"""Oracles that hold numbers or fetch them: tables of known latencies, and devices that are asked one by one."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks import Network
from ..networks.errors import MeasurementError, NotCoveredError, UsageError
from ._descent import Cheapest
from ._estimates import by_score
from ._positions import Integers, counts_of
from ._probabilities import checked_probabilities, like
from ._timings import Code, Timing, Timings
from .learned import checked_samples
from .oracle import LatencyOracle
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

Timer: TypeAlias = Callable[[Network], float]
"""Latency of a network in ms, from a device or a simulator; raises, or gives NaN, where that fails."""

_WHOLE: Final = 1 << 22  # combinations of choices up to which a table is kept as an array of all


class KnownOracle(LatencyOracle):
    """Latencies that somebody has measured or computed before, such as those of a benchmark of architectures.

    Where every architecture is known, in a space of up to four million combinations, the expectation is exact.

    Args:
        space: whose codes are asked.
        codes: m architectures, integers [m, P].
        latencies_ms: theirs, [m].
        device: name of the device.
        simulated: the latencies were computed.

    Raises:
        UsageError: not codes of the space, not one positive latency each, or two different ones for one architecture.
    """

    def __init__(
        self,
        space: CodedSpace,
        codes: ArrayLike,
        latencies_ms: ArrayLike,
        *,
        device: str = "unnamed device",
        simulated: bool = False,
    ) -> None:
        super().__init__(space, device, simulated=simulated)
        canonical, values = space.canonical(space.validate(codes)), np.asarray(latencies_ms, np.float64)
        if values.shape != (len(canonical),) or not len(values):
            raise UsageError(f"{values.shape} latencies of {len(canonical)} architectures", hint="give one for each")
        if not (np.isfinite(values) & (values > 0)).all():
            raise UsageError("a known latency is not a positive number", hint="leave out what is not known")
        self._codes, self._values = _merged(canonical, values, space)
        self._counts = counts_of(space)
        self._table: Floats | None = None
        self._rows: dict[bytes, float] = {}
        if np.prod(self._counts, dtype=np.float64) <= _WHOLE:
            self._table = np.full(self._counts, np.nan)
            self._table[tuple(self._codes.T)] = self._values
        else:
            self._rows = {row.tobytes(): value for row, value in zip(self._codes, self._values.tolist(), strict=True)}

    def latencies_ms(self, codes: ArrayLike) -> Floats:
        canonical = self.space.canonical(self.space.validate(codes))
        if self._table is not None:
            found: Floats = self._table[tuple(canonical.T)]
        else:
            found = np.array([self._rows.get(row.tobytes(), np.nan) for row in canonical], np.float64)
        unknown = np.flatnonzero(np.isnan(found))
        if len(unknown):
            raise self._not_covered(canonical[unknown])
        return found

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        import torch

        checked = checked_probabilities(probabilities, self.space)
        rest = torch.from_numpy(self._whole).to(checked[0].device)
        for given in reversed(checked):
            rest = rest @ given
        return like(rest, probabilities)

    def cheapest(self, *, evaluations: int = 4096) -> Cheapest:
        """The least of the known latencies; whether less is possible is only known where all are."""
        del evaluations
        best = int(self._values.argmin())
        least_ms = float(self._values[best])
        return Cheapest(self._codes[best], least_ms, least_ms if self._complete else None)

    @property
    def _complete(self) -> bool:
        try:
            _ = self._whole
        except NotCoveredError:
            return False
        return True

    @cached_property
    def _whole(self) -> Floats:
        """The latency of every combination of choices.

        Raises:
            NotCoveredError: some are not known, or there are too many combinations.
        """
        if self._table is None:
            raise NotCoveredError(
                f"{len(self._values)} known latencies are not those of all architectures of {self.space.name!r}",
                (),
                hint="fit a predictor to them (EncodingOracle)",
            )
        every = np.indices(self._counts).reshape(len(self._counts), -1).T
        canonical = self.space.canonical(every)
        whole: Floats = self._table[tuple(canonical.T)]
        if np.isnan(whole).any():
            raise self._not_covered(canonical[np.isnan(whole)])
        return whole.reshape(self._counts)

    def _not_covered(self, codes: Integers) -> NotCoveredError:
        return NotCoveredError(
            f"no latency on {self.device} is known of {len(codes)} architectures of the space {self.space.name!r}, "
            f"the first of them {codes[0].tolist()}",
            [str(code) for code in codes[:100].tolist()],
            hint="fit a predictor to the known ones (EncodingOracle), or measure these",
        )


class FunctionOracle(LatencyOracle):
    """A live device, or a simulator: a function that times one network.

    Every architecture is timed once. One that fails is not lost: the rest of its batch is timed before the error is
    raised, its reason stays in `failures`, and it is not timed again before `forget`.

    The expectation is estimated without bias by the score function, from ``samples`` architectures that are drawn.

    Args:
        space: whose codes are asked.
        timer: latency of a network, in ms.
        device: name of the device.
        simulated: latencies are computed.
        journal: file to keep timings and failures in; what it has is not timed again. None keeps nothing.
        samples: architectures that `expected_ms` draws, at least two.
        seed: of what it draws.

    Attributes:
        failures: why architectures could not be timed, by their codes.

    Raises:
        SearchStateError: the file is of another space or device, or damaged.
        UsageError: it cannot be read or written; fewer than two samples.
    """

    def __init__(
        self,
        space: CodedSpace,
        timer: Timer,
        *,
        device: str = "unnamed device",
        simulated: bool = False,
        journal: Path | None = None,
        samples: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__(space, device, simulated=simulated)
        self.samples = checked_samples(samples)
        self._timer = timer
        self._rng = np.random.default_rng(seed)
        whose = {"space": space.name, "choices": list(counts_of(space)), "device": device}
        self._journal = None if journal is None else Timings(journal, whose)
        kept = {} if self._journal is None else self._journal.found
        self._timed = {code: timing for code, timing in kept.items() if not isinstance(timing, str)}
        self.failures = {code: timing for code, timing in kept.items() if isinstance(timing, str)}

    def latencies_ms(self, codes: ArrayLike) -> Floats:
        """Latencies of n architectures, [n, P] to [n]; those that were not timed before are timed now.

        Raises:
            UsageError: not codes of the space.
            MeasurementError: some could not be timed; the others were, and are remembered.
        """
        found = self.attempts_ms(codes)
        failed = np.flatnonzero(np.isnan(found))
        if len(failed):
            first = self._key(self.space.canonical(self.space.validate(codes))[failed[0]])
            raise MeasurementError(
                f"{len(failed)} of {len(found)} architectures could not be timed on {self.device}, the first of them "
                f"{list(first)}: {self.failures[first]}",
                hint="see the oracle's failures; forget() lets them be tried again",
            )
        return found

    def attempts_ms(self, codes: ArrayLike) -> Floats:
        """`latencies_ms` with NaN for architectures that could not be timed; `failures` says why."""
        keys = [self._key(row) for row in self.space.canonical(self.space.validate(codes))]
        for key in dict.fromkeys(keys):
            if key not in self._timed and key not in self.failures:
                self._time(key)
        return np.array([self._timed.get(key, np.nan) for key in keys], np.float64)

    def forget(self) -> None:
        """Let architectures that failed be timed again."""
        self.failures.clear()

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return by_score(self.space, self.latencies_ms, probabilities, self.samples, self._rng)

    def _time(self, key: Code) -> None:
        timing = self._timing(key)
        if isinstance(timing, str):
            self.failures[key] = timing
        else:
            self._timed[key] = timing
        if self._journal is not None:
            self._journal.add(key, timing)

    def _timing(self, key: Code) -> Timing:
        try:
            latency_ms = float(self._timer(self.space.decode(key)))
        except Exception as error:  # a device may fail in any way; nothing of the batch shall be lost for it
            return f"{type(error).__name__}: {error}"
        return latency_ms if np.isfinite(latency_ms) and latency_ms > 0 else f"the timer gave {latency_ms} ms"

    @staticmethod
    def _key(code: Integers) -> Code:
        return tuple(code.tolist())


def _merged(codes: Integers, values: Floats, space: CodedSpace) -> tuple[Integers, Floats]:
    """Each architecture once."""
    distinct, first, number = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    differing = np.flatnonzero(values[first][number.reshape(-1)] != values)
    if len(differing):
        raise UsageError(
            f"two latencies of the architecture {codes[differing[0]].tolist()} of {space.name!r}",
            hint="give each architecture once",
        )
    return distinct, values[first]
