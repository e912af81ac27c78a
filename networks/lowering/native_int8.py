"""Which of our own kernels run in 8 bits, and where tensors are quantised and dequantised between them.

Convolutions and linear layers always do; pooling and sums do where what they read is 8-bit already; everything else
runs in float32, behind a kernel that dequantises. Activations are uint8 with one scale and zero point for all tensors,
weights int8 with a scale for each output channel, biases int32, as in ONNX's QDQ form. Latency does not depend on the
scales.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..ops import TensorType
from .kernel import Constant, Kernel, KernelNode, freeze_attrs
from .labels import MAX_LENGTH, conversion_label

CLAMPS = frozenset({"relu", "relu6"})
"""Activations that 8-bit kernels take in."""

SCALE, ZERO = 1 / 16, 128
"""Of all activations: they reach from -8 to 7.94, which holds what random weights and ReLU6 make."""

MOST_SUMMED = 1 << 15
"""Products in a sum that cannot overflow 32 bits; the same as ``kMostSummed`` in csrc/cpu/kernels."""

_HOSTS = frozenset({"conv2d", "linear"})
_POOLS = frozenset({"max_pool2d", "avg_pool2d", "global_avg_pool2d"})


def float_name(value: str) -> str:
    """The float32 copy of a value that is made in 8 bits."""
    return f"{value}.float32"


def weight_scale_name(weight: str) -> str:
    """The scales of an 8-bit weight, one for each output channel."""
    return f"{weight}.scale"


def in_int8(
    kernels: Iterable[Kernel], roots: Mapping[str, str], outputs: Iterable[str], runtime: str
) -> tuple[list[Kernel], list[str]]:
    """The same kernels with 8-bit forms where there are any, and the conversions between them.

    Args:
        kernels: in execution order, one node each, all float32 and plain.
        roots: for every value, the one whose memory it is (views have no kernels).
        outputs: values that must be left behind in float32.
        runtime: who runs them.

    Returns:
        The kernels, and what the outputs are called now.
    """
    types = _Types(roots, runtime)
    for kernel in kernels:
        types.add(kernel)
    return types.kernels, [types.in_float32(name) for name in outputs]


class _Types:
    """One pass over kernels in execution order."""

    def __init__(self, roots: Mapping[str, str], runtime: str) -> None:
        self.kernels: list[Kernel] = []
        self._roots = roots
        self._runtime = runtime
        self._quantised: dict[str, TensorType] = {}  # what is made in 8 bits, with its type
        self._copies: dict[tuple[str, TensorType], str] = {}

    def add(self, kernel: Kernel) -> None:
        """Append ``kernel`` in the type that suits it, behind the conversions that it needs."""
        node = _global_pool(kernel)
        if node.op in _HOSTS and _fits(kernel):
            self._append(kernel, _quantised_host(kernel))
        elif self._follows(kernel, node):
            self._append(kernel, replace(kernel, nodes=(_marked(node, "" if node.op == "max_pool2d" else "xy"),)))
        else:
            inputs = {name: (self._copy(name, type_), type_) for name, type_ in kernel.inputs}
            self.kernels.append(_reading(kernel, inputs))

    def in_float32(self, name: str) -> str:
        """What ``name`` is called in float32; dequantises it where that takes a kernel."""
        root = self._roots.get(name, name)
        return self._copy(root, replace(self._quantised[root], dtype="float32")) if root in self._quantised else name

    def _append(self, plain: Kernel, kernel: Kernel) -> None:
        """Append the 8-bit form of ``plain``."""
        inputs = {
            name: (self._copy(name, replace(type_, dtype="uint8")), replace(type_, dtype="uint8"))
            for name, type_ in plain.inputs
        }
        outputs = tuple((name, replace(type_, dtype="uint8")) for name, type_ in plain.outputs)
        kernel = replace(_reading(kernel, inputs), outputs=outputs, label=f"Q{plain.label}"[:MAX_LENGTH])
        stored = [constant.type for _, constant in kernel.constants]
        moved = sum(type_.nbytes for type_ in [*dict(kernel.inputs).values(), *stored, *dict(outputs).values()])
        self.kernels.append(replace(kernel, bytes_moved=moved))
        self._quantised |= dict(outputs)

    def _follows(self, kernel: Kernel, node: KernelNode) -> bool:
        """Whether an op that runs in either type finds all that it reads in 8 bits."""
        types = list(dict(kernel.inputs).values())
        if node.op == "add":
            able = set(node.inputs) == set(dict(kernel.inputs)) and len({*types, kernel.outputs[0][1]}) == 1
        else:
            able = node.op in _POOLS
        return able and all(self._roots.get(name, name) in self._quantised for name, _ in kernel.inputs)

    def _copy(self, name: str, type_: TensorType) -> str:
        """What ``name`` is called where it is read as ``type_``; converts it where that takes a kernel."""
        root = self._roots.get(name, name)
        is_quantised = root in self._quantised
        if type_.dtype not in ("float32", "uint8") or is_quantised == (type_.dtype == "uint8"):
            return name
        if (root, type_) not in self._copies:
            copy = f"{root}.{type_.dtype}"
            if copy in self._copies.values():  # of another shape
                copy = f"{copy}.{'x'.join(map(str, type_.shape))}"
            self._copies[root, type_] = copy
            self._convert(name, copy, type_)
        return self._copies[root, type_]

    def _convert(self, source: str, copy: str, type_: TensorType) -> None:
        to_bytes = type_.dtype == "uint8"
        before = replace(type_, dtype="float32" if to_bytes else "uint8")
        node = KernelNode("quantise" if to_bytes else "dequantise", "", (), (source,), (copy,))
        self.kernels.append(
            Kernel(
                runtime=self._runtime,
                nodes=(_marked(node, "y" if to_bytes else "x"),),
                inputs=((source, before),),
                constants=(),
                outputs=((copy, type_),),
                macs=0,
                bytes_moved=before.nbytes + type_.nbytes,
                label=conversion_label(type_, node.op),
            )
        )


def _fits(kernel: Kernel) -> bool:
    """Whether a convolution or linear layer has an 8-bit form."""
    x, weight = kernel.nodes[0].inputs[:2]
    constants = dict(kernel.constants)
    types = [type_.dtype for _, type_ in kernel.inputs]
    if x not in dict(kernel.inputs) or weight not in constants or set(types) != {"float32"}:
        return False
    activation = dict(kernel.nodes[0].attrs).get("activation", "relu")
    return activation in CLAMPS and math.prod(constants[weight].type.shape[1:]) <= MOST_SUMMED


def _quantised_host(kernel: Kernel) -> Kernel:
    """A convolution or linear layer with its stored tensors in 8-bit form; x, weight, bias, scale, residual."""
    node = kernel.nodes[0]
    constants = dict(kernel.constants)
    weight, *biases = [name for name in node.inputs[1:] if name in constants]
    residual = [name for name in node.inputs[2:] if name not in constants]
    scale = weight_scale_name(weight)
    shape = constants[weight].type.shape
    stored = {
        weight: Constant(TensorType(shape, "int8")),
        **{name: Constant(replace(constants[name].type, dtype="int32")) for name in biases},
        scale: Constant(TensorType(shape[:1])),
    }
    order = (node.inputs[0], weight, *biases, scale, *residual)
    marked = _marked(replace(node, inputs=order), "xyb" if residual else "xy")
    return replace(kernel, nodes=(marked,), constants=tuple(stored.items()))


def _marked(node: KernelNode, operands: str) -> KernelNode:
    """``node`` with scale and zero point of ``operands`` (x, y, or the second operand b) among its attributes."""
    marks: dict[str, Any] = dict(node.attrs)
    if node.op == "add":
        operands = "xyb"
    for letter in operands:
        marks |= {f"{letter}_scale": SCALE, f"{letter}_zero": ZERO}
    return replace(node, attrs=freeze_attrs(marks))


def _global_pool(kernel: Kernel) -> KernelNode:
    """The kernel's node, an adaptive pooling to one pixel as what it is."""
    node = kernel.nodes[0]
    if node.op != "adaptive_avg_pool2d" or kernel.outputs[0][1].shape[2:] != (1, 1):
        return node
    return KernelNode("global_avg_pool2d", node.domain, (), node.inputs, node.outputs)


def _reading(kernel: Kernel, inputs: Mapping[str, tuple[str, TensorType]]) -> Kernel:
    """``kernel`` with other inputs in the place of its own."""
    node = kernel.nodes[0]
    names = tuple(inputs[name][0] if name in inputs else name for name in node.inputs)
    return replace(kernel, nodes=(replace(node, inputs=names),), inputs=tuple(inputs.values()))
