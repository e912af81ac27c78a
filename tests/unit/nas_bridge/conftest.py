"""A small space for tests of the bridge, and what its architectures take."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lutra.nas.spaces import ChainSpace
from lutra.networks import Network, NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck
from lutra.networks.lowering.blocks import BlockSpace


def _stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, stride=2)


def _block(b: NetworkBuilder, x: str, *, kernel: int, ratio: int) -> str:
    return inverted_bottleneck(b, x, 16, mid_channels=16 * ratio, kernel_size=kernel)


def _nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def _head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


@pytest.fixture(scope="session")
def make_space() -> Callable[..., ChainSpace]:
    """Four positions of four blocks or none, for images of one size or of several."""

    def make(*sizes: int) -> ChainSpace:
        blocks = (*(partial(_block, kernel=k, ratio=r) for k in (3, 5) for r in (3, 6)), _nothing)
        chains = [
            BlockSpace("small", TensorType((1, 3, size, size)), _stem, (blocks,) * 4, _head) for size in sizes or (32,)
        ]
        return ChainSpace("small", chains)

    return make


@pytest.fixture(scope="session")
def space(make_space: Callable[..., ChainSpace]) -> ChainSpace:
    """That space, for one size of image."""
    return make_space()


@pytest.fixture(scope="session")
def latency_of() -> Callable[[Any], Any]:
    """Latencies of codes, in ms, that are no sums over decisions."""
    return lambda codes: 1 + (codes[:, 0] + 1.0) * (codes[:, 1:] + 2.0).sum(axis=1) / 10


@pytest.fixture(scope="session")
def timer() -> Callable[[Network], float]:
    """A device that takes a tenth of a ms, and a ms for a million MACs."""
    return lambda network: 0.1 + network.macs / 1e6
