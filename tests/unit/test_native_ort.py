"""ONNX Runtime driven natively gives what its own Python package gives, and says clearly what is wrong."""

import ctypes.util
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lutra.profiler import _native

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def library_path() -> str:
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("capi/libonnxruntime.so*")))


def conv_model(copies: int = 1, *, seed: int = 0) -> bytes:
    """Convolution and ReLU of one input, `copies` times with different weights."""
    random = np.random.default_rng(seed)
    nodes, weights = [], []
    for copy in range(copies):
        weight = random.normal(size=(8, 3, 3, 3)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(weight, f"w{copy}"))
        nodes.append(onnx.helper.make_node("Conv", ["x", f"w{copy}"], [f"c{copy}"], pads=[1, 1, 1, 1]))
        nodes.append(onnx.helper.make_node("Relu", [f"c{copy}"], [f"y{copy}"]))
    outputs = [(f"y{copy}", onnx.TensorProto.FLOAT, [1, 8, 10, 10]) for copy in range(copies)]
    return model_of(nodes, [("x", onnx.TensorProto.FLOAT, [1, 3, 10, 10])], outputs, weights)


def model_of(nodes, inputs, outputs, weights=()) -> bytes:
    graph = onnx.helper.make_graph(
        nodes,
        "test",
        [onnx.helper.make_tensor_value_info(*value) for value in inputs],
        [onnx.helper.make_tensor_value_info(*value) for value in outputs],
        list(weights),
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def identity_model(element_type: int, shape, op: str = "Identity") -> bytes:
    return model_of(
        [onnx.helper.make_node(op, ["x"], ["y"])], [("x", element_type, shape)], [("y", element_type, shape)]
    )


def reference_outputs(model: bytes, inputs) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.fixture(scope="module")
def library():
    return _native.OrtLibrary(library_path())


@pytest.fixture
def environment(library):
    return _native.OrtEnvironment(library, 1)


@pytest.fixture
def image():
    return np.random.default_rng(3).normal(size=(1, 3, 10, 10)).astype(np.float32)


def test_version_is_the_packages(library):
    assert library.version == ort.__version__
    assert library.path == library_path()


@pytest.mark.parametrize("optimize", [True, False])
def test_outputs_are_those_of_the_python_package(environment, image, optimize):
    model = conv_model()
    session = environment.session(model, optimize=optimize, inputs={"x": image})
    session.run()
    (name,) = session.output_names
    assert session.input_names == ["x"]
    np.testing.assert_allclose(
        session.outputs()[name], reference_outputs(model, {"x": image})[name], rtol=1e-5, atol=1e-5
    )
    assert session.outputs_finite()


def test_many_copies_in_one_session(environment, image):
    model = conv_model(copies=5)
    session = environment.session(model, optimize=True, inputs={"x": image})
    expected = reference_outputs(model, {"x": image})
    outputs = session.outputs()
    assert list(outputs) == [f"y{copy}" for copy in range(5)]
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)
    assert not np.array_equal(outputs["y0"], outputs["y1"])


def test_inputs_that_are_not_given_are_seeded_noise(environment):
    model = identity_model(onnx.TensorProto.FLOAT, [50, 40])
    first, again, other = (environment.session(model, optimize=False, seed=seed).outputs()["y"] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert abs(first.mean()) < 0.1
    assert abs(first.std() - 1.0) < 0.1


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool"]
)
def test_every_type_goes_in_and_out_unchanged(environment, dtype):
    values = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    model = identity_model(onnx.helper.np_dtype_to_tensor_dtype(values.dtype), [3, 4])
    output = environment.session(model, optimize=False, inputs={"x": values}).outputs()["y"]
    assert output.dtype == values.dtype
    np.testing.assert_array_equal(output, values)


@pytest.mark.parametrize("shape", [(), (0, 4), (2, 1, 3)], ids=str)
def test_scalars_and_empty_tensors(environment, shape):
    values = np.ones(shape, np.float32)
    model = identity_model(onnx.TensorProto.FLOAT, list(shape))
    output = environment.session(model, optimize=False, inputs={"x": values}).outputs()["y"]
    assert output.shape == shape
    np.testing.assert_array_equal(output, values)


def test_strided_inputs_are_made_dense(environment, image):
    model = conv_model()
    transposed = np.asfortranarray(image)
    dense = environment.session(model, optimize=True, inputs={"x": image}).outputs()["y0"]
    strided = environment.session(model, optimize=True, inputs={"x": transposed}).outputs()["y0"]
    np.testing.assert_array_equal(dense, strided)


def test_inputs_and_outputs_are_copies(environment):
    values = np.ones((2, 2), np.float32)
    session = environment.session(identity_model(onnx.TensorProto.FLOAT, [2, 2]), optimize=False, inputs={"x": values})
    values[:] = 5.0
    session.run()
    outputs = session.outputs()["y"]
    np.testing.assert_array_equal(outputs, 1.0)
    outputs[:] = 9.0
    np.testing.assert_array_equal(session.outputs()["y"], 1.0)


def test_dynamic_shapes_are_fixed_by_the_input(environment):
    model = identity_model(onnx.TensorProto.FLOAT, ["batch", 3])
    output = environment.session(model, optimize=False, inputs={"x": np.ones((4, 3), np.float32)})
    assert output.outputs()["y"].shape == (4, 3)
    with pytest.raises(ValueError, match=r"'x' must be given: .*not known"):
        environment.session(model, optimize=False)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_non_finite_outputs_are_found(environment, dtype, bad):
    values = np.ones(5, dtype)
    model = identity_model(onnx.helper.np_dtype_to_tensor_dtype(values.dtype), [5])
    assert environment.session(model, optimize=False, inputs={"x": values}).outputs_finite()
    values[3] = bad
    assert not environment.session(model, optimize=False, inputs={"x": values}).outputs_finite()


def test_a_session_outlives_what_made_it(library, image):
    session = _native.OrtEnvironment(library, 1).session(conv_model(), optimize=True, inputs={"x": image})
    session.run()
    assert session.outputs_finite()


def test_sessions_are_measured_together(environment, image):
    sessions = [environment.session(conv_model(seed=seed), optimize=True, inputs={"x": image}) for seed in range(3)]
    measured = _native.measure_interleaved(
        sessions, seed=1, min_rounds=4, max_rounds=4, samples_per_visit=2, metric="cpu"
    )
    for entry in measured.entries:
        assert entry.error is None
        assert len(entry.samples) == 8
        assert (entry.samples.wall_ns > 0).all()
    assert all(session.outputs_finite() for session in sessions)


def test_input_the_model_lacks_is_named(environment, image):
    with pytest.raises(ValueError, match="no input 'image'; it has 'x'"):
        environment.session(conv_model(), optimize=True, inputs={"image": image})


def test_integer_inputs_must_be_given(environment):
    with pytest.raises(ValueError, match=r"'x' must be given.*int64"):
        environment.session(identity_model(onnx.TensorProto.INT64, [3]), optimize=False)


def test_arrays_of_an_unsupported_type_are_refused(environment):
    with pytest.raises(TypeError, match="complex64"):
        environment.session(conv_model(), optimize=True, inputs={"x": np.ones(3, np.complex64)})


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_wrong_input_type_is_reported(environment, image, dtype):
    with pytest.raises(RuntimeError, match="Unexpected input data type"):
        environment.session(conv_model(), optimize=True, inputs={"x": image.astype(dtype)})


def test_wrong_input_shape_is_reported(environment, image):
    with pytest.raises(RuntimeError, match="invalid dimensions"):
        environment.session(conv_model(), optimize=True, inputs={"x": image[:, :2]})


def test_string_outputs_are_refused(environment):
    with pytest.raises((TypeError, ValueError), match="string"):
        environment.session(identity_model(onnx.TensorProto.STRING, [2]), optimize=False)


@pytest.mark.parametrize("cut", [0, 7, 200])
def test_truncated_models_are_refused(environment, cut):
    with pytest.raises(RuntimeError, match="ONNX Runtime"):
        environment.session(conv_model()[:cut], optimize=True)


def test_unknown_ops_are_reported(environment):
    model = onnx.load_from_string(identity_model(onnx.TensorProto.FLOAT, [2]))
    model.graph.node[0].op_type = "NoSuchOp"
    with pytest.raises(RuntimeError, match="NoSuchOp"):
        environment.session(model.SerializeToString(), optimize=True)


def test_configuration_entries_reach_the_session(environment, image):
    model = conv_model()
    environment.session(model, optimize=True, inputs={"x": image}, config={"session.load_model_format": "ONNX"})
    with pytest.raises(RuntimeError, match="ONNX Runtime"):
        environment.session(model, optimize=True, inputs={"x": image}, config={"session.load_model_format": "ORT"})


def test_missing_library_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match="cannot load ONNX Runtime"):
        _native.OrtLibrary(str(tmp_path / "libonnxruntime.so"))


def test_another_library_is_refused():
    other = ctypes.util.find_library("m")
    assert other is not None
    with pytest.raises(RuntimeError, match="is not an ONNX Runtime library"):
        _native.OrtLibrary(other)


def test_fewer_than_one_thread_is_refused(library):
    with pytest.raises(ValueError, match="at least 1"):
        _native.OrtEnvironment(library, 0)


def test_one_thread_count_per_process(library, environment):
    assert environment.threads == 1
    with pytest.raises(RuntimeError, match="already runs with 1 thread"):
        _native.OrtEnvironment(library, 2)


THREADED = """
import sys
import numpy as np
from lutra.profiler import _native

environment = _native.OrtEnvironment(_native.OrtLibrary(sys.argv[1]), 2)
model = sys.stdin.buffer.read()
image = np.linspace(-1, 1, 300, dtype=np.float32).reshape(1, 3, 10, 10)
sessions = [environment.session(model, optimize=True, inputs={"x": image}) for _ in range(4)]
measured = _native.measure_interleaved(sessions, seed=0, min_rounds=3, max_rounds=3, samples_per_visit=2)
assert [len(entry.samples) for entry in measured.entries] == [6] * 4
assert all(entry.error is None for entry in measured.entries)
np.save(sys.argv[2], sessions[2].outputs()["y0"])
del sessions, environment
_native.OrtEnvironment(_native.OrtLibrary(sys.argv[1]), 1)  # the first has gone, so another count is allowed
"""


def test_two_threads_share_one_pool(tmp_path):
    model = conv_model()
    result = tmp_path / "output.npy"
    done = subprocess.run(
        [sys.executable, "-c", THREADED, library_path(), str(result)],
        input=model,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    image = np.linspace(-1, 1, 300, dtype=np.float32).reshape(1, 3, 10, 10)
    expected = reference_outputs(model, {"x": image})["y0"]
    np.testing.assert_allclose(np.load(result), expected, rtol=1e-5, atol=1e-5)
