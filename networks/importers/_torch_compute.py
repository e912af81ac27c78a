"""ATen handlers of what computes with weights: convolutions, matrix products, norms, pooling, look-ups."""

import math
from collections.abc import Sequence
from typing import Any

from ._draft import Stored, UnsupportedError
from ._torch_graph import AtenCall, handles


def _sources(call: AtenCall, **names: str) -> dict[str, Stored]:
    """The stored tensors among some arguments, by weight name; those that are not given are left out."""
    return {weight: call.weight(argument) for weight, argument in names.items() if call[argument] is not None}


def _numbers(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


@handles("conv1d", "conv2d", "convolution", "_convolution")
def _conv(call: AtenCall) -> None:
    weight = call.weight("weight")
    rank = len(weight.shape) - 2
    if rank not in (1, 2):
        raise UnsupportedError(f"{rank} spatial axes")
    if call.args.get("transposed"):
        _conv_transpose(call)
        return
    dilation, padding = _numbers(call["dilation"], rank), call["padding"]
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        before = tuple(total // 2 for total in totals)
        pads = before + tuple(total - b for total, b in zip(totals, before, strict=True))
    else:
        pads = ((0,) * rank if padding == "valid" else _numbers(padding, rank)) * 2
    sources = _sources(call, weight="weight", bias="bias")
    call.result(
        f"conv{rank}d",
        call.live("input"),
        sources=sources,
        out_channels=weight.shape[0],
        kernel_size=weight.shape[2:],
        stride=_numbers(call["stride"], rank),
        padding=pads,
        dilation=dilation,
        groups=call["groups"],
        bias="bias" in sources,
    )


@handles("conv_transpose2d")
def _conv_transpose(call: AtenCall) -> None:
    weight, groups = call.weight("weight"), call["groups"]
    if len(weight.shape) != 4:
        raise UnsupportedError("one spatial axis, transposed")
    sources = _sources(call, weight="weight", bias="bias")
    call.result(
        "conv_transpose2d",
        call.live("input"),
        sources=sources,
        out_channels=weight.shape[1] * groups,
        kernel_size=weight.shape[2:],
        stride=_numbers(call["stride"], 2),
        padding=_numbers(call["padding"], 2),
        output_padding=_numbers(call["output_padding"], 2),
        dilation=_numbers(call["dilation"], 2),
        groups=groups,
        bias="bias" in sources,
    )


@handles("linear")
def _linear(call: AtenCall) -> None:
    weight, bias = call["weight"], call["bias"]
    stored = isinstance(weight, Stored) and (bias is None or isinstance(bias, Stored))
    if stored and len(weight.shape) == 2:
        sources = _sources(call, weight="weight", bias="bias")
        size = weight.shape[0]
        call.result("linear", call.live("input"), sources=sources, out_features=size, bias="bias" in sources)
        return
    # Weights that are computed, or parts of a larger tensor.
    y = call.op("matmul", call.live("input"), call.op("transpose", call.hold(weight), perm=(1, 0)))
    call.give(y if bias is None else call.op("add", y, call.hold(bias)))


@handles("matmul", "mm", "bmm")
def _matmul(call: AtenCall) -> None:
    a, b = call["self"], call["mat2" if "mat2" in call.args else "other"]
    left, right = call.shape_of(a), call.shape_of(b)
    if isinstance(b, Stored) and b.learned and len(right) == 2:
        weight = b.transposed(1, 0)
        call.result("linear", call.hold(a), sources={"weight": weight}, out_features=right[1], bias=False)
        return
    assert call.type is not None
    product = (
        call.hold(call.reshaped(a, (1, *left)) if len(left) == 1 else a),
        call.hold(call.reshaped(b, (*right, 1)) if len(right) == 1 else b),
    )
    if len(left) > 1 and len(right) > 1:
        call.result("matmul", *product)
    else:
        call.result("reshape", call.op("matmul", *product), shape=call.type.shape)


@handles("addmm", "baddbmm")
def _addmm(call: AtenCall) -> None:
    names = ("mat1", "mat2") if call.kind == "addmm" else ("batch1", "batch2")
    weight, bias = call[names[1]], call["self"]
    plain = call["alpha"] == 1 and call["beta"] == 1
    if plain and isinstance(weight, Stored) and isinstance(bias, Stored) and len(bias.shape) == 1:
        sources = {"weight": weight.transposed(1, 0), "bias": bias}
        call.result("linear", call.live(names[0]), sources=sources, out_features=weight.shape[1])
        return
    y, shift = call.op("matmul", call.live(names[0]), call.live(names[1])), call.hold(bias)
    if call["alpha"] != 1:
        y = call.op("mul", y, call.operand(call["alpha"]))
    if call["beta"] == 0:
        call.give(y)
        return
    call.result("add", y, shift if call["beta"] == 1 else call.op("mul", shift, call.operand(call["beta"])))


@handles("einsum")
def _einsum(call: AtenCall) -> None:
    """Products of two tensors: transposed and reshaped so that one batched matrix product does it."""
    left, right, out = _equation(call["equation"])
    a, b = (call.hold(value) for value in call["tensors"])
    sizes = dict(zip(left + right, (*call.shape_of(a), *call.shape_of(b)), strict=True))
    batch = [i for i in out if i in left and i in right]
    rows = [i for i in out if i in left and i not in right]
    columns = [i for i in out if i in right and i not in left]
    inner = [i for i in left if i in right and i not in out]
    if len(batch) + len(rows) + len(columns) != len(out) or {*left, *right} != {*out, *inner}:
        raise UnsupportedError(f"equation {call['equation']!r}")

    def matrix(value: str, axes: str, order: list[str], shape: tuple[int, ...]) -> str:
        perm = tuple(axes.index(i) for i in order)
        turned = value if perm == tuple(range(len(perm))) else call.op("transpose", value, perm=perm)
        return call.hold(call.reshaped(turned, shape))

    count = {name: math.prod(sizes[i] for i in group) for name, group in (("r", rows), ("c", columns), ("k", inner))}
    lead = tuple(sizes[i] for i in batch)
    a = matrix(a, left, batch + rows + inner, (*lead, count["r"], count["k"]))
    b = matrix(b, right, batch + inner + columns, (*lead, count["k"], count["c"]))
    order = batch + rows + columns
    y = call.hold(call.reshaped(call.op("matmul", a, b), tuple(sizes[i] for i in order)))
    perm = tuple(order.index(i) for i in out)
    call.give(y if perm == tuple(range(len(perm))) else call.op("transpose", y, perm=perm))


def _equation(text: str) -> tuple[str, str, str]:
    operands, arrow, out = text.replace(" ", "").partition("->")
    left, comma, right = operands.partition(",")
    if not arrow or not comma or "," in right or "." in text or len({*left}) < len(left) or len({*right}) < len(right):
        raise UnsupportedError(f"equation {text!r}")
    return left, right, out


@handles("scaled_dot_product_attention")
def _attention(call: AtenCall) -> None:
    if call["dropout_p"] or call.args.get("enable_gqa"):
        raise UnsupportedError("dropout or grouped queries")
    inputs = [call.live(name) for name in ("query", "key", "value")]
    mask = call["attn_mask"]
    if mask is not None:
        if call.dtype_of(mask) == "bool":
            raise UnsupportedError("a boolean mask")
        inputs.append(call.hold(mask))
    scale = call["scale"] or 0.0
    if math.isclose(scale, call.shape("query")[-1] ** -0.5, rel_tol=1e-6):
        scale = 0.0  # the usual one
    call.result("sdpa", *inputs, causal=bool(call["is_causal"]), scale=scale)


@handles("batch_norm")
def _batch_norm(call: AtenCall) -> None:
    if call["training"]:
        raise UnsupportedError("statistics of the batch (no running statistics)")
    sources = _sources(call, weight="weight", bias="bias", running_mean="running_mean", running_var="running_var")
    attrs: dict[str, Any] = {"eps": call["eps"], "momentum": call["momentum"], "affine": "weight" in sources}
    call.result("batch_norm", call.live("input"), sources=sources, **attrs)


@handles("layer_norm", "rms_norm")
def _layer_norm(call: AtenCall) -> None:
    names = ("weight", "bias") if call.kind == "layer_norm" else ("weight",)
    given = _sources(call, **{name: name for name in names})
    shape, size = call.shape("input"), math.prod(call["normalized_shape"])
    sources = {name: tensor.reshaped(size) for name, tensor in given.items()}
    kept = shape[: len(shape) - len(call["normalized_shape"])]
    eps = call["eps"]
    attrs: dict[str, Any] = {"eps": 2.0**-23 if eps is None else eps, "affine": len(sources) == len(names)}
    x = call.hold(call.reshaped(call.live("input"), (*kept, size)))
    if len(kept) + 1 == len(shape) and (attrs["affine"] or not sources):
        call.result(call.kind, x, sources=sources, **attrs)
        return
    y = call.op(call.kind, x, sources=sources if attrs["affine"] else {}, **attrs)
    if sources and not attrs["affine"]:  # a scale without a shift
        y = call.op("mul", y, call.hold(sources["weight"]))
    call.give(call.reshaped(y, shape))


@handles("group_norm", "instance_norm")
def _group_norm(call: AtenCall) -> None:
    if call.args.get("use_input_stats") is False:
        raise UnsupportedError("running statistics")
    sources = _sources(call, weight="weight", bias="bias")
    groups = call["num_groups"] if call.kind == "group_norm" else call.shape("input")[1]
    attrs: dict[str, Any] = {"groups": groups, "eps": call["eps"], "affine": bool(sources)}
    call.result("group_norm", call.live("input"), sources=sources, **attrs)


@handles("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d")
def _pool(call: AtenCall) -> None:
    rank = int(call.kind[-2])
    kernel = _numbers(call["kernel_size"], rank)
    stride, padding = _numbers(call["stride"] or kernel, rank), _numbers(call["padding"], rank)
    if max(_numbers(call.args.get("dilation", 1), rank)) > 1 or call.args.get("divisor_override"):
        raise UnsupportedError("dilation or divisor_override")
    x, shape = call.live("self"), call.shape("self")
    attrs: dict[str, Any] = {"ceil_mode": bool(call["ceil_mode"])}
    if "count_include_pad" in call.args:
        attrs["count_include_pad"] = bool(call["count_include_pad"])
    if rank == 1:
        kernel, stride, padding = (1, *kernel), (1, *stride), (0, *padding)
        x = call.hold(call.reshaped(x, (*shape[:2], 1, shape[2])))
    kind = call.kind[:-2] + "2d"
    if rank == 2:
        call.result(kind, x, kernel_size=kernel, stride=stride, padding=padding, **attrs)
        return
    y = call.op(kind, x, kernel_size=kernel, stride=stride, padding=padding, **attrs)
    call.give(call.reshaped(y, (*shape[:2], call.shape_of(y)[3])))


@handles("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(call: AtenCall) -> None:
    x, size, shape = call.live("self"), tuple(call["output_size"]), call.shape("self")
    rank = len(size)
    if size == (1,) * rank and (rank == 1 or "max" in call.kind):
        kind = "max" if "max" in call.kind else "mean"
        call.result(kind, x, axes=tuple(range(-rank, 0)))
    elif "max" in call.kind or len(shape) != rank + 2:
        raise UnsupportedError(f"output_size={size}")
    elif rank == 1:
        lifted = call.hold(call.reshaped(x, (*shape[:2], 1, shape[2])))
        y = call.op("adaptive_avg_pool2d", lifted, output_size=(1, *size))
        call.give(call.reshaped(y, (*shape[:2], *size)))
    elif size == (1, 1):
        call.result("global_avg_pool2d", x)
    else:
        call.result("adaptive_avg_pool2d", x, output_size=size)


@handles("embedding")
def _embedding(call: AtenCall) -> None:
    _look_up(call, call.weight("weight"), call.live("indices"))


@handles("index")
def _index(call: AtenCall) -> None:
    """``tensor[indices]`` along one axis: a look-up in a table, or a few slices."""
    value, listed = call["self"], call["indices"]
    given = [(axis, index) for axis, index in enumerate(listed) if index is not None]
    if len(given) != 1:
        raise UnsupportedError("indices along several axes")
    ((axis, index),) = given
    if call.dtype_of(index) not in ("int32", "int64"):
        raise UnsupportedError("a boolean mask as index")
    shape = call.shape_of(value)
    if isinstance(index, Stored) and index.values is not None:
        picked = [int(i) % shape[axis] for i in index.values.ravel()]
        taken = call.take(call.hold(value), axis, picked)
        if taken is not None:
            call.give(call.reshaped(taken, (*shape[:axis], *index.shape, *shape[axis + 1 :])))
            return
    if not isinstance(value, Stored) or axis or len(shape) != 2:
        raise UnsupportedError("scattered indices, or such known only at run time")
    _look_up(call, value, call.hold(index))


def _look_up(call: AtenCall, table: Stored, index: str) -> None:
    rows, columns = table.shape
    call.result(
        "embedding", index, sources={"weight": table}, num_embeddings=rows, embedding_dim=columns, dtype=table.dtype
    )
