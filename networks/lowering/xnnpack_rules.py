"""How XNNPACK computes each op of the catalogue: which of its operators, in which memory order.

Images are stored with channels last. What XNNPACK has no operator for is written in several (layer norm, attention,
silu), as converters to its format do.
"""

from ..ops import Op
from . import xnnpack_movement, xnnpack_pointwise, xnnpack_products
from .xnnpack_emit import Fused
from .xnnpack_graph import XnnGraph
from .xnnpack_products import equal_window

MAX_RANK = 6

IMAGE_OPS = frozenset(
    {
        *("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"),
        *("upsample", "channel_shuffle"),
    }
)
"""Ops that take their first input with channels last."""

RULES = xnnpack_products.RULES | xnnpack_pointwise.RULES | xnnpack_movement.RULES


def lacking(op: Op) -> str:
    """What XNNPACK lacks to compute ``op``, in words; "" if nothing."""
    if op.spec.is_source:
        return ""
    if op.kind not in RULES:
        return op.kind
    if any(t.dtype != "float32" for t in (*op.inputs, *op.outputs)):
        return f"{op.kind} of {op.inputs[0].dtype}"
    if any(t.rank > MAX_RANK for t in (*op.inputs, *op.outputs)):
        return f"{op.kind} of over {MAX_RANK} axes"
    match op.kind:
        case "gelu" if op["approximate"] != "none":
            return "gelu by tanh"
        case "upsample" if op["mode"] != "bilinear":
            return f"{op['mode']} upsample"
        case "slice" if op["step"] != 1:
            return "slice with steps"
        case "adaptive_avg_pool2d" if equal_window(op) is None:
            return "adaptive_avg_pool2d with unequal windows"
        case "expand" if op.outputs[0].rank != op.inputs[0].rank:
            return "expand to more axes"
        case _:
            return ""


def write(graph: XnnGraph, fused: Fused) -> None:
    """Append what computes ``fused``."""
    RULES[fused.op.kind](graph, fused)
