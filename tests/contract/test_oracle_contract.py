"""Every oracle passes the contract."""

from abc import ABC, abstractmethod
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")
pytest.importorskip("torch")

from lutra.nas import spaces
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import (
    BlockOracle,
    EncodingOracle,
    FunctionOracle,
    KnownOracle,
    LatencyOracle,
    NetworkOracle,
    TableOracle,
)
from lutra.nas_bridge.testing import OracleContract, blocks_of, table_of
from lutra.networks import Network, NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck, shuffle_unit_v2
from lutra.networks.lowering.blocks import BlockSpace
from lutra.predictors import (
    AdditivePredictor,
    GnnPredictor,
    LatencyPredictor,
    MlpPredictor,
    QuadraticPredictor,
    TransferPredictor,
)


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, stride=2)


def block(b: NetworkBuilder, x: str, *, kernel: int, ratio: int) -> str:
    return inverted_bottleneck(b, x, 16, mid_channels=16 * ratio, kernel_size=kernel)


def unit(b: NetworkBuilder, x: str) -> str:
    return shuffle_unit_v2(b, x, b.channels(x))


def nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


BLOCKS = tuple(partial(block, kernel=k, ratio=r) for k in (3, 5) for r in (3, 6))


def small_space(*sizes: int, mixed: bool = False) -> ChainSpace:
    """Four positions; with blocks that leave plain tensors and others that leave the runtime's own layout."""
    candidates = (unit, conv_norm_act_16, nothing) if mixed else (*BLOCKS, nothing)
    chains = [
        BlockSpace("small", TensorType((1, 3, size, size)), stem, (candidates,) * 4, head) for size in sizes or (32,)
    ]
    return ChainSpace("small", chains)


def conv_norm_act_16(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16)


def latency_of(codes: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A latency that is no sum over decisions."""
    first, rest = codes[:, 0] + 1.0, codes[:, 1:] + 2.0
    latency_ms: np.ndarray[tuple[int], np.dtype[np.float64]] = 5 + first * rest.sum(axis=1) / 10
    return latency_ms


def timer(network: Network) -> float:
    return 0.1 + network.macs / 1e6


# -- sums over positions ------------------------------------------------------------------------------------


class TestTable(OracleContract):
    intervals = True
    additive = True

    def make(self) -> LatencyOracle:
        space = small_space()
        return TableOracle(space, table_of(space))


class TestTableOfSeveralSizes(OracleContract):
    intervals = True

    def make(self) -> LatencyOracle:
        space = small_space(32, 48)
        return TableOracle(space, table_of(space))


class TestTableWithLayouts(OracleContract):
    intervals = True

    def make(self) -> LatencyOracle:
        space = small_space(mixed=True)
        return TableOracle(space, table_of(space))


class TestTableWithLayoutsOfSeveralSizes(OracleContract):
    intervals = True

    def make(self) -> LatencyOracle:
        space = small_space(32, 48, mixed=True)
        return TableOracle(space, table_of(space))


class TestTableWithDepths(OracleContract):
    """A decision, the depth, says what stands at several positions; in two sizes."""

    intervals = True

    def make(self) -> LatencyOracle:
        space = spaces.build("ofa-mbv3@128,160")
        return TableOracle(space, table_of(space))


class TestTableWithACache(OracleContract):
    """How much of the weights comes from memory follows from the network, so the expectation is only nearly one."""

    intervals = True
    exact = False
    draws = 1

    def make(self) -> LatencyOracle:
        space = small_space()
        oracle = TableOracle(space, table_of(space, cache_kib=96))
        assert oracle._share is None
        return oracle


class TestBlocks(OracleContract):
    additive = True

    def make(self) -> LatencyOracle:
        space = spaces.build("proxyless-24")
        return BlockOracle(space, blocks_of(space, channels=False, sizes=False))


class TestBlocksOfSeveralSizes(OracleContract):
    def make(self) -> LatencyOracle:
        space = spaces.build("ofa-mbv3@128,160,224")
        return BlockOracle(space, blocks_of(space, channels=True, sizes=True))


# -- predictors ---------------------------------------------------------------------------------------------


class OfCodes(OracleContract, ABC):
    intervals: ClassVar[bool] = True

    @abstractmethod
    def predictor(self) -> LatencyPredictor:
        """Before it is fitted."""

    def make(self) -> LatencyOracle:
        space = small_space()
        codes = space.sample(60, np.random.default_rng(0))
        return EncodingOracle(space, self.predictor().fit(codes, latency_of(codes)))


class TestMlp(OfCodes):
    exact = False
    draws = 16

    def predictor(self) -> MlpPredictor:
        return MlpPredictor(steps=40, members=2)


class TestQuadratic(OfCodes):
    exact = False
    draws = 16

    def predictor(self) -> QuadraticPredictor:
        return QuadraticPredictor()


class TestAdditive(OfCodes):
    additive = True

    def predictor(self) -> AdditivePredictor:
        return AdditivePredictor()


class TestTransfer(OfCodes):
    additive = True

    def predictor(self) -> TransferPredictor:
        return TransferPredictor()


class TestGnn(OracleContract):
    exact = False
    intervals = True
    draws = 12
    rtol = 1e-4  # of 32 bits, in batches of any composition

    def make(self) -> LatencyOracle:
        space = small_space()
        codes = space.sample(12, np.random.default_rng(0))
        networks = [space.decode(code) for code in codes]
        predictor = GnnPredictor(steps=30, width=8, layers=1).fit(networks, [timer(n) for n in networks])
        return NetworkOracle(space, predictor, samples=32)


# -- numbers ------------------------------------------------------------------------------------------------


class TestKnown(OracleContract):
    def make(self) -> LatencyOracle:
        space = small_space()
        codes = np.indices((5,) * 4).reshape(4, -1).T
        return KnownOracle(space, codes, latency_of(codes), device="known")


class TestFunction(OracleContract):
    exact = False
    draws = 12

    def make(self) -> LatencyOracle:
        return FunctionOracle(small_space(), timer, device="simulator", simulated=True, samples=32)
