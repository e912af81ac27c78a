"""ONNX handlers of what computes with weights: convolutions, matrix products, norms, pooling, look-ups."""

import math
from typing import Any

from ._draft import Stored, UnsupportedError
from ._onnx_graph import Call, handles


def window_pads(call: Call, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]) -> list[int]:
    """Pads before every spatial axis, then behind, with ``auto_pad`` worked out."""
    rank = len(kernel)
    mode = call.attr("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        return list(call.attr("pads", [0] * (2 * rank)))
    if mode == "VALID":
        return [0] * (2 * rank)
    before, behind = [], []
    for size, k, s, d in zip(call.shape(0)[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        small, large = total // 2, total - total // 2
        before.append(large if mode == "SAME_LOWER" else small)
        behind.append(small if mode == "SAME_LOWER" else large)
    return before + behind


def spatial(call: Call, name: str, rank: int) -> tuple[int, ...]:
    """A list attribute with one number per spatial axis, 1 by default."""
    return tuple(call.attr(name, [1] * rank))


def affine(call: Call, first: int, names: tuple[str, ...], size: int) -> dict[str, Stored]:
    """Vectors of ``size`` from consecutive inputs, as weights; inputs that are not given are left out."""
    found = {}
    for i, name in enumerate(names, first):
        if call.has(i):
            tensor = call.weight(i)
            if math.prod(tensor.shape) != size:
                raise UnsupportedError(f"{name} of shape {tensor.shape}")
            found[name] = tensor.reshaped(size)
    return found


@handles("Conv")
def _conv(call: Call) -> None:
    weight = call.weight(1)
    rank = len(weight.shape) - 2
    if rank not in (1, 2):
        raise UnsupportedError(f"{rank} spatial axes")
    kernel, strides = weight.shape[2:], spatial(call, "strides", rank)
    dilations = spatial(call, "dilations", rank)
    groups = call.attr("group", 1)
    pads = window_pads(call, kernel, strides, dilations)
    if min(pads) < 0:
        raise UnsupportedError("negative pads")
    if call.shape(0)[1] != weight.shape[1] * groups:
        raise ValueError(f"weight of shape {weight.shape} does not fit the input {call.shape(0)}")
    bias = affine(call, 2, ("bias",), weight.shape[0])
    call.result(
        f"conv{rank}d",
        call.live(0),
        sources={"weight": weight} | bias,
        out_channels=weight.shape[0],
        kernel_size=kernel,
        stride=strides,
        padding=tuple(pads),
        dilation=dilations,
        groups=groups,
        bias=bool(bias),
    )


@handles("ConvTranspose")
def _conv_transpose(call: Call) -> None:
    weight = call.weight(1)
    if len(weight.shape) != 4:
        raise UnsupportedError(f"{len(weight.shape) - 2} spatial axes")
    kernel, strides, dilations = weight.shape[2:], spatial(call, "strides", 2), spatial(call, "dilations", 2)
    extra = tuple(call.attr("output_padding", [0, 0]))
    if call.attr("output_shape") or call.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID", ""):
        raise UnsupportedError("auto_pad or output_shape")
    pads = tuple(call.attr("pads", [0] * 4))
    if pads[:2] != pads[2:]:
        raise UnsupportedError("different pads on both sides")
    groups = call.attr("group", 1)
    bias = affine(call, 2, ("bias",), weight.shape[1] * groups)
    call.result(
        "conv_transpose2d",
        call.live(0),
        sources={"weight": weight} | bias,
        out_channels=weight.shape[1] * groups,
        kernel_size=kernel,
        stride=strides,
        padding=pads[:2],
        output_padding=extra,
        dilation=dilations,
        groups=groups,
        bias=bool(bias),
    )


@handles("Gemm")
def _gemm(call: Call) -> None:
    x = call.live(0)
    if call.attr("transA", 0):
        x = call.op("transpose", x, perm=(1, 0))
    alpha, beta = call.attr("alpha", 1.0), call.attr("beta", 1.0)
    shift = call.stored(2)
    weight = call.stored(1)
    if weight is None or not weight.learned:
        b = call.live(1)
        y = call.op("matmul", x, call.op("transpose", b, perm=(1, 0)) if call.attr("transB", 0) else b)
        y = y if alpha == 1 else call.op("mul", y, call.scalar(alpha, y))
    else:
        weight = (weight if call.attr("transB", 0) else weight.transposed(1, 0)).scaled(alpha)
        size, sources = weight.shape[0], {"weight": weight}
        if shift is not None and shift.learned and shift.shape in ((size,), (1, size)):
            sources["bias"] = shift.reshaped(size).scaled(beta)
        if len(sources) == 2 or not call.has(2):
            call.result("linear", x, sources=sources, out_features=size, bias=len(sources) == 2)
            return
        y = call.op("linear", x, sources=sources, out_features=size, bias=False)
    if not call.has(2):
        call.give(y)
        return
    c = call.live(2)
    call.result("add", y, c if beta == 1 else call.op("mul", c, call.scalar(beta, c)))


@handles("MatMul")
def _matmul(call: Call) -> None:
    weight, left, right = call.stored(1), call.shape(0), call.shape(1)
    if weight is not None and weight.learned and len(right) == 2 and left:
        weight = weight.transposed(1, 0)
        if left[-1] != weight.shape[1]:
            raise ValueError(f"cannot multiply {left} by {right}")
        call.result("linear", call.live(0), sources={"weight": weight}, out_features=weight.shape[0], bias=False)
        return
    a = call.hold(call.reshaped(call.value(0), (1, *left)) if len(left) == 1 else call.value(0))
    b = call.hold(call.reshaped(call.value(1), (*right, 1)) if len(right) == 1 else call.value(1))
    if len(left) > 1 and len(right) > 1:
        call.result("matmul", a, b)
        return
    y = call.op("matmul", a, b)  # ONNX takes vectors too, and takes their axis away again
    shape = list(call.draft.types[y].shape)
    if len(right) == 1:
        shape.pop(-1)
    if len(left) == 1:
        shape.pop(-1 if len(right) == 1 else -2)
    call.result("reshape", y, shape=tuple(shape))


@handles("BatchNormalization")
def _batch_norm(call: Call) -> None:
    if call.attr("training_mode", 0):
        raise UnsupportedError("training_mode=1")
    if not 2 <= len(call.shape(0)) <= 4:
        raise UnsupportedError(f"{len(call.shape(0)) - 2} spatial axes")
    sources = affine(call, 1, ("weight", "bias", "running_mean", "running_var"), call.shape(0)[1])
    # ONNX weighs the old statistics, torch the new ones.
    momentum = round(1 - call.attr("momentum", 0.9), 7)
    call.result("batch_norm", call.live(0), sources=sources, eps=call.attr("epsilon", 1e-5), momentum=momentum)


@handles("InstanceNormalization")
def _instance_norm(call: Call) -> None:
    channels = call.shape(0)[1]
    sources = affine(call, 1, ("weight", "bias"), channels)
    producer = call.draft.producers.get(call.live(0))
    # Group norm is written as an instance norm of reshaped groups, whose own scale and shift do nothing.
    grouped = producer is not None and producer.op.kind == "reshape"
    if grouped and sources["weight"].all_equal(1) and sources["bias"].all_equal(0):
        sources = {}
    call.result(
        "group_norm",
        call.live(0),
        sources=sources,
        groups=channels,
        eps=call.attr("epsilon", 1e-5),
        affine=bool(sources),
    )


@handles("GroupNormalization")
def _group_norm(call: Call) -> None:
    if call.opset < 21:
        raise UnsupportedError("scale per group (opset below 21)")
    sources = affine(call, 1, ("weight", "bias"), call.shape(0)[1])
    call.result(
        "group_norm", call.live(0), sources=sources, groups=call.attr("num_groups"), eps=call.attr("epsilon", 1e-5)
    )


@handles("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
@handles("com.microsoft.SimplifiedLayerNormalization")
def _layer_norm(call: Call) -> None:
    shape = call.shape(0)
    axis = call.attr("axis", -1) % len(shape)
    kind = "layer_norm" if call.node.op_type == "LayerNormalization" else "rms_norm"
    names = ("weight", "bias") if kind == "layer_norm" else ("weight",)
    size = math.prod(shape[axis:])
    sources = affine(call, 1, names, size)
    x = call.hold(call.reshaped(call.live(0), (*shape[:axis], size)))  # the catalogue normalises one axis
    attrs: dict[str, Any] = {"eps": call.attr("epsilon", 1e-5), "affine": len(sources) == len(names)}
    y = call.op(kind, x, sources=sources if attrs["affine"] else {}, **attrs)
    if sources and not attrs["affine"]:
        y = call.op("mul", y, call.hold(sources["weight"]))
    call.give(call.reshaped(y, shape))


def _lifted(call: Call) -> str:
    """The input as an image: one-dimensional signals get a height of 1."""
    shape = call.shape(0)
    if len(shape) == 3:
        return call.hold(call.reshaped(call.live(0), (*shape[:2], 1, shape[2])))
    if len(shape) != 4:
        raise UnsupportedError(f"{len(shape) - 2} spatial axes")
    return call.live(0)


@handles("MaxPool", "AveragePool")
def _pool(call: Call) -> None:
    x, rank = _lifted(call), len(call.shape(0)) - 2
    kernel, strides = tuple(call.attr("kernel_shape")), spatial(call, "strides", rank)
    dilations = spatial(call, "dilations", rank)
    if max(dilations) > 1:
        raise UnsupportedError("dilations")
    pads = window_pads(call, kernel, strides, dilations)
    if rank == 1:
        kernel, strides, pads = (1, *kernel), (1, *strides), [0, pads[0], 0, pads[1]]
    if any(max(pads[i], pads[i + 2]) * 2 > kernel[i] for i in (0, 1)):
        raise UnsupportedError("pads over half of the window")
    attrs: dict[str, Any] = {"kernel_size": kernel, "stride": strides, "ceil_mode": bool(call.attr("ceil_mode", 0))}
    kind = "max_pool2d"
    if call.node.op_type == "AveragePool":
        kind, attrs["count_include_pad"] = "avg_pool2d", bool(call.attr("count_include_pad", 0))
        if pads[:2] != pads[2:]:
            if not attrs["count_include_pad"] or attrs["ceil_mode"]:
                raise UnsupportedError("different pads on both sides")
            x, pads = call.op("pad", x, pads=(0, 0, *pads[:2], 0, 0, *pads[2:])), [0] * 4
    y = call.op(kind, x, padding=tuple(pads), **attrs)
    shape = call.draft.types[y].shape
    call.give(call.reshaped(y, (*shape[:2], shape[3])) if rank == 1 else y)


@handles("GlobalAveragePool")
def _global_average(call: Call) -> None:
    rank = len(call.shape(0))
    if rank == 4:
        call.result("global_avg_pool2d", call.live(0))
    else:
        call.result("mean", call.live(0), axes=tuple(range(2, rank)))


@handles("GlobalMaxPool")
def _global_max(call: Call) -> None:
    call.result("max", call.live(0), axes=tuple(range(2, len(call.shape(0)))))


@handles("Gather")
def _gather(call: Call) -> None:
    data, index = call.shape(0), call.stored(1)
    axis = call.attr("axis", 0) % len(data)
    if index is not None and index.values is not None:
        picked = [i + data[axis] if i < 0 else i for i in call.ints(1, "indices")]
        if min(picked, default=-1) < 0 or max(picked) >= data[axis]:
            raise ValueError(f"indices outside of axis {axis} of {data}")
        taken = call.take(call.live(0), axis, picked)
        if taken is not None:
            call.give(call.reshaped(taken, (*data[:axis], *index.shape, *data[axis + 1 :])))
            return
    table = call.stored(0)
    if table is None or len(data) != 2 or axis != 0:
        raise UnsupportedError("scattered indices, or such known only at run time")
    attrs = {"num_embeddings": data[0], "embedding_dim": data[1], "dtype": table.dtype}
    call.result("embedding", call.live(1), sources={"weight": table}, **attrs)
