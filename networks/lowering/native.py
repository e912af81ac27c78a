"""Lowering for our own kernels: which ops become one kernel, and which need none."""

import math
from dataclasses import dataclass, field

from ..graph import Network, Node, prune
from ..ops import Op, TensorType
from .blocked import in_blocks
from .kernel import AttrValue, Constant, Kernel, KernelNode, LoweredNetwork, freeze_attrs
from .labels import native_label
from .native_int8 import CLAMPS, in_int8

RUNTIME = "native"

HOSTS = frozenset({"conv2d", "linear"})
"""Ops whose kernels compute ``activation(op(x) + residual)``."""

ACTIVATIONS = frozenset({"relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh"})
"""Ops that fuse into a host, under their own names ("gelu_tanh" for the approximate gelu)."""

FOLDS_BATCH_NORM = frozenset({"conv2d", "conv1d", "conv_transpose2d", "linear"})

_MAX_VALUES = 64
_TRAINING_ONLY = frozenset({"momentum"})


def lower_native(network: Network, runtime: str = RUNTIME, precision: str = "float32") -> LoweredNetwork:
    """The kernels of our own runtime for ``network``, one `KernelNode` each.

    A node's ``op`` and ``attrs`` are the catalogue's; its inputs are the op's inputs, then its weights in the
    catalogue's order (weight, bias), then the residual. Beyond the catalogue's, an attribute ``activation`` names a
    fused activation, and ``residual`` = 1 says that the last input is added before it.

    * batch norms fold into the convolution or linear layer before them, which gets a bias;
    * an activation or a residual sum fuses into the convolution or linear layer that nobody else reads;
    * reshapes, and ops that change nothing, only rename a tensor; ops on stored tensors alone are computed in advance;
    * in int8, convolutions and linear layers are 8-bit, and take in no activation but a clamp: see `in_int8`;
    * convolutions, and what follows them, keep images in blocks of channels: see `in_blocks`.
    """
    return LoweredNetwork(runtime, network.fingerprint, _Lowerer(prune(network), precision).run(runtime))


def fused_kernels(network: Network, runtime: str) -> tuple[list[Kernel], dict[str, str], list[str]]:
    """The kernels that are left of ``network`` once everything is fused, all plain and in float32.

    Returns:
        The kernels in execution order, one node each; for every value the one whose memory it is; the outputs.
    """
    lowerer = _Lowerer(prune(network), "float32")
    return lowerer.fused(runtime)


@dataclass
class _Fused:
    """A node, its position among the kernels, and what it took in."""

    node: Node
    position: int
    outputs: tuple[str, ...]
    bias: bool = False
    activation: str = ""
    residual: str = ""
    told: list[str] = field(default_factory=list)

    @property
    def op(self) -> Op:
        return self.node.op


class _Lowerer:
    """One pass over a network in execution order."""

    def __init__(self, network: Network, precision: str) -> None:
        self._network = network
        self._int8 = precision == "int8"
        self._activations = CLAMPS if self._int8 else ACTIVATIONS
        self._readers = network.consumers()
        self._root = {value: value for value in network.types}
        self._constants: dict[str, Constant] = {}
        self._makers: dict[str, _Fused] = {}
        self._kernels: list[_Fused] = []

    def run(self, runtime: str) -> tuple[Kernel, ...]:
        kernels, roots, outputs = self.fused(runtime)
        if self._int8:
            kernels, outputs = in_int8(kernels, roots, outputs, runtime)
        return in_blocks(kernels, roots, outputs, runtime)

    def fused(self, runtime: str) -> tuple[list[Kernel], dict[str, str], list[str]]:
        """The kernels, whose memory every value is, and the outputs."""
        for node in self._network:
            if all(value in self._constants for value in node.inputs):
                self._constants.update(stored_outputs(node))
            elif node.op.spec.is_view or changes_nothing(node.op):
                self._root[node.name] = self._root[node.inputs[0]]
            elif not (self._fold_batch_norm(node) or self._fuse_activation(node) or self._fuse_residual(node)):
                fused = _Fused(node, len(self._kernels), node.outputs)
                self._kernels.append(fused)
                self._makers.update(dict.fromkeys(node.outputs, fused))
        return [self._kernel(fused, runtime) for fused in self._kernels], self._root, list(self._network.outputs)

    def _host(self, value: str, kinds: frozenset[str]) -> _Fused | None:
        """The kernel that makes ``value``, where it is one of ``kinds`` and can still take something in."""
        fused = self._makers.get(value)
        sole = len(self._readers[value]) == 1 and value not in self._network.outputs
        return fused if fused and sole and fused.op.kind in kinds and not fused.activation else None

    def _absorb(self, host: _Fused, node: Node, told: str) -> bool:
        host.outputs = node.outputs
        host.told.append(told)
        self._makers[node.name] = host
        return True

    def _fold_batch_norm(self, node: Node) -> bool:
        host = self._host(node.inputs[0], FOLDS_BATCH_NORM) if node.op.kind == "batch_norm" else None
        # Axis 1 is the channel of a convolution, but the token of a linear layer over sequences.
        if host is None or host.residual or (host.op.kind == "linear" and host.op.inputs[0].rank != 2):
            return False
        host.bias = True
        self._makers[node.name] = host
        host.outputs = node.outputs
        return True

    def _fuse_activation(self, node: Node) -> bool:
        host = self._host(node.inputs[0], HOSTS) if node.op.kind in self._activations else None
        if host is None:
            return False
        approximate = node.op.attributes.get("approximate", "none")
        host.activation = node.op.kind if approximate == "none" else f"{node.op.kind}_{approximate}"
        return self._absorb(host, node, host.activation)

    def _fuse_residual(self, node: Node) -> bool:
        if node.op.kind != "add" or node.inputs[0] == node.inputs[1] or len(set(node.op.inputs)) != 1:
            return False
        operands = sorted(node.inputs, key=self._position, reverse=True)
        host = self._host(operands[0], HOSTS)
        if host is None or host.residual or operands[1] in self._constants:
            return False
        host.residual = operands[1]
        return self._absorb(host, node, "add")

    def _position(self, value: str) -> int:
        """Where among the kernels ``value`` is made; -1 for what is there from the start."""
        maker = self._makers.get(self._root[value])
        return maker.position if maker else -1

    def _kernel(self, fused: _Fused, runtime: str) -> Kernel:
        op, node = fused.op, fused.node
        stored = self._weights(fused)
        read = [(value, type_) for value, type_ in zip(node.inputs, op.inputs, strict=True)]
        residual = [(fused.residual, op.outputs[0])] if fused.residual else []
        names: dict[tuple[str, TensorType], str] = {}
        inputs: dict[str, TensorType] = {}
        for value, type_ in read + residual:
            if value in self._constants:
                stored[value] = self._constants[value]
                names[value, type_] = value
                continue
            root = self._root[value]
            # One tensor read under two shapes goes by two names.
            names[value, type_] = root if inputs.get(root, type_) == type_ else value
            inputs[names[value, type_]] = type_
        weights = [name for name in stored if name not in self._constants]
        order = (*(names[key] for key in read), *weights, *(names[key] for key in residual))
        extra_bytes = sum(type_.nbytes for _, type_ in residual)
        return Kernel(
            runtime=runtime,
            nodes=(KernelNode(op.kind, "", _attrs(fused), order, fused.outputs),),
            inputs=tuple(inputs.items()),
            constants=tuple(stored.items()),
            outputs=tuple(zip(fused.outputs, op.outputs, strict=True)),
            macs=op.macs,
            bytes_moved=op.bytes_moved + extra_bytes + (_bias_bytes(op) if fused.bias and not op["bias"] else 0),
            label=native_label(op, fused.told),
        )

    def _weights(self, fused: _Fused) -> dict[str, Constant]:
        op, owner = fused.op, fused.node.weights_from or fused.node.name
        shapes = op.weights | op.buffers
        if fused.bias and "bias" not in shapes:
            shapes["bias"] = (op.outputs[0].shape[_channel_axis(op)],)
        return {f"{owner}.{name}": Constant(TensorType(shape, op.dtype)) for name, shape in shapes.items()}


def _attrs(fused: _Fused) -> tuple[tuple[str, AttrValue], ...]:
    attrs: dict[str, AttrValue] = {name: value for name, value in fused.op.attrs if name not in _TRAINING_ONLY}
    if fused.bias:
        attrs["bias"] = True
    if fused.activation:
        attrs["activation"] = fused.activation
    if fused.residual:
        attrs["residual"] = 1
    return freeze_attrs(attrs)


def _channel_axis(op: Op) -> int:
    return op.outputs[0].rank - 1 if op.kind == "linear" else 1


def _bias_bytes(op: Op) -> int:
    return TensorType((op.outputs[0].shape[_channel_axis(op)],), op.dtype).nbytes


def stored_outputs(node: Node) -> dict[str, Constant]:
    """The outputs of an op on stored tensors alone, as stored tensors."""
    op = node.op
    values = tuple(op["values"]) if op.kind == "constant" else ()
    kept = values if values and math.prod(op["shape"]) <= _MAX_VALUES else None
    return {value: Constant(type_, kept) for value, type_ in zip(node.outputs, op.outputs, strict=True)}


def changes_nothing(op: Op) -> bool:
    """Ops written down that leave every element where it was."""
    match op.kind:
        case "cast" | "expand" | "slice":
            return op.outputs == op.inputs
        case "pad":
            return not any(op["pads"])
        case "concat":
            return len(op.inputs) == 1
        case "transpose":
            perm: tuple[int, ...] = op["perm"]
            return perm == tuple(range(len(perm)))
        case _:
            return False
