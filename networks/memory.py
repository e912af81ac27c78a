"""Peak activation memory of a network: liveness over its execution order.

The model is that of an int8 interpreter on a microcontroller (and of any runtime that fuses): weights are not
activations; reshapes share their input's memory; batch norm, activations and other element-wise ops overwrite an
input that dies there; everything else needs input and output side by side, beside what is still waiting to be
read, such as the shortcut of a residual block (MCUNet, arXiv:2007.10319, section 3 and its table of activation
sizes). With ``inplace_depthwise`` a depthwise convolution writes over its input one channel at a time, which takes
one extra channel of output (same paper, section 4).
"""

from typing import TYPE_CHECKING

from .ops import Op, bits_of
from .ops._base import TensorType

if TYPE_CHECKING:
    from .graph import Network, Node


def is_depthwise(op: Op) -> bool:
    """Whether ``op`` is a two-dimensional convolution with one filter per channel."""
    return op.kind == "conv2d" and op["groups"] == op.inputs[0].shape[1] == op["out_channels"] and op["groups"] > 1


def peak_activation_bytes(network: "Network", *, dtype: str | None, inplace_depthwise: bool) -> int:
    """Largest number of activation bytes live at once while ``network`` runs in order. See the module's docstring."""
    bits = {value: _bits(type_, dtype) for value, type_ in network.types.items()}
    last_read = {value: i for i, node in enumerate(network.nodes) for value in node.inputs}
    last_read |= dict.fromkeys(network.outputs, len(network.nodes))

    buffer_of: dict[str, int] = {}  # value -> id of the memory it lies in
    size: dict[int, int] = {}  # live buffers only
    dies_at: dict[int, int] = {}

    def place(value: str, buffer: int, bits_: int) -> None:
        buffer_of[value] = buffer
        size[buffer] = max(size.get(buffer, 0), bits_)
        dies_at[buffer] = max(dies_at.get(buffer, -1), last_read.get(value, -1))

    for i, (name, _) in enumerate(network.inputs):
        place(name, i, bits[name])
    peak = sum(size.values())
    fresh = len(network.inputs)
    for step, node in enumerate(network.nodes):
        if node.op.spec.is_source or (node.op.spec.is_view and node.inputs[0] not in buffer_of):
            continue  # stored tensors, reshaped or not, are not activations
        target = _reused_input(node, step, buffer_of, dies_at, inplace_depthwise)
        extra = 0
        for value in node.outputs:
            if target is None:
                place(value, fresh, bits[value])
                fresh += 1
            else:
                if is_depthwise(node.op):
                    extra = bits[value] // node.op["out_channels"]
                place(value, target, bits[value])
        peak = max(peak, sum(size.values()) + extra)
        for buffer in [b for b in size if dies_at[b] <= step]:
            del size[buffer]
    return (peak + 7) // 8


def _reused_input(
    node: "Node", step: int, buffer_of: dict[str, int], dies_at: dict[int, int], inplace_depthwise: bool
) -> int | None:
    """The buffer that the node's only output may share, or None where it needs memory of its own."""
    op = node.op
    if op.spec.is_view:
        return buffer_of.get(node.inputs[0])
    in_place = op.spec.in_place or (inplace_depthwise and is_depthwise(op))
    if not in_place or len(op.outputs) != 1:
        return None
    for value, type_ in zip(node.inputs, op.inputs, strict=True):
        buffer = buffer_of.get(value)
        fits = type_ == op.outputs[0] or is_depthwise(op)
        if buffer is not None and fits and dies_at[buffer] <= step:
            return buffer
    return None


def _bits(type_: TensorType, dtype: str | None) -> int:
    counted = dtype if dtype is not None and type_.dtype.startswith(("float", "bfloat")) else type_.dtype
    return type_.numel * bits_of(counted)
