"""8-bit programs of the native CPU kernels against torch in float64, and what they refuse."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

native = pytest.importorskip("lutra.profiler._native", reason="the extension module is not built")
torch = pytest.importorskip("torch", reason="the reference needs torch")
functional = torch.nn.functional

Array = np.ndarray[Any, Any]

ISAS = st.sampled_from(native.available_isas())
X = {"x_scale": 0.05, "x_zero": 120}
Y = {"y_scale": 0.07, "y_zero": 90}


def blocked(x: Array) -> Array:
    """N x C x H x W in blocks of eight channels."""
    batch, channels, *size = x.shape
    padded = np.zeros((batch, -(-channels // 8) * 8, *size), x.dtype)
    padded[:, :channels] = x
    return np.ascontiguousarray(padded.reshape(batch, -1, 8, *size).transpose(0, 1, 3, 4, 2))


def requantised(values: Array) -> Array:
    return np.clip(np.rint(values / Y["y_scale"]) + Y["y_zero"], 0, 255)


def run(tensors: dict[str, Array], constants: dict[str, Array], out: tuple[int, ...], step: Any, isa: str) -> Array:
    kind, attrs = step
    listed = [(name, array.shape, str(array.dtype), "input") for name, array in tensors.items()]
    listed += [(name, array.shape, str(array.dtype), "constant") for name, array in constants.items()]
    first, *rest = tensors
    names = [first, *constants, *rest]
    program = native.CpuProgram([*listed, ("y", out, "uint8", "output")], [(kind, names, ["y"], attrs)], isa=isa)
    for name, array in tensors.items():
        program.set_input(name, array)
    for name, array in constants.items():
        program.set_constant(name, array)
    program.run()
    result = program.output("y")
    program.run_reference()
    assert np.array_equal(result, program.output("y"))
    return result


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 12)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)),
    st.booleans(),
    st.sampled_from(["none", "relu", "relu6"]),
    st.integers(0, 2**32 - 1),
    ISAS,
)
def test_convolutions_do_what_they_do_in_float(
    counts: tuple[int, int, int], window: tuple[int, int, int], plain: bool, activation: str, seed: int, isa: str
) -> None:
    rng = np.random.default_rng(seed)
    groups, inputs, outputs = counts
    kernel, stride, padding = window
    x = rng.integers(0, 256, (2, groups * inputs, 7, 5), np.uint8)
    weight = rng.integers(-127, 128, (groups * outputs, inputs, kernel, kernel), np.int8)
    bias = rng.integers(-500, 500, groups * outputs, np.int32)
    scale = rng.uniform(0.001, 0.01, groups * outputs).astype(np.float32)
    real = functional.conv2d(
        torch.from_numpy((x.astype(np.float64) - X["x_zero"]) * X["x_scale"]),
        torch.from_numpy(weight * scale.astype(np.float64)[:, None, None, None]),
        torch.from_numpy(bias * scale.astype(np.float64) * X["x_scale"]),
        stride,
        padding,
        groups=groups,
    )
    real = {"none": lambda v: v, "relu": functional.relu, "relu6": functional.relu6}[activation](real)
    expected = blocked(requantised(real.numpy()))
    attrs = {"stride": stride, "padding": padding, "groups": groups, "activation": activation, "layout": "nchw8c"}
    constants = {"weight": weight, "bias": bias, "scale": scale}
    result = run({"x": x if plain else blocked(x)}, constants, expected.shape, ("conv2d", attrs | X | Y), isa)
    written = blocked(np.ones(real.shape, bool))
    assert np.abs(result.astype(float) - expected)[written].max() <= 1  # a value half way may fall to either side


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 60), st.integers(0, 2**32 - 1), ISAS)
def test_linear_layers_with_residuals(rows: int, outputs: int, depth: int, seed: int, isa: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (rows, depth), np.uint8)
    residual = rng.integers(0, 256, (rows, outputs), np.uint8)
    weight = rng.integers(-127, 128, (outputs, depth), np.int8)
    scale = rng.uniform(0.001, 0.01, outputs).astype(np.float32)
    attrs = X | Y | {"b_scale": 0.03, "b_zero": 7}
    real = (x.astype(float) - X["x_zero"]) @ weight.T.astype(float) * scale * X["x_scale"] + (residual - 7.0) * 0.03
    constants = {"weight": weight, "scale": scale}
    result = run({"x": x, "residual": residual}, constants, (rows, outputs), ("linear", attrs), isa)
    assert np.abs(result - requantised(real)).max() <= 1


@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d", "global_avg_pool2d"])
@pytest.mark.parametrize("in_blocks", [False, True])
def test_pools(kind: str, in_blocks: bool) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 7), np.uint8)
    attrs: dict[str, Any] = {} if kind.startswith("global") else {"kernel_size": 3, "stride": 2, "padding": 1}
    real = torch.from_numpy((x.astype(float) - X["x_zero"]) * X["x_scale"])
    if kind == "max_pool2d":
        expected = functional.max_pool2d(real, 3, 2, 1).numpy() / X["x_scale"] + X["x_zero"]
    else:
        attrs |= X | Y
        whole = real.mean((2, 3), keepdim=True)
        expected = requantised((whole if not attrs.get("stride") else functional.avg_pool2d(real, 3, 2, 1)).numpy())
    layout = blocked if in_blocks else np.asarray
    written = layout(np.ones(expected.shape, bool))
    for isa in native.available_isas():
        result = run({"x": layout(x)}, {}, layout(expected).shape, (kind, attrs), isa)
        assert np.abs(result - layout(expected))[written].max() <= 1


def test_sums() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 3, 11), np.uint8)
    attrs = X | Y | {"b_scale": 0.03, "b_zero": 7}
    real = (a.astype(float) - X["x_zero"]) * X["x_scale"] + (b - 7.0) * 0.03
    for isa in native.available_isas():
        assert np.abs(run({"a": a, "b": b}, {}, a.shape, ("add", attrs), isa) - requantised(real)).max() <= 1


def test_there_and_back() -> None:
    tensors = [
        ("x", (3, 50), "float32", "input"),
        ("q", (3, 50), "uint8", "intermediate"),
        ("view", (150,), "uint8", "intermediate"),
        ("y", (150,), "float32", "output"),
    ]
    attrs = {"y_scale": 0.05, "y_zero": 120}, {"x_scale": 0.05, "x_zero": 120}
    steps: list[Any] = [
        ("quantise", ["x"], ["q"], attrs[0]),
        ("reshape", ["q"], ["view"], {}),
        ("dequantise", ["view"], ["y"], attrs[1]),
    ]
    for isa in native.available_isas():
        program = native.CpuProgram(tensors, steps, isa=isa)
        x = np.random.default_rng(0).uniform(-9, 9, (3, 50)).astype(np.float32)
        program.set_input("x", x)
        program.run()
        assert np.abs(program.output("y") - np.clip(x, -6, 6.75).reshape(-1)).max() <= 0.0251


def test_random_contents_fill_their_types() -> None:
    tensors = [("x", (4000,), "uint8", "input"), ("y", (4000,), "uint8", "output")]
    x = native.CpuProgram(tensors, [("reshape", ["x"], ["y"], {})]).output("x")
    assert (x.min(), x.max()) == (0, 255)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attrs": {}}, "layout nchw8c"),
        ({"attrs": {"layout": "nchw8c", "activation": "silu"}}, "none, relu and relu6 alone"),
        ({"attrs": {"layout": "nchw8c", "x_zero": 256}}, "'x_zero' must be 0 to 255"),
        ({"attrs": {"layout": "nchw8c", "y_scale": 0.0}}, "'y_scale' must be positive"),
        ({"weight": "float32"}, "input 'w' must be int8, not float32"),
        ({"x": (1, 40_000, 1, 1)}, "leave it float32"),
        ({"inputs": ["x", "w", "x"]}, "must be float32, not uint8"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    x = changes.get("x", (1, 8, 1, 1))
    tensors = [
        ("x", x, "uint8", "input"),
        ("w", (8, x[1], 1, 1), changes.get("weight", "int8"), "constant"),
        ("scale", (8,), "float32", "constant"),
        ("y", (1, 1, 1, 1, 8), "uint8", "output"),
    ]
    step = ("conv2d", changes.get("inputs", ["x", "w", "scale"]), ["y"], changes.get("attrs", {"layout": "nchw8c"}))
    with pytest.raises(ValueError, match=message):
        native.CpuProgram(tensors, [step])
