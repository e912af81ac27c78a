"""What of a kernel decides its latency, as numbers: which kernels are of one kind, and how large each one is.

Nothing here knows a single op. Kernels of one *family* run the same chain of ops on tensors of the same ranks; so the
sizes of all their tensors, taken in order, line up, and everything that can differ between two of them stands in
those sizes or in the attributes that choose the algorithm. A *kind* is a family with those attributes fixed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from . import mcu_terms

if TYPE_CHECKING:
    from ..networks.lowering import Kernel
    from ..networks.lowering.kernel import AttrValue, KernelNode

VECTOR: Final = 8
"""Channels that runtimes compute side by side: the width of a vector of float32, and of a block of channels."""

_OF_SIZE: Final = frozenset({"channels", "group_channels", "in_channels", "out_channels", "shape", "depth_multiplier"})
"""Attributes that repeat what the tensors' sizes say."""

_OF_EDGE: Final = frozenset({"auto_pad", "pads", "pads_begin", "pads_end", "padding", "epsilon", "momentum"})
"""Attributes that do not change how much is computed, beyond what the sizes say."""

_GROUPS: Final = frozenset({"group", "groups"})
_NUMBER: Final = re.compile(r"\d{2,}")
_SHOWN: Final = 4  # nodes that a description tells


@dataclass(frozen=True)
class KernelShape:
    """One kernel as the interpolation sees it.

    Attributes:
        family: chain of ops with groups' kinds, wiring, ranks and element types.
        kind: the family with the attributes that choose the algorithm (sizes and strides of windows, activations,
            layouts); starts with the family.
        ops: the chain of ops.
        sizes: all dimensions of all tensors in order of first use; one length within a family.
        macs: multiply-accumulates.
        activation_bytes: bytes of inputs and outputs.
        weight_bytes: bytes of stored tensors.
        amounts: what latency is a sum of, each at a rate of its own.
    """

    family: str
    kind: str
    ops: tuple[str, ...]
    sizes: tuple[int, ...]
    macs: int
    activation_bytes: int
    weight_bytes: int
    amounts: tuple[float, ...]

    @property
    def bytes_moved(self) -> int:
        """Bytes of everything that is read or written, each once."""
        return self.activation_bytes + self.weight_bytes


def shape_of(kernel: "Kernel") -> KernelShape:
    """The kind and the sizes of a kernel."""
    constants, types = dict(kernel.constants), dict(kernel.inputs) | dict(kernel.outputs)
    numbers: dict[str, int] = {"": -1}
    tensors: list[str] = []
    sizes: list[int] = []
    for node in kernel.nodes:
        for name in (*node.inputs, *node.outputs):
            if name in numbers:
                continue
            numbers[name] = len(numbers) - 1
            type_ = constants[name].type if name in constants else types.get(name)
            if type_ is not None:
                tensors.append(f"{'w' if name in constants else 'x'}{numbers[name]}:{type_.dtype}{len(type_.shape)}")
                sizes.extend(type_.shape)
    weights = {name: constant.type.shape for name, constant in kernel.constants}
    chain = [_wired(node, numbers, weights) for node in kernel.nodes]
    family = f"{kernel.runtime} {' '.join(chain)} | {' '.join(tensors)}"
    shapes = {name: type_.shape for name, type_ in types.items()}
    attributes = "; ".join(",".join(_chosen(node, shapes, weights)) for node in kernel.nodes)
    weight_bytes = kernel.weight_bytes
    activation_bytes = max(kernel.bytes_moved - weight_bytes, 0)
    return KernelShape(
        family=family,
        kind=f"{family} | {attributes}",
        ops=tuple(node.op for node in kernel.nodes),
        sizes=tuple(sizes),
        macs=kernel.macs,
        activation_bytes=activation_bytes,
        weight_bytes=weight_bytes,
        amounts=(
            mcu_terms.amounts_of(kernel)
            if kernel.runtime == mcu_terms.RUNTIME and not kernel.lacks
            else (1.0, float(kernel.macs), float(activation_bytes), float(weight_bytes))
        ),
    )


def describe_family(kernel: "Kernel") -> str:
    """The family of a kernel as people read it, such as ``Conv + Conv[depthwise] + Conv``."""
    weights = {name: constant.type.shape for name, constant in kernel.constants}
    told = [node.op + _grouping(node, weights) for node in kernel.nodes]
    if len(told) > _SHOWN:
        told = [*told[: _SHOWN - 1], f"... {told[-1]} ({len(told)} ops)"]
    return " + ".join(told)


def size_matrix(shapes: Sequence[KernelShape]) -> NDArray[np.float64]:
    """Natural logarithms of the sizes of n kernels of one family, shape ``[n, sizes]``; a size of 0 counts as 1."""
    return np.log(np.maximum(np.array([shape.sizes for shape in shapes], dtype=np.float64), 1.0))


def _wired(node: "KernelNode", numbers: dict[str, int], weights: dict[str, tuple[int, ...]]) -> str:
    wires = ",".join(str(numbers[name]) for name in node.inputs)
    return f"{node.domain}.{node.op}{_grouping(node, weights)}({wires})"


def _grouping(node: "KernelNode", weights: dict[str, tuple[int, ...]]) -> str:
    """Whether a convolution is dense (""), depthwise or something between."""
    groups = next((value for name, value in node.attrs if name in _GROUPS), 1)
    if groups == 1:
        return ""
    shape = next((weights[name] for name in node.inputs if name in weights), ())
    return "[depthwise]" if groups in shape else "[grouped]"


def _chosen(node: "KernelNode", shapes: dict[str, tuple[int, ...]], weights: dict[str, tuple[int, ...]]) -> list[str]:
    """The attributes that choose the algorithm, as text. A pool's window over the whole image is one of any size."""
    image: tuple[int, ...] = ()
    if not any(name in weights for name in node.inputs):
        image = next((shapes[name] for name in node.inputs if name in shapes), ())
    return [
        f"{name}={'whole' if _is_part(value, image) else _without_sizes(value)}"
        for name, value in node.attrs
        if name not in _OF_SIZE and name not in _OF_EDGE and name not in _GROUPS
    ]


def _is_part(value: "AttrValue", shape: tuple[int, ...]) -> bool:
    """Whether the values are lengths that follow each other in a shape."""
    if not isinstance(value, tuple) or len(value) < 2 or set(value) == {1}:
        return False
    return any(shape[start : start + len(value)] == value for start in range(len(shape)))


def _without_sizes(value: "AttrValue") -> str:
    """Text with numbers of two digits and more left out: in calls that are kept as text, those are sizes."""
    if isinstance(value, str):
        return _NUMBER.sub("#", value)
    if isinstance(value, tuple) and any(isinstance(item, str) for item in value):
        return ",".join(_NUMBER.sub("#", str(item)) for item in value)
    return str(value)


def log_rounded(sizes: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """How much larger logarithms of sizes get when sizes are rounded up to whole blocks; 0 for whole ones."""
    plain = np.exp(sizes)
    return np.asarray(np.log(np.ceil(plain / block - 1e-9) * block) - sizes, np.float64)
