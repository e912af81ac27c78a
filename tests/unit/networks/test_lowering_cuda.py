"""What becomes one kernel on an NVIDIA GPU, in which type, math mode and layout."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import UsageError
from lutra.networks.lowering import Kernel, lower, lower_cuda
from lutra.networks.zoo import build

GPU_PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
EVERY_PRECISION = (*GPU_PRECISIONS, "int8", "float8")


def block() -> Network:
    """A convolution with batch norm and relu, a residual sum, and a classifier over a reshaped image."""
    b = NetworkBuilder("block")
    x = b.input((2, 8, 6, 6))
    y = b.op("relu", b.op("batch_norm", b.op("conv2d", x, out_channels=8, kernel_size=3, padding=1, bias=False)))
    y = b.op("add", b.op("conv2d", y, out_channels=8, kernel_size=1), x)
    return b.build(b.op("linear", b.op("flatten", y), out_features=5))


def attrs(kernel: Kernel) -> dict[str, object]:
    return dict(kernel.nodes[0].attrs)


@pytest.mark.parametrize("precision", GPU_PRECISIONS)
def test_norms_activations_and_sums_join_their_layer(precision: str) -> None:
    ops = [k.nodes[0].op for k in lower(block(), "cuda", precision=precision).kernels]
    assert [op for op in ops if op != "relayout"] == ["conv2d", "conv2d", "linear"]
    first, second = (k for k in lower(block(), "cuda", precision=precision).kernels if k.nodes[0].op == "conv2d")
    assert attrs(first)["activation"] == "relu"
    assert attrs(second)["residual"] == 1


def test_the_math_mode_is_part_of_the_key() -> None:
    keys = {p: {k.key for k in lower_cuda(block(), p).kernels if k.macs} for p in GPU_PRECISIONS}
    assert len(set().union(*keys.values())) == sum(map(len, keys.values()))
    assert {attrs(k)["math"] for k in lower_cuda(block(), "tf32").kernels if k.macs} == {"tf32"}


def test_halves_move_half_the_bytes_and_tf32_all_of_them() -> None:
    whole, tf32, half = (
        sum(k.bytes_moved for k in lower_cuda(block(), p).kernels if k.macs) for p in GPU_PRECISIONS[:3]
    )
    assert tf32 == whole == 2 * half


def test_images_lie_channels_last_on_tensor_cores_until_they_are_read_otherwise() -> None:
    first = lower_cuda(block(), "float16").kernels
    assert [attrs(k).get("layout") for k in first] == ["nhwc", "nhwc", "nchw", None]
    assert first[2].nodes[0].op == "relayout"
    assert not any("layout" in attrs(k) for k in lower_cuda(block(), "float32").kernels)


def types(network: Network, precision: str) -> list[tuple[str, str]]:
    """Op and output type of each kernel."""
    return [(k.nodes[0].op, k.outputs[0][1].dtype) for k in lower_cuda(network, precision).kernels]


def test_layers_follow_each_other_in_int8_and_leave_float16_behind() -> None:
    b = NetworkBuilder("chain")
    x = b.op("relu", b.op("conv2d", b.input((1, 8, 8, 8)), out_channels=16, kernel_size=3, padding=1))
    y = b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1, groups=16)
    x = b.op("max_pool2d", b.op("add", b.op("conv2d", y, out_channels=16, kernel_size=1), x), kernel_size=2)
    network = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=8))
    middle = [("conv2d", "int8")] * 3 + [("max_pool2d", "int8"), ("global_avg_pool2d", "int8"), ("linear", "int8")]
    assert types(network, "int8") == [("quantise", "int8"), *middle, ("dequantise", "float16")]
    kernels = lower_cuda(network, "int8").kernels
    assert {attrs(k)["math"] for k in kernels if k.macs} == {"int8"}
    assert {c.type.dtype for k in kernels for _, c in k.constants} == {"int8", "float32"}  # weights, biases


@pytest.mark.parametrize(("channels", "groups"), [(6, 1), (8, 2), (3, 1)])
def test_what_the_libraries_lack_in_int8_runs_in_float16(channels: int, groups: int) -> None:
    b = NetworkBuilder("odd")
    x = b.input((1, channels, 4, 4))
    network = b.build(b.op("conv2d", x, out_channels=8, kernel_size=1, groups=groups))
    (conv,) = (k for k in lower_cuda(network, "int8").kernels if k.macs)
    assert attrs(conv)["math"] == "fp16"
    assert {type_.dtype for _, type_ in (*conv.inputs, *conv.outputs)} == {"float16"}


def test_a_value_is_converted_once_for_all_its_readers() -> None:
    b = NetworkBuilder("fork")
    x = b.op("softmax", b.input((4, 32)))
    network = b.build(b.op("linear", x, out_features=16), b.op("linear", x, out_features=32))
    for precision in ("int8", "float8"):
        assert [op for op, _ in types(network, precision)].count("quantise") == 1


def test_float8_is_for_layers_of_aligned_features() -> None:
    b = NetworkBuilder("layers")
    x = b.op("relu", b.op("linear", b.input((4, 32)), out_features=48))
    network = b.build(b.op("linear", x, out_features=10))
    assert types(network, "float8") == [("quantise", "float8"), ("linear", "float16"), ("linear", "float16")]
    first, second = (k for k in lower_cuda(network, "float8").kernels if k.macs)
    assert (attrs(first)["math"], attrs(second)["math"]) == ("fp8", "fp16")
    assert attrs(first)["activation"] == "relu"


def test_padding_that_differs_from_side_to_side_is_a_kernel_of_its_own() -> None:
    b = NetworkBuilder("padded")
    x = b.input((1, 3, 8, 8))
    network = b.build(b.op("conv2d", x, out_channels=4, kernel_size=3, stride=2, padding=(0, 0, 1, 1)))
    pad, conv = lower_cuda(network).kernels
    assert pad.nodes[0].op == "pad"
    assert pad.outputs[0][1].shape == (1, 3, 9, 9)
    assert attrs(conv)["padding"] == (0, 0, 0, 0)
    assert conv.nodes[0].inputs[0] == pad.outputs[0][0]


def test_what_a_gpu_lacks_is_a_kernel_that_says_so() -> None:
    b = NetworkBuilder("up")
    network = b.build(b.op("conv_transpose2d", b.input((1, 4, 5, 5)), out_channels=3, kernel_size=2, stride=2))
    assert lower_cuda(network).lacks == ("conv_transpose2d on a GPU",)


def test_other_runtimes_refuse_the_formats_of_gpus() -> None:
    with pytest.raises(UsageError, match="does not run in 'tf32'"):
        lower(block(), "native", precision="tf32")


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "shufflenet_v2_x1_0", "vit_b_16", "swin_t"])
@pytest.mark.parametrize("precision", EVERY_PRECISION)
def test_networks_lower_whole(name: str, precision: str) -> None:
    network = build(name)
    lowered = lower_cuda(network, precision)
    assert not lowered.lacks
    assert lowered.macs == network.macs
    known = {name for name, _ in network.inputs} | set(network.types)
    for kernel in lowered.kernels:
        assert known.issuperset(dict(kernel.inputs))
        known.update(dict(kernel.outputs))
        assert Kernel.from_json(kernel.to_json()).key == kernel.key


@settings(deadline=None, max_examples=30)
@given(channels=st.integers(1, 9), size=st.integers(1, 9), precision=st.sampled_from(EVERY_PRECISION))
def test_every_kernel_reads_what_is_there(channels: int, size: int, precision: str) -> None:
    b = NetworkBuilder("any")
    x = b.input((1, channels, size, size))
    y = b.op("relu", b.op("conv2d", x, out_channels=channels, kernel_size=3, padding=1, groups=channels))
    y = b.op("reshape", y, shape=(1, channels, size * size))
    z = b.op("reshape", b.op("transpose", y, perm=(0, 2, 1)), shape=(1, size, size, channels))
    network = b.build(b.op("max_pool2d", b.op("transpose", z, perm=(0, 3, 1, 2)), kernel_size=1))
    made = {name for name, _ in network.inputs} | {node.name for node in network if node.op.spec.is_view}
    for kernel in lower_cuda(network, precision).kernels:
        assert made.issuperset(dict(kernel.inputs))
        made.update(dict(kernel.outputs))
