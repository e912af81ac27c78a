"""The op catalogue: every declaration against torch and onnxruntime, and shape rules against torch on random shapes."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder, Op, OpSpec, TensorType, catalogue, make_op, spec_of
from lutra.networks.errors import ShapeError, UnknownNameError, UnsupportedDtypeError

torch = pytest.importorskip("torch")

SPECS = tuple(catalogue())
EXAMPLES = [pytest.param(op, id=op.key) for spec in SPECS for op in spec.examples()]


def network_of(op: Op):
    """A network of one op, named "op"."""
    builder = NetworkBuilder(op.kind)
    inputs = [builder.input(t.shape, t.dtype) for t in op.inputs]
    return builder.build(*builder.ops(op.kind, *inputs, name="op", **dict(op.attrs)))


def randomised(module):
    """``module`` in evaluation mode with random weights and statistics."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        for name, tensor in module.named_buffers():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("running_mean"):
                tensor.normal_(generator=generator)
    return module.eval().requires_grad_(False)


def example_inputs(op: Op):
    rng = np.random.default_rng(7)
    return [op.spec.example_input(op, i, rng) for i in range(len(op.inputs))]


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def error_of(measured, reference) -> float:
    """Mean squared error over the mean square of the reference."""
    a, b = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
    return float(((a - b) ** 2).mean() / max((b**2).mean(), 1e-30))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_declaration_is_complete(spec: OpSpec):
    assert spec_of(spec.kind) is spec
    assert spec.family
    assert spec.summary
    assert not spec.summary.endswith(".")
    assert spec.examples()
    assert 0 < spec.tolerance <= 1e-6
    for op in spec.examples():
        assert op.kind == spec.kind
    for name, attr in spec.attributes.items():
        assert attr.doc, name


@pytest.mark.parametrize("op", EXAMPLES)
def test_costs(op: Op):
    assert op.macs >= 0
    assert op.params >= 0
    assert op.bytes_moved >= 0
    if not op.spec.is_view and not op.spec.is_source:
        assert op.bytes_moved >= sum(t.nbytes for t in op.outputs)
    assert all(np.isfinite(value) for value in op.features().values() if value not in (float("inf"), float("-inf")))


@pytest.mark.parametrize("op", EXAMPLES)
def test_torch_module_agrees_with_inference(op: Op):
    module = op.spec.module(op)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}
    assert shapes == op.weights
    stored = {name: tuple(t.shape) for name, t in module.named_buffers() if name in op.buffers}
    assert stored == op.buffers
    with torch.no_grad():
        results = as_tuple(randomised(module)(*map(torch.as_tensor, example_inputs(op))))
    assert [(tuple(r.shape), str(r.dtype)) for r in results] == [(t.shape, f"torch.{t.dtype}") for t in op.outputs]


@pytest.mark.parametrize("op", EXAMPLES)
def test_onnx_form_computes_what_torch_computes(op: Op):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from lutra.networks.exporters import to_onnx, to_torch

    network = network_of(op)
    module = randomised(to_torch(network))
    inputs = example_inputs(op)
    expected = as_tuple(module(*map(torch.as_tensor, inputs)))

    model = to_onnx(network, weights={name: t.numpy() for name, t in module.state_dict().items()})
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {name: value for (name, _), value in zip(network.inputs, inputs, strict=True)}
    for type_, reference, measured in zip(op.outputs, expected, session.run(None, feed), strict=True):
        assert measured.shape == type_.shape
        assert str(measured.dtype) == type_.dtype
        assert error_of(measured, reference.numpy()) <= op.spec.tolerance


@st.composite
def convolutions(draw: st.DrawFn) -> Op:
    rank = draw(st.sampled_from((1, 2)))
    groups = draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(1, 14), min_size=rank, max_size=rank))
    window = [st.lists(st.integers(1, high), min_size=rank, max_size=rank) for high in (5, 3, 3)]
    kernel, stride, dilation = (draw(strategy) for strategy in window)
    pads = draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
    x = TensorType((draw(st.integers(1, 2)), groups * draw(st.integers(1, 3)), *sizes))
    try:
        return make_op(
            f"conv{rank}d",
            x,
            out_channels=groups * draw(st.integers(1, 3)),
            kernel_size=tuple(kernel),
            stride=tuple(stride),
            padding=tuple(pads),
            dilation=tuple(dilation),
            groups=groups,
            bias=draw(st.booleans()),
        )
    except ShapeError:
        reach = [s + pads[i] + pads[i + rank] - dilation[i] * (kernel[i] - 1) for i, s in enumerate(sizes)]
        assert min(reach) < 1  # refused only where the window really does not fit
        assume(False)
        raise


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_convolution_shapes_are_those_of_torch(op: Op):
    result = op.spec.module(op)(torch.zeros(op.inputs[0].shape))
    assert tuple(result.shape) == op.outputs[0].shape
    per_output = op.inputs[0].shape[1] // op["groups"] * int(np.prod(op["kernel_size"]))
    assert op.macs == result.numel() * per_output


@settings(deadline=None, max_examples=100)
@given(
    kind=st.sampled_from(("max_pool2d", "avg_pool2d")),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    ceil_mode=st.booleans(),
)
def test_pooling_shapes_are_those_of_torch(kind, size, kernel, stride, padding, ceil_mode):
    function = getattr(torch.nn.functional, kind)
    x = torch.zeros((1, 2, *size))
    try:
        expected = tuple(function(x, kernel, stride, padding, ceil_mode=ceil_mode).shape)
    except RuntimeError:
        expected = None
    try:
        attrs = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        op = make_op(kind, TensorType((1, 2, *size)), **attrs)
    except ShapeError:
        assert expected is None
        return
    assert op.outputs[0].shape == expected
    assert tuple(op.spec.module(op)(x).shape) == expected


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    extra=st.integers(0, 2),
)
def test_transposed_convolution_shapes_are_those_of_torch(size, kernel, stride, padding, extra):
    assume(extra < stride)
    attrs = {"kernel_size": kernel, "stride": stride, "padding": padding, "output_padding": extra}
    x = TensorType((1, 2, *size))
    try:
        op = make_op("conv_transpose2d", x, out_channels=3, **attrs)
    except ShapeError:
        assert min((s - 1) * stride - 2 * padding + kernel + extra for s in size) < 1
        return
    assert tuple(op.spec.module(op)(torch.zeros(x.shape)).shape) == op.outputs[0].shape


@settings(deadline=None, max_examples=60)
@given(
    left=st.lists(st.integers(1, 3), max_size=3),
    right=st.lists(st.integers(1, 3), max_size=3),
    kind=st.sampled_from(("add", "mul", "matmul")),
)
def test_broadcasting_is_that_of_torch(left, right, kind):
    if kind == "matmul":
        left, right = [*left, 2, 4], [*right, 4, 3]
    try:
        expected = tuple(getattr(torch, kind)(torch.zeros(left), torch.zeros(right)).shape)
    except RuntimeError:
        expected = None
    try:
        op = make_op(kind, TensorType(tuple(left)), TensorType(tuple(right)))
    except ShapeError:
        assert expected is None
        return
    assert op.outputs[0].shape == expected


@pytest.mark.parametrize(
    ("kind", "shapes", "attrs", "problem"),
    [
        ("conv2d", [(1, 3, 4, 4)], {"out_channels": 4}, "needs attribute 'kernel_size'"),
        ("conv2d", [(1, 3, 4, 4)], {"out_channels": 4, "kernel_size": 9}, "does not fit"),
        ("conv2d", [(1, 3, 4, 4)], {"out_channels": 4, "kernel_size": 1, "groups": 2}, "do not divide"),
        ("conv2d", [(1, 3, 4, 4)], {"out_channels": 4, "kernel_size": 1, "strides": 2}, "no attribute 'strides'"),
        ("conv2d", [(1, 3, 4, 4)], {"out_channels": 0, "kernel_size": 1}, "at least 1"),
        ("conv2d", [(1, 3, 4)], {"out_channels": 4, "kernel_size": 1}, "4-dimensional"),
        ("linear", [(1, 3), (3, 4)], {"out_features": 4}, "takes 1 inputs"),
        ("matmul", [(2, 3), (4, 5)], {}, "cannot multiply"),
        ("add", [(2, 3), (4, 5)], {}, "cannot broadcast"),
        ("concat", [(2, 3), (4, 5)], {}, "cannot join"),
        ("split", [(2, 3)], {"sizes": (1, 1)}, "do not add up"),
        ("reshape", [(2, 3)], {"shape": (5,)}, "does not fit"),
        ("reshape", [(2, 3)], {"shape": (-1, -1)}, "more than one"),
        ("softmax", [(2, 3)], {"axis": 2}, "no axis"),
        ("sdpa", [(2, 3), (2, 4), (2, 4)], {}, "cannot attend"),
        ("upsample", [(1, 2, 3, 4)], {"size": (2, 2), "mode": "cubic"}, "one of nearest"),
    ],
)
def test_impossible_ops_are_refused(kind, shapes, attrs, problem):
    with pytest.raises(ShapeError, match=problem):
        make_op(kind, *map(TensorType, shapes), **attrs)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="conv2d"):
        make_op("conv2", TensorType((1,)))
    with pytest.raises(UnsupportedDtypeError, match="float4"):
        TensorType((1,), "float4")


@pytest.mark.parametrize("shape", [(0,), (1, -2), (1 << 41,), (True,)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ShapeError):
        TensorType(shape)


def test_equal_ops_are_one_object():
    x = TensorType((1, 3, 8, 8))
    first = make_op("conv2d", x, out_channels=4, kernel_size=3, padding=1)
    assert make_op("conv2d", x, out_channels=4, kernel_size=(3, 3), padding=(1, 1, 1, 1)) is first
    assert make_op("conv2d", x, out_channels=4, kernel_size=3, padding=0) != first
