"""What the inputs of ONNX Runtime's 8-bit ops are: data, scales, zero points."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from .kernel import KernelNode

if TYPE_CHECKING:
    import onnx

DATA: Final = "data"
SCALE: Final = "scale"
ZERO: Final = "zero point"
"""Of activations: any value takes the same time."""
WEIGHT_ZERO: Final = "weight zero point"
"""Decides which kernel runs: symmetric weights have faster ones."""
BIAS: Final = "bias"

_NAMES = {"x": DATA, "s": SCALE, "z": ZERO, "w": WEIGHT_ZERO, "b": BIAS}

_UNARY = "xszsz"
_INPUTS: dict[str, str] = {
    "QuantizeLinear": "xsz",
    "DequantizeLinear": "xsz",
    "QLinearConv": "xszxswszb",
    "QLinearMatMul": "xszxswsz",
    "QGemm": "xszxswbsz",
    "QLinearAdd": "xszxszsz",
    "QLinearMul": "xszxszsz",
    "QLinearWhere": "xxszxszsz",
    "MatMulIntegerToFloat": "xxsszwb",
    "DynamicQuantizeMatMul": "xxswb",
    "ConvInteger": "xxzw",
    "MatMulInteger": "xxzw",
    **dict.fromkeys(
        ("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearReduceMean"), _UNARY
    ),
    **dict.fromkeys(("QLinearSigmoid", "QLinearSoftmax"), _UNARY),
}

WEIGHT_INPUT: Final = {
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), 3),
    **dict.fromkeys(("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "ConvInteger", "MatMulInteger"), 1),
}
"""Which input of a convolution or matrix product its weights (or its right-hand side) are."""


def input_roles(node: KernelNode) -> Iterator[tuple[str, str]]:
    """Name and role of each input of an 8-bit op; nothing for other ops."""
    concat = "sz" + "xsz" * (len(node.inputs) // 3)
    letters = concat if node.op == "QLinearConcat" else _INPUTS.get(node.op, "")
    for name, letter in zip(node.inputs, letters, strict=False):
        if name:
            yield name, _NAMES[letter]


def is_quantised(model: "onnx.ModelProto") -> bool:
    """Whether some of the model is computed in 8 bits."""
    return any(node.op_type in _INPUTS or node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)


def constant_roles(nodes: Iterable[KernelNode]) -> dict[str, set[str]]:
    """Roles that each tensor has, by name; those that no 8-bit op reads are left out."""
    roles: dict[str, set[str]] = {}
    for node in nodes:
        for name, role in input_roles(node):
            roles.setdefault(name, set()).add(role)
    return roles
