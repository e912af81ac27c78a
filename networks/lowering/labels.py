"""What people see of a kernel: one short line."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from ..ops import Op, TensorType
from .kernel import KernelNode
from .quantised import WEIGHT_INPUT

MAX_LENGTH = 80

Types = Mapping[str, TensorType]

_CONVS = ("Conv", "FusedConv", "QLinearConv", "ConvInteger")
_PRODUCTS = (
    *("Gemm", "FusedGemm", "MatMul", "FusedMatMul", "QGemm", "QLinearMatMul"),
    *("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
)
_SILENT = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})


def onnx_label(nodes: Sequence[KernelNode], types: Types) -> str:
    """Label of a segment of ONNX nodes, such as ``Conv 3x3/2 3->32 + Clip @112``.

    Where that gets too long, only convolutions and matrix products are told, then only the first and the last.
    """
    spoken = [node for node in nodes if node.op not in _SILENT] or list(nodes)
    last = types[spoken[-1].outputs[0]]
    size = _size(_channels_first(last) if any(map(_is_channels_last, nodes)) else last)
    heavy = [_onnx_part(node, types) for node in spoken if node.op in _CONVS + _PRODUCTS]
    rest = len(spoken) - len(heavy)
    hint = _hint({node.op.removeprefix("QLinear") for node in spoken})
    choices = [_joined([" + ".join([_onnx_part(node, types), *_fused(node)]) for node in spoken]) + size]
    if heavy:
        more = [f"{rest} more"] if rest else []
        choices.append(_joined([*heavy, *more]) + size + hint)
        choices.append(f"{heavy[0]} ... {heavy[-1]} ({len(spoken)} ops){size}{hint}")
    choices.append(f"{spoken[0].op} ... {spoken[-1].op} ({len(spoken)} ops){size}{hint}")
    return next((choice for choice in choices if len(choice) <= MAX_LENGTH), choices[-1][:MAX_LENGTH])


def _joined(parts: Sequence[str]) -> str:
    """The parts in a row, equal neighbours counted."""
    runs = [(part, len(list(run))) for part, run in groupby(parts)]
    return " + ".join(part if count == 1 else f"{count} x {part}" for part, count in runs)


def native_label(op: Op, fused: Sequence[str]) -> str:
    """Label of one of our own kernels: an op and what is fused into it."""
    return (" + ".join([_native_part(op), *fused]) + _size(op.outputs[0]))[:MAX_LENGTH]


def reorder_label(image: TensorType, layout: str) -> str:
    """Label of a change of layout; ``image`` is N x C x H x W."""
    return f"Reorder to {layout.upper()} {image.shape[1]}{_size(image)}"


def conversion_label(type_: TensorType, op: str) -> str:
    """Label of a change of element type, such as ``quantise 64 @56``."""
    return f"{op}{f' {type_.shape[1]}' if type_.rank == 4 else ''}{_size(type_)}"


def _hint(ops: set[str]) -> str:
    """What a person calls a segment with these ops."""
    if {"Softmax", "MatMul"} <= ops:
        return " (attention)"
    return " (squeeze-excite)" if {"GlobalAveragePool", "Mul"} <= ops else ""


def _fused(node: KernelNode) -> list[str]:
    """What is computed in the same node behind a convolution or product."""
    attrs = dict(node.attrs)
    total = ["Sum"] if node.op in _CONVS and node.op not in WEIGHT_INPUT and len(node.inputs) > 3 else []
    return [*total, str(attrs["activation"])] if "activation" in attrs else total


def _onnx_part(node: KernelNode, types: Types) -> str:
    attrs = dict(node.attrs)
    if node.op in _CONVS:
        weight = types[node.inputs[WEIGHT_INPUT.get(node.op, 1)]].shape
        text = _conv_text(weight, _numbers(attrs.get("strides")), _number(attrs.get("group", 1)))
        return f"Q{text}" if node.op in WEIGHT_INPUT else text
    if node.op in _PRODUCTS:
        out, depth = types[node.outputs[0]].shape, _depth(types[node.inputs[0]], bool(attrs.get("transA", 0)))
        return f"{node.op.removeprefix('Fused')} {math.prod(out[:-1])}x{depth}x{out[-1] if out else 1}"
    return node.op


def _depth(left: TensorType, transposed: bool) -> int:
    return left.shape[-2] if transposed and left.rank > 1 else left.shape[-1]


def _native_part(op: Op) -> str:
    if op.kind in ("conv2d", "conv1d"):
        return _conv_text(op.weights["weight"], op["stride"], op["groups"])
    if op.kind == "linear":
        x = op.inputs[0]
        return f"linear {x.numel // x.shape[-1]}x{x.shape[-1]}x{op['out_features']}"
    if op.kind == "matmul":
        out = op.outputs[0].shape
        return f"matmul {math.prod(out[:-1])}x{op.inputs[0].shape[-1]}x{out[-1]}"
    if "kernel_size" in op.attributes:
        return f"{op.kind} {_by(op['kernel_size'])}{_stride(op['stride'])}"
    return op.kind


def _conv_text(weight: tuple[int, ...], stride: tuple[int, ...], groups: int) -> str:
    """``weight`` is filters x channels of a group x window."""
    filters, channels, *window = weight
    shape = f"{_by(window)}{_stride(stride)}"
    if channels == 1 and groups == filters and groups > 1:
        return f"DWConv {shape} {filters}"
    grouped = f" g{groups}" if groups > 1 else ""
    return f"Conv {shape} {channels * groups}->{filters}{grouped}"


def _stride(stride: Sequence[int]) -> str:
    return "" if all(step == 1 for step in stride) else f"/{_by(stride) if len(set(stride)) > 1 else stride[0]}"


def _by(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _size(type_: TensorType) -> str:
    """Spatial size of an image, or the whole shape of anything else."""
    if type_.rank != 4:
        return f" @{_by(type_.shape)}" if type_.shape else ""
    height, width = type_.shape[2:]
    batch = f"{type_.shape[0]}x" if type_.shape[0] > 1 else ""
    return f" @{batch}{height}" if height == width else f" @{batch}{height}x{width}"


def _is_channels_last(node: KernelNode) -> bool:
    return bool(dict(node.attrs).get("channels_last")) or node.op.startswith("Nhwc")


def _channels_first(type_: TensorType) -> TensorType:
    """The type of an image N x H x W x C in the order N x C x H x W."""
    if type_.rank != 4:
        return type_
    batch, height, width, channels = type_.shape
    return type_.with_shape(batch, channels, height, width)


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple) else ()


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) else 1


def torch_label(node: KernelNode, types: Types, shown: TensorType) -> str:
    """Label of a kernel of compiled torch: of one that was generated, what it fuses; else of the operator.

    Args:
        node: the kernel's only node.
        types: of its tensors.
        shown: the tensor whose size is told.
    """
    name = node.op.partition(".")[0].removeprefix("cpp_fused_").strip("_")
    if node.domain == "inductor":
        short = name.replace("native_batch_norm_legit_no_training", "batch_norm").replace("__", "_")
        return f"fused {short}"[: MAX_LENGTH - 16] + _size(shown)
    shapes = [types[tensor].shape for tensor in node.inputs]
    if name == "convolution":
        groups = shapes[0][1] // shapes[1][1]
        stride = json.loads(str(dict(node.attrs)["arguments"]))[0][3]
        return _conv_text(shapes[1], stride, groups) + _size(shown)
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        depth = shapes[1 if "add" in name else 0][-1]
        return f"{name} {math.prod(shown.shape[:-1])}x{depth}x{shown.shape[-1]}"
    return (name + _size(shown))[:MAX_LENGTH]
