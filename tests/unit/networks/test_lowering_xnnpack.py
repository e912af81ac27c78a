"""Rules of XNNPACK's lowering: what it is made of, where it is cut, what it lacks."""

import pytest

from lutra.networks import Network, NetworkBuilder, TensorType, zoo
from lutra.networks.errors import UnsupportedOpError
from lutra.networks.lowering import Kernel, LoweredNetwork, lower, require_supported


def image() -> tuple[NetworkBuilder, str]:
    b = NetworkBuilder("net")
    return b, b.input((1, 8, 10, 12))


def written(lowered: LoweredNetwork) -> list[list[str]]:
    return [[node.op for node in kernel.nodes] for kernel in lowered.kernels]


def lowered(b: NetworkBuilder, *outputs: str) -> LoweredNetwork:
    return lower(b.build(*outputs), "xnnpack")


def test_a_convolution_takes_batch_norm_and_clamp_along() -> None:
    b, x = image()
    y = b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1, stride=2, bias=False)
    (kernel,) = lowered(b, b.op("relu6", b.op("batch_norm", y))).kernels
    (node,) = kernel.nodes
    attrs = dict(node.attrs)
    assert (node.op, node.inputs) == ("convolution_2d", (x, "conv2d.weight", "conv2d.bias"))
    assert (attrs["output_min"], attrs["output_max"]) == (0.0, 6.0)
    assert attrs["group_channels"] == (8, 16)
    assert kernel.inputs == ((x, TensorType((1, 10, 12, 8))),)
    assert kernel.outputs == (("relu6", TensorType((1, 5, 6, 16))),)
    assert dict(kernel.constants)["conv2d.weight"].type == TensorType((16, 3, 3, 8))
    assert kernel.macs == 5 * 6 * 16 * 9 * 8
    assert kernel.label == "Conv 3x3/2 8->16 + Clip @5x6"


def test_depthwise_convolutions_are_operators_of_their_own() -> None:
    b, x = image()
    (kernel,) = lowered(b, b.op("conv2d", x, out_channels=16, kernel_size=3, groups=8)).kernels
    assert kernel.nodes[0].op == "depthwise_convolution_2d"
    assert dict(kernel.nodes[0].attrs)["depth_multiplier"] == 2
    assert dict(kernel.constants)["conv2d.weight"].type == TensorType((1, 3, 3, 16))
    (plain,) = lowered(b, b.op("conv2d", x, out_channels=8, kernel_size=3, groups=8)).kernels
    assert plain.label == "DWConv 3x3 8 @8x10"


def test_a_residual_block_is_one_kernel() -> None:
    b, x = image()
    stem = b.op("conv2d", x, out_channels=8, kernel_size=1)
    y = b.op("relu", b.op("conv2d", stem, out_channels=8, kernel_size=3, padding=1))
    y = b.op("relu", b.op("add", stem, b.op("conv2d", y, out_channels=8, kernel_size=3, padding=1)))
    last = b.op("conv2d", y, out_channels=4, kernel_size=1)
    assert written(lowered(b, last)) == [["convolution_2d"], ["convolution_2d"] * 2 + ["add2"], ["convolution_2d"]]


def test_a_value_with_two_readers_keeps_its_clamp_to_itself() -> None:
    b, x = image()
    y = b.op("conv2d", x, out_channels=8, kernel_size=1)
    assert written(lowered(b, b.op("mul", y, b.op("relu", y)))) == [["convolution_2d"], ["clamp", "multiply2"]]


def test_turned_axes_are_written_only_where_they_are_needed() -> None:
    b = NetworkBuilder("net")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=6, kernel_size=2, stride=2)
    tokens = b.op("transpose", b.op("reshape", x, shape=(1, 6, 16)), perm=(0, 2, 1))
    ops = [op for kernel in written(lowered(b, b.op("linear", tokens, out_features=5))) for op in kernel]
    assert ops == ["convolution_2d", "static_reshape", "fully_connected"]


def test_the_transposed_key_is_multiplied_as_it_lies() -> None:
    b = NetworkBuilder("net")
    q, k = b.input((1, 2, 5, 4)), b.input((1, 2, 7, 4))
    (kernel,) = lowered(b, b.op("matmul", q, b.op("transpose", k, perm=(0, 1, 3, 2)))).kernels
    assert [node.op for node in kernel.nodes] == ["batch_matrix_multiply"]
    assert dict(kernel.nodes[0].attrs)["transpose_b"] == 1


def test_every_unsupported_op_is_named_at_once() -> None:
    b, x = image()
    y = b.op("upsample", b.op("erf", x), size=(20, 24))
    network = lowered(b, b.op("slice", b.op("erf", y), axis=2, step=2))
    assert network.lacks == ("erf", "nearest upsample", "erf", "slice with steps")
    with pytest.raises(UnsupportedOpError) as caught:
        require_supported(network.kernels)
    assert caught.value.counts == {"erf": 2, "nearest upsample": 1, "slice with steps": 1}
    assert "xnnpack" in caught.value.message


def test_kernels_around_an_unsupported_op_are_those_of_any_network() -> None:
    def kernels(*ops: str) -> list[Kernel]:
        b, x = image()
        x = b.op("conv2d", x, out_channels=16, kernel_size=3)
        for op in ops:
            x = b.op(op, x)
        return list(lowered(b, b.op("conv2d", x, out_channels=4, kernel_size=1)).kernels)

    (first, last), between = kernels(), kernels("erf")
    assert [kernel.lacks for kernel in between] == [(), ("erf",), (), ()]
    assert (between[0].key, between[-1].key) == (first.key, last.key)
    assert between[2].label.startswith("Transpose")
    assert between[1].label == "Erf @8x10"
    assert Kernel.from_json(between[1].to_json()) == between[1]


def test_one_unsupported_op_is_not_another() -> None:
    keys = set()
    for groups in (2, 4):
        b, x = image()
        (kernel,) = lowered(b, b.op("group_norm", x, groups=groups)).kernels
        keys.add(kernel.key)
    assert len(keys) == 2


def test_an_unsupported_op_may_read_stored_tensors() -> None:
    b = NetworkBuilder("net")
    halves = b.op("constant", shape=(3,), dtype="float16", values=(1, 2, 3))
    (kernel,) = lowered(b, b.op("add", b.input((2, 3), "float16"), halves)).kernels
    assert kernel.lacks == ("add of float16",)
    assert (len(kernel.inputs), len(kernel.constants)) == (1, 1)


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_other_element_types_are_not_supported(dtype: str) -> None:
    b = NetworkBuilder("net")
    assert lowered(b, b.op("abs", b.input((2, 3), dtype))).lacks == (f"abs of {dtype}",)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "shufflenet_v1_g3", "densenet121", "vit_tiny"])
def test_work_is_kept_and_repeats_share_keys(name: str) -> None:
    network: Network = zoo.build(name)
    result = lower(network, "xnnpack")
    assert result.macs == network.macs
    assert len(result.distinct) < len(result.kernels) or name == "densenet121"
    made = {name for name, _ in network.inputs}
    for kernel in result.kernels:
        assert {name for name, _ in kernel.inputs} <= made
        made |= {name for name, _ in kernel.outputs}


def test_the_batch_size_is_part_of_a_kernel() -> None:
    one, four = (lower(zoo.build("mobilenet_v2", batch=n), "xnnpack") for n in (1, 4))
    assert four.macs == 4 * one.macs
    assert not set(one.distinct) & set(four.distinct)
