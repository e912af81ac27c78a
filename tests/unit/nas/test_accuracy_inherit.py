"""Networks that grow: what they compute stays the same, for every block; what cannot grow says why."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lutra.nas.accuracy.inherit import (  # noqa: E402
    Grown,
    deepenable,
    deeper,
    grow,
    statistics_behind,
    to_module,
    weights_of,
    widenable,
    wider,
)
from lutra.networks import Network, NetworkBuilder, blocks, zoo  # noqa: E402
from lutra.networks.errors import UnknownNameError, UsageError  # noqa: E402
from lutra.networks.exporters import to_torch  # noqa: E402

CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|"

BLOCKS: dict[str, Callable[[NetworkBuilder, str], str]] = {
    "conv_norm_act": lambda b, x: blocks.conv_norm_act(b, x, 12, stride=2),
    "depthwise_separable": lambda b, x: blocks.depthwise_separable(b, x, 12),
    "inverted_bottleneck": lambda b, x: blocks.inverted_bottleneck(b, x, 12, mid_channels=36),
    "squeezed": lambda b, x: blocks.inverted_bottleneck(
        b, x, 12, mid_channels=24, squeeze_channels=6, activation="hard_swish"
    ),
    "basic_block": lambda b, x: blocks.basic_block(b, x, 12),
    "projected": lambda b, x: blocks.basic_block(b, x, 16, stride=2),
    "bottleneck": lambda b, x: blocks.bottleneck(b, x, 3, groups=2, width_per_group=128),
    "shuffle_v1": lambda b, x: blocks.shuffle_unit_v1(b, x, 12, groups=3),
    "shuffle_v1_strided": lambda b, x: blocks.shuffle_unit_v1(b, x, b.channels(x) + 24, groups=3, stride=2),
    "shuffle_v2": lambda b, x: blocks.shuffle_unit_v2(b, x, 12),
    "shuffle_v2_strided": lambda b, x: blocks.shuffle_unit_v2(b, x, 24, stride=2),
    "dense": lambda b, x: blocks.transition(b, b.op("concat", x, blocks.dense_layer(b, [x], 6)), 12),
    "nasbench201": lambda b, x: blocks.nasbench201_cell(b, x, blocks.parse_nasbench201(CELL)),
    "nasnet": lambda b, x: blocks.nasnet_cell(
        b,
        x,
        x,
        [
            blocks.CellBlock(0, 1, "sep_conv_3x3", "max_pool_3x3"),
            blocks.CellBlock(1, 2, "identity", "identity", "concat"),
        ],
        12,
    ),
    "dilated": lambda b, x: blocks.conv_norm_act(b, x, 12, dilation=2, groups=4),
}


def twice(name: str) -> Network:
    """A stem, a block of one kind twice, and a head that flattens the image."""
    b = NetworkBuilder(name)
    x = blocks.conv_norm_act(b, b.input((1, 3, 9, 9)), 12)
    for i in range(2):
        with b.scope(f"blocks.{i}"):
            x = BLOCKS[name](b, x)
    x = b.op("flatten", b.op("adaptive_avg_pool2d", x, output_size=2))
    x = b.op("relu", b.op("linear", x, name="hidden", out_features=8))
    return b.build(b.op("linear", x, name="head", out_features=5))


def settled(network: Network, seed: int = 0) -> "torch.nn.Module":
    """A module with random weights, whose batch norms have random scales and the statistics of noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = to_torch(network)
        for norm in (m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.momentum = 1.0
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, 0, 0.2)
        with torch.no_grad():
            module.train()(torch.randn(16, *network.inputs[0][1].shape[1:]))
    return module.eval()


def difference(module, grown: Grown) -> float:
    """Largest difference of outputs on noise, both in evaluation mode, in float32."""
    shape = grown.network.inputs[0][1].shape[1:]
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        return float((to_module(grown).eval()(images) - module(images)).abs().max())


def width_of(network: Network, layer: str) -> int:
    shape = network.types[layer].shape
    return shape[1] if len(shape) == 4 else shape[-1]


# -- wider ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOCKS)
def test_every_layer_of_every_block_can_be_widened(name):
    network = twice(name)
    module = settled(network)
    weights = weights_of(module)
    layers = widenable(network)
    assert {"conv", "hidden"} <= set(layers)
    assert any(layer.startswith("blocks.") for layer in layers)
    for layer in layers:
        before = width_of(network, layer)
        for channels in (2 * before, 3 * before):
            grown = wider(network, weights, layer, channels)
            assert width_of(grown.network, layer) == channels
            assert grown.network.params > network.params
            assert sum(p.numel() for p in to_module(grown).parameters()) == grown.network.params
            assert difference(module, grown) < 1e-5, layer


@settings(max_examples=25)
@given(name=st.sampled_from([n for n in BLOCKS if "shuffle" not in n and n != "dilated"]), data=st.data())
def test_any_number_of_channels_where_there_are_no_groups(name, data):
    network = twice(name)
    layers = [layer for layer in widenable(network) if not (name == "bottleneck" and "conv" in layer)]
    layer = data.draw(st.sampled_from(layers))
    channels = width_of(network, layer) + data.draw(st.integers(1, 20))
    module = settled(network)
    grown = wider(network, weights_of(module), layer, channels, seed=data.draw(st.integers(0, 99)))
    assert width_of(grown.network, layer) == channels
    assert difference(module, grown) < 1e-5


def test_growing_again_and_again():
    network = twice("squeezed")
    module = settled(network)
    grown = Grown(network, weights_of(module))
    for step, layer in enumerate(("blocks.0.expand.conv", "conv", "hidden", "blocks.1.expand.conv")):
        grown = wider(grown.network, grown.weights, layer, width_of(grown.network, layer) + 5, seed=step)
        grown = deeper(grown.network, grown.weights, "relu")
    assert grown.network.params > 1.5 * network.params
    assert difference(module, grown) < 1e-5


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2_w0.35", "shufflenet_v2_x0_5", "mobilenet_v3_small", "mcunet_in0"],
)
def test_whole_networks_compute_the_same_in_double_precision(name):
    """Rounding of fifty layers is larger in float32 than what is looked for."""
    network = zoo.build(name, resolution=48, num_classes=10)
    module = settled(network)
    grown = Grown(network, weights_of(module))
    layers = widenable(network)
    for layer in (layers[0], layers[len(layers) // 2], layers[-1]):
        grown = wider(grown.network, grown.weights, layer, 2 * width_of(grown.network, layer))
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        outputs, expected = to_module(grown).double().eval()(images), module.double()(images)
    assert float((outputs - expected).abs().max()) < 1e-5 * float(expected.abs().max())


def test_tied_layers_are_widened_together():
    network = twice("basic_block")
    grown = wider(network, weights_of(settled(network)), "blocks.1.conv2", 20)
    widths = {node.name: node.op["out_channels"] for node in grown.network if node.op.kind == "conv2d"}
    assert widths == {
        "conv": 20,
        "blocks.0.conv1": 12,
        "blocks.0.conv2": 20,
        "blocks.1.conv1": 12,
        "blocks.1.conv2": 20,
    }


def test_noise_tells_repeated_channels_apart():
    network = twice("conv_norm_act")
    module = settled(network)
    plain = wider(network, weights_of(module), "conv", 24)
    noisy = wider(network, weights_of(module), "conv", 24, noise=0.01)
    assert len(np.unique(plain.weights["conv.weight"], axis=0)) == 12
    assert len(np.unique(noisy.weights["conv.weight"], axis=0)) == 24
    assert 0 < difference(module, noisy) < 0.5


def test_what_cannot_be_widened_says_why():
    network = twice("bottleneck")
    weights = weights_of(settled(network))
    with pytest.raises(UsageError, match="the channels of head cannot change: they are the network's output"):
        wider(network, weights, "head", 9)
    with pytest.raises(UnknownNameError, match=r"unknown layer 'blocks\.0\.conv9'"):
        wider(network, weights, "blocks.0.conv9", 9)
    with pytest.raises(UsageError, match="conv has 12 channels, which 12 would not widen"):
        wider(network, weights, "conv", 12)
    with pytest.raises(UsageError, match=r"1 are no whole group of tied ones\n.*a multiple of 2"):
        wider(network, weights, "blocks.0.conv2", width_of(network, "blocks.0.conv2") + 1)
    attention = zoo.build("vit_b_16", resolution=32)
    assert all("mlp" in layer for layer in widenable(attention))
    with pytest.raises(UsageError, match=r"cannot change: .*\((sdpa|add|reshape|layer_norm)\)"):
        wider(attention, {}, next(n.name for n in attention if n.op.kind == "linear" and "out_proj" in n.name), 900)


def test_the_hidden_layers_of_transformers_can_be_widened():
    b = NetworkBuilder("transformer")
    x = blocks.transformer_block(b, b.input((2, 6, 8)), 2)
    tokens = b.build(b.op("linear", x, name="head", out_features=3))
    b = NetworkBuilder("channels last")
    x = b.op("transpose", b.input((2, 8, 4, 4)), perm=(0, 2, 3, 1))
    y = b.op("gelu", b.op("linear", b.op("layer_norm", x), name="mlp.0", out_features=16))
    y = b.op("add", x, b.op("linear", y, name="mlp.3", out_features=8))
    last = b.build(b.op("add", y, b.op("constant", shape=(2, 4, 4, 8))))
    for network in (tokens, last):
        module = to_torch(network).eval()
        assert widenable(network) == ("mlp.0",)
        grown = wider(network, weights_of(module), "mlp.0", 50)
        inputs = torch.randn(network.inputs[0][1].shape)
        with torch.no_grad():
            assert float((to_module(grown).eval()(inputs) - module(inputs)).abs().max()) < 1e-5


def test_layers_that_share_weights_stay_as_they_are():
    b = NetworkBuilder("shared")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), name="a", out_channels=3, kernel_size=1)
    x = b.op("conv2d", x, name="b", weights_from="a", out_channels=3, kernel_size=1)
    network = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), name="head", out_features=2))
    assert widenable(network) == ()


# -- deeper -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("depthwise", [False, True])
def test_a_layer_can_be_put_behind_every_rectifier(name, depthwise):
    network = twice(name)
    module = settled(network)
    weights = weights_of(module)
    assert deepenable(network)
    for after in deepenable(network):
        grown = deeper(network, weights, after, kernel_size=5, depthwise=depthwise)
        assert len(grown.network) > len(network)
        assert difference(module, grown) < 1e-5, after


def test_in_training_mode_only_true_statistics_change_nothing():
    network = twice("basic_block")
    module = settled(network)
    images = torch.randn(16, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    statistics = statistics_behind(network, weights_of(module), "act", images)
    naive = deeper(network, weights_of(module), "act")
    right = deeper(network, weights_of(module), "act", statistics=statistics)
    assert difference(module, right) < 1e-5
    with torch.no_grad():
        expected = module.train()(images)
        assert float((to_module(right).train()(images) - expected).abs().max()) < 1e-4
        assert float((to_module(naive).train()(images) - expected).abs().max()) > 1e-2


def test_what_cannot_be_deepened():
    network = twice("squeezed")
    weights = weights_of(settled(network))
    smooth = next(node.name for node in network if node.op.kind == "hard_swish")
    with pytest.raises(UnknownNameError, match="unknown rectifier"):
        deeper(network, weights, smooth)
    with pytest.raises(UsageError, match="a kernel of 4 has no middle"):
        deeper(network, weights, "act", kernel_size=4)
    with pytest.raises(UsageError, match=r"statistics are of \(3,\) and \(3,\) channels"):
        deeper(network, weights, "act", statistics=(np.zeros(3), np.ones(3)))
    with pytest.raises(UsageError, match=r"no weights of squeezed: .*Missing key"):
        to_module(Grown(network, {name: array for name, array in weights.items() if name != "head.bias"}))


# -- at random --------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(name=st.sampled_from(sorted(BLOCKS)), seed=st.integers(0, 2**32 - 1))
def test_random_steps_keep_the_function(name, seed):
    network, rng = twice(name), np.random.default_rng(seed)
    module = settled(network)
    grown = Grown(network, weights_of(module))
    for _ in range(3):
        larger = grow(grown.network, grown.weights, rng, noise=0)
        assert larger.network.params > grown.network.params
        grown = larger
    assert difference(module, grown) < 1e-5


def test_a_step_that_cannot_be_made():
    network = twice("basic_block")
    weights = weights_of(settled(network))
    with pytest.raises(UsageError, match="a factor of 1 does not widen"):
        grow(network, weights, np.random.default_rng(0), factor=1)
    b = NetworkBuilder("one layer")
    single = b.build(b.op("linear", b.op("flatten", b.input((1, 3, 4, 4))), out_features=2))
    with pytest.raises(UsageError, match="nothing in one layer can grow"):
        grow(single, {}, np.random.default_rng(0))
