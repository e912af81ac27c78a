"""What every oracle must pass, for the tests of ours and of others'; and tables of spaces to test with.

::

    class TestMine(OracleContract):
        def make(self) -> LatencyOracle:
            return MyOracle(space)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from ..luts import Fingerprint, Measurement, Table
from ..luts.blocktable import Block, BlockTable
from ..luts.residency import CACHE_KEY, RESIDENT
from ..networks.errors import NotSupportedError, UsageError
from ..networks.lowering.blocks import lower_blocks
from ..predictors.testing import synthetic_ns
from ._blocks import keys_of_chain
from ._positions import counts_of
from .oracle import LatencyOracle
from .space import CodedSpace

_MANY = 64
_SIGMAS = 5.0

_made: dict[type, LatencyOracle] = {}


def table_of(space: CodedSpace, *, runtime: str = "native", cache_kib: int | None = None) -> Table:
    """A made-up table of every kernel of a space.

    Args:
        space: a chain of blocks.
        runtime: who lowers it.
        cache_kib: size of the device's last cache, out of which kernels with weights are quicker; None for none.
    """
    hardware: dict[str, str | int] = {"model": "synthetic"}
    if cache_kib is not None:
        hardware[CACHE_KEY] = cache_kib
    fingerprint = Fingerprint.of(
        "null",
        hardware=hardware,
        runtime={"name": runtime, "version": "1"},
        settings={"precision": "float32", "threads": 1},
    )
    kernels = {k: v for chain in space.chains() for k, v in lower_blocks(chain, runtime).distinct.items()}
    rows = [_row("constant", "run", 5000)]
    for key, kernel in kernels.items():
        rows.append(_row("kernel", key, synthetic_ns(kernel)))
        if cache_kib is not None and kernel.weight_bytes:
            rows.append(_row(RESIDENT, key, synthetic_ns(kernel) - kernel.weight_bytes // 8))
    return Table(fingerprint, rows, name="synthetic")


def _row(kind: str, key: str, latency_ns: int) -> Measurement:
    samples = np.full(8, latency_ns, np.int64)
    return Measurement(subject_kind=kind, subject_key=key, label=key, samples_ns=samples, rel_halfwidth=0.02)


def blocks_of(space: CodedSpace, *, channels: bool = False, sizes: bool = False) -> BlockTable:
    """A made-up table of every block of a space, of random latencies.

    Args:
        space: a chain of inverted bottlenecks.
        channels: its keys are those of once-for-all, not of ProxylessNAS.
        sizes: it tells sizes of images apart.
    """
    rng = np.random.default_rng(0)
    blocks: dict[tuple[str, int | None], Block] = {}
    for chain in space.chains():
        keys, side = keys_of_chain(chain, channels=channels), chain.input.shape[-1] if sizes else None
        parts = [keys.stem, *(candidate for position in keys.positions for candidate in position), keys.head]
        for key in dict.fromkeys(key for part in parts for key in part):
            attributes = {"se": 0} if channels else {}
            found = Block(key=key, latency_ns=1e6 * rng.uniform(0.1, 1), image_size=side, attributes=attributes)
            blocks.setdefault((key, side), found)
    return BlockTable("made up", blocks.values())


class OracleContract(ABC):
    """Subclass it and say how to make the oracle.

    Attributes:
        exact: its expectation is exact, not an estimate.
        intervals: it says how sure it is.
        additive: it has a cost matrix.
        rtol: relative error of its numbers.
        draws: how many estimates the tests average, where it is not exact.
    """

    exact: ClassVar[bool] = True
    intervals: ClassVar[bool] = False
    additive: ClassVar[bool] = False
    rtol: ClassVar[float] = 1e-6
    draws: ClassVar[int] = 64

    @abstractmethod
    def make(self) -> LatencyOracle:
        """The oracle; of a space of which it has a number for every architecture."""

    @pytest.fixture
    def oracle(self) -> LatencyOracle:
        """Made once for all tests of the class."""
        if type(self) not in _made:
            _made[type(self)] = self.make()
        return _made[type(self)]

    # -- numbers -------------------------------------------------------------------------------------------

    def test_latencies_are_positive_and_one_for_each(self, oracle: LatencyOracle) -> None:
        codes = oracle.space.sample(_MANY, np.random.default_rng(1))
        latencies_ms = oracle.latencies_ms(codes)
        assert latencies_ms.shape == (_MANY,)
        assert latencies_ms.dtype == np.float64
        assert (np.isfinite(latencies_ms) & (latencies_ms > 0)).all()
        assert oracle.latency_ms(codes[5]) == pytest.approx(latencies_ms[5], rel=self.rtol)
        assert oracle.latencies_ms(codes[:0]).shape == (0,)
        assert oracle.device

    def test_an_architecture_has_one_latency_however_it_is_written(self, oracle: LatencyOracle) -> None:
        rng = np.random.default_rng(2)
        codes = np.stack([rng.integers(0, count, _MANY) for count in counts_of(oracle.space)], axis=1)
        latencies_ms = oracle.latencies_ms(codes)
        forms: Sequence[Any] = (
            oracle.space.canonical(codes),
            codes.astype(np.uint8),
            np.asfortranarray(codes),
            codes.tolist(),
        )
        for form in forms:
            np.testing.assert_allclose(oracle.latencies_ms(form), latencies_ms, rtol=self.rtol)
        order = rng.permutation(_MANY)
        np.testing.assert_allclose(oracle.latencies_ms(codes[order]), latencies_ms[order], rtol=self.rtol)

    @pytest.mark.parametrize("wrong", ["column", "choice", "negative", "large", "float"])
    def test_what_is_no_code_is_refused(self, oracle: LatencyOracle, wrong: str) -> None:
        codes: NDArray[Any] = oracle.space.sample(4, np.random.default_rng(3))
        if wrong == "column":
            codes = codes[:, 1:]
        elif wrong == "float":
            codes = codes.astype(float)
        else:
            codes[2, -1] = {"choice": counts_of(oracle.space)[-1], "negative": -1, "large": 256}[wrong]
        with pytest.raises(UsageError, match=r"decisions|no choice"):
            oracle.latencies_ms(codes)

    def test_intervals_hold_the_latency_and_grow(self, oracle: LatencyOracle) -> None:
        codes = oracle.space.sample(8, np.random.default_rng(4))
        if not self.intervals:
            with pytest.raises(NotSupportedError, match="how sure"):
                oracle.intervals_ms(codes)
            return
        narrow, wide = oracle.intervals_ms(codes, 0.5), oracle.intervals_ms(codes, 0.95)
        both = np.column_stack([oracle.latencies_ms(codes), narrow])
        np.testing.assert_array_equal(oracle.estimates_ms(codes, 0.5), both)
        latencies_ms = oracle.latencies_ms(codes)
        assert narrow.shape == wide.shape == (8, 2)
        assert (wide[:, 0] <= narrow[:, 0]).all()
        assert (narrow[:, 0] <= latencies_ms * (1 + self.rtol)).all()
        assert (latencies_ms * (1 - self.rtol) <= narrow[:, 1]).all()
        assert (narrow[:, 1] <= wide[:, 1]).all()
        with pytest.raises(UsageError, match="coverage"):
            oracle.intervals_ms(codes, 1.5)

    def test_a_cost_matrix_adds_up(self, oracle: LatencyOracle) -> None:
        if not self.additive:
            with pytest.raises(NotSupportedError, match="decision"):
                oracle.cost_matrix()
            return
        matrix = oracle.cost_matrix()
        codes = oracle.space.sample(_MANY, np.random.default_rng(5))
        sums_ms = matrix.fixed_ms + matrix.costs_ms[np.arange(codes.shape[1]), codes].sum(axis=1)
        np.testing.assert_allclose(sums_ms, oracle.latencies_ms(codes), rtol=max(self.rtol, 1e-6))
        for row, count in zip(matrix.costs_ms, counts_of(oracle.space), strict=True):
            assert np.isnan(row[count:]).all()

    def test_the_cheapest_is_one_of_the_space_and_cheap(self, oracle: LatencyOracle) -> None:
        found = oracle.cheapest(evaluations=200)
        code = oracle.space.validate(found.code)
        assert (oracle.space.canonical(code) == code).all()
        assert oracle.latency_ms(found.code) == pytest.approx(found.latency_ms, rel=self.rtol)
        latencies_ms = oracle.latencies_ms(oracle.space.sample(_MANY, np.random.default_rng(6)))
        if found.bound_ms is not None:
            assert found.bound_ms <= latencies_ms.min() * (1 + self.rtol)
        if found.exact:
            assert found.latency_ms <= latencies_ms.min() * (1 + self.rtol)
        assert found.latency_ms <= np.median(latencies_ms)

    # -- expectations --------------------------------------------------------------------------------------

    def test_the_expectation_of_a_sure_architecture_is_its_latency(self, oracle: LatencyOracle) -> None:
        torch = pytest.importorskip("torch")
        for code in oracle.space.sample(3, np.random.default_rng(7)):
            sure = [
                torch.nn.functional.one_hot(torch.tensor(choice), count).double()
                for choice, count in zip(code.tolist(), counts_of(oracle.space), strict=True)
            ]
            assert float(oracle.expected_ms(sure)) == pytest.approx(oracle.latency_ms(code), rel=self.rtol)

    def test_the_expectation_is_the_mean(self, oracle: LatencyOracle) -> None:
        pytest.importorskip("torch")
        logits = self._logits(oracle, 8)
        latencies_ms = oracle.latencies_ms(self._drawn(logits, 4096 if self.exact else 512))
        expected = [float(self._expected(oracle, logits).detach()) for _ in range(1 if self.exact else self.draws)]
        noise = latencies_ms.std() / np.sqrt(len(latencies_ms)) + np.std(expected) / np.sqrt(len(expected))
        assert np.mean(expected) == pytest.approx(latencies_ms.mean(), abs=_SIGMAS * noise + self.rtol)

    def test_the_gradient_by_logits(self, oracle: LatencyOracle) -> None:
        """dE/d(logit) = p (F - E), F the expectation with that choice."""
        torch = pytest.importorskip("torch")
        logits = self._logits(oracle, 9)
        found = []
        for _ in range(1 if self.exact else self.draws):
            for given in logits:
                given.grad = None
            self._expected(oracle, logits).backward()
            found.append([given.grad.numpy().copy() for given in logits])
        gradients = [np.stack(of_decision) for of_decision in zip(*found, strict=True)]
        decision = int(np.argmax([np.abs(given.mean(axis=0)).max() for given in gradients]))
        wanted = self._wanted(oracle, logits, decision)
        noise = gradients[decision].std(axis=0) / np.sqrt(len(gradients[decision]))
        scale = float(np.abs(wanted).max())
        tolerance = 1e-6 * scale if self.exact else _SIGMAS * noise + 0.2 * scale
        assert (np.abs(gradients[decision].mean(axis=0) - wanted) <= tolerance).all()
        assert all(torch.isfinite(given.grad).all() for given in logits)

    def test_probabilities_are_checked(self, oracle: LatencyOracle) -> None:
        torch = pytest.importorskip("torch")
        even = [torch.full((count,), 1 / count) for count in counts_of(oracle.space)]
        assert oracle.expected_ms(even).dtype == torch.float32
        with pytest.raises(UsageError, match="decisions"):
            oracle.expected_ms(even[1:])
        with pytest.raises(UsageError, match="a Tensor of shape"):
            oracle.expected_ms([torch.ones(counts_of(oracle.space)[0] + 1), *even[1:]])
        with pytest.raises(UsageError, match="sum to 1"):
            oracle.expected_ms([2 * even[0], *even[1:]])
        with pytest.raises(UsageError, match="sum to 1"):
            oracle.expected_ms([even[0] * float("nan"), *even[1:]])

    # -- inside --------------------------------------------------------------------------------------------

    def _logits(self, oracle: LatencyOracle, seed: int) -> list[Any]:
        import torch

        random = torch.Generator().manual_seed(seed)
        counts = counts_of(oracle.space)
        return [torch.randn(n, dtype=torch.float64, generator=random).requires_grad_() for n in counts]

    def _expected(self, oracle: LatencyOracle, logits: Sequence[Any]) -> Any:
        return oracle.expected_ms([given.softmax(0) for given in logits])

    def _drawn(self, logits: Sequence[Any], count: int) -> NDArray[np.int64]:
        rng = np.random.default_rng(10)
        columns = [rng.choice(len(g), count, p=g.detach().softmax(0).numpy()) for g in logits]
        return np.stack(columns, axis=1).astype(np.int64)

    def _wanted(self, oracle: LatencyOracle, logits: Sequence[Any], decision: int) -> NDArray[np.float64]:
        """The gradient by one decision's logits: exactly where the expectation is, else from many architectures."""
        import torch

        given = logits[decision].detach().softmax(0)
        if self.exact:
            sure = torch.eye(len(given), dtype=torch.float64)
            others = [g.detach().softmax(0) for g in logits]
            with_choice = [
                float(oracle.expected_ms([*others[:decision], row, *others[decision + 1 :]])) for row in sure
            ]
        else:
            codes = self._drawn(logits, 256)
            with_choice = []
            for choice in range(len(given)):
                codes[:, decision] = choice
                with_choice.append(float(oracle.latencies_ms(codes).mean()))
        probabilities, latencies_ms = given.numpy(), np.array(with_choice)
        return np.asarray(probabilities * (latencies_ms - probabilities @ latencies_ms))
