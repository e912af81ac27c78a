"""A search space of one's own: three positions, each with a choice of blocks, for ``lutra profile --space``.

Commands that name this file run it. They look for ``space``: a `SearchSpace`, or a function that returns one.
"""

from functools import partial

from lutra.nas.spaces import ChainSpace
from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck
from lutra.networks.lowering.blocks import BlockSpace


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, 3, stride=2)


def block(b: NetworkBuilder, x: str, *, kernel: int, expansion: int) -> str:
    mid = b.channels(x) * expansion
    return inverted_bottleneck(b, x, 16, mid_channels=mid, kernel_size=kernel, activation="relu")


def nothing(b: NetworkBuilder, x: str) -> str:
    del b
    return x


def head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


blocks = [partial(block, kernel=kernel, expansion=expansion) for kernel in (3, 5) for expansion in (3, 6)]
chain = BlockSpace("mine", TensorType((1, 3, 32, 32)), stem, ((*blocks, nothing),) * 3, head)
space = ChainSpace("mine", [chain], [["3x3 e3", "3x3 e6", "5x5 e3", "5x5 e6", "none"]] * 3)
