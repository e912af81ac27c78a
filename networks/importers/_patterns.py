"""The rules of `Fuser`: what GELU, SiLU, layer norm and others look like when an exporter takes them apart."""

import math
from typing import Any

from ..ops import make_op
from ._draft import Draft, DraftNode
from ._fuse import Learned, Match, Pattern, Scalar, fused, rule
from .result import TensorSource

_ROOT2, _TANH_SCALE = math.sqrt(2.0), math.sqrt(2.0 / math.pi)


def _halved_gates(gate: Pattern) -> tuple[Pattern, ...]:
    """The orders in which ``x / 2 * gate`` is written."""
    return (
        ("mul", ("mul", "x", gate), 0.5),
        ("mul", "x", ("mul", gate, 0.5)),
        ("mul", ("mul", "x", 0.5), gate),
    )


def _erf_gate(inner: Pattern) -> Pattern:
    return ("add", ("erf", inner), 1.0)


def _tanh_gate(cube: Pattern) -> Pattern:
    return ("add", ("tanh", ("mul", ("add", "x", ("mul", cube, 0.044715)), _TANH_SCALE)), 1.0)


@rule(*_halved_gates(_erf_gate(("div", "x", _ROOT2))), *_halved_gates(_erf_gate(("mul", "x", 1 / _ROOT2))))
def _gelu(draft: Draft, root: DraftNode, match: Match) -> DraftNode:
    return fused(draft, root, "gelu", match.values["x"])


@rule(*_halved_gates(_tanh_gate(("pow", "x", 3.0))), *_halved_gates(_tanh_gate(("mul", "x", ("mul", "x", "x")))))
def _gelu_by_tanh(draft: Draft, root: DraftNode, match: Match) -> DraftNode:
    return fused(draft, root, "gelu", match.values["x"], approximate="tanh")


@rule(("mul", "x", ("sigmoid", "x")))
def _silu(draft: Draft, root: DraftNode, match: Match) -> DraftNode:
    return fused(draft, root, "silu", match.values["x"])


def _scores(scaled: Pattern) -> tuple[Pattern, ...]:
    """Attention with and without a mask, from scaled products of queries and keys."""
    return (
        ("matmul", ("softmax", scaled), "v"),
        ("matmul", ("softmax", ("add", scaled, "mask")), "v"),
    )


@rule(
    *_scores(("matmul", ("mul", "q", Scalar("scale")), ("transpose", "k"))),
    *_scores(("matmul", ("mul", "q", Scalar("scale")), ("mul", ("transpose", "k"), Scalar("key_scale")))),
    *_scores(("mul", ("matmul", "q", ("transpose", "k")), Scalar("scale"))),
    *_scores(("div", ("matmul", "q", ("transpose", "k")), Scalar("divisor"))),
)
def _attention(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    values, scalars = match.values, match.scalars
    perm, softmax = match.op("transpose").op["perm"], match.op("softmax").op
    rank = len(perm)
    if perm != (*range(rank - 2), rank - 1, rank - 2) or softmax["axis"] not in (-1, rank - 1):
        return None
    scale = scalars.get("scale", 1.0) * scalars.get("key_scale", 1.0) / scalars.get("divisor", 1.0)
    if abs(scale - draft.types[values["q"]].shape[-1] ** -0.5) < 1e-6:
        scale = 0.0  # the usual one
    inputs = (values["q"], values["k"], values["v"], *([values["mask"]] if "mask" in values else []))
    return fused(draft, root, "sdpa", *inputs, scale=scale)


_CLIPPED: Pattern = ("relu6", ("add", "x", 3.0))


@rule(
    ("mul", "x", ("hard_sigmoid", "x")),
    ("div", ("mul", "x", _CLIPPED), 6.0),
    ("mul", ("mul", "x", _CLIPPED), 1 / 6),
)
def _hard_swish(draft: Draft, root: DraftNode, match: Match) -> DraftNode:
    return fused(draft, root, "hard_swish", match.values["x"])


@rule(("div", _CLIPPED, 6.0), ("mul", _CLIPPED, 1 / 6))
def _hard_sigmoid(draft: Draft, root: DraftNode, match: Match) -> DraftNode:
    return fused(draft, root, "hard_sigmoid", match.values["x"])


@rule(("add", ("linear", "x"), Learned("bias")))
def _linear_bias(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    return _with_bias(draft, root, match, "linear", "out_features", trailing=0)


@rule(("add", ("conv2d", "x"), Learned("bias")))
def _conv_bias(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    return _with_bias(draft, root, match, "conv2d", "out_channels", trailing=2)


def _with_bias(draft: Draft, root: DraftNode, match: Match, kind: str, size: str, *, trailing: int) -> DraftNode | None:
    """The product with the learned vector as its bias, if it is one along the axis before ``trailing`` others."""
    product, bias = match.op(kind), match.learned["bias"]
    if product.op["bias"] or not _is_vector(bias, product.op[size], trailing):
        return None
    attrs: dict[str, Any] = product.op.attributes | {"bias": True}
    node = fused(draft, root, kind, match.values["x"], **attrs)
    node.sources = product.sources | {"bias": _flat(bias, product.op[size])}
    return node


def _is_vector(parameter: DraftNode, size: int, trailing: int) -> bool:
    """Whether a parameter is a vector of ``size`` with axes of size 1 around it, ``trailing`` of them behind it."""
    shape = parameter.op.outputs[0].shape
    return math.prod(shape) == size and len(shape) > trailing and shape[len(shape) - trailing - 1] == size


def _flat(parameter: DraftNode, size: int) -> TensorSource:
    source = parameter.sources["weight"]
    return source if parameter.op.outputs[0].shape == (size,) else source.then("reshape", (size,))


def _centred(square: Pattern) -> Pattern:
    return ("div", "c", ("sqrt", ("add", ("mean", square), Scalar("eps"))))


@rule(_centred(("pow", "c", 2.0)), _centred(("mul", "c", "c")))
def _layer_norm(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    """``c`` must be x less its own mean."""
    centre = draft.producers.get(match.values["c"])
    if centre is None or centre.op.kind != "sub":
        return None
    x, mean = centre.inputs[0], draft.producers.get(centre.inputs[1])
    if mean is None or mean.inputs != (x,) or not (_of_last_axis(mean) and _of_last_axis(match.op("mean"))):
        return None
    return fused(draft, root, "layer_norm", x, eps=match.scalars["eps"], affine=False)


def _root_mean_square(square: Pattern) -> Pattern:
    return ("sqrt", ("add", ("mean", square), Scalar("eps")))


@rule(
    *(("div", "x", _root_mean_square(square)) for square in (("pow", "x", 2.0), ("mul", "x", "x"))),
    *(("mul", "x", ("div", 1.0, _root_mean_square(square))) for square in (("pow", "x", 2.0), ("mul", "x", "x"))),
)
def _rms_norm(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    if not _of_last_axis(match.op("mean")):
        return None
    return fused(draft, root, "rms_norm", match.values["x"], eps=match.scalars["eps"], affine=False)


def _of_last_axis(node: DraftNode) -> bool:
    """Whether a mean is over the last axis alone and keeps it."""
    if node.op.kind != "mean" or not node.op["keepdims"]:
        return False
    rank = node.op.inputs[0].rank
    return {axis % rank for axis in node.op["axes"]} == {rank - 1}


@rule(("mul", ("rms_norm", "x"), Learned("weight")))
def _rms_norm_scale(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    return _affine(draft, root, match, "rms_norm", axis=-1)


@rule(("add", ("mul", ("layer_norm", "x"), Learned("weight")), Learned("bias")))
def _layer_norm_affine(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    return _affine(draft, root, match, "layer_norm", axis=-1)


@rule(("add", ("mul", ("group_norm", "x"), Learned("weight")), Learned("bias")))
def _group_norm_affine(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    return _affine(draft, root, match, "group_norm", axis=1)


def _affine(draft: Draft, root: DraftNode, match: Match, kind: str, axis: int) -> DraftNode | None:
    """The norm with the learned vectors as its scale and shift."""
    norm = match.op(kind)
    x = norm.op.inputs[0]
    size, trailing = x.shape[axis], 0 if axis < 0 else x.rank - 1 - axis
    if norm.op["affine"] or not all(_is_vector(node, size, trailing) for node in match.learned.values()):
        return None
    attrs: dict[str, Any] = norm.op.attributes | {"affine": True}
    node = fused(draft, root, kind, match.values["x"], **attrs)
    node.sources = {name: _flat(parameter, size) for name, parameter in match.learned.items()}
    return node


@rule(("reshape", ("group_norm", ("reshape", "x"))))
def _group_norm(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    """ONNX has no group norm before opset 18: groups become the channels of an instance norm."""
    norm, x = match.op("group_norm"), draft.types[match.values["x"]]
    groups = norm.op["groups"]
    split = norm.op.inputs[0].shape
    if norm.op["affine"] or x.rank < 3 or split[:2] != (x.shape[0], groups) or root.op.outputs[0] != x:
        return None
    return fused(draft, root, "group_norm", match.values["x"], groups=groups, eps=norm.op["eps"], affine=False)


@rule(("reshape", ("transpose", ("reshape", "x"))))
def _channel_shuffle(draft: Draft, root: DraftNode, match: Match) -> DraftNode | None:
    x, split = draft.types[match.values["x"]], match.op("transpose")
    if x.rank != 4 or root.op.outputs[0] != x or split.op["perm"] != (0, 2, 1, 3, 4):
        return None
    n, groups, each, *image = split.op.inputs[0].shape
    if (n, groups * each, *image) != x.shape:
        return None
    op = make_op("channel_shuffle", x, groups=groups)
    return DraftNode(root.name, op, (match.values["x"],), {})
