"""What people see of XNNPACK's kernels: the words of ONNX, so that tables of different runtimes read alike."""

from collections.abc import Mapping, Sequence

from ..ops import TensorType
from .kernel import LACKING, AttrValue, KernelNode, freeze_attrs
from .labels import onnx_label

_WORDS = {
    "add2": "Add",
    "average_pooling_2d": "AveragePool",
    "batch_matrix_multiply": "MatMul",
    "clamp": "Clip",
    "concatenate": "Concat",
    "convolution_2d": "Conv",
    "deconvolution_2d": "ConvTranspose",
    "depthwise_convolution_2d": "Conv",
    "divide": "Div",
    "even_split": "Split",
    "fully_connected": "Gemm",
    "global_average_pooling_2d": "GlobalAveragePool",
    "hardswish": "HardSwish",
    "max_pooling_2d": "MaxPool",
    "multiply2": "Mul",
    "negate": "Neg",
    "reciprocal_square_root": "Rsqrt",
    "square_root": "Sqrt",
    "static_constant_pad": "Pad",
    "static_mean": "ReduceMean",
    "static_reshape": "Reshape",
    "static_resize_bilinear_2d": "Resize",
    "static_slice": "Slice",
    "static_transpose": "Transpose",
    "subtract": "Sub",
}
"""ONNX's name of an operator; others are told by XNNPACK's own, with a capital letter."""


def xnnpack_label(nodes: Sequence[KernelNode], types: Mapping[str, TensorType]) -> str:
    """Label of a segment of XNNPACK's nodes; see `onnx_label`."""
    told = {name: _channels_first(type_) for name, type_ in types.items()}
    for node in nodes:
        if node.domain == LACKING:  # as the network has it
            told |= {name: types[name] for name in node.outputs}
        if _WORDS.get(node.op) == "Conv":
            told[node.inputs[1]] = _filter_type(node, types[node.inputs[1]])
    return onnx_label([_in_onnx_words(node) for node in nodes], told)


def _in_onnx_words(node: KernelNode) -> KernelNode:
    attrs = dict(node.attrs)
    told: dict[str, AttrValue] = {}
    if "stride" in attrs:
        told["strides"] = attrs["stride"]
    if "groups" in attrs or "channels" in attrs:
        told["group"] = attrs.get("groups", attrs.get("channels", 1))
    if node.op != "clamp" and {"output_min", "output_max"} & set(attrs):
        told["activation"] = "Clip" if "output_max" in attrs else "Relu"
    word = _WORDS.get(node.op, node.op.capitalize())
    return KernelNode(word, "", freeze_attrs(told), node.inputs, node.outputs)


def _filter_type(node: KernelNode, stored: TensorType) -> TensorType:
    """Filters x channels of a group x window, of what XNNPACK stores with channels last."""
    first, *window, last = stored.shape
    if node.op == "depthwise_convolution_2d":
        return stored.with_shape(last, 1, *window)
    return stored.with_shape(first, last, *window)


def _channels_first(type_: TensorType) -> TensorType:
    if type_.rank != 4:
        return type_
    batch, height, width, channels = type_.shape
    return type_.with_shape(batch, channels, height, width)
