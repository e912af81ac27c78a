"""Rules of our own runtime: what folds, what fuses, what vanishes."""

import pytest

from lutra.networks import Network, NetworkBuilder, TensorType, catalogue
from lutra.networks.errors import UnknownNameError, UsageError
from lutra.networks.graph import Node
from lutra.networks.lowering import Kernel, LoweredNetwork, lower, lowerings
from lutra.networks.lowering.blocked import blocked_type


def image(name: str = "net") -> tuple[NetworkBuilder, str]:
    b = NetworkBuilder(name)
    return b, b.input((1, 8, 10, 10))


def conv(b: NetworkBuilder, x: str, bias: bool = True) -> str:
    return b.op("conv2d", x, out_channels=8, kernel_size=3, padding=1, bias=bias)


def steps(lowered: LoweredNetwork) -> list[Kernel]:
    """The kernels, changes of layout left out: they have tests of their own in test_lowering_blocked.py."""
    return [kernel for kernel in lowered.kernels if kernel.nodes[0].op != "reorder"]


def kinds(lowered: LoweredNetwork) -> list[str]:
    return [kernel.nodes[0].op for kernel in steps(lowered)]


def only(lowered: LoweredNetwork) -> Kernel:
    (kernel,) = steps(lowered)
    return kernel


def attrs(kernel: Kernel) -> dict[str, object]:
    return dict(kernel.nodes[0].attrs)


def test_batch_norm_and_activation_fold_into_the_convolution() -> None:
    b, x = image()
    y = b.op("relu6", b.op("batch_norm", conv(b, x, bias=False)))
    network = b.build(y)
    kernel = only(lower(network, "native"))
    assert attrs(kernel)["activation"] == "relu6"
    assert attrs(kernel)["bias"] is True
    assert kernel.nodes[0].inputs[1:] == ("conv2d.weight", "conv2d.bias")
    assert dict(kernel.constants)["conv2d.bias"].type == TensorType((8,))
    assert kernel.outputs == ((y, blocked_type(network.types[y])),)
    assert kernel.label == "Conv 3x3 8->8 + relu6 @10"


def test_a_residual_fuses_into_the_later_operand_before_the_activation() -> None:
    b, x = image()
    first = conv(b, x)
    second = conv(b, first)
    y = b.op("relu", b.op("add", second, first))
    lowered = lower(b.build(y), "native")
    assert kinds(lowered) == ["conv2d", "conv2d"]
    last = steps(lowered)[1]
    assert last.nodes[0].inputs == (first, "conv2d_1.weight", "conv2d_1.bias", first)
    assert attrs(last)["residual"] == 1
    assert attrs(last)["activation"] == "relu"


def test_the_shortcut_convolution_takes_the_sum_where_it_comes_last() -> None:
    b, x = image()
    main, shortcut = conv(b, conv(b, x)), conv(b, x)
    lowered = lower(b.build(b.op("add", main, shortcut)), "native")
    assert [attrs(kernel).get("residual", 0) for kernel in steps(lowered)] == [0, 0, 1]
    assert steps(lowered)[2].nodes[0].inputs[-1] == main


@pytest.mark.parametrize("kind", ["relu", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh"])
def test_activations_fuse_into_linear_layers(kind: str) -> None:
    b = NetworkBuilder("net")
    x = b.input((2, 5, 8))
    kernel = only(lower(b.build(b.op(kind, b.op("linear", x, out_features=4))), "native"))
    assert attrs(kernel)["activation"] == kind


def test_the_approximate_gelu_goes_by_its_own_name() -> None:
    b, x = image()
    kernel = only(lower(b.build(b.op("gelu", conv(b, x), approximate="tanh")), "native"))
    assert attrs(kernel)["activation"] == "gelu_tanh"


def test_a_value_with_another_reader_is_not_fused() -> None:
    b, x = image()
    y = conv(b, x)
    lowered = lower(b.build(b.op("concat", b.op("relu", y), y)), "native")
    assert kinds(lowered) == ["conv2d", "relu", "concat"]


def test_an_output_of_the_network_is_not_fused_away() -> None:
    b, x = image()
    y = conv(b, x)
    assert kinds(lower(b.build(y, b.op("relu", y)), "native")) == ["conv2d", "relu"]


def test_nothing_fuses_behind_an_activation() -> None:
    b, x = image()
    y = b.op("batch_norm", b.op("relu", conv(b, x)))
    assert kinds(lower(b.build(b.op("add", y, x)), "native")) == ["conv2d", "batch_norm", "add"]


def test_batch_norm_over_the_tokens_of_a_linear_layer_stays() -> None:
    b = NetworkBuilder("net")
    x = b.input((2, 5, 8))
    lowered = lower(b.build(b.op("batch_norm", b.op("linear", x, out_features=4))), "native")
    assert kinds(lowered) == ["linear", "batch_norm"]


def test_views_and_ops_that_change_nothing_only_rename() -> None:
    b, x = image()
    y = b.op("flatten", b.op("transpose", b.op("relu", x), perm=(0, 1, 2, 3)))
    lowered = lower(b.build(b.op("linear", y, out_features=4)), "native")
    assert kinds(lowered) == ["relu", "linear"]
    assert lowered.kernels[1].inputs == (("relu", TensorType((1, 800))),)


def test_one_tensor_read_under_two_shapes_goes_by_two_names() -> None:
    b = NetworkBuilder("net")
    x = b.input((2, 6))
    y = b.op("reshape", b.op("reshape", x, shape=(6, 2)), shape=(2, 6), name="back")
    other = b.op("reshape", x, shape=(6, 2), name="tall")
    kernel = only(lower(b.build(b.op("matmul", y, other)), "native"))
    assert kernel.inputs == (("input", TensorType((2, 6))), ("tall", TensorType((6, 2))))
    assert kernel.nodes[0].inputs == ("input", "tall")


def test_ops_on_stored_tensors_are_computed_in_advance() -> None:
    b = NetworkBuilder("net")
    x = b.input((3, 4, 8))
    token = b.op("expand", b.op("parameter", shape=(1, 1, 8)), shape=(3, 1, 8))
    kernel = only(lower(b.build(b.op("concat", token, x)), "native"))
    assert dict(kernel.constants)["expand"].type == TensorType((3, 1, 8))
    assert kernel.nodes[0].inputs == ("expand", "input")


def test_shared_weights_carry_their_owners_name() -> None:
    b, x = image()
    first = conv(b, x)
    pooled = b.op("max_pool2d", first, kernel_size=2)
    second = b.op("conv2d", pooled, out_channels=8, kernel_size=3, padding=1, weights_from=first)
    lowered = lower(b.build(second), "native")
    assert [name for name, _ in steps(lowered)[2].constants] == ["conv2d.weight", "conv2d.bias"]


def test_names_do_not_enter_the_keys() -> None:
    def build(prefix: str) -> Network:
        b = NetworkBuilder(prefix)
        x = b.input((1, 8, 10, 10), name=prefix)
        return b.build(b.op("relu", b.op("conv2d", x, name=f"{prefix}1", out_channels=4, kernel_size=1)))

    one, other = (lower(build(prefix), "native") for prefix in ("left", "right"))
    assert list(one.distinct) == list(other.distinct)


def test_costs_cover_what_was_fused() -> None:
    b, x = image()
    network = b.build(b.op("add", b.op("batch_norm", conv(b, x, bias=False)), x))
    kernel = only(lower(network, "native"))
    assert kernel.macs == network.macs == 8 * 8 * 9 * 100
    assert kernel.bytes_moved == 4 * (3 * 800 + 8 * 8 * 9 + 8)


def test_the_null_runtime_runs_the_same_kernels_under_its_own_name() -> None:
    b, x = image()
    network = b.build(b.op("relu", conv(b, x)))
    native, null = only(lower(network, "native")), only(lower(network, "null"))
    assert null.runtime == "null"
    assert null.nodes == native.nodes
    assert null.key != native.key


@pytest.mark.parametrize("spec", list(catalogue()), ids=lambda spec: spec.kind)
def test_every_op_lowers_and_every_kernel_survives_json(spec) -> None:  # type: ignore[no-untyped-def]
    for op in spec.examples():
        inputs = tuple((f"x{i}", type_) for i, type_ in enumerate(op.inputs))
        node = Node("op", op, tuple(name for name, _ in inputs))
        lowered = lower(Network("one", inputs, (node,), node.outputs), "native")
        assert lowered.macs == op.macs
        for kernel in lowered.kernels:
            again = Kernel.from_json(kernel.to_json())
            assert again == kernel
            assert again.key == kernel.key


def test_an_unknown_runtime_is_named_with_the_known_ones() -> None:
    b, x = image()
    with pytest.raises(UnknownNameError, match="onnxruntim") as caught:
        lower(b.build(conv(b, x)), "onnxruntim")
    assert set(caught.value.known) == set(lowerings())
    assert {"onnxruntime", "native", "null"} < set(lowerings())


def test_a_precision_that_the_runtime_lacks_is_refused() -> None:
    b, x = image()
    with pytest.raises(UsageError, match="does not run in 'int3'") as caught:
        lower(b.build(conv(b, x)), "native", precision="int3")
    assert "it runs in float32" in str(caught.value)


def test_precisions_are_told_apart() -> None:
    b, x = image()
    network = b.build(conv(b, x))
    first = lower(network, "null", precision="int8")
    assert lower(network, "null", precision="int8") is first
    assert lower(network, "null") is not first
