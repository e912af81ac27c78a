"""Models that hold copies of a kernel run in ONNX Runtime and compute something finite."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lutra.networks import Network, NetworkBuilder, TensorType, catalogue
from lutra.networks.blocks import (
    bottleneck,
    conv_norm_act,
    dense_layer,
    inverted_bottleneck,
    shuffle_unit_v1,
    shuffle_unit_v2,
    transformer_block,
)
from lutra.networks.errors import ModelTooLargeError
from lutra.networks.graph import Node
from lutra.networks.lowering import Constant, Kernel, KernelNode, lower
from lutra.profiler.runtimes.contents import Contents
from lutra.profiler.runtimes.onnx_kernels import (
    CHAIN_LENGTH,
    kernel_model,
    relu_chain,
    reshape_chain,
    reshape_nodes,
    shape_chain,
    shape_nodes,
)

ort = pytest.importorskip("onnxruntime")

Array = np.ndarray[Any, Any]


def inverted(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, 20, stride=2, activation="relu6")
    return inverted_bottleneck(b, inverted_bottleneck(b, x, 20, mid_channels=60), 24, mid_channels=60, stride=2)


def squeezed(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, 16, activation="silu")
    return inverted_bottleneck(b, x, 16, mid_channels=40, squeeze_channels=8, activation="hard_swish")


def residual(b: NetworkBuilder, x: str) -> str:
    x = b.op("max_pool2d", conv_norm_act(b, x, 16), kernel_size=3, stride=2, padding=1)
    return b.op("global_avg_pool2d", bottleneck(b, bottleneck(b, x, 16), 32, stride=2, groups=4))


def attention(b: NetworkBuilder, x: str) -> str:
    x = b.op("conv2d", x, out_channels=32, kernel_size=8, stride=8)
    x = b.op("transpose", b.op("reshape", x, shape=(1, 32, 16)), perm=(0, 2, 1))
    return transformer_block(b, transformer_block(b, x, heads=4), heads=4)


def shuffled(b: NetworkBuilder, x: str) -> str:
    x = shuffle_unit_v2(b, shuffle_unit_v2(b, conv_norm_act(b, x, 24), 52, stride=2), 52)
    return shuffle_unit_v1(b, x, 120, groups=2, stride=2)


def concatenated(b: NetworkBuilder, x: str) -> str:
    features = [conv_norm_act(b, x, 16)]
    for _ in range(14):
        features.append(dense_layer(b, features, 8))
    return b.op("concat", *features)


def built(body: Callable[[NetworkBuilder, str], str]) -> Network:
    b = NetworkBuilder(body.__name__)
    return b.build(body(b, b.input((1, 3, 32, 32))))


def session(model: bytes, profile: Path | None = None) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def computed(model: bytes, feeds: dict[str, Array]) -> list[Array]:
    """Values of all tensors that only ``Shape`` nodes read."""
    proto = onnx.load_model_from_string(model)
    names = [node.input[0] for node in proto.graph.node if node.op_type == "Shape"]
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    values: list[Array] = session(proto.SerializeToString()).run(names, feeds)
    return values


BODIES = [inverted, squeezed, residual, attention, shuffled, concatenated]


@pytest.mark.parametrize(("copies", "precision"), [(1, "float32"), (3, "float32"), (3, "int8")])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_every_kernel_runs_with_finite_outputs_of_the_promised_types(
    body: Callable[[NetworkBuilder, str], str], copies: int, precision: str
) -> None:
    lowered = lower(built(body), "onnxruntime", precision=precision)
    for kernel in lowered.distinct.values():
        model, feeds = kernel_model(kernel, copies, Contents(0))
        (shape,) = session(model).run(None, feeds)
        assert tuple(shape) == kernel.outputs[-1][1].shape
        values = computed(model, feeds)
        exposed, feeds = kernel_model(kernel, copies, Contents(0), exposed=True)
        for value, (_, type_) in zip(session(exposed).run(None, feeds), kernel.outputs, strict=True):
            assert (value.shape, value.dtype) == (type_.shape, type_.dtype)
        assert len(values) == shape_nodes(kernel, copies) == copies * len(kernel.outputs)
        assert all(np.isfinite(value).all() for value in values), kernel.label
        assert all(abs(value).max() < 1e6 for value in values), kernel.label


@pytest.mark.parametrize("spec", list(catalogue()), ids=lambda spec: spec.kind)
def test_every_op_of_the_catalogue_runs_as_a_kernel(spec) -> None:  # type: ignore[no-untyped-def]
    for op in spec.examples():
        inputs = tuple((f"x{i}", type_) for i, type_ in enumerate(op.inputs))
        node = Node("op", op, tuple(name for name, _ in inputs))
        for kernel in lower(Network("one", inputs, (node,), node.outputs), "onnxruntime").kernels:
            values = computed(*kernel_model(kernel, 2, Contents(0)))
            assert all(np.isfinite(value).all() for value in values), kernel.label


def test_all_nodes_of_all_copies_run(tmp_path: Path) -> None:
    kernel = lower(built(residual), "onnxruntime").kernels[2]
    model, feeds = kernel_model(kernel, 6, Contents(0))
    running = session(model, tmp_path / "trace")
    running.run(None, feeds)
    events = json.loads(Path(running.end_profiling()).read_text())
    runs = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    assert reshape_nodes(kernel, 6) > 0
    assert len(runs) == 6 * len(kernel.nodes) + shape_nodes(kernel, 6) + reshape_nodes(kernel, 6)


def test_copies_differ_in_their_weights_and_share_everything_else() -> None:
    kernel = lower(built(attention), "onnxruntime").kernels[-1]
    model, feeds = kernel_model(kernel, 3, Contents(0))
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(model).graph.initializer}
    for name, constant in kernel.constants:
        if constant.values is None:
            copies = [stored[f"{name}__{i}"] for i in range(3)]
            assert all(copy.shape == constant.type.shape for copy in copies)
            assert len({copy.tobytes() for copy in copies}) == 3
        else:
            assert stored[name].reshape(-1).tolist() == list(constant.values)
    assert list(feeds) == [name for name, _ in kernel.inputs]


def test_the_same_seed_gives_the_same_model() -> None:
    kernel = lower(built(inverted), "onnxruntime").kernels[0]
    models = [kernel_model(kernel, 2, Contents(seed))[0] for seed in (1, 1, 2)]
    assert models[0] == models[1] != models[2]


def test_indices_stay_within_the_table_they_index() -> None:
    table, index = TensorType((5, 4)), TensorType((200,), "int64")
    kernel = Kernel(
        "onnxruntime",
        (KernelNode("Gather", "", (("axis", 0),), ("table", "index"), ("y",)),),
        (("index", index),),
        (("table", Constant(table)),),
        (("y", TensorType((200, 4))),),
        macs=0,
        bytes_moved=0,
        label="Gather",
        opset=17,
    )
    _, feeds = kernel_model(kernel, 1, Contents(0))
    assert set(feeds["index"].tolist()) == set(range(5))


def test_more_weights_than_a_model_holds_are_refused_before_they_are_drawn() -> None:
    kernel = Kernel(
        "onnxruntime",
        (KernelNode("MatMul", "", (), ("x", "w"), ("y",)),),
        (("x", TensorType((1, 1 << 15))),),
        (("w", Constant(TensorType((1 << 15, 1 << 15)))),),
        (("y", TensorType((1, 1 << 15))),),
        macs=0,
        bytes_moved=0,
        label="MatMul",
        opset=17,
    )
    with pytest.raises(ModelTooLargeError, match="MatMul"):
        kernel_model(kernel, 1, Contents(0))


@pytest.mark.parametrize("chain", [relu_chain, shape_chain, reshape_chain])
@pytest.mark.parametrize("length", [1, CHAIN_LENGTH])
def test_chains_run_and_have_the_promised_length(
    chain: Callable[[int], tuple[bytes, dict[str, Array]]], length: int
) -> None:
    model, feeds = chain(length)
    assert len(onnx.load_model_from_string(model).graph.node) == length
    (result,) = session(model).run(None, feeds)
    assert np.isfinite(result).all()


# -- int8 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [residual, inverted, attention])
def test_8_bit_copies_differ_in_their_weights(build: Callable[[NetworkBuilder, str], str]) -> None:
    for kernel in lower(built(build), "onnxruntime", precision="int8").distinct.values():
        content, feeds = kernel_model(kernel, 2, Contents(0))
        stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(content).graph.initializer}
        for name, constant in kernel.constants:
            copied = [stored.get(f"{name}__{copy}") for copy in range(2)]
            if constant.type.dtype == "int8" and constant.type.rank > 1:
                assert (copied[0] != copied[1]).mean() > 0.9
                assert len(np.unique(copied[0])) > min(100, copied[0].size // 8)
        for name, type_ in kernel.inputs:
            assert type_.dtype != "uint8" or type_.numel < 256 or feeds[name].max() > 200
        scales = [
            float(v) for name, v in stored.items() if v.dtype == np.float32 and v.ndim == 0 and name[-3:] == "__0"
        ]
        assert len(set(scales)) == len(scales)  # the runtime copies where two are equal
