"""The native CPU kernels against torch: every supported op of the catalogue, and random shapes of the main families."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.networks.ops import Op, TensorType, catalogue, make_op

native = pytest.importorskip("lutra.profiler._native", reason="the extension module is not built")
if not hasattr(native, "CpuProgram"):
    pytest.skip("the extension module is built without CPU kernels", allow_module_level=True)
torch = pytest.importorskip("torch", reason="the reference needs torch")
from lutra.profiler.runtimes.native import NativeRuntime  # noqa: E402  (it needs the extension module)

functional = torch.nn.functional

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread() -> Iterator[None]:
    """Operands are tiny: on a busy machine torch's threads would wait for each other far longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def error(result: Array, expected: Array) -> float:
    """Normalised mean squared error."""
    assert result.shape == expected.shape
    difference = result.astype(np.float64) - expected
    return float((difference**2).sum() / max(float((expected.astype(np.float64) ** 2).sum()), 1e-30))


def run_step(
    kind: str,
    inputs: Sequence[Array],
    constants: Mapping[str, Array],
    outputs: Sequence[tuple[int, ...]],
    attributes: Mapping[str, Any],
    isa: str,
    dtype: str = "float32",
) -> list[Array]:
    """One op as a program of two copies, run by the kernels and by their naive twins, which must agree."""
    arrays = {f"x{i}": array for i, array in enumerate(inputs)}
    names = [f"y{i}" for i in range(len(outputs))]
    tensors = [(name, array.shape, str(array.dtype), "input") for name, array in arrays.items()]
    tensors += [(name, array.shape, str(array.dtype), "constant") for name, array in constants.items()]
    tensors += [(name, shape, dtype, "output") for name, shape in zip(names, outputs, strict=True)]
    step = (kind, [*arrays, *constants], names, dict(attributes))
    program = native.CpuProgram(tensors, [step], copies=2, isa=isa)
    for name, array in arrays.items():
        program.set_input(name, array)
    for name, array in constants.items():
        program.set_constant(name, array)
    program.run()
    results = [program.output(name) for name in names]
    program.run_reference()
    for name, result in zip(names, results, strict=True):
        assert error(result, program.output(name)) < 1e-10
    return results


def supported_examples() -> list[Any]:
    supported = set(native.supported_ops())
    return [pytest.param(op, id=op.key) for spec in catalogue() if spec.kind in supported for op in spec.examples()]


@pytest.mark.parametrize("isa", native.available_isas())
@pytest.mark.parametrize("op", supported_examples())
def test_catalogue_example_agrees_with_torch(op: Op, isa: str) -> None:
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    module = op.spec.module(op).eval()
    constants: dict[str, Array] = {}
    stored = [*module.named_parameters(), *module.named_buffers()]
    wanted = [*op.weights, *op.buffers]
    for name in wanted:
        tensor = next(value for key, value in stored if key.rsplit(".", 1)[-1] == name)
        torch.nn.init.uniform_(tensor.data, 0.5, 1.5, generator=generator)
        constants[name] = tensor.detach().numpy()
    inputs = [op.spec.example_input(op, i, rng) for i in range(len(op.inputs))]
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, inputs))
    expected = [expected] if torch.is_tensor(expected) else list(expected)
    shapes = [output.shape for output in op.outputs]
    results = run_step(op.kind, inputs, constants, shapes, op.attributes, isa, op.outputs[0].dtype)
    for result, reference in zip(results, expected, strict=True):
        assert error(result, reference.numpy()) <= op.spec.tolerance


def test_every_supported_op_is_in_the_catalogue() -> None:
    # Changes of layout and type are not part of any network as its author wrote it.
    assert set(native.supported_ops()) - {"reorder", "quantise", "dequantise"} <= {spec.kind for spec in catalogue()}


def test_every_op_of_the_catalogue_has_a_kernel() -> None:
    stored = {"constant", "parameter"}  # there before a program runs
    assert {spec.kind for spec in catalogue()} - stored <= set(native.supported_ops())


def test_machine_is_described() -> None:
    assert native.isa_name() == native.available_isas()[-1]
    assert NativeRuntime(1).describe()["native isa"] == native.isa_name()


@pytest.mark.parametrize("isa", native.available_isas())
def test_runtime_keeps_to_an_instruction_set(isa: str) -> None:
    assert NativeRuntime(1, isa=isa).describe()["native isa"] == isa


def test_runtime_says_which_instruction_sets_there_are() -> None:
    with pytest.raises(UsageError, match="no kernels for 'mmx'") as caught:
        NativeRuntime(1, isa="mmx")
    assert native.isa_name() in str(caught.value)


ISAS = st.sampled_from(native.available_isas())
SEEDS = st.integers(0, 2**32 - 1)


def draw_array(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@st.composite
def convolutions(draw: st.DrawFn, *, depthwise: bool) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Input shape, weight shape and attributes of a convolution that fits."""
    kernel = (draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, 4)) for _ in range(4))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    smallest = [max(1, extent[i] - padding[i] - padding[i + 2]) for i in range(2)]
    size = tuple(low + draw(st.integers(0, 20)) for low in smallest)
    groups = draw(st.integers(2, 9)) if depthwise else draw(st.sampled_from([1, 1, 2, 3]))
    channels = groups * (1 if depthwise else draw(st.integers(1, 9)))
    filters = groups * draw(st.integers(1, 2 if depthwise else 20))
    attributes = {
        "stride": (draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return (draw(st.integers(1, 2)), channels, *size), (filters, channels // groups, *kernel), attributes


def check_convolution(case: tuple[Any, Any, Any], seed: int, isa: str, fused: bool) -> None:
    shape, weight_shape, attributes = case
    x, weight = draw_array(seed, *shape), draw_array(seed + 1, *weight_shape)
    bias = draw_array(seed + 2, weight_shape[0])
    top, left, bottom, right = attributes["padding"]
    padded = functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    rest = (attributes["stride"], 0, attributes["dilation"], attributes["groups"])
    expected = functional.conv2d(padded, torch.from_numpy(weight), torch.from_numpy(bias), *rest).numpy()
    constants = {"weight": weight, "bias": bias}
    if fused:
        constants["residual"] = draw_array(seed + 3, *expected.shape)
        expected = functional.hardswish(torch.from_numpy(expected + constants["residual"])).numpy()
        attributes = attributes | {"activation": "hard_swish"}
    (result,) = run_step("conv2d", [x], constants, [expected.shape], attributes, isa)
    assert error(result, expected) < 1e-10


@given(convolutions(depthwise=False), SEEDS, ISAS, st.booleans())
def test_conv2d(case: tuple[Any, Any, Any], seed: int, isa: str, fused: bool) -> None:
    check_convolution(case, seed, isa, fused)


@given(convolutions(depthwise=True), SEEDS, ISAS, st.booleans())
def test_depthwise_conv2d(case: tuple[Any, Any, Any], seed: int, isa: str, fused: bool) -> None:
    check_convolution(case, seed, isa, fused)


@given(convolutions(depthwise=False), SEEDS, ISAS, st.booleans())
def test_conv2d_in_blocks(case: tuple[Any, Any, Any], seed: int, isa: str, plain: bool) -> None:
    """The same result as plain, by way of `reorder`; ``plain`` images are read as they are."""
    shape, weight_shape, attributes = case
    if attributes["groups"] > 1:
        return
    x, weight = draw_array(seed, *shape), draw_array(seed + 1, *weight_shape)
    top, left, bottom, right = attributes["padding"]
    padded = functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    expected = functional.conv2d(
        padded, torch.from_numpy(weight), None, attributes["stride"], 0, attributes["dilation"]
    )
    n, filters, *size = expected.shape
    blocked = [(n, -(-shape[1] // 8), *shape[2:], 8), (n, -(-filters // 8), *size, 8)]
    tensors = [
        ("x", shape, "float32", "input"),
        ("xb", blocked[0], "float32", "intermediate"),
        ("w", weight_shape, "float32", "constant"),
        ("yb", blocked[1], "float32", "intermediate"),
        ("y", tuple(expected.shape), "float32", "output"),
    ]
    steps: list[Any] = [
        ("reorder", ["x"], ["xb"], {"layout": "nchw8c", "channels": shape[1]}),
        ("conv2d", ["x" if plain else "xb", "w"], ["yb"], attributes | {"layout": "nchw8c"}),
        ("reorder", ["yb"], ["y"], {"layout": "nchw", "channels": filters}),
    ]
    program = native.CpuProgram(tensors, steps, isa=isa)
    program.set_input("x", x)
    program.set_constant("w", weight)
    program.run()
    assert error(program.output("y"), expected.numpy()) < 1e-10
    program.run_reference()
    assert error(program.output("y"), expected.numpy()) < 1e-10


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 300), SEEDS, ISAS)
def test_linear(rows: int, outputs: int, inputs: int, seed: int, isa: str) -> None:
    x, weight, bias = draw_array(seed, rows, inputs), draw_array(seed + 1, outputs, inputs), draw_array(seed, outputs)
    expected = functional.relu(functional.linear(*map(torch.from_numpy, (x, weight, bias)))).numpy()
    constants = {"weight": weight, "bias": bias}
    (result,) = run_step("linear", [x], constants, [(rows, outputs)], {"activation": "relu"}, isa)
    assert error(result, expected) < 1e-10


@given(
    st.sampled_from([((2, 3), (2, 3)), ((2, 3), (3,)), ((), (4,)), ((2, 1), (1, 3)), ((), ())]),
    st.tuples(st.integers(1, 30), st.integers(1, 40), st.integers(1, 50)),
    SEEDS,
    ISAS,
)
def test_matmul(batches: tuple[tuple[int, ...], tuple[int, ...]], size: Any, seed: int, isa: str) -> None:
    m, n, k = size
    a, b = draw_array(seed, *batches[0], m, k), draw_array(seed + 1, *batches[1], k, n)
    expected = a @ b
    (result,) = run_step("matmul", [a, b], {}, [expected.shape], {}, isa)
    assert error(result, expected) < 1e-10


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70), st.integers(1, 40)),
    st.sampled_from(["plain", "causal", "mask"]),
    SEEDS,
    ISAS,
)
def test_sdpa(size: tuple[int, int, int, int], form: str, seed: int, isa: str) -> None:
    heads, queries, keys, width = size
    keys = queries if form == "causal" else keys
    q, k = draw_array(seed, 2, heads, queries, width), draw_array(seed + 1, 2, heads, keys, width)
    inputs = [q, k, draw_array(seed + 2, 2, heads, keys, width)]
    if form == "mask":
        inputs.append(draw_array(seed + 3, heads, queries, keys))
    causal = form == "causal"
    attend = functional.scaled_dot_product_attention
    expected = attend(*map(torch.from_numpy, inputs), is_causal=causal).numpy()
    (result,) = run_step("sdpa", inputs, {}, [expected.shape], {"causal": causal}, isa)
    assert error(result, expected) < 1e-10


@given(
    st.sampled_from(["max_pool2d", "avg_pool2d"]),
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.booleans(),
    st.booleans(),
    SEEDS,
    ISAS,
)
def test_pools(
    kind: str, window: tuple[int, ...], extra: tuple[int, int], ceil: bool, count: bool, seed: int, isa: str
) -> None:
    kernel, stride = window[:2], window[2:]
    padding = (kernel[0] // 2, kernel[1] // 2)
    x = draw_array(seed, 2, 3, kernel[0] + extra[0], kernel[1] + extra[1])
    attributes = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
    if kind == "max_pool2d":
        expected = functional.max_pool2d(torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil).numpy()
    else:
        expected = functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding, ceil, count).numpy()
        attributes["count_include_pad"] = count
    (result,) = run_step(kind, [x], {}, [expected.shape], attributes, isa)
    assert error(result, expected) < 1e-10


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(2, 40), SEEDS, ISAS)
def test_norms(batch: int, groups: int, per_group: int, width: int, seed: int, isa: str) -> None:
    channels = groups * per_group
    x, scale, shift = (
        draw_array(seed, batch, channels, width),
        draw_array(seed + 1, channels),
        draw_array(seed, channels),
    )
    affine = {"weight": scale, "bias": shift}
    expected = functional.group_norm(torch.from_numpy(x), groups, torch.from_numpy(scale), torch.from_numpy(shift))
    (result,) = run_step("group_norm", [x], affine, [x.shape], {"groups": groups}, isa)
    assert error(result, expected.numpy()) < 1e-8

    row = {"weight": draw_array(seed + 2, width), "bias": draw_array(seed + 3, width)}
    expected = functional.layer_norm(torch.from_numpy(x), (width,), *map(torch.from_numpy, row.values()))
    (result,) = run_step("layer_norm", [x], row, [x.shape], {}, isa)
    assert error(result, expected.numpy()) < 1e-8

    statistics = {"running_mean": draw_array(seed + 4, channels), "running_var": abs(draw_array(seed, channels)) + 0.1}
    expected = functional.batch_norm(
        torch.from_numpy(x), *map(torch.from_numpy, statistics.values()), *map(torch.from_numpy, affine.values())
    )
    (result,) = run_step("batch_norm", [x], affine | statistics, [x.shape], {}, isa)
    assert error(result, expected.numpy()) < 1e-8


ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "leaky_relu": functional.leaky_relu,
}


@given(st.sampled_from(sorted(ACTIVATIONS)), st.integers(1, 200), st.floats(0.01, 30), SEEDS, ISAS)
def test_activations(kind: str, count: int, size: float, seed: int, isa: str) -> None:
    x = draw_array(seed, count) * np.float32(size)
    x[0] = abs(x[0]) + 1  # not everywhere near zero, where only the absolute error is small
    expected = ACTIVATIONS[kind](torch.from_numpy(x)).numpy()
    (result,) = run_step(kind, [x], {}, [x.shape], {}, isa)
    assert error(result, expected) < 1e-10


@settings(max_examples=30)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data(), ISAS)
def test_softmax_and_mean_over_any_axis(shape: list[int], data: st.DataObject, isa: str) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = draw_array(0, *shape)
    expected = torch.softmax(torch.from_numpy(x), axis).numpy()
    (result,) = run_step("softmax", [x], {}, [x.shape], {"axis": axis}, isa)
    assert error(result, expected) < 1e-10
    mean = x.mean(axis, keepdims=True)
    (result,) = run_step("mean", [x], {}, [mean.shape], {"axes": (axis,)}, isa)
    assert result == pytest.approx(mean, abs=1e-6)


def program_of(op: Op, **changes: Any) -> Any:
    """A program of one op without weights; ``changes`` override parts of its description."""
    tensors = [("x", op.inputs[0].shape, "float32", "input"), ("y", op.outputs[0].shape, "float32", "output")]
    parts = {"tensors": tensors, "steps": [(op.kind, ["x"], ["y"], op.attributes)]} | changes
    return native.CpuProgram(parts["tensors"], parts["steps"], copies=parts.get("copies", 1))


POOL = make_op("max_pool2d", TensorType((1, 2, 6, 6)), kernel_size=3, stride=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [("max_pool3d", ["x"], ["y"], {})]}, r"step 0 \(max_pool3d\): unknown op; known: .*max_pool2d"),
        ({"steps": [("max_pool2d", ["x"], ["y"], {})]}, r"step 0 \(max_pool2d\): needs the attribute 'kernel_size'"),
        ({"steps": [("relu", ["x"], ["y"], {})]}, r"step 0 \(relu\): output 'y' must be 1x2x6x6, not 1x2x2x2"),
        ({"steps": [("relu", ["z"], ["y"], {})]}, "there is no tensor 'z'"),
        ({"steps": [("relu", ["x"], ["y"], {"slope": 2.0})]}, "step 0"),
        ({"steps": []}, "at least one step"),
        ({"tensors": [("x", (1, 0), "float32", "input")]}, "every dimension must be positive"),
        ({"tensors": [("x", (1 << 40, 1 << 40), "float32", "input")]}, "larger than 4 GiB"),
        ({"tensors": [("x", (1,), "float16", "input")]}, "'float16' is not supported"),
        ({"tensors": [("x", (1,), "float32", "weight")]}, "unknown role 'weight'"),
        ({"copies": 0}, "copies must be"),
    ],
)
def test_bad_programs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program_of(POOL, **changes)


def test_bad_content_is_refused() -> None:
    program = program_of(POOL)
    with pytest.raises(ValueError, match=r"input 'x' is 1x2x6x6 float32, not 1x2x36 float32"):
        program.set_input("x", np.zeros((1, 2, 36), np.float32))
    with pytest.raises(ValueError, match="float64"):
        program.set_input("x", np.zeros((1, 2, 6, 6)))
    with pytest.raises(ValueError, match="no constant 'x'"):
        program.set_constant("x", np.zeros((1, 2, 6, 6), np.float32))
    with pytest.raises(ValueError, match="no input or output 'z'"):
        program.output("z")
    with pytest.raises(ValueError, match="no kernels for 'mmx'"):
        native.CpuProgram([], [], isa="mmx")


def test_arrays_need_not_be_dense() -> None:
    program = program_of(POOL)
    x = draw_array(0, 6, 6, 2, 1).T
    program.set_input("x", x)
    program.run()
    assert np.array_equal(program.output("y"), functional.max_pool2d(torch.from_numpy(x.copy()), 3, 2).numpy())


def test_memory_grows_with_copies_of_the_constants_alone() -> None:
    tensors = [
        ("x", (1, 64), "float32", "input"),
        ("w", (256, 64), "float32", "constant"),
        ("y", (1, 256), "float32", "output"),
    ]
    steps: list[Any] = [("linear", ["x", "w"], ["y"], {})]
    one, three = (native.CpuProgram(tensors, steps, copies=copies) for copies in (1, 3))
    assert three.peak_bytes - one.peak_bytes == 2 * 4 * 256 * 64
    assert three.activation_bytes == one.activation_bytes
    assert three.copies == 3
    assert isinstance(one, native.Runnable)


def test_random_constants_keep_activations_in_range() -> None:
    """Deep programs of random weights neither explode nor vanish, so no kernel is timed on subnormals."""
    depth, width = 40, 64
    tensors: list[tuple[str, tuple[int, ...], str, str]] = [("t0", (8, width), "float32", "input")]
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
    for i in range(depth):
        role = "output" if i == depth - 1 else "intermediate"
        tensors += [(f"w{i}", (width, width), "float32", "constant"), (f"t{i + 1}", (8, width), "float32", role)]
        steps.append(("linear", [f"t{i}", f"w{i}"], [f"t{i + 1}"], {}))
    program = native.CpuProgram(tensors, steps, seed=3)
    program.run()
    assert 1e-3 < math.sqrt(float((program.output(f"t{depth}") ** 2).mean())) < 1e3
