"""ONNX nodes one by one: what the importer makes of each computes what onnxruntime computes."""

import numpy as np
import pytest

from lutra.networks.exporters import to_onnx
from lutra.networks.importers import Imported, from_onnx

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape):
    return rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def model_of(nodes, inputs, initializers=(), outputs=("y",), opset=17, **more) -> bytes:
    """A serialised model; ``inputs`` are (name, shape) or (name, shape, element type)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, *(kind or [FLOAT]), shape) for name, shape, *kind in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(initializers).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **more).SerializeToString()


def run(model: bytes, feed):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feed)


def tensors_of(model: bytes):
    graph = onnx.load_from_string(model).graph
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def check(model: bytes, seed=0) -> Imported:
    """Imports, exports again with the same weights, and compares on random inputs."""
    imported = from_onnx(model, trusted=True)
    again = to_onnx(imported.network, weights=imported.weights(tensors_of(model)))
    draw = rng(seed)
    feed = {}
    for name, type_ in imported.network.inputs:
        small = draw.integers(0, 3, type_.shape).astype(type_.dtype) if "int" in type_.dtype else None
        feed[name] = draw.standard_normal(type_.shape, dtype=np.float32) if small is None else small
    for measured, expected in zip(run(again.SerializeToString(), feed), run(model, feed), strict=True):
        assert measured.shape == expected.shape
        np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-5)
    return imported


def node(op_type, *inputs, outputs=("y",), domain="", **attrs):
    return helper.make_node(op_type, list(inputs), list(outputs), domain=domain, **attrs)


IMAGE = ("x", (2, 4, 7, 8))
W = {"w": normal(6, 4, 3, 3), "b": normal(6)}
SINGLE = {
    "conv-auto-pad-upper": (node("Conv", "x", "w", "b", auto_pad="SAME_UPPER", strides=[2, 2]), IMAGE, W),
    "conv-auto-pad-lower": (node("Conv", "x", "w", auto_pad="SAME_LOWER", strides=[2, 1]), IMAGE, W),
    "conv-valid": (node("Conv", "x", "w", auto_pad="VALID"), IMAGE, W),
    "conv-asymmetric": (node("Conv", "x", "w", "b", pads=[0, 1, 2, 1]), IMAGE, W),
    "conv-1d": (node("Conv", "x", "w", group=2, pads=[1, 0]), ("x", (2, 4, 9)), {"w": normal(6, 2, 3)}),
    "conv-transpose": (node("ConvTranspose", "x", "w", "b", strides=[2, 2], pads=[1, 1, 1, 1]), IMAGE,
                       {"w": normal(4, 3, 3, 3), "b": normal(3)}),
    "gemm": (node("Gemm", "x", "w", "b", alpha=0.5, beta=2.0), ("x", (3, 4)), {"w": normal(4, 5), "b": normal(5)}),
    "gemm-transposed": (node("Gemm", "x", "w", transA=1, transB=1), ("x", (4, 3)), {"w": normal(5, 4)}),
    "gemm-odd-bias": (node("Gemm", "x", "w", "b"), ("x", (3, 4)), {"w": normal(4, 5), "b": normal(3, 1)}),
    "matmul-vector": (node("MatMul", "x", "w"), ("x", (2, 3, 4)), {"w": normal(4)}),
    "matmul-batched": (node("MatMul", "x", "w"), ("x", (2, 3, 4)), {"w": normal(2, 4, 5)}),
    "matmul-left": (node("MatMul", "w", "x"), ("x", (4, 5)), {"w": normal(3, 4)}),
    "clip-6": (node("Clip", "x", "lo", "hi"), IMAGE, {"lo": np.float32(0), "hi": np.float32(6)}),
    "clip-low": (node("Clip", "x", "lo"), IMAGE, {"lo": np.float32(-0.5)}),
    "max-number": (node("Max", "x", "lo"), IMAGE, {"lo": np.float32(0)}),
    "min-number": (node("Min", "lo", "x"), IMAGE, {"lo": np.float32(0.3)}),
    "hard-sigmoid-default": (node("HardSigmoid", "x"), IMAGE, {}),
    "hard-sigmoid-torch": (node("HardSigmoid", "x", alpha=1 / 6, beta=0.5), IMAGE, {}),
    "hard-swish": (node("HardSwish", "x"), IMAGE, {}),
    "leaky": (node("LeakyRelu", "x", alpha=0.3), IMAGE, {}),
    "pow-int": (node("Pow", "x", "p"), IMAGE, {"p": ints(2)}),
    "reciprocal": (node("Reciprocal", "x"), IMAGE, {}),
    "softmax": (node("Softmax", "x", axis=1), IMAGE, {}),
    "layer-norm": (node("LayerNormalization", "x", "w", "b", epsilon=1e-3), IMAGE, {"w": normal(8), "b": normal(8)}),
    "layer-norm-2-axes": (node("LayerNormalization", "x", "w", "b", axis=2), IMAGE,
                          {"w": normal(7, 8), "b": normal(7, 8)}),
    "layer-norm-no-bias": (node("LayerNormalization", "x", "w"), IMAGE, {"w": normal(8)}),
    "instance-norm": (node("InstanceNormalization", "x", "w", "b"), IMAGE, {"w": normal(4), "b": normal(4)}),
    "simplified-norm": (node("SimplifiedLayerNormalization", "x", "w"), IMAGE, {"w": normal(8)}),
    "batch-norm": (node("BatchNormalization", "x", "s", "b", "m", "v"), IMAGE,
                   {"s": normal(4), "b": normal(4), "m": normal(4), "v": abs(normal(4)) + 0.5}),
    "max-pool-same": (node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"), IMAGE, {}),
    "max-pool-1d": (node("MaxPool", "x", kernel_shape=[2], strides=[2]), ("x", (2, 4, 9)), {}),
    "average-pool": (node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), IMAGE, {}),
    "average-pool-uneven": (node("AveragePool", "x", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
                            IMAGE, {}),
    "global-average": (node("GlobalAveragePool", "x"), IMAGE, {}),
    "global-average-1d": (node("GlobalAveragePool", "x"), ("x", (2, 4, 9)), {}),
    "global-max": (node("GlobalMaxPool", "x"), IMAGE, {}),
    "reduce-mean": (node("ReduceMean", "x", axes=[2, -1], keepdims=0), IMAGE, {}),
    "reduce-sum": (node("ReduceSum", "x", "a", keepdims=1), IMAGE, {"a": ints(1)}),
    "reduce-max-all": (node("ReduceMax", "x", keepdims=0), IMAGE, {}),
    "concat": (node("Concat", "x", "w", "x", axis=-1), IMAGE, {"w": normal(2, 4, 7, 3)}),
    "slice": (node("Slice", "x", "s", "e", "a", "t"), IMAGE,
              {"s": ints(-6, 1), "e": ints(2**62, -1), "a": ints(-1, 2), "t": ints(2, 1)}),
    "pad": (node("Pad", "x", "p", "v"), IMAGE, {"p": ints(0, 0, 1, 2, 0, 1, 0, 0), "v": np.float32(1.5)}),
    "pad-axes": (node("Pad", "x", "p", "", "a"), IMAGE, {"p": ints(1, 2), "a": ints(-1)}, 18),
    "transpose-default": (node("Transpose", "x"), IMAGE, {}),
    "reshape-zero": (node("Reshape", "x", "s"), IMAGE, {"s": ints(0, -1, 8)}),
    "flatten": (node("Flatten", "x", axis=2), IMAGE, {}),
    "squeeze": (node("Squeeze", "x"), ("x", (1, 3, 1, 2)), {}),
    "squeeze-axis": (node("Squeeze", "x", "a"), ("x", (1, 3, 1, 2)), {"a": ints(-2)}),
    "unsqueeze": (node("Unsqueeze", "x", "a"), IMAGE, {"a": ints(0, -1)}),
    "expand": (node("Expand", "x", "s"), ("x", (3, 1)), {"s": ints(2, 1, 4)}),
    "tile": (node("Tile", "x", "s"), ("x", (3, 1)), {"s": ints(2, 4)}),
    "resize-scales": (node("Resize", "x", "", "s", mode="linear", coordinate_transformation_mode="half_pixel"), IMAGE,
                      {"s": np.array([1, 1, 2, 1.5], np.float32)}),
    "resize-sizes": (node("Resize", "x", "", "", "s", mode="nearest", coordinate_transformation_mode="asymmetric",
                          nearest_mode="floor"), IMAGE, {"s": ints(2, 4, 10, 8)}),
    "resize-nearest-default": (node("Resize", "x", "", "s"), IMAGE, {"s": np.array([1, 1, 2, 3], np.float32)}),
    "gather-scalar": (node("Gather", "x", "i", axis=1), IMAGE, {"i": np.int64(-2)}),
    "gather-range": (node("Gather", "x", "i", axis=3), IMAGE, {"i": ints(1, 3, 5)}),
    "gather-scattered": (node("Gather", "x", "i", axis=3), IMAGE, {"i": np.array([[5, 1], [0, 0]])}),
    "gather-table": (node("Gather", "w", "x"), ("x", (2, 5), TensorProto.INT64), {"w": normal(3, 4)}),
    "depth-to-space": (node("DepthToSpace", "x", blocksize=2), IMAGE, {}),
    "depth-to-space-crd": (node("DepthToSpace", "x", blocksize=2, mode="CRD"), IMAGE, {}),
    "space-to-depth": (node("SpaceToDepth", "x", blocksize=2), ("x", (1, 3, 4, 6)), {}),
    "cast": (node("Cast", "x", to=TensorProto.INT64), IMAGE, {}),
    "sum": (node("Sum", "x", "x", "w"), IMAGE, {"w": normal(1, 4, 1, 1)}),
    "gelu": (node("Gelu", "x", approximate="tanh"), IMAGE, {}, 20),
    "microsoft-gelu": (node("Gelu", "x", domain="com.microsoft"), IMAGE, {}),
    "quick-gelu": (node("QuickGelu", "x", domain="com.microsoft"), IMAGE, {}),
    "old-softmax": (node("Softmax", "x", axis=2), IMAGE, {}, 11),
    "old-clip": (node("Clip", "x", min=0.0, max=6.0), IMAGE, {}, 10),
    "old-upsample": (node("Upsample", "x", "s"), IMAGE, {"s": np.array([1, 1, 2, 2], np.float32)}, 9),
    "old-slice": (node("Slice", "x", starts=[1], ends=[3], axes=[2]), IMAGE, {}, 9),
    "old-pad": (node("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1]), IMAGE, {}, 10),
    "old-unsqueeze": (node("Unsqueeze", "x", axes=[1]), IMAGE, {}, 11),
    "new-reduce": (node("ReduceMean", "x", "a"), IMAGE, {"a": ints(2, 3)}, 18),
    "new-group-norm": (node("GroupNormalization", "x", "w", "b", num_groups=2), IMAGE,
                       {"w": normal(4), "b": normal(4)}, 21),
}  # fmt: skip


@pytest.mark.parametrize("case", SINGLE.values(), ids=SINGLE.keys())
def test_single_node(case):
    one, given, initializers, *opset = case
    used = {name: value for name, value in initializers.items() if name in one.input}
    check(model_of([one], [given], used, opset=opset[0] if opset else 17))


@pytest.mark.parametrize("kind", ["uneven", "equal", "attribute"])
def test_split(kind):
    names = ("y", "z")
    if kind == "uneven":
        model = model_of([node("Split", "x", "s", outputs=names, axis=1)], [IMAGE], {"s": ints(1, 3)}, names)
    elif kind == "equal":
        model = model_of([node("Split", "x", outputs=names, axis=-1)], [IMAGE], {}, names)
    else:
        model = model_of([node("Split", "x", outputs=names, axis=1, split=[3, 1])], [IMAGE], {}, names, opset=11)
    assert check(model).network.op_counts() == {"split": 1}


def test_shape_arithmetic_is_worked_out():
    """The Shape-Gather-Concat-Reshape chains of exporters leave one reshape."""
    nodes = [
        node("Shape", "x", outputs=("shape",)),
        node("Constant", outputs=("zero",), value=numpy_helper.from_array(ints(0)[0])),
        node("Constant", outputs=("three",), value=numpy_helper.from_array(ints(3))),
        node("Gather", "shape", "zero", outputs=("n",)),
        node("Constant", outputs=("axis",), value=numpy_helper.from_array(ints(0))),
        node("Unsqueeze", "n", "axis", outputs=("n1",)),
        node("Slice", "shape", "axis", "three", outputs=("most",)),
        node("ReduceProd", "most", outputs=("count",), keepdims=1),
        node("Div", "count", "n1", outputs=("rest",)),
        node("Cast", "rest", outputs=("rest32",), to=TensorProto.INT32),
        node("Cast", "rest32", outputs=("rest64",), to=TensorProto.INT64),
        node("Constant", outputs=("open",), value=numpy_helper.from_array(ints(-1))),
        node("Concat", "n1", "rest64", "open", outputs=("wanted",), axis=0),
        node("Reshape", "x", "wanted"),
    ]
    network = check(model_of(nodes, [IMAGE])).network
    assert network.op_counts() == {"reshape": 1}
    assert network.types[network.outputs[0]].shape == (2, 28, 8)


def test_range_and_fill_are_worked_out():
    nodes = [
        node("Shape", "x", outputs=("shape",), start=3),
        node("Squeeze", "shape", outputs=("n",)),
        node("Range", "zero", "n", "one", outputs=("positions",)),
        node("Cast", "positions", outputs=("real",), to=FLOAT),
        node("Sin", "real", outputs=("wave",)),
        node("ConstantOfShape", "shape", outputs=("half",), value=numpy_helper.from_array(np.array([0.5], np.float32))),
        node("Mul", "wave", "half", outputs=("scaled",)),
        node("Add", "x", "scaled"),
    ]
    network = check(model_of(nodes, [IMAGE], {"zero": np.int64(0), "one": np.int64(1)})).network
    assert network.op_counts() == {"constant": 1, "add": 1}
    assert network.params == 0


def test_weights_seen_through_transposes_are_still_weights():
    nodes = [node("Transpose", "w", outputs=("t",), perm=[1, 0]), node("MatMul", "x", "t", outputs=("m",))]
    nodes += [node("Unsqueeze", "b", "axis", outputs=("row",)), node("Add", "row", "m")]
    model = model_of(nodes, [("x", (2, 3, 4))], {"w": normal(5, 4), "b": normal(5), "axis": ints(0)})
    imported = check(model)
    assert imported.network.op_counts() == {"linear": 1}
    assert imported.network.params == 5 * 4 + 5
    sources = {name: str(source) for (_, name), source in imported.parameter_sources.items()}
    assert sources == {"weight": "w", "bias": "b"}


def decomposed_norm(rms: bool):
    square = [node("Pow", "c", "two", outputs=("sq",)), node("ReduceMean", "sq", outputs=("var",), axes=[-1])]
    tail = [node("Add", "var", "eps", outputs=("ve",)), node("Sqrt", "ve", outputs=("sd",))]
    tail += [node("Div", "c", "sd", outputs=("n",)), node("Mul", "n", "w", outputs=("nw",))]
    if rms:
        return [node("Identity", "x", outputs=("c",)), *square, *tail, node("Identity", "nw")]
    centre = [node("ReduceMean", "x", outputs=("mu",), axes=[-1]), node("Sub", "x", "mu", outputs=("c",))]
    return [*centre, *square, *tail, node("Add", "nw", "b")]


@pytest.mark.parametrize("rms", [False, True])
def test_norms_are_put_together_again(rms):
    weights = {"two": np.float32(2), "eps": np.float32(1e-6), "w": normal(8)} | ({} if rms else {"b": normal(8)})
    imported = check(model_of(decomposed_norm(rms), [("x", (2, 3, 8))], weights))
    ((kind, count),) = imported.network.op_counts().items()
    assert (kind, count) == ("rms_norm" if rms else "layer_norm", 1)
    assert imported.network.nodes[0].op["eps"] == pytest.approx(1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_put_together_again(masked):
    from lutra.networks import NetworkBuilder

    b = NetworkBuilder("attention")
    q, k, v = (b.input((2, 3, 5, 4), name=name) for name in "qkv")
    mask = (b.input((5, 5), name="mask"),) if masked else ()
    network = b.build(b.op("sdpa", q, k, v, *mask))
    assert check(to_onnx(network).SerializeToString()).network.fingerprint == network.fingerprint


def test_a_value_that_others_read_is_not_fused_away():
    nodes = [node("Sigmoid", "x", outputs=("s",)), node("Mul", "x", "s"), node("Relu", "s", outputs=("z",))]
    network = check(model_of(nodes, [IMAGE], outputs=("y", "z"))).network
    assert network.op_counts() == {"sigmoid": 1, "mul": 1, "relu": 1}


def test_shared_initializers_are_shared_weights():
    nodes = [node("Conv", "x", "w", outputs=("h",), pads=[1] * 4), node("Conv", "h", "w", pads=[1] * 4)]
    network = check(model_of(nodes, [IMAGE], {"w": normal(4, 4, 3, 3)})).network
    assert network.params == 4 * 4 * 9
    assert network.nodes[1].weights_from == network.nodes[0].name


def test_what_does_nothing_is_reported():
    nodes = [node("Dropout", "x", outputs=("d",)), node("Identity", "d", outputs=("i",)), node("Relu", "i")]
    nodes.append(node("Tanh", "x", outputs=("nobody",)))
    imported = check(model_of(nodes, [IMAGE]))
    assert imported.report.dropped == {"Dropout": 1, "Identity": 1, "tanh (unused)": 1}
    assert imported.network.op_counts() == {"relu": 1}


def test_functions_of_the_model_are_inlined():
    function = helper.make_function(
        "mine", "twice", ["a"], ["b"], [node("Relu", "a", outputs=("r",)), node("Add", "r", "r", outputs=("b",))],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    graph = helper.make_graph(
        [node("twice", "x", domain="mine")], "g", [helper.make_tensor_value_info("x", FLOAT, (2, 3))],
        [helper.make_tensor_value_info("y", FLOAT, (2, 3))],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=9)
    assert check(model.SerializeToString()).network.op_counts() == {"relu": 1, "add": 1}


def test_names():
    named = model_of([helper.make_node("Relu", ["x"], ["y"], name="/block.0/act/Relu")], [IMAGE])
    assert from_onnx(named, trusted=True).network.nodes[0].name == "block.0.act.Relu"
    assert from_onnx(named, trusted=True, name="mine").network.name == "mine"
    assert from_onnx(model_of([node("Relu", "x")], [IMAGE]), trusted=True).network.nodes[0].name == "relu_0"


def test_the_file_name_is_the_network_name(tmp_path):
    path = tmp_path / "little.onnx"
    path.write_bytes(model_of([node("Relu", "x")], [IMAGE]))
    assert from_onnx(path, trusted=True).network.name == "little"


def test_open_sizes_can_be_given():
    model = model_of([node("Relu", "x")], [("x", ("batch", 3, None, 8))])
    network = from_onnx(model, trusted=True, input_shapes={"x": (2, 3, 5, 8)}).network
    assert network.inputs[0][1].shape == (2, 3, 5, 8)


def test_large_weights_are_not_read():
    """They are taken out before parsing, and the rest is imported the same."""
    import tracemalloc

    big = model_of([node("MatMul", "x", "w")], [("x", (1, 2048))], {"w": np.zeros((2048, 4096), np.float32)})
    from_onnx(big, trusted=True)
    tracemalloc.start()
    network = from_onnx(big, trusted=True).network
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert network.params == 2048 * 4096
    assert peak < 4_000_000  # a tenth of the file


def test_typed_weights_are_read_like_raw_ones():
    tensor = helper.make_tensor("w", FLOAT, (64, 256), np.zeros(64 * 256, np.float32))
    assert not tensor.raw_data
    model = onnx.load_from_string(model_of([node("MatMul", "x", "w")], [("x", (1, 64))]))
    model.graph.initializer.append(tensor)
    assert from_onnx(model.SerializeToString(), trusted=True).network.params == 64 * 256
