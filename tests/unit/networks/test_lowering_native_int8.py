"""Which of our own kernels run in 8 bits, and where tensors are quantised and dequantised."""

import pytest

from lutra.networks import NetworkBuilder, TensorType, zoo
from lutra.networks.lowering import Kernel, LoweredNetwork, float_name, lower, weight_scale_name


def image(channels: int = 16) -> tuple[NetworkBuilder, str]:
    b = NetworkBuilder("net")
    return b, b.input((1, channels, 10, 10))


def conv(b: NetworkBuilder, x: str, channels: int = 16, groups: int = 1) -> str:
    return b.op("conv2d", x, out_channels=channels, kernel_size=3, padding=1, groups=groups)


def lowered(b: NetworkBuilder, y: str) -> LoweredNetwork:
    return lower(b.build(y), "native", precision="int8")


def kinds(network: LoweredNetwork) -> list[str]:
    return [kernel.nodes[0].op for kernel in network.kernels]


def dtypes(kernel: Kernel) -> list[str]:
    return [type_.dtype for _, type_ in (*kernel.inputs, *kernel.outputs)]


def test_an_image_is_quantised_once_and_the_result_dequantised() -> None:
    b, x = image(3)
    y = b.op("relu", b.op("batch_norm", conv(b, conv(b, x))))
    network = lowered(b, y)
    assert kinds(network) == ["quantise", "conv2d", "conv2d", "dequantise", "reorder"]
    assert [dtypes(kernel) for kernel in network.kernels[:4]] == [
        ["float32", "uint8"],
        ["uint8", "uint8"],
        ["uint8", "uint8"],
        ["uint8", "float32"],
    ]
    assert network.kernels[3].outputs[0][0] == float_name(y)
    assert network.kernels[2].label == "QConv 3x3 16->16 + relu @10"
    assert network.kernels[0].label == "quantise 3 @10"


def test_stored_tensors_have_their_types() -> None:
    b, x = image()
    first = conv(b, x)
    last = b.op("add", conv(b, first, 16), first)
    kernel = lowered(b, last).kernels[-3]
    weight, bias = "conv2d_1.weight", "conv2d_1.bias"
    scale = weight_scale_name(weight)
    assert kernel.nodes[0].inputs == (first, weight, bias, scale, first)
    types = {name: constant.type for name, constant in kernel.constants}
    assert types == {
        weight: TensorType((16, 16, 3, 3), "int8"),
        bias: TensorType((16,), "int32"),
        scale: TensorType((16,)),
    }
    attrs = dict(kernel.nodes[0].attrs)
    assert {"x_scale", "x_zero", "y_scale", "y_zero", "b_scale", "b_zero"} < set(attrs)
    assert attrs["layout"] == "nchw8c"
    pixels = 2 * 10 * 10 * 8
    assert kernel.bytes_moved == 2 * pixels + 16 * 16 * 9 + 2 * 4 * 16


def test_groups_of_broken_blocks_have_blocked_forms() -> None:
    b, x = image(24)
    assert kinds(lowered(b, conv(b, x, 24, groups=2))) == ["quantise", "reorder", "conv2d", "dequantise", "reorder"]


def test_pools_and_sums_follow() -> None:
    b, x = image()
    left, right = conv(b, x), conv(b, x)
    pooled = [b.op("max_pool2d", value, kernel_size=2, stride=2) for value in (left, right)]
    total = b.op("add", *pooled)
    y = b.op("linear", b.op("flatten", b.op("adaptive_avg_pool2d", total, output_size=1)), out_features=5)
    network = lowered(b, y)
    assert kinds(network)[2:] == [
        *("conv2d", "conv2d", "max_pool2d", "max_pool2d", "add", "global_avg_pool2d", "linear", "dequantise")
    ]
    assert all(set(dtypes(kernel)) == {"uint8"} for kernel in network.kernels[2:-1])


def test_pools_of_float_stay_float() -> None:
    b, x = image()
    assert kinds(lowered(b, b.op("max_pool2d", x, kernel_size=2, stride=2))) == ["max_pool2d"]


def test_other_ops_run_in_float32() -> None:
    b, x = image()
    y = conv(b, b.op("hard_swish", conv(b, x)))
    network = lowered(b, y)
    assert kinds(network)[2:] == [
        *("conv2d", "dequantise", "hard_swish", "quantise", "conv2d", "dequantise", "reorder")
    ]


def test_a_tensor_is_dequantised_once_for_all_its_readers() -> None:
    b, x = image()
    made = conv(b, x)
    y = b.op("mul", b.op("sigmoid", made), b.op("tanh", made))
    assert kinds(lowered(b, y)).count("dequantise") == 1


def test_a_layer_that_could_overflow_stays_float() -> None:
    b = NetworkBuilder("net")
    x = b.input((1, 40_000))
    assert kinds(lowered(b, b.op("linear", x, out_features=2))) == ["linear"]


def test_keys_differ_from_those_of_float32() -> None:
    b, x = image()
    network = b.build(conv(b, conv(b, x)))
    float_keys = set(lower(network, "native").distinct)
    assert not float_keys & {k.key for k in lower(network, "native", precision="int8").kernels if k.macs}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2_x1_0"])
def test_the_macs_are_those_of_the_network(name: str) -> None:
    network = zoo.build(name)
    assert lower(network, "native", precision="int8").macs == network.macs
