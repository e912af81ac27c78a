"""Ops of the catalogue in oneDNN's terms: which primitive, which algorithm, which attributes."""

import math
from collections.abc import Callable

from ..ops import Op
from .kernel import AttrValue

Attrs = dict[str, AttrValue]
Eltwise = tuple[str, float, float]
"""Algorithm, alpha and beta of an element-wise function."""

_FLOAT_MAX = 3.4028234663852886e38
_FIXED: dict[str, Eltwise] = {
    "relu": ("relu", 0.0, 0.0),
    "relu6": ("clip", 0.0, 6.0),
    "hard_sigmoid": ("hardsigmoid", 1 / 6, 0.5),
    "hard_swish": ("hardswish", 1 / 6, 0.5),
    "sigmoid": ("logistic", 0.0, 0.0),
    "silu": ("swish", 1.0, 0.0),
    "tanh": ("tanh", 0.0, 0.0),
    "exp": ("exp", 0.0, 0.0),
    "sqrt": ("sqrt", 0.0, 0.0),
    "abs": ("abs", 0.0, 0.0),
    "neg": ("linear", -1.0, 0.0),
}
_BY_A_NUMBER: dict[str, Callable[[float], Eltwise]] = {
    "add": lambda number: ("linear", 1.0, number),
    "sub": lambda number: ("linear", 1.0, -number),
    "mul": lambda number: ("linear", number, 0.0),
    "div": lambda number: ("linear", 1.0 / number, 0.0),
    "pow": lambda number: ("pow", 1.0, number),
}

BINARY = frozenset({"add", "sub", "mul", "div"})
COMMUTES = frozenset({"add", "mul"})
REDUCTIONS = frozenset({"mean", "sum", "max"})
POOLS = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"})


def eltwise(op: Op) -> Eltwise | None:
    """The element-wise function that ``op`` is, if oneDNN has it."""
    match op.kind:
        case "leaky_relu":
            return "relu", float(op["slope"]), 0.0
        case "clip":
            return "clip", max(float(op["low"]), -_FLOAT_MAX), min(float(op["high"]), _FLOAT_MAX)
        case "gelu":
            return ("gelu_erf" if op["approximate"] == "none" else "gelu_tanh"), 0.0, 0.0
        case _:
            return _FIXED.get(op.kind)


def eltwise_by_number(op: Op, number: float) -> Eltwise | None:
    """The element-wise function that an op of two tensors is where the second is one known number."""
    if op.kind not in _BY_A_NUMBER or (op.kind == "div" and number == 0):
        return None
    return _BY_A_NUMBER[op.kind](number)


def activation_attrs(function: Eltwise, name: str = "activation") -> Attrs:
    """Attributes that say an element-wise function; parameters that are 0 are left out."""
    algorithm, alpha, beta = function
    attrs: Attrs = {name: algorithm}
    attrs.update({key: value for key, value in (("alpha", alpha), ("beta", beta)) if value})
    return attrs


def window_attrs(op: Op) -> Attrs:
    """Attributes of a convolution, straight or transposed."""
    rank = len(op["kernel_size"])
    pads = op["padding"]
    begin, end = (pads[:rank], pads[rank:]) if len(pads) == 2 * rank else (pads, pads)
    if op.kind == "conv_transpose2d":
        end = tuple(pad - extra for pad, extra in zip(end, op["output_padding"], strict=True))
    return {
        "strides": op["stride"],
        "dilations": op["dilation"],
        "pads_begin": begin,
        "pads_end": end,
        "groups": op["groups"],
    }


def pooling_attrs(op: Op) -> Attrs | None:
    """Attributes of a pooling; None where oneDNN would compute something else."""
    height, width = op.inputs[0].shape[2:]
    if op.kind == "global_avg_pool2d":
        return _plain_pooling((height, width))
    if op.kind == "adaptive_avg_pool2d":
        rows, columns = op["output_size"]
        fits = height % rows == 0 and width % columns == 0
        return _plain_pooling((height // rows, width // columns)) if fits else None
    pads, end = op["padding"], []
    for axis, size in enumerate((height, width)):
        covered = (op.outputs[0].shape[2 + axis] - 1) * op["stride"][axis] + op["kernel_size"][axis]
        end.append(covered - size - pads[axis])
    sticks_out = any(e > p for e, p in zip(end, pads[2:], strict=True))
    average = op.kind == "avg_pool2d"
    if average and sticks_out and op["count_include_pad"]:
        return None  # the part of a window that sticks out of the padding does not count, but oneDNN counts it
    algorithm = "max" if not average else "avg_include_padding" if op["count_include_pad"] else "avg_exclude_padding"
    return {
        "algorithm": algorithm,
        "window": op["kernel_size"],
        "strides": op["stride"],
        "pads_begin": pads[:2],
        "pads_end": tuple(end),
    }


def _plain_pooling(window: tuple[int, int]) -> Attrs:
    none = (0, 0)
    return {
        "algorithm": "avg_exclude_padding",
        "window": window,
        "strides": window,
        "pads_begin": none,
        "pads_end": none,
    }


def resampling_attrs(op: Op) -> Attrs | None:
    """Attributes of a resampling; None where nearest neighbours are others than ours."""
    if op["mode"] == "bilinear":
        return {"algorithm": "linear"}
    exact = all(
        math.floor(i * size / wanted) == _their_nearest(i, size, wanted)
        for size, wanted in zip(op.inputs[0].shape[2:], op["size"], strict=True)
        for i in range(wanted)
    )
    return {"algorithm": "nearest"} if exact else None


def _their_nearest(index: int, size: int, wanted: int) -> int:
    """Developer guide of oneDNN 3.2, Resampling: round((index + 0.5) * size / wanted - 0.5)."""
    return round((index + 0.5) * size / wanted - 0.5)


def lacking(op: Op) -> str:
    """What oneDNN lacks to compute ``op`` on activations in one primitive or a short row of them; "" if nothing."""
    others = [type_.dtype for type_ in (*op.inputs, *op.outputs) if type_.dtype != "float32"]
    if others:
        return f"{op.kind} of {others[0]}"
    match op.kind:
        case "sdpa":
            return "causal sdpa" if op["causal"] else ""
        case "pad":
            return "pad with a number" if op["value"] else ""
        case "slice":
            # A step is a second axis, of which one element is kept: it must divide the axis.
            step, size = op["step"], op.inputs[0].shape[op["axis"]]
            kept = step == 1 or (size % step == 0 and op["start"] < step and op["end"] >= size)
            return "" if kept else "slice with steps"
        case "upsample":
            return "" if resampling_attrs(op) else f"{op['mode']} upsample by such a factor"
        case kind if kind in POOLS:
            return "" if pooling_attrs(op) else f"{kind} with such windows"
        case kind:
            known = kind in _TAKEN or kind in REDUCTIONS or eltwise(op) is not None
            return "" if known else kind


_TAKEN = BINARY | {
    *("conv1d", "conv2d", "conv_transpose2d", "linear", "matmul", "batch_norm", "layer_norm", "softmax", "pow"),
    *("concat", "split", "transpose", "channel_shuffle", "reshape", "flatten"),
}
