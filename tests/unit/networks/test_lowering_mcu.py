"""Networks as the int8 layers of a microcontroller: what folds, what joins, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder, zoo
from lutra.networks.errors import UsageError
from lutra.networks.lowering import Kernel, lower
from lutra.networks.lowering.mcu import channels_of, table_bytes_of, weights_of


def layers(network):
    return lower(network, "mcu", precision="int8").kernels


def single(kind, shape=(1, 6, 9, 11), **attrs):
    b = NetworkBuilder("one")
    return b.build(b.op(kind, b.input(shape), **attrs))


def test_convolution_takes_in_batch_norm_and_clamp():
    b = NetworkBuilder("block")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=3, padding=1, stride=2, bias=False)
    x = b.op("relu6", b.op("batch_norm", x))
    (layer,) = layers(b.build(x))
    node = layer.nodes[0]
    assert node.op == "conv2d"
    assert dict(node.attrs) == {
        "activation": "relu6",
        "groups": 1,
        "kernel_size": (3, 3),
        "padding": (1, 1, 1, 1),
        "stride": (2, 2),
    }
    assert dict(layer.outputs)[node.outputs[0]].shape == (1, 4, 4, 4)
    assert (weights_of(layer), channels_of(layer)) == (4 * 3 * 3 * 3, 4)


@pytest.mark.parametrize(
    ("attrs", "kind"),
    [
        ({"out_channels": 8, "kernel_size": 1}, "pointwise"),
        ({"out_channels": 8, "kernel_size": 1, "stride": 2}, "conv2d"),
        ({"out_channels": 6, "kernel_size": 3, "groups": 6}, "depthwise"),
        ({"out_channels": 12, "kernel_size": 3, "groups": 6}, "grouped_conv2d"),
        ({"out_channels": 6, "kernel_size": 1, "groups": 2}, "grouped_conv2d"),
    ],
)
def test_kinds_of_convolutions(attrs, kind):
    (layer,) = layers(single("conv2d", **attrs))
    assert layer.nodes[0].op == kind


def test_images_lie_channels_last():
    (layer,) = layers(single("max_pool2d", kernel_size=3, stride=2))
    assert [type_.shape for _, type_ in (*layer.inputs, *layer.outputs)] == [(1, 9, 11, 6), (1, 4, 5, 6)]
    assert all(type_.dtype == "int8" for _, type_ in (*layer.inputs, *layer.outputs))


def test_an_activation_with_another_reader_is_a_table():
    b = NetworkBuilder("forked")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=3, kernel_size=1)
    network = b.build(b.op("add", x, b.op("relu", x)))
    assert [layer.nodes[0].op for layer in layers(network)] == ["pointwise", "table", "add"]


@pytest.mark.parametrize("kind", ["hard_swish", "sigmoid", "silu", "tanh", "leaky_relu", "gelu"])
def test_other_activations_are_tables_of_256_entries(kind):
    b = NetworkBuilder("act")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=3, kernel_size=1)
    convolution, table = layers(b.build(b.op(kind, x)))
    assert dict(convolution.nodes[0].attrs)["activation"] == ""
    assert (table.nodes[0].op, table_bytes_of(table)) == ("table", 256)


def test_a_sum_takes_in_its_clamp():
    b = NetworkBuilder("sum")
    x = b.input((1, 4, 5, 5))
    (layer,) = layers(b.build(b.op("relu", b.op("add", x, b.input((1, 4, 5, 5))))))
    assert dict(layer.nodes[0].attrs) == {"activation": "relu"}


def test_flattening_renames():
    b = NetworkBuilder("tail")
    x = b.op("flatten", b.op("global_avg_pool2d", b.input((1, 8, 4, 4))))
    pool, linear = layers(b.build(b.op("linear", x, out_features=3)))
    assert (pool.nodes[0].op, linear.nodes[0].op) == ("global_pool", "fully_connected")
    assert (weights_of(linear), channels_of(linear)) == (24, 3)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (single("conv2d", out_channels=4, kernel_size=3, dilation=2), "gaps"),
        (single("conv2d", shape=(2, 6, 9, 11), out_channels=4, kernel_size=1), "batch"),
        (single("batch_norm"), "batch_norm"),
        (single("linear", shape=(1, 5, 6), out_features=3), "sequences"),
        (single("softmax"), "vector"),
        (single("mean", axes=(1,)), "axes"),
        (single("adaptive_avg_pool2d", output_size=(3, 3)), "more than one pixel"),
    ],
)
def test_what_no_kind_computes_says_so(network, reason):
    lowered = lower(network, "mcu", precision="int8")
    assert len(lowered.lacks) == 1
    assert reason in lowered.lacks[0]


def test_float_is_refused():
    with pytest.raises(UsageError, match="does not run in 'float32'"):
        lower(zoo.build("mcunet_in0"), "mcu")


MCU_NETWORKS = [*zoo.names("mcunet*"), *zoo.names("mlperf_tiny*"), "mobilenet_v1_w0.25", "resnet18"]


@pytest.mark.parametrize("name", MCU_NETWORKS)
def test_networks_keep_their_macs_and_weights(name):
    network = zoo.build(name)
    lowered = lower(network, "mcu", precision="int8")
    assert not lowered.lacks
    assert lowered.macs == network.macs
    weights = sum(
        weight[0] * weight[1] * (weight[2] * weight[3] if len(weight) == 4 else 1)
        for node in network
        if (weight := node.op.weights.get("weight")) and node.op.kind in ("conv2d", "linear")
    )
    assert sum(map(weights_of, lowered.kernels)) == weights


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1))
def test_keys_tell_shapes_apart(channels, filters, window, stride, pad):
    def key(**changes):
        attrs = {"out_channels": filters, "kernel_size": window, "stride": stride, "padding": pad} | changes
        (layer,) = layers(single("conv2d", shape=(1, channels, 7, 7), **attrs))
        return layer.key

    assert key() == key()
    assert key() != key(out_channels=filters + 1)
    assert key() != key(kernel_size=window + 1)


def test_a_layer_survives_json():
    for layer in layers(zoo.build("mlperf_tiny_kws")):
        assert Kernel.from_json(layer.to_json()).key == layer.key
