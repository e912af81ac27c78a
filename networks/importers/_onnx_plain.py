"""ONNX handlers of element-wise functions, reductions and what does nothing."""

import math

import numpy as np

from ..errors import UnsupportedDtypeError
from ..ops import BITS
from ._draft import Stored, UnsupportedError
from ._onnx_graph import Call, handles

_SAME = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Erf": "erf",
    "Exp": "exp",
    "Sqrt": "sqrt",
    "Neg": "neg",
    "Abs": "abs",
    "HardSwish": "hard_swish",
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
}


@handles(*_SAME)
def _same(call: Call) -> None:
    call.result(_SAME[call.node.op_type], *(call.live(i) for i in range(len(call.inputs))))


@handles("Pow")
def _pow(call: Call) -> None:
    x, power = call.live(0), call.value(1)
    dtype = call.draft.types[x].dtype
    if isinstance(power, Stored) and power.values is not None:  # ONNX lets the exponent have a type of its own
        power = Stored(power.shape, dtype, values=power.values)
    call.result("pow", x, call.hold(power))


@handles("Sum")
def _sum(call: Call) -> None:
    total = call.live(0)
    for i in range(1, len(call.inputs)):
        total = call.op("add", total, call.live(i))
    call.give(total)


@handles("Reciprocal")
def _reciprocal(call: Call) -> None:
    x = call.live(0)
    call.result("div", call.scalar(1.0, x), x)


@handles("LeakyRelu")
def _leaky_relu(call: Call) -> None:
    call.result("leaky_relu", call.live(0), slope=call.attr("alpha", 0.01))


@handles("HardSigmoid")
def _hard_sigmoid(call: Call) -> None:
    alpha, beta, x = call.attr("alpha", 0.2), call.attr("beta", 0.5), call.live(0)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-3) and math.isclose(beta, 0.5, rel_tol=1e-3):
        call.result("hard_sigmoid", x)
        return
    line = call.op("add", call.op("mul", x, call.scalar(alpha, x)), call.scalar(beta, x))
    call.result("clip", line, low=0.0, high=1.0)


@handles("Gelu", "com.microsoft.Gelu", "com.microsoft.FastGelu")
def _gelu(call: Call) -> None:
    if call.has(1):
        raise UnsupportedError("a bias")
    fast = call.node.op_type == "FastGelu"
    call.result("gelu", call.live(0), approximate="tanh" if fast else call.attr("approximate", "none"))


@handles("com.microsoft.QuickGelu")
def _quick_gelu(call: Call) -> None:
    x = call.live(0)
    call.result("mul", x, call.op("sigmoid", call.op("mul", x, call.scalar(call.attr("alpha", 1.702), x))))


@handles("Clip")
def _clip(call: Call) -> None:
    bounds = [call.attr("min", -math.inf), call.attr("max", math.inf)]
    for i in (1, 2):
        if call.has(i):
            bounds[i - 1] = float(call.known(i, "bounds").ravel()[0])
    # Exporters write the largest finite number where there is no bound.
    low, high = (math.inf * v if abs(v) > 1e38 else v for v in bounds)
    call.bounded(call.live(0), low, high)


@handles("Min", "Max")
def _bound(call: Call) -> None:
    """Only against a number: then it is half of a clip."""
    tensors = [call.stored(i) for i in range(len(call.inputs))]
    known = [i for i, t in enumerate(tensors) if t is not None and t.values is not None and t.values.size == 1]
    if len(call.inputs) != 2 or len(known) != 1:
        raise UnsupportedError("several tensors")
    bound = float(call.known(known[0], "bounds").ravel()[0])
    low, high = (bound, math.inf) if call.node.op_type == "Max" else (-math.inf, bound)
    call.bounded(call.live(1 - known[0]), low, high)


@handles("Softmax")
def _softmax(call: Call) -> None:
    x, shape = call.live(0), call.shape(0)
    axis = call.attr("axis", -1 if call.opset >= 13 else 1) % len(shape)
    if call.opset >= 13 or axis == len(shape) - 1:
        call.result("softmax", x, axis=axis - len(shape))
        return
    # Before opset 13 all axes from `axis` on sum to one together.
    flat = call.hold(call.reshaped(x, (math.prod(shape[:axis]), math.prod(shape[axis:]))))
    call.result("reshape", call.op("softmax", flat), shape=shape)


_REDUCTIONS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max"}


@handles(*_REDUCTIONS)
def _reduce(call: Call) -> None:
    axes = call.attr("axes") or (call.ints(1, "axes") if call.has(1) else [])
    if not axes and call.attr("noop_with_empty_axes", 0):
        call.drop()
        return
    axes = axes or range(len(call.shape(0)))
    keep = bool(call.attr("keepdims", 1))
    call.result(_REDUCTIONS[call.node.op_type], call.live(0), axes=tuple(axes), keepdims=keep)


@handles("Identity")
def _identity(call: Call) -> None:
    if call.stored(0) is None:
        call.drop()
    else:
        call.give(call.value(0))


@handles("Dropout")
def _dropout(call: Call) -> None:
    training = call.stored(2)
    if call.has(2) and (training is None or not training.all_equal(0)):
        raise UnsupportedError("training_mode=1")
    call.drop()


@handles("Cast", "CastLike")
def _cast(call: Call) -> None:
    from onnx import TensorProto

    if call.node.op_type == "CastLike":
        dtype = call.dtype_of(call.value(1))
    else:
        name = TensorProto.DataType.Name(call.attr("to"))
        dtype = {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())
    if dtype not in BITS:
        raise UnsupportedDtypeError(
            f"node {call.node.name!r} casts to {dtype}, which is not supported", hint="export the model in float32"
        )
    if call.dtype_of(call.value(0)) == dtype:
        call.drop()
    else:
        call.result("cast", call.live(0), to=dtype)


@handles("Shape")
def _shape(call: Call) -> None:
    shape = call.shape(0)[call.attr("start", 0) : call.attr("end", None)]
    call.give(Stored.of(np.asarray(shape, np.int64)))


@handles("Size")
def _size(call: Call) -> None:
    call.give(Stored.of(np.asarray(math.prod(call.shape(0)), np.int64)))


@handles("Constant")
def _constant(call: Call) -> None:
    from ._onnx_read import stored

    ((name, value),) = call.attributes.items()
    if name == "value":
        call.give(stored(value, call.node.output[0]))
    elif name in ("value_float", "value_floats"):
        call.give(Stored.of(np.asarray(value, np.float32)))
    elif name in ("value_int", "value_ints"):
        call.give(Stored.of(np.asarray(value, np.int64)))
    else:
        raise UnsupportedError(name)
