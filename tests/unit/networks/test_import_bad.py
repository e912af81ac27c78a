"""Bad model files and bad arguments: one clear error each, whatever the bytes."""

import subprocess
import sys
from contextlib import suppress

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import (
    CorruptModelError,
    DynamicShapeError,
    ExternalDataError,
    LutraError,
    ModelTooLargeError,
    NotSupportedError,
    ShapeError,
    UnsupportedDtypeError,
    UnsupportedOpError,
)
from lutra.networks.exporters import to_onnx
from lutra.networks.importers import Imported, _onnx_read, _sandbox, from_onnx

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def node(op_type, *inputs, outputs=("y",), domain="", **attrs):
    return helper.make_node(op_type, list(inputs), list(outputs), domain=domain, **attrs)


def proto(nodes, shape=(1, 4), dtype=FLOAT, initializers=(), opset=17):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [onnx.ValueInfoProto(name="y")],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def load(model, **options) -> Imported:
    return from_onnx(model.SerializeToString(), trusted=True, **options)


def small_network() -> Network:
    b = NetworkBuilder("small")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), name="conv", out_channels=4, kernel_size=3)
    x = b.op("mean", b.op("gelu", x), axes=(2, 3), keepdims=False)
    return b.build(b.op("linear", x, name="head", out_features=5))


def small_model() -> bytes:
    return to_onnx(small_network()).SerializeToString()


def test_not_onnx():
    for data in (b"", b"hello, this is text", b"\x00" * 64, b"PK\x03\x04" + bytes(range(256)), b"\xff" * 32):
        with pytest.raises(CorruptModelError) as caught:
            from_onnx(data, trusted=True)
        assert caught.value.hint


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_truncated(part):
    model = small_model()
    with pytest.raises(CorruptModelError):
        from_onnx(model[: int(len(model) * part)], trusted=True)


def test_missing_file(tmp_path):
    for trusted in (True, False):
        with pytest.raises(CorruptModelError, match=r"nothing\.onnx cannot be read"):
            from_onnx(tmp_path / "nothing.onnx", trusted=trusted)
    with pytest.raises(CorruptModelError, match="cannot be read"):
        from_onnx(tmp_path, trusted=True)


def test_external_data():
    tensor = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    with pytest.raises(ExternalDataError, match="'w'") as caught:
        load(proto([node("MatMul", "x", "w")], initializers=[tensor]))
    assert "one file" in caught.value.hint


def test_external_data_hidden_in_an_attribute():
    tensor = TensorProto(name="inner", data_type=FLOAT, dims=[4])
    tensor.external_data.add(key="location", value="/etc/passwd")
    hidden = node("Constant", outputs=("c",), value=tensor)
    with pytest.raises(ExternalDataError, match="inner"):
        load(proto([hidden, node("Add", "x", "c")]))
    branch = helper.make_graph([hidden], "branch", [], [onnx.ValueInfoProto(name="c")])
    with pytest.raises(ExternalDataError):
        load(proto([node("If", "x", then_branch=branch, else_branch=branch)]))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (("batch", 4), r"dimension 0 open \(batch\)"),
        ((0, 4), r"dimension 0 open \(0\)"),
        ((1, -3), r"dimension 1 open \(-3\)"),
        ((None, 4), r"dimension 0 open"),
        (None, "any number of dimensions"),
    ],
)
def test_open_sizes(shape, said):
    with pytest.raises(DynamicShapeError, match=f"'x'.*{said}") as caught:
        load(proto([node("Relu", "x")], shape=shape))
    assert "input_shapes={'x':" in caught.value.hint


@pytest.mark.parametrize("given_shape", [(2, 5), (2, 4, 1), (0, 4)])
def test_wrong_shapes_given(given_shape):
    with pytest.raises(ShapeError):
        load(proto([node("Relu", "x")], shape=("batch", 4)), input_shapes={"x": given_shape})


def test_shape_for_an_input_that_is_not_there():
    with pytest.raises(ShapeError, match="no input 'z'") as caught:
        load(proto([node("Relu", "x")]), input_shapes={"z": (1, 4)})
    assert "x" in caught.value.hint


@pytest.mark.parametrize("dtype", [TensorProto.DOUBLE, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.UINT64])
def test_element_types(dtype):
    with pytest.raises(UnsupportedDtypeError, match="'x'"):
        load(proto([node("Relu", "x")], dtype=dtype))


def test_element_types_on_the_way():
    with pytest.raises(UnsupportedDtypeError, match="float64"):
        load(proto([node("Cast", "x", to=TensorProto.DOUBLE)]))
    weight = numpy_helper.from_array(np.zeros((1, 4)), "w")
    with pytest.raises(LutraError):
        load(proto([node("Add", "x", "w")], initializers=[weight]))


def test_all_unknown_ops_are_listed():
    branch = helper.make_graph([node("Relu", "x", outputs=("b",))], "branch", [], [onnx.ValueInfoProto(name="b")])
    nodes = [
        node("Det", "x", outputs=("a",)),
        node("Magic", "a", outputs=("b",), domain="my.ops"),
        node("Relu", "b", outputs=("c",)),
        node("Det", "c", outputs=("d",)),
        node("If", "d", outputs=("e",), then_branch=branch, else_branch=branch),
        node("Pad", "x", "p", outputs=("f",), mode="reflect"),
        node("Add", "e", "f"),
    ]
    pads = numpy_helper.from_array(np.array([0, 1, 0, 1]), "p")
    model = proto(nodes, initializers=[pads])
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    wanted = {"Det": 2, "my.ops.Magic": 1, "If": 1, "Pad with mode=reflect": 1}
    for trusted in (True, False):
        with pytest.raises(UnsupportedOpError, match=r"Det x2.*my\.ops\.Magic x1") as caught:
            from_onnx(model.SerializeToString(), trusted=trusted)
        assert caught.value.counts == wanted


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (node("Conv", "x", "x"), "Conv with weights that are computed"),
        (node("Reshape", "x", "s"), "Reshape with a shape known only at run time"),
        (node("Resize", "x", "", "f", mode="cubic"), "Resize with mode=cubic"),
        (node("BatchNormalization", "x", "v", "v", "v", "v", training_mode=1), "training_mode=1"),
        (node("LSTM", "x", "x", "x"), "LSTM x1"),
    ],
)
def test_forms_that_are_not_supported(one, said):
    shape_input = helper.make_tensor_value_info("s", TensorProto.INT64, (2,))
    constants = [numpy_helper.from_array(np.ones(n, np.float32), name) for name, n in (("f", 4), ("v", 3))]
    model = proto([one], shape=(1, 3, 4, 4), initializers=constants)
    model.graph.input.append(shape_input)
    with pytest.raises(UnsupportedOpError, match=said):
        load(model)


def test_second_outputs_that_nothing_makes():
    pool = node("MaxPool", "x", outputs=("p", "where"), kernel_shape=[2, 2])
    with pytest.raises(UnsupportedOpError, match="MaxPool with output 1 in use"):
        load(proto([pool, node("Cast", "where", to=FLOAT)], shape=(1, 3, 4, 4)))
    assert load(proto([pool, node("Relu", "p")], shape=(1, 3, 4, 4))).network.op_counts() == {
        "max_pool2d": 1,
        "relu": 1,
    }


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "nobody")],
        [node("Relu", "x", outputs=("z",))],
        [node("Conv", "x", "w")],
        [node("Concat", "x", "w", axis=7)],
        [node("Transpose", "x", perm=[0, 0])],
        [node("Gemm", "x", "w")],
        [node("Relu")],
        [node("Split", "x", outputs=("y", "z"), axis=0)],
        [node("Constant", value_string="text")],
        [node("Cast", "x", to=999)],
        [node("MaxPool", "x")],
    ],
    ids=lambda nodes: nodes[0].op_type,
)
def test_inconsistent(nodes):
    weight = numpy_helper.from_array(np.zeros((3, 3, 1, 1), np.float32), "w")
    with pytest.raises((CorruptModelError, UnsupportedOpError)):
        load(proto(nodes, initializers=[weight]))


def test_tensor_sizes_must_fit():
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[4, 4], raw_data=b"\0" * 60)
    with pytest.raises(CorruptModelError, match="'w'"):
        load(proto([node("MatMul", "x", "w")], initializers=[tensor]))
    large = TensorProto(name="w", data_type=FLOAT, dims=[4, 40_000], raw_data=b"\0" * 600_000)
    with pytest.raises(CorruptModelError, match="600,000 bytes"):
        load(proto([node("MatMul", "x", "w")], initializers=[large]))
    endless = TensorProto(name="w", data_type=FLOAT, dims=[2**40, 2**40])
    with pytest.raises(CorruptModelError, match="impossible shape"):
        load(proto([node("MatMul", "x", "w")], initializers=[endless]))


def test_too_old_and_too_large(monkeypatch):
    with pytest.raises(NotSupportedError, match="opset 5"):
        load(proto([node("Relu", "x")], opset=5))
    model = proto([node("Relu", "x", outputs=("a",)), node("Relu", "a")])
    monkeypatch.setattr(_onnx_read, "MAX_NODES", 1)
    with pytest.raises(ModelTooLargeError, match="2 nodes"):
        load(model)
    monkeypatch.setattr(_onnx_read, "MAX_FILE_BYTES", 10)
    with pytest.raises(ModelTooLargeError, match="bytes"):
        load(model)


@pytest.mark.parametrize(
    ("op_type", "value"),
    [("ConstantOfShape", [1 << 20, 1 << 20]), ("Expand", [1 << 12, 1 << 12, 1]), ("Tile", [1 << 30])],
)
def test_small_files_cannot_ask_for_huge_tensors(op_type, value):
    """What would be worked out is bounded, whatever a few numbers in the file say."""
    constants = [numpy_helper.from_array(np.array(value), "s"), numpy_helper.from_array(np.ones(1, np.float32), "one")]
    inputs = ("s",) if op_type == "ConstantOfShape" else ("one", "s")
    with pytest.raises(LutraError):
        load(proto([node(op_type, *inputs, outputs=("big",)), node("MatMul", "x", "big")], initializers=constants))


def test_deeply_nested_functions_are_bounded():
    """Functions that call each other twice would grow to 2^60 nodes."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    functions = [
        helper.make_function(
            "f",
            f"level{i}",
            ["a"],
            ["c"],
            [node(f"level{i + 1}" if i < 59 else "Relu", source, outputs=(made,), domain="f" if i < 59 else "")
             for source, made in (("a", "b"), ("b", "c"))],
            opsets,
        )
        for i in range(60)
    ]  # fmt: skip
    model = proto([node("level0", "x", domain="f")])
    model.opset_import.append(helper.make_opsetid("f", 1))
    model.functions.extend(functions)
    with pytest.raises(ModelTooLargeError, match="functions"):
        load(model)


def test_recursive_functions_are_refused():
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    loop = helper.make_function("f", "loop", ["a"], ["b"], [node("loop", "a", outputs=("b",), domain="f")], opsets)
    model = proto([node("loop", "x", domain="f")])
    model.opset_import.append(helper.make_opsetid("f", 1))
    model.functions.append(loop)
    with pytest.raises(CorruptModelError, match="calls itself"):
        load(model)


def test_child_gives_the_same_network(tmp_path):
    model = small_model()
    path = tmp_path / "small.onnx"
    path.write_bytes(model)
    here = from_onnx(path, trusted=True)
    assert from_onnx(path) == here
    assert from_onnx(model, name="small") == here
    assert here.network.fingerprint == small_network().fingerprint


def test_child_passes_errors_on():
    with pytest.raises(DynamicShapeError, match="'x'") as caught:
        from_onnx(proto([node("Relu", "x")], shape=("batch", 4)).SerializeToString())
    assert "input_shapes" in caught.value.hint
    with pytest.raises(CorruptModelError):
        from_onnx(small_model()[:-40])


def test_child_takes_shapes():
    model = proto([node("Relu", "x")], shape=("batch", 4)).SerializeToString()
    assert from_onnx(model, input_shapes={"x": (3, 4)}).network.inputs[0][1].shape == (3, 4)


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", CorruptModelError, "died"),
        ("import sys; sys.stderr.write('boom'); sys.exit(3)", CorruptModelError, "exit code 3.*boom"),
        ("print('no json')", CorruptModelError, "no answer"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", ModelTooLargeError, "CPU time"),
        ("import time; time.sleep(60)", ModelTooLargeError, "in all"),
    ],
)
def test_child_that_fails(program, error, said, monkeypatch):
    monkeypatch.setattr(_sandbox, "COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(_sandbox, "TIMEOUT_S", 2)
    before = {child.pid for child in psutil.Process().children()}  # of other tests
    with pytest.raises(error, match=said):
        from_onnx(small_model())
    assert {child.pid for child in psutil.Process().children()} <= before  # no zombie is left


def test_child_runs_out_of_memory():
    """The limit on its address space turns a huge allocation into an error, not a dead machine."""
    program = (
        "from lutra.networks.importers import _child\n"
        "_child._limit(0)\n"
        "try:\n    bytearray(8 << 30)\nexcept MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=_sandbox.environment(), check=True
    )
    assert done.stdout.strip() == "refused"


MODEL = small_model()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    flips=st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), max_size=6),
    end=st.integers(0, len(MODEL)) | st.just(len(MODEL)),
)
def test_damaged_bytes_never_raise_anything_else(flips, end):
    data = bytearray(MODEL)
    for position, value in flips:
        data[position] = value
    with suppress(LutraError):
        assert isinstance(from_onnx(bytes(data[:end]), trusted=True).network, Network)


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=200))
def test_any_bytes_never_raise_anything_else(data):
    with suppress(LutraError):
        from_onnx(data, trusted=True)


GRAPH = proto(
    [
        node("Conv", "x", "w", outputs=("c",), pads=[1, 1, 1, 1], name="first"),
        node("Shape", "c", outputs=("s",)),
        node("Gather", "s", "i", outputs=("n",), axis=0),
        node("Unsqueeze", "n", "i1", outputs=("n1",)),
        node("Concat", "n1", "m", outputs=("t",), axis=0),
        node("Reshape", "c", "t", outputs=("r",)),
        node("Softmax", "r", axis=1),
    ],
    shape=(1, 2, 4, 4),
    initializers=[
        numpy_helper.from_array(np.zeros((2, 2, 3, 3), np.float32), "w"),
        numpy_helper.from_array(np.int64(0), "i"),
        numpy_helper.from_array(np.array([0]), "i1"),
        numpy_helper.from_array(np.array([-1]), "m"),
    ],
).SerializeToString()


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(position=st.integers(0, len(GRAPH) - 1), value=st.integers(0, 255))
def test_one_damaged_byte_of_the_graph(position, value):
    """Almost every byte here is structure: names, sizes, attributes."""
    data = bytearray(GRAPH)
    data[position] = value
    with suppress(LutraError):
        from_onnx(bytes(data), trusted=True)


def test_torch_module_that_cannot_be_traced():
    torch = pytest.importorskip("torch")
    from lutra.networks.errors import UsageError
    from lutra.networks.importers import from_torch

    class Branches(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(NotSupportedError, match="Branches"):
        from_torch(Branches(), input_shapes=(1, 4))
    with pytest.raises(UsageError, match="either"):
        from_torch(Branches())
    with pytest.raises(NotSupportedError, match="cannot trace Linear"):
        from_torch(torch.nn.Linear(3, 4), input_shapes=(1, 5))


def test_torch_ops_that_are_not_supported():
    torch = pytest.importorskip("torch")
    from lutra.networks.importers import from_torch

    class Odd(torch.nn.Module):
        def forward(self, x):
            y = torch.cumsum(torch.sin(x), 0)
            return torch.sin(y).sort(0)[0].relu()

    with pytest.raises(UnsupportedOpError) as caught:
        from_torch(Odd(), input_shapes=(3, 4))
    assert caught.value.counts == {"sin": 2, "cumsum": 1, "sort": 1}
    with pytest.raises(UnsupportedDtypeError, match="float64"):
        from_torch(torch.nn.Linear(3, 4).double(), input_shapes=(1, 3))


def test_torch_writes_into_parts_are_refused():
    """They would change a tensor that others read."""
    torch = pytest.importorskip("torch")
    from lutra.networks.importers import from_torch

    class Writes(torch.nn.Module):
        def forward(self, x):
            y = x * 2
            y[:, 0].add_(1.0)
            return y

    with pytest.raises(UnsupportedOpError, match="in-place write into a part"):
        from_torch(Writes(), input_shapes=(2, 3))
