"""ATen handlers of element-wise functions, reductions, and what does nothing in inference."""

import math

from ._draft import UnsupportedError
from ._torch_graph import AtenCall, handles

_UNARY = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "tanh": "tanh",
    "erf": "erf",
    "exp": "exp",
    "sqrt": "sqrt",
    "neg": "neg",
    "abs": "abs",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
}


@handles(*_UNARY)
def _unary(call: AtenCall) -> None:
    call.result(_UNARY[call.kind], call.live("self"))


@handles("gelu")
def _gelu(call: AtenCall) -> None:
    call.result("gelu", call.live("self"), approximate=call["approximate"])


@handles("leaky_relu")
def _leaky_relu(call: AtenCall) -> None:
    call.result("leaky_relu", call.live("self"), slope=call["negative_slope"])


@handles("hardtanh")
def _hardtanh(call: AtenCall) -> None:
    call.bounded(call.live("self"), call["min_val"], call["max_val"])


@handles("clamp", "clamp_min", "clamp_max", "clip")
def _clamp(call: AtenCall) -> None:
    low, high = call.args.get("min"), call.args.get("max")
    if isinstance(low, str) or isinstance(high, str):
        raise UnsupportedError("bounds that are tensors")
    call.bounded(call.live("self"), -math.inf if low is None else low, math.inf if high is None else high)


@handles("add", "sub", "mul", "div", "pow")
def _binary(call: AtenCall) -> None:
    if call.args.get("rounding_mode"):
        raise UnsupportedError("rounding_mode")
    power = call.kind == "pow"
    a = call.operand(call["self"])
    other = call["exponent" if power else "other"]
    if power and other == 2:
        call.result("mul", a, a)
        return
    b = call.operand(other)
    if call.args.get("alpha", 1) != 1:
        b = call.op("mul", b, call.operand(call["alpha"]))
    call.result(call.kind, a, b)


@handles("rsub")
def _rsub(call: AtenCall) -> None:
    if call["alpha"] != 1:
        raise UnsupportedError("alpha")
    call.result("sub", call.operand(call["other"]), call.operand(call["self"]))


@handles("square")
def _square(call: AtenCall) -> None:
    x = call.live("self")
    call.result("mul", x, x)


@handles("reciprocal")
def _reciprocal(call: AtenCall) -> None:
    call.result("div", call.operand(1.0), call.live("self"))


@handles("rsqrt")
def _rsqrt(call: AtenCall) -> None:
    call.result("div", call.operand(1.0), call.op("sqrt", call.live("self")))


@handles("addcmul")
def _addcmul(call: AtenCall) -> None:
    product = call.op("mul", call.live("tensor1"), call.live("tensor2"))
    if call["value"] != 1:
        product = call.op("mul", product, call.operand(call["value"]))
    call.result("add", call.live("self"), product)


@handles("softmax", "_softmax")
def _softmax(call: AtenCall) -> None:
    call.result("softmax", call.live("self"), axis=call.axis() - len(call.shape("self")))


@handles("mean", "sum", "amax", "max")
def _reduce(call: AtenCall) -> None:
    rank = len(call.shape("self"))
    dims = call.args.get("dim")
    if "other" in call.args:
        raise UnsupportedError("two tensors")
    axes = range(rank) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    x = call.live("self")
    if call.type is not None and call.type.dtype != call.dtype_of(x):
        x = call.op("cast", x, to=call.type.dtype)
    kind = "max" if call.kind == "amax" else call.kind
    call.result(kind, x, axes=tuple(axes), keepdims=bool(call.args.get("keepdim", False)))


@handles("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def _dropout(call: AtenCall) -> None:
    if call["train"]:
        raise UnsupportedError("training on")
    call.drop()


@handles("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "detach_copy")
def _nothing(call: AtenCall) -> None:
    call.drop()


@handles("to", "_to_copy", "type_as", "float", "half")
def _to(call: AtenCall) -> None:
    assert call.type is not None
    if call.dtype_of(call["self"]) == call.type.dtype:
        call.drop()
    else:
        call.result("cast", call.live("self"), to=call.type.dtype)
