"""What a kernel asks of a CPU: arithmetic, how well it fills vectors, and bytes."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ...networks.errors import UnsupportedOpError
from ...networks.lowering import Kernel
from ...networks.ops import BITS, TensorType


class Kind(IntEnum):
    """How the arithmetic of an op is done; the same numbers as ``lutra::cpu_sim::Kind``."""

    PRODUCT = 0
    DEPTHWISE = 1
    POOL = 2
    POINTWISE = 3


@dataclass(frozen=True)
class CpuWork:
    """The work of one kernel.

    Attributes:
        kind: how its arithmetic is done.
        flops: operations, a multiply-add as two.
        activation_bytes: of what it reads and writes besides stored tensors.
        weight_bytes: of stored tensors.
        depth: products that are added up for one output; 1 where nothing is.
        outputs: channels, or columns, that are made side by side (of one group).
        rows: pixels, or rows, that share the weights.
        winograd: a 3x3 convolution that can be done with fewer multiplications.
        bits: of an element of what it reads.
    """

    kind: Kind
    flops: float
    activation_bytes: float
    weight_bytes: float
    depth: int = 1
    outputs: int = 1
    rows: int = 1
    winograd: bool = False
    bits: int = 32


LEAST_WINOGRAD_CHANNELS: Final = 16

_ELEMENT_FLOPS: Final = {
    **dict.fromkeys(("exp", "erf", "sigmoid", "silu", "gelu", "gelu_tanh", "tanh", "pow"), 16.0),
    **dict.fromkeys(("hard_swish", "hard_sigmoid"), 4.0),
    **dict.fromkeys(("div", "sqrt"), 4.0),
    **dict.fromkeys(("softmax",), 24.0),
    **dict.fromkeys(("layer_norm", "group_norm", "rms_norm"), 8.0),
    **dict.fromkeys(("batch_norm", "upsample"), 2.0),
}
"""Operations of an element, where it is not one: polynomials of transcendental functions and divisions as vectors do
them, counted roughly."""

_MOVES: Final = frozenset({"concat", "split", "slice", "pad", "expand", "embedding", "reshape", "flatten", "cast"})
_STRIDED: Final = frozenset({"transpose", "channel_shuffle"})
_STRIDED_BYTES: Final = 2.0  # of a line of a cache, half is not used at once
_POOLS: Final = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"})
_REDUCTIONS: Final = frozenset({"mean", "sum", "max"})


def work_of(kernel: Kernel) -> CpuWork:
    """What a kernel of `lutra.networks.lowering.sim_cpu` asks of a CPU.

    Raises:
        UnsupportedOpError: the model has no idea of its op.
    """
    node = kernel.nodes[0]
    types = dict(kernel.inputs) | {name: constant.type for name, constant in kernel.constants}
    read = [types[name] for name in node.inputs if name in types]
    outputs = [type_ for _, type_ in kernel.outputs]
    elements = sum(math.prod(type_.shape) for type_ in outputs)
    weight_bytes = float(kernel.weight_bytes)
    activation_bytes = max(float(kernel.bytes_moved) - weight_bytes, 0.0)
    bits = _bits(read or outputs)
    if kernel.macs:
        return _product(kernel, read, outputs, activation_bytes, weight_bytes, bits)
    if node.op in _STRIDED:
        return CpuWork(Kind.POINTWISE, 0.0, _STRIDED_BYTES * activation_bytes, weight_bytes, bits=bits)
    if node.op in _MOVES:
        return CpuWork(Kind.POINTWISE, 0.0, activation_bytes, weight_bytes, bits=bits)
    if node.op in _POOLS | _REDUCTIONS:
        window = dict(node.attrs).get("kernel_size")
        seen = math.prod(window) * elements if isinstance(window, tuple) else math.prod(read[0].shape)
        return CpuWork(Kind.POOL, float(seen), activation_bytes, weight_bytes, outputs=_channels(outputs), bits=bits)
    flops = _ELEMENT_FLOPS.get(node.op, 1.0) * max(elements, 1)
    return CpuWork(Kind.POINTWISE, flops, activation_bytes, weight_bytes, rows=max(elements, 1), bits=bits)


def _product(
    kernel: Kernel,
    read: list[TensorType],
    outputs: list[TensorType],
    activation_bytes: float,
    weight_bytes: float,
    bits: int,
) -> CpuWork:
    node = kernel.nodes[0]
    attrs = dict(node.attrs)
    made = outputs[0].shape
    groups, window = 1, 1
    match node.op:
        case "conv2d" | "conv1d":
            weight = read[1].shape
            groups = _integer(attrs["groups"])
            columns, depth, window = weight[0] // groups, math.prod(weight[1:]), math.prod(weight[2:])
            rows = made[0] * math.prod(made[2:])
        case "conv_transpose2d":
            weight = read[1].shape
            groups = _integer(attrs["groups"])
            columns, depth = math.prod(weight[1:]), weight[0] // groups
            rows = read[0].shape[0] * math.prod(read[0].shape[2:])
        case "linear":
            columns, depth = read[1].shape
            rows = math.prod(made[:-1])
        case "matmul" | "sdpa":
            depth = read[0].shape[-1]
            columns = made[-1] if node.op == "matmul" else read[1].shape[-2]
            rows = math.prod(made[:-1])
        case _:
            raise UnsupportedOpError("the model of simulated CPUs", {node.op: 1}, hint="measure it on a real one")
    depthwise = groups > 1 and node.op != "conv_transpose2d" and depth == window
    stride = attrs.get("stride")
    wide = columns >= LEAST_WINOGRAD_CHANNELS and depth >= 9 * LEAST_WINOGRAD_CHANNELS and groups == 1
    plain = set(attrs.get("dilation", ())) == {1} and stride == (1, 1)  # type: ignore[arg-type]
    return CpuWork(
        kind=Kind.DEPTHWISE if depthwise else Kind.PRODUCT,
        flops=2.0 * kernel.macs,
        activation_bytes=activation_bytes,
        weight_bytes=weight_bytes,
        depth=max(depth, 1),
        outputs=max(groups if depthwise else columns, 1),
        rows=max(rows, 1),
        winograd=node.op == "conv2d" and attrs["kernel_size"] == (3, 3) and plain and wide and bits == 32,
        bits=bits,
    )


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


def _channels(outputs: list[TensorType]) -> int:
    return max(outputs[0].shape[1], 1) if outputs[0].rank > 1 else 1


def _bits(types: list[TensorType]) -> int:
    """Of an element of the first tensor of real numbers, else of the first tensor."""
    real = [type_ for type_ in types if type_.dtype in ("float32", "float16", "int8", "uint8")]
    return max(BITS[(real or types)[0].dtype], 8)
