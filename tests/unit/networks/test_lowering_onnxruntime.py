"""Lowering by ONNX Runtime's own optimiser."""

import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lutra.networks import Network, NetworkBuilder, catalogue
from lutra.networks.blocks import (
    bottleneck,
    conv_norm_act,
    dense_layer,
    inverted_bottleneck,
    shuffle_unit_v1,
    shuffle_unit_v2,
    transformer_block,
)
from lutra.networks.errors import (
    CorruptModelError,
    DynamicShapeError,
    ExternalDataError,
    MissingDependencyError,
    UnsupportedDtypeError,
    UnsupportedOpError,
)
from lutra.networks.exporters import to_onnx
from lutra.networks.graph import Node
from lutra.networks.lowering import Kernel, LoweredNetwork, lower, lower_onnx

pytest.importorskip("onnxruntime")


def mobile() -> Network:
    """Inverted bottlenecks, plain and with squeeze-and-excitation; channel counts that do not fill whole blocks."""
    b = NetworkBuilder("mobile")
    x = conv_norm_act(b, b.input((1, 3, 32, 32)), 20, stride=2, activation="relu6")
    for i in range(2):
        with b.scope(f"plain{i}"):
            x = inverted_bottleneck(b, x, 20, mid_channels=60)
    with b.scope("squeezed"):
        x = inverted_bottleneck(b, x, 24, mid_channels=60, squeeze_channels=16, activation="hard_swish", stride=2)
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, out_features=10))


def residual() -> Network:
    b = NetworkBuilder("residual")
    x = conv_norm_act(b, b.input((2, 3, 32, 32)), 16)
    for i in range(3):
        with b.scope(str(i)):
            x = bottleneck(b, x, 16, stride=2 if i == 1 else 1)
    return b.build(x)


def attention() -> Network:
    b = NetworkBuilder("attention")
    x = b.op("linear", b.input((1, 10, 24)), out_features=32)
    x = b.op("add", x, b.op("parameter", shape=(1, 10, 32)))
    for i in range(3):
        with b.scope(str(i)):
            x = transformer_block(b, x, heads=4)
    return b.build(b.op("layer_norm", x))


def shuffled() -> Network:
    b = NetworkBuilder("shuffled")
    x = conv_norm_act(b, b.input((1, 3, 32, 32)), 24, stride=2)
    x = shuffle_unit_v2(b, shuffle_unit_v2(b, x, 52, stride=2), 52)
    return b.build(shuffle_unit_v1(b, shuffle_unit_v1(b, x, 120, groups=2, stride=2), 120, groups=2))


def concatenated() -> Network:
    """A dense block of 14 layers: nothing but its ends is a single cut."""
    b = NetworkBuilder("dense")
    features = [conv_norm_act(b, b.input((1, 3, 16, 16)), 16)]
    for i in range(14):
        with b.scope(str(i)):
            features.append(dense_layer(b, features, 8))
    return b.build(b.op("concat", *features))


NETWORKS = [mobile, residual, attention, shuffled, concatenated]

each_network = pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)


def ops(kernel: Kernel) -> list[str]:
    return [node.op for node in kernel.nodes]


@each_network
def test_multiply_accumulates_are_those_of_the_network(build: Callable[[], Network]) -> None:
    network = build()
    lowered = lower(network, "onnxruntime")
    assert lowered.macs == network.macs
    assert lowered.network_fingerprint == network.fingerprint


@each_network
def test_kernels_feed_each_other(build: Callable[[], Network]) -> None:
    network = build()
    made, types = {name for name, _ in network.inputs}, dict(network.inputs)
    kernels = lower(network, "onnxruntime").kernels
    for kernel in kernels:
        for name, type_ in kernel.inputs:
            assert name in made
            assert types.setdefault(name, type_) == type_
        made.update(dict(kernel.outputs))
    read = {name for kernel in kernels for name, _ in kernel.inputs} | set(network.outputs)
    assert all(read.issuperset(dict(kernel.outputs)) for kernel in kernels)


@each_network
def test_keys_are_the_same_again_with_other_weights_and_names(build: Callable[[], Network]) -> None:
    network = build()
    first = lower(network, "onnxruntime")
    model = to_onnx(network, seed=7)
    for node in model.graph.node:
        node.name = f"other.{node.name}"
    second = lower_onnx(model.SerializeToString(), network.fingerprint)
    assert [kernel.key for kernel in first.kernels] == [kernel.key for kernel in second.kernels]


@each_network
def test_kernels_survive_json(build: Callable[[], Network]) -> None:
    for kernel in lower(build(), "onnxruntime").kernels:
        again = Kernel.from_json(kernel.to_json())
        assert again == kernel
        assert again.key == kernel.key
        assert 0 < len(kernel.label) <= 80


def test_repeated_blocks_share_a_key() -> None:
    lowered = lower(attention(), "onnxruntime")
    blocks = [kernel for kernel in lowered.kernels if "Softmax" in ops(kernel)]
    assert len(blocks) == 3
    assert len({kernel.key for kernel in blocks}) == 1


def test_an_inverted_bottleneck_with_a_shortcut_is_one_kernel() -> None:
    kernels = lower(mobile(), "onnxruntime").kernels
    blocks = [kernel for kernel in kernels if sum(op in ("Conv", "FusedConv") for op in ops(kernel)) == 3]
    assert len(blocks) == 2
    assert blocks[0].key == blocks[1].key
    assert all("Conv 1x1" in block.label and "DWConv 3x3" in block.label for block in blocks)


def test_an_output_that_nobody_reads_is_still_made() -> None:
    b = NetworkBuilder("half")
    left, _ = b.ops("split", b.input((1, 8, 4)), sizes=(5, 3))
    (kernel,) = lower(b.build(left), "onnxruntime").kernels
    assert len(kernel.nodes[0].outputs) == 2
    assert [name for name, _ in kernel.outputs] == [left]


def test_what_never_closes_is_cut_within_the_bound() -> None:
    lowered = lower(concatenated(), "onnxruntime")
    assert max(len(kernel.nodes) for kernel in lowered.kernels) <= 40
    assert max(len(kernel.inputs) for kernel in lowered.kernels) > 1


def test_values_are_kept_where_they_decide_and_nowhere_else() -> None:
    b = NetworkBuilder("net")
    x = b.op("clip", b.op("reshape", b.input((4, 6)), shape=(3, 8)), low=-1.0, high=2.0)
    (*_, kernel) = lower(b.build(b.op("linear", b.op("mul", x, b.op("constant", values=(3.0,))), out_features=2)),
                         "onnxruntime").kernels  # fmt: skip
    everything = lower(b.build(x), "onnxruntime").kernels
    values = [constant.values for kernel in everything for _, constant in kernel.constants]
    assert (3, 8) in values
    assert (-1.0,) in values
    assert (2.0,) in values
    assert all(constant.values is None for _, constant in kernel.constants)


@pytest.mark.parametrize("spec", list(catalogue()), ids=lambda spec: spec.kind)
def test_every_op_of_the_catalogue_lowers(spec) -> None:  # type: ignore[no-untyped-def]
    for op in spec.examples():
        inputs = tuple((f"x{i}", type_) for i, type_ in enumerate(op.inputs))
        node = Node("op", op, tuple(name for name, _ in inputs))
        lowered = lower(Network("one", inputs, (node,), node.outputs), "onnxruntime")
        assert bool(lowered.kernels) == (not op.spec.is_source)


# --- a user's own models ----------------------------------------------------------------------------------------------


def small_model(op: str = "Relu", shape: tuple[str | int | None, ...] = (1, 4), opset: int = 17, dtype: int = 1,
                domain: str = "") -> onnx.ModelProto:  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, None)],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def lowered_model(model: onnx.ModelProto) -> LoweredNetwork:
    return lower_onnx(model.SerializeToString(), "fingerprint")


def test_the_op_set_does_not_matter_where_an_op_means_the_same() -> None:
    kernels = [lowered_model(small_model(opset=opset)).kernels[0] for opset in (14, 17, 18)]
    assert {kernel.opset for kernel in kernels} == {17}
    assert len({kernel.key for kernel in kernels}) == 1


def test_an_op_that_changed_keeps_its_op_set() -> None:
    model = small_model(opset=18)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    model.graph.node[0].CopyFrom(helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=0))
    model.graph.initializer.append(axes)
    (kernel,) = lowered_model(model).kernels
    assert kernel.opset == 18


def test_constants_in_nodes_are_stored_tensors() -> None:
    model = small_model("Add")
    model.graph.node[0].input.append("two")
    constant = helper.make_node("Constant", [], ["two"], value_floats=[1.0, 2.0, 3.0, 4.0])
    model.graph.node.insert(0, constant)
    (kernel,) = lowered_model(model).kernels
    assert ops(kernel) == ["Add"]
    assert [constant.type.shape for _, constant in kernel.constants] == [(4,)]


def test_a_shape_that_is_only_known_by_running_is_found_by_running() -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Cast", ["places"], ["y"], to=1)],
        "g",
        [helper.make_tensor_value_info("x", 1, (3, 4))],
        [helper.make_tensor_value_info("y", 1, None)],
        [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    shifted = helper.make_node("Add", ["x", "one"], ["shifted"])
    model.graph.node.insert(0, shifted)
    model.graph.node[1].input[0] = "shifted"
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "one"))
    kernels = lowered_model(model).kernels
    assert kernels[-1].inputs[0][1].shape == (2, 12)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x08\x12"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptModelError, match="ONNX"):
        lower_onnx(data, "")


def test_a_truncated_model_is_refused() -> None:
    data = to_onnx(residual()).SerializeToString()
    with pytest.raises(CorruptModelError):
        lower_onnx(data[: len(data) // 2], "")


def test_an_inconsistent_model_is_refused_with_the_runtimes_reason_in_one_line() -> None:
    model = small_model()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(CorruptModelError, match="nowhere") as caught:
        lowered_model(model)
    assert "\n" not in caught.value.message


def test_a_weight_shorter_than_its_shape_promises_is_refused() -> None:
    model = small_model("Add", shape=(1, 1 << 20))
    model.graph.node[0].input.append("w")
    weight = TensorProto(name="w", dims=[1 << 20], data_type=TensorProto.FLOAT, raw_data=bytes(1 << 18))
    model.graph.initializer.append(weight)
    with pytest.raises(CorruptModelError, match="w"):
        lowered_model(model)


def test_an_op_that_the_runtime_lacks_is_named() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        lowered_model(small_model("Frobnicate", domain="com.example"))
    assert any("Frobnicate" in name for name in caught.value.counts)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("shape", [("batch", 4), (0, 4), (None, 4)])
def test_an_input_without_a_fixed_shape_is_refused(shape: tuple[str | int | None, ...]) -> None:
    with pytest.raises(DynamicShapeError, match="'x'"):
        lowered_model(small_model(shape=shape))


def test_an_element_type_nobody_computes_with_is_refused() -> None:
    with pytest.raises(UnsupportedDtypeError, match="DOUBLE"):
        lowered_model(small_model(dtype=TensorProto.DOUBLE))


def test_weights_in_other_files_are_refused() -> None:
    model = small_model("Add")
    model.graph.node[0].input.append("w")
    tensor = TensorProto(name="w", dims=[4], data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    model.graph.initializer.append(tensor)
    with pytest.raises(ExternalDataError, match="'w'"):
        lowered_model(model)


def test_a_missing_runtime_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="onnxruntime") as caught:
        lower_onnx(small_model().SerializeToString(), "")
    assert "lutra[ort]" in str(caught.value)
