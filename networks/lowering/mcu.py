"""Lowering for microcontrollers: the int8 layers that a TensorFlow Lite converter would make of a network.

Batch norms fold into the convolution or linear layer before them; ReLU and ReLU6 become clamps of the layer whose
output only they read; other activations are tables of 256 entries; reshapes only rename a tensor, because a converter
reorders the weights behind them. Images are N x H x W x C, with N = 1. Weights are int8 with a scale for each filter,
kept as a Q31 multiplier and a shift beside the 32-bit bias (arXiv:1712.05877, section 2.2); a fully connected layer
has one multiplier for all outputs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..graph import Network, Node, prune
from ..ops import Op, TensorType
from .kernel import AttrValue, Constant, Kernel, KernelNode, LoweredNetwork, freeze_attrs, lacking_node
from .labels import native_label
from .native import FOLDS_BATCH_NORM, changes_nothing, stored_outputs

RUNTIME: Final = "mcu"

CLAMPS: Final = frozenset({"relu", "relu6"})
"""Activations that a layer takes in."""

TABLES: Final = CLAMPS | {"hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh", "leaky_relu"}
"""Activations that become a look-up of each element."""

_CLAMPED: Final = frozenset({"conv2d", "linear", "add"})
_SPATIAL: Final = (2, 3)
_PER_CHANNEL: Final = ("bias", "multiplier", "shift")


def lower_mcu(network: Network) -> LoweredNetwork:
    """The layers of ``network`` on a microcontroller, one `KernelNode` each, under the names of the firmware's kinds.

    What no kind computes becomes a kernel that says so (`Kernel.lacks`). Attributes are ``kernel_size``, ``stride``,
    ``padding`` (top, left, bottom, right), ``groups`` and ``activation`` ("" for none), where a kind has them.
    """
    return LoweredNetwork(RUNTIME, network.fingerprint, _Lowerer(prune(network)).run())


@dataclass
class _Layer:
    """A node that becomes a layer, and what it took in."""

    node: Node
    output: str
    activation: str = ""
    told: list[str] = field(default_factory=list)


class _Lowerer:
    """One pass over a network in execution order."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._readers = network.consumers()
        self._root = {value: value for value in network.types}
        self._stored: dict[str, Constant] = {}
        self._makers: dict[str, _Layer] = {}
        self._layers: list[_Layer] = []

    def run(self) -> tuple[Kernel, ...]:
        for node in self._network:
            if all(value in self._stored for value in node.inputs):
                self._stored.update(stored_outputs(node))
            elif node.op.spec.is_view or changes_nothing(node.op):
                self._root[node.name] = self._root[node.inputs[0]]
            elif not (self._fold(node) or self._clamp(node)):
                layer = _Layer(node, node.outputs[0])
                self._layers.append(layer)
                self._makers.update(dict.fromkeys(node.outputs, layer))
        return tuple(map(self._kernel, self._layers))

    def _host(self, node: Node, kinds: frozenset[str]) -> _Layer | None:
        """The layer of one of ``kinds`` whose output only ``node`` reads, and that has no activation yet."""
        value = node.inputs[0]
        layer = self._makers.get(value)
        sole = len(self._readers[value]) == 1 and value not in self._network.outputs
        return layer if layer and sole and layer.node.op.kind in kinds and not layer.activation else None

    def _fold(self, node: Node) -> bool:
        host = self._host(node, FOLDS_BATCH_NORM) if node.op.kind == "batch_norm" else None
        # Axis 1 is the channel of a convolution, but the token of a linear layer over sequences.
        if host is None or (host.node.op.kind == "linear" and host.node.op.inputs[0].rank != 2):
            return False
        return self._absorb(host, node)

    def _clamp(self, node: Node) -> bool:
        host = self._host(node, _CLAMPED) if node.op.kind in CLAMPS else None
        if host is None:
            return False
        host.activation = node.op.kind
        host.told.append(node.op.kind)
        return self._absorb(host, node)

    def _absorb(self, host: _Layer, node: Node) -> bool:
        host.output = node.outputs[0]
        self._makers[node.name] = host
        return True

    def _kernel(self, layer: _Layer) -> Kernel:
        op, node = layer.node.op, layer.node
        inputs = {self._root[value]: type_ for value, type_ in zip(node.inputs, op.inputs, strict=True)}
        form = _reason_against(op, node, self._stored) or _FORMS[op.kind](op)
        if isinstance(form, str):
            return _lacking(layer, form, inputs)
        attrs = dict(form.attrs) | ({"activation": layer.activation} if op.kind in _CLAMPED else {})
        constants = {f"{node.weights_from or node.name}.{name}": Constant(t) for name, t in form.constants.items()}
        read = tuple(self._root[value] for value in node.inputs)
        kernel_node = KernelNode(form.kind, "", freeze_attrs(attrs), (*read, *constants), (layer.output,))
        activations = {name: _in_memory(type_) for name, type_ in inputs.items()}
        output = _in_memory(op.outputs[0])
        moved = [*activations.values(), *form.constants.values(), output]
        return Kernel(
            runtime=RUNTIME,
            nodes=(kernel_node,),
            inputs=tuple(activations.items()),
            constants=tuple(constants.items()),
            outputs=((layer.output, output),),
            macs=op.macs,
            bytes_moved=sum(type_.nbytes for type_ in moved),
            label=native_label(op, layer.told),
        )


@dataclass(frozen=True)
class _Form:
    """What an op is on a microcontroller: a kind of the firmware, its attributes, and its stored tensors."""

    kind: str
    attrs: Mapping[str, AttrValue] = field(default_factory=dict)
    constants: Mapping[str, TensorType] = field(default_factory=dict)


def _in_memory(type_: TensorType) -> TensorType:
    """An activation as it lies in memory: int8, channels last."""
    shape = type_.shape
    return TensorType((shape[0], *shape[2:], shape[1]) if type_.rank == 4 else shape, "int8")


def _lacking(layer: _Layer, reason: str, inputs: Mapping[str, TensorType]) -> Kernel:
    op = layer.node.op
    return Kernel(
        runtime=RUNTIME,
        nodes=(lacking_node(op, reason, tuple(inputs), layer.node.outputs),),
        inputs=tuple(inputs.items()),
        constants=(),
        outputs=tuple(zip(layer.node.outputs, op.outputs, strict=True)),
        macs=op.macs,
        bytes_moved=op.bytes_moved,
        label=native_label(op, layer.told),
    )


def _reason_against(op: Op, node: Node, stored: Mapping[str, Constant]) -> str:
    """Why no kind computes an op, whatever its attributes; "" where some may."""
    if op.kind not in _FORMS:
        return f"an int8 layer for {op.kind}"
    if any(value in stored for value in node.inputs):
        return f"{op.kind} of an activation and a stored tensor"
    if any(type_.shape[:1] != (1,) for type_ in (*op.inputs, *op.outputs)):
        return f"{op.kind} of a batch of more than one"
    return ""


def _convolution(op: Op) -> _Form | str:
    if set(op["dilation"]) != {1}:
        return "convolution with gaps between its taps"
    filters, per_group, *window = op.weights["weight"]
    channels, groups = op.inputs[0].shape[1], op["groups"]
    plain = tuple(window) == (1, 1) == op["stride"] and not any(op["padding"])
    kind = "pointwise" if plain else "conv2d"
    if groups > 1:
        kind = "depthwise" if groups == channels == filters else "grouped_conv2d"
    attrs = {"kernel_size": tuple(window), "stride": op["stride"], "padding": op["padding"], "groups": groups}
    weight = TensorType((filters, *window, per_group), "int8")
    return _Form(kind, attrs, {"weight": weight} | {name: TensorType((filters,), "int32") for name in _PER_CHANNEL})


def _fully_connected(op: Op) -> _Form | str:
    if op.inputs[0].rank != 2:
        return "a linear layer over sequences"
    outputs, inputs = op.weights["weight"]
    return _Form(
        "fully_connected",
        {},
        {"weight": TensorType((outputs, inputs), "int8"), "bias": TensorType((outputs,), "int32")},
    )


def _pool(kind: str) -> Callable[[Op], _Form | str]:
    def form(op: Op) -> _Form | str:
        return _Form(kind, {name: op[name] for name in ("kernel_size", "stride", "padding")})

    return form


def _global_pool(op: Op) -> _Form | str:
    del op
    return _Form("global_pool")


def _adaptive(op: Op) -> _Form | str:
    return _Form("global_pool") if op.outputs[0].shape[2:] == (1, 1) else "adaptive pooling to more than one pixel"


def _mean(op: Op) -> _Form | str:
    axes = tuple(sorted(axis % op.inputs[0].rank for axis in op["axes"]))
    return _Form("mean") if op.inputs[0].rank == 4 and axes == _SPATIAL else "mean over other axes than the image's"


def _add(op: Op) -> _Form | str:
    return _Form("add") if len(set(op.inputs)) == 1 else "a sum of tensors of different shapes"


def _concat(op: Op) -> _Form | str:
    joins_channels = op.inputs[0].rank in (2, 4) and op["axis"] % op.inputs[0].rank == 1
    return _Form("concat") if joins_channels else "joining along another axis than the channels"


def _shuffle(op: Op) -> _Form | str:
    return _Form("channel_shuffle", {"groups": op["groups"]})


def _softmax(op: Op) -> _Form | str:
    last = op.inputs[0].rank == 2 and op["axis"] % 2 == 1
    return _Form("softmax", {}, {"table": TensorType((256,), "int32")}) if last else "softmax of anything but a vector"


def _padding(op: Op) -> _Form | str:
    pads = op["pads"]
    if op.inputs[0].rank != 4 or any((*pads[:2], *pads[4:6])):
        return "padding of other axes than the image's"
    return _Form("pad", {"padding": (*pads[2:4], *pads[6:8])})


def _table(op: Op) -> _Form | str:
    del op
    return _Form("table", {}, {"table": TensorType((256,), "int8")})


_FORMS: Final[Mapping[str, Callable[[Op], _Form | str]]] = {
    "conv2d": _convolution,
    "linear": _fully_connected,
    "max_pool2d": _pool("max_pool"),
    "avg_pool2d": _pool("avg_pool"),
    "global_avg_pool2d": _global_pool,
    "adaptive_avg_pool2d": _adaptive,
    "mean": _mean,
    "add": _add,
    "concat": _concat,
    "channel_shuffle": _shuffle,
    "softmax": _softmax,
    "pad": _padding,
    **dict.fromkeys(TABLES, _table),
}


def channels_of(kernel: Kernel) -> int:
    """Output channels with numbers of their own (bias, scale) in a layer; 0 where it has none."""
    return next((math.prod(c.type.shape) for name, c in kernel.constants if name.endswith(".bias")), 0)


def weights_of(kernel: Kernel) -> int:
    """How many weights a layer has; entries of tables do not count."""
    return sum(math.prod(c.type.shape) for name, c in kernel.constants if name.endswith(".weight"))


def table_bytes_of(kernel: Kernel) -> int:
    """Bytes of a layer's look-up table."""
    return sum(c.type.nbytes for name, c in kernel.constants if name.endswith(".table"))


def image_of(type_: TensorType) -> tuple[int, int, int]:
    """Height, width and channels of an activation as it lies in memory; a vector is one pixel."""
    shape: Sequence[int] = type_.shape
    if type_.rank == 4:
        return shape[1], shape[2], shape[3]
    return 1, 1, math.prod(shape)


def ints_of(kernel: Kernel, name: str) -> tuple[int, ...]:
    """An attribute of a layer that is an integer or a list of integers."""
    value = dict(kernel.nodes[0].attrs)[name]
    return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)
