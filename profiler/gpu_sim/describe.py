"""What a kernel of `lutra.networks.lowering.cuda` asks of a GPU: one op of the model, or a few in a row."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from ...networks.errors import UnsupportedOpError
from ...networks.lowering import Kernel
from ...networks.lowering.kernel import AttrValue
from ...networks.ops import TensorType
from .device import Dtype
from .ops import GpuOp

_ELEMENTS: Final[Mapping[str, Dtype]] = {
    "float32": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "int8": "int8",
    "float8": "fp8",
}
"""Number format of what is not multiplied, by element type; all else counts as four bytes."""

_NORMS: Final = frozenset({"layer_norm", "rms_norm"})
_POOLS: Final = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"})
_REDUCTIONS: Final = frozenset({"mean", "sum", "max"})
_MOVES: Final = frozenset(
    {"concat", "split", "slice", "pad", "channel_shuffle", "transpose", "reshape", "flatten", "expand", "embedding"}
    | {"relayout", "upsample", "quantise", "dequantise"}
)
_Attrs = Mapping[str, AttrValue]
_Types = list[TensorType]


def ops_of(kernel: Kernel) -> list[GpuOp]:
    """What a kernel asks of a GPU, in order.

    An activation, a bias or a residual sum that a product or convolution applies to its own result rides along.

    Raises:
        UnsupportedOpError: the kernel is no product, or the model has no idea of it.
    """
    node = kernel.nodes[0]
    types = dict(kernel.inputs) | {name: constant.type for name, constant in kernel.constants}
    read = [types[name] for name in node.inputs if name in types]
    made = [type_ for _, type_ in kernel.outputs]
    attrs = dict(node.attrs)
    if node.op in _PRODUCTS:
        return _PRODUCTS[node.op](attrs, read, made, _math(attrs))
    dtype = _ELEMENTS.get((read or made)[0].dtype, "fp32")
    elements = sum(math.prod(type_.shape) for type_ in made)
    if node.op in _MOVES:
        # What is taken out of a table or a slice is all that is read.
        moved = sum(type_.nbytes for type_ in made)
        given = sum(type_.nbytes for type_ in read)
        converts = node.op in ("quantise", "dequantise")
        return [GpuOp.movement(given if converts else min(given, moved), moved)]
    if node.op == "softmax":
        axis = attrs["axis"]
        assert isinstance(axis, int)
        width = read[0].shape[axis]
        return [GpuOp.softmax(max(elements // max(width, 1), 1), max(width, 1), dtype=dtype)]
    if node.op in _NORMS:
        width = read[0].shape[-1]
        return [GpuOp.norm(max(elements // max(width, 1), 1), max(width, 1), dtype=dtype)]
    if node.op == "group_norm":
        rows = read[0].shape[0] * _integer(attrs["groups"])
        return [GpuOp.norm(rows, max(elements // rows, 1), dtype=dtype)]
    if node.op in _POOLS | _REDUCTIONS:
        inputs = math.prod(read[0].shape)
        window = attrs.get("kernel_size")
        size = math.prod(map(int, window)) if isinstance(window, tuple) else max(inputs // max(elements, 1), 1)
        return [GpuOp.pooling(inputs, max(elements, 1), size, dtype=dtype)]
    if not made:
        raise UnsupportedOpError("the model of simulated GPUs", {node.op: 1}, hint="measure it on a real one")
    activations = sum(name in dict(kernel.inputs) for name in node.inputs)
    return [GpuOp.elementwise(max(elements, 1), reads=max(activations, 1), dtype=dtype)]


def _math(attrs: _Attrs) -> Dtype:
    math_ = attrs["math"]
    for known in ("fp32", "tf32", "fp16", "bf16", "int8", "fp8"):
        if known == math_:
            return known
    raise UnsupportedOpError("the model of simulated GPUs", {f"products in {math_}": 1}, hint="give another precision")


def _conv2d(attrs: _Attrs, read: _Types, made: _Types, dtype: Dtype) -> list[GpuOp]:
    del made
    batch, channels, height, width = read[0].shape
    filters, _, *window = read[1].shape
    top, left, bottom, right = _integers(attrs["padding"])
    stride, dilation = _integers(attrs["stride"]), _integers(attrs["dilation"])
    return [
        GpuOp.conv2d(
            batch,
            channels,
            height,
            width,
            filters,
            kernel=(window[0], window[1]),
            stride=(stride[0], stride[1]),
            padding=(max(top, bottom), max(left, right)),
            dilation=(dilation[0], dilation[1]),
            groups=_integer(attrs["groups"]),
            dtype=dtype,
        )
    ]


def _conv1d(attrs: _Attrs, read: _Types, made: _Types, dtype: Dtype) -> list[GpuOp]:
    del made
    batch, channels, length = read[0].shape
    filters, _, window = read[1].shape
    before, after = _integers(attrs["padding"])
    return [
        GpuOp.conv2d(
            batch,
            channels,
            1,
            length,
            filters,
            kernel=(1, window),
            stride=(1, _integers(attrs["stride"])[0]),
            padding=(0, max(before, after)),
            dilation=(1, _integers(attrs["dilation"])[0]),
            groups=_integer(attrs["groups"]),
            dtype=dtype,
        )
    ]


def _linear(attrs: _Attrs, read: _Types, made: _Types, dtype: Dtype) -> list[GpuOp]:
    """A layer; in int8 a second kernel scales what the product has added up."""
    del attrs
    columns, depth = read[1].shape
    rows = math.prod(made[0].shape[:-1])
    product = GpuOp.linear(rows, columns, depth, dtype=dtype)
    if dtype != "int8":
        return [product]
    return [product, GpuOp.movement(4 * rows * columns, made[0].nbytes)]  # its sums are int32 until they are scaled


def _matmul(attrs: _Attrs, read: _Types, made: _Types, dtype: Dtype) -> list[GpuOp]:
    del attrs
    *batch, rows, columns = made[0].shape
    return [GpuOp.gemm(rows, columns, read[0].shape[-1], batch=math.prod(batch), dtype=dtype)]


def _attention(attrs: _Attrs, read: _Types, made: _Types, dtype: Dtype) -> list[GpuOp]:
    """Scaled-dot-product attention as three kernels; a fused one would not write the products out."""
    del attrs, made
    query, key, value = read[:3]
    *batch, rows, depth = query.shape
    keys, heads = key.shape[-2], math.prod(batch)
    plain: Dtype = "fp32" if dtype == "tf32" else dtype
    return [
        GpuOp.gemm(rows, keys, depth, batch=heads, dtype=dtype),
        GpuOp.softmax(heads * rows, keys, dtype=plain),
        GpuOp.gemm(rows, value.shape[-1], keys, batch=heads, dtype=dtype),
    ]


_PRODUCTS: Final[Mapping[str, Callable[[_Attrs, _Types, _Types, Dtype], list[GpuOp]]]] = {
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "linear": _linear,
    "matmul": _matmul,
    "sdpa": _attention,
}


def _integer(value: AttrValue) -> int:
    assert isinstance(value, int)
    return value


def _integers(value: AttrValue) -> tuple[int, ...]:
    assert isinstance(value, tuple)
    return tuple(int(item) for item in value)
