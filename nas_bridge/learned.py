"""Oracles over predictors: of encodings, for whole batches at once, and of networks, which have to be decoded."""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Fingerprint
from ..networks.errors import UsageError
from ..predictors import LatencyPredictor, TablePredictor
from ._additive import Additive
from ._descent import Cheapest
from ._estimates import by_score, by_substitution
from ._positions import Integers, canonical_one
from .oracle import CostMatrix, LatencyOracle
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

Encode: TypeAlias = Callable[[Integers], NDArray[Any]]
"""Encodings, [n, d], of canonical codes, [n, P]."""

_REMEMBERED: Final = 1 << 16


class PredictorOracle(LatencyOracle):
    """A predictor of a space's architectures.

    Args:
        space: whose codes are asked.
        predictor: what predicts them.
        device: name of the device; None takes the predictor's.
        samples: architectures that `expected_ms` draws, at least two.
        seed: of what it draws.

    Raises:
        UsageError: fewer than two samples.
    """

    def __init__(
        self,
        space: CodedSpace,
        predictor: LatencyPredictor,
        *,
        device: str | None = None,
        samples: int = 16,
        seed: int = 0,
    ) -> None:
        described = predictor.table if isinstance(predictor, TablePredictor) else predictor
        fingerprint: Fingerprint | None = getattr(described, "fingerprint", None)
        name = device or str(getattr(predictor, "device", "unnamed device"))
        super().__init__(space, name, simulated=fingerprint is not None and fingerprint.kind != "real")
        self.predictor = predictor
        self.samples = checked_samples(samples)
        self._rng = np.random.default_rng(seed)

    def refit(self, codes: ArrayLike, latencies_ms: ArrayLike) -> None:
        self.predictor.fit(self._inputs(self._canonical(codes)), latencies_ms)

    def _canonical(self, codes: ArrayLike) -> Integers:
        return self.space.canonical(self.space.validate(codes))

    @abstractmethod
    def _inputs(self, codes: Integers) -> Any:
        """Canonical codes as the predictor takes them."""


class EncodingOracle(PredictorOracle):
    """A predictor that was fitted to encodings: multilayer perceptrons, linear, quadratic, Gaussian processes, trees.

    A predictor that turns out to be a sum over decisions has a cost matrix, an exact expectation with gradient and an
    exact cheapest architecture. The expectation of others is estimated without bias: every choice of every decision is
    tried in each of ``samples`` architectures that are drawn.

    Args:
        space: whose codes are asked.
        predictor: what predicts them.
        encode: makes the encodings it was fitted to of codes; None where these are the codes themselves.
        device: name of the device; None takes the predictor's.
        samples: architectures that `expected_ms` draws, at least two.
        seed: of what it draws.
    """

    def __init__(
        self,
        space: CodedSpace,
        predictor: LatencyPredictor,
        *,
        encode: Encode | None = None,
        device: str | None = None,
        samples: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__(space, predictor, device=device, samples=samples, seed=seed)
        self.encode = encode

    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        return self.predictor.predict_batch(self._inputs(self._canonical(codes)))

    def intervals_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        return self.predictor.predict_interval(self._inputs(self._canonical(codes)), coverage)

    def cost_matrix(self) -> CostMatrix:
        return super().cost_matrix() if self._sum is None else self._sum.matrix

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        if self._sum is not None:
            return self._sum.expected_ms(probabilities)
        return by_substitution(self.space, self.latencies_ms, probabilities, self.samples, self._rng)

    def cheapest(self, *, evaluations: int = 4096) -> Cheapest:
        if self._sum is None:
            return super().cheapest(evaluations=evaluations)
        code, least_ms = self._sum.least()
        code = canonical_one(self.space, code)
        return Cheapest(code, self.latency_ms(code), least_ms)  # predictors give nothing below a floor

    def refit(self, codes: ArrayLike, latencies_ms: ArrayLike) -> None:
        super().refit(codes, latencies_ms)
        self.__dict__.pop("_sum", None)

    @cached_property
    def _sum(self) -> Additive | None:
        return Additive.found(self.space, self.latencies_ms)

    def _inputs(self, codes: Integers) -> NDArray[Any]:
        return codes if self.encode is None else self.encode(codes)


class NetworkOracle(PredictorOracle):
    """A predictor that was fitted to networks: graph networks, sums over a table's kernels.

    Architectures are decoded and predicted in batches; answers are remembered. The expectation is estimated without
    bias by the score function, from ``samples`` architectures that are drawn.
    """

    def __init__(
        self,
        space: CodedSpace,
        predictor: LatencyPredictor,
        *,
        device: str | None = None,
        samples: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__(space, predictor, device=device, samples=samples, seed=seed)
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def latencies_ms(self, codes: ArrayLike) -> NDArray[np.float64]:
        canonical = self._canonical(codes)
        keys = [row.tobytes() for row in canonical]
        new = {key: row for key, row in zip(keys, canonical, strict=True) if key not in self._known}
        if new:
            predicted = self.predictor.predict_batch(self._inputs(np.stack(list(new.values()))))
            self._known.update(zip(new, predicted.tolist(), strict=True))
        latencies_ms = np.array([self._known[key] for key in keys], np.float64)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return latencies_ms

    def intervals_ms(self, codes: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        return self.predictor.predict_interval(self._inputs(self._canonical(codes)), coverage)

    def expected_ms(self, probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
        return by_score(self.space, self.latencies_ms, probabilities, self.samples, self._rng)

    def refit(self, codes: ArrayLike, latencies_ms: ArrayLike) -> None:
        super().refit(codes, latencies_ms)
        self._known.clear()

    def _inputs(self, codes: Integers) -> list[Any]:
        return [self.space.decode(code) for code in codes]


def checked_samples(samples: int) -> int:
    """The number of architectures to draw, if two or more: one has no others to be compared with.

    Raises:
        UsageError: fewer.
    """
    if samples < 2:
        raise UsageError(f"{samples} samples for an expectation", hint="draw 2 or more")
    return samples
