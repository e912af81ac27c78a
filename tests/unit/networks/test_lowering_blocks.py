"""A space of networks lowered block by block: the same kernels as each network lowered whole."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder, TensorType
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck, shuffle_unit_v2, transformer_block
from lutra.networks.errors import NotSupportedError, ShapeError, UsageError
from lutra.networks.lowering import lower
from lutra.networks.lowering.blocks import Block, BlockSpace, LoweredSpace, lower_blocks

pytest.importorskip("onnxruntime")

SETTINGS = [
    ("native", "float32", ("proxyless", "ofa", "shuffled", "activated", "transformers")),
    ("native", "int8", ("proxyless", "ofa", "shuffled", "activated", "transformers")),
    ("onnxruntime", "float32", ("proxyless", "ofa", "shuffled")),
    ("onnxruntime", "int8", ("proxyless", "ofa", "shuffled")),
]
CASES = [(name, runtime, precision) for runtime, precision, names in SETTINGS for name in names]


def mb(out: int, kernel: int, ratio: int, stride: int = 1, *, elastic: bool = False) -> Block:
    """A candidate of ProxylessNAS; of Once-for-All (squeeze-excite, hard-swish) where ``elastic``."""

    def block(b: NetworkBuilder, x: str) -> str:
        mid = b.channels(x) * ratio
        extra = {"squeeze_channels": mid // 4, "activation": "hard_swish"} if elastic else {}
        return inverted_bottleneck(b, x, out, mid_channels=mid, kernel_size=kernel, stride=stride, **extra)

    return block


def nothing(b: NetworkBuilder, x: str) -> str:
    """The candidate that shortens the network."""
    del b
    return x


def stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 16, stride=2, activation="relu6")


def classifier(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, 48, 1, activation="relu6")
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


def mobile(*, elastic: bool) -> BlockSpace:
    positions = []
    for out, depth, stride in ((24, 2, 2), (36, 2, 2), (80, 1, 1)):
        for i in range(depth):
            made = [mb(out, k, e, 1 if i else stride, elastic=elastic) for k in (3, 5) for e in (3, 6)]
            positions.append((*made, nothing) if i else tuple(made))
    return BlockSpace("mobile", TensorType((1, 3, 32, 32)), stem, tuple(positions), classifier)


def shuffled() -> BlockSpace:
    """Units that leave plain tensors, and convolutions that leave the runtime's own layout."""
    unit: Block = lambda b, x: shuffle_unit_v2(b, x, b.channels(x))  # noqa: E731
    conv: Block = lambda b, x: conv_norm_act(b, x, b.channels(x))  # noqa: E731
    return BlockSpace("shuffled", TensorType((1, 3, 32, 32)), stem, ((unit, conv, nothing),) * 3, classifier)


def activated() -> BlockSpace:
    """Layers whose activations an 8-bit kernel takes in, and others that leave float32 behind."""
    layers: list[Block] = [
        lambda b, x, activation=activation: conv_norm_act(b, x, b.channels(x), activation=activation)  # type: ignore[misc]
        for activation in ("relu", "hard_swish")
    ]
    unit: Block = lambda b, x: shuffle_unit_v2(b, x, b.channels(x))  # noqa: E731
    return BlockSpace("activated", TensorType((1, 3, 32, 32)), stem, ((*layers, unit, nothing),) * 3, classifier)


def transformers() -> BlockSpace:
    positions = tuple(tuple(_transformer(h) for h in (1, 2, 4)) for _ in range(3))
    return BlockSpace(
        "transformers",
        TensorType((1, 12, 32)),
        lambda b, x: b.op("linear", x, out_features=32),
        positions,
        lambda b, x: b.op("linear", b.op("layer_norm", x), out_features=4),
    )


def _transformer(heads: int) -> Block:
    return lambda b, x: transformer_block(b, x, heads=heads)


SPACES = {
    "proxyless": mobile(elastic=False),
    "ofa": mobile(elastic=True),
    "shuffled": shuffled(),
    "activated": activated(),
    "transformers": transformers(),
}
LOWERED: dict[tuple[str, str, str], LoweredSpace] = {}


def lowered(name: str, runtime: str, precision: str) -> LoweredSpace:
    key = (name, runtime, precision)
    if key not in LOWERED:
        LOWERED[key] = lower_blocks(SPACES[name], runtime, precision=precision)
    return LOWERED[key]


@pytest.mark.parametrize(("name", "runtime", "precision"), CASES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_kernels_of_blocks_are_those_of_whole_networks(
    name: str, runtime: str, precision: str, data: st.DataObject
) -> None:
    space = SPACES[name]
    choices = [data.draw(st.integers(0, len(position) - 1)) for position in space.positions]
    whole = lower(space.network(choices), runtime, precision=precision).kernels
    put_together = lowered(name, runtime, precision).kernels(choices)
    assert [kernel.label for kernel in put_together] == [kernel.label for kernel in whole]
    assert [kernel.key for kernel in put_together] == [kernel.key for kernel in whole]


@pytest.mark.parametrize("name", ["proxyless", "ofa", "shuffled"])
def test_few_lowerings_stand_for_many_networks(name: str) -> None:
    space = SPACES[name]
    result = lowered(name, "onnxruntime", "float32")
    candidates = sum(len(position) for position in space.positions)
    assert result.lowerings <= 2 * (candidates + len(space.positions)) + 4
    if name in ("proxyless", "ofa"):
        assert result.lowerings < math.prod(map(len, space.positions)) / 30
    kernels = result.kernels([0] * len(space.positions))
    assert {kernel.key for kernel in kernels} <= set(result.distinct)


def test_equal_blocks_are_lowered_once() -> None:
    block = mb(16, 3, 3)
    twice, once = (
        lower_blocks(BlockSpace("same", TensorType((1, 3, 32, 32)), stem, ((block,),) * count, classifier), "native")
        for count in (6, 1)
    )
    assert twice.lowerings == once.lowerings
    assert twice.positions[0][0] == twice.positions[5][0]


def test_what_does_not_fit_is_refused() -> None:
    space = SPACES["proxyless"]
    for choices in ([0], [9] * len(space.positions)):
        with pytest.raises(UsageError, match="do not fit"):
            space.network(choices)
    image = TensorType((1, 3, 32, 32))
    with pytest.raises(ShapeError, match="position 0 make different"):
        lower_blocks(BlockSpace("odd", image, stem, ((mb(16, 3, 3), mb(24, 3, 3)),), classifier), "native")
    relu_first: Block = lambda b, x: conv_norm_act(b, b.op("relu", x), 16)  # noqa: E731
    with pytest.raises(NotSupportedError, match="joins the kernel before it"):  # add + layer_norm
        lower_blocks(SPACES["transformers"], "onnxruntime")
    with pytest.raises(NotSupportedError, match="joins the kernel before it"):
        lower_blocks(BlockSpace("pre", image, stem, ((relu_first,),), classifier), "native")
