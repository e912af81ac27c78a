"""What oneDNN computes in one primitive: batch norms folded, activations and residual sums as post-ops."""

from dataclasses import dataclass, field

from ..graph import Network, Node
from ..ops import Op, TensorType
from .kernel import Constant
from .native import changes_nothing, stored_outputs
from .onednn_primitives import BINARY, Eltwise, eltwise

_HOSTS = frozenset({"conv1d", "conv2d", "conv_transpose2d", "linear"})
"""Ops that compute ``activation(op(x) + residual)`` in one primitive."""

_ACTIVATION_HOSTS = _HOSTS | BINARY | {"matmul"}


@dataclass
class Fused:
    """A node, and what is computed in the same primitive behind it.

    Attributes:
        node: the op.
        outputs: names of the values that are there in the end.
        bias: a batch norm was folded in, which leaves a bias.
        residual: value added before the activation; "" for none.
        activation: element-wise function at the end.
        told: names of what was fused, for labels.
    """

    node: Node
    outputs: tuple[str, ...]
    bias: bool = False
    residual: str = ""
    activation: Eltwise | None = None
    told: list[str] = field(default_factory=list)

    @property
    def op(self) -> Op:
        return self.node.op

    @property
    def reads(self) -> tuple[str, ...]:
        """Values read, the residual last."""
        return (*self.node.inputs, self.residual) if self.residual else self.node.inputs


class Fusion:
    """One pass over a network in execution order.

    Attributes:
        fused: what is left, in execution order.
        constants: values that do not depend on the network's inputs.
        root: for every value the value whose elements it is, in the same order: views have no primitive.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._readers = network.consumers()
        self._makers: dict[str, int] = {}
        self.fused: list[Fused] = []
        self.constants: dict[str, Constant] = {}
        self.root = {value: value for value in network.types}
        for node in network:
            self._take(node)

    def last_reads(self) -> dict[str, int]:
        """By root, the index of the last entry of `fused` that reads it."""
        return {self.root[value]: i for i, entry in enumerate(self.fused) for value in entry.reads}

    def _take(self, node: Node) -> None:
        if all(value in self.constants for value in node.inputs):
            self.constants.update(stored_outputs(node))
        elif node.op.spec.is_view or _changes_nothing(node.op):
            self.root[node.name] = self.root[node.inputs[0]]
        elif not (self._fold_batch_norm(node) or self._fuse_activation(node) or self._fuse_residual(node)):
            self._makers.update(dict.fromkeys(node.outputs, len(self.fused)))
            self.fused.append(Fused(node, node.outputs))

    def _host(self, value: str, kinds: frozenset[str]) -> Fused | None:
        """What makes ``value``, where it is one of ``kinds`` and can still take something in."""
        index = self._makers.get(value)
        if index is None or len(self._readers[value]) > 1 or value in self._network.outputs:
            return None
        host = self.fused[index]
        return host if host.op.kind in kinds and host.activation is None else None

    def _absorb(self, host: Fused, node: Node, told: str) -> bool:
        self._makers[node.name] = self._makers[host.outputs[0]]
        host.outputs = node.outputs
        host.told += [told] if told else []
        return True

    def _fold_batch_norm(self, node: Node) -> bool:
        host = self._host(node.inputs[0], _HOSTS) if node.op.kind == "batch_norm" else None
        # Axis 1 is the channel of a convolution, but the token of a linear layer over sequences.
        if host is None or host.residual or (host.op.kind == "linear" and host.op.inputs[0].rank != 2):
            return False
        host.bias = True
        return self._absorb(host, node, "")

    def _fuse_activation(self, node: Node) -> bool:
        function = eltwise(node.op) if len(node.inputs) == 1 else None
        host = self._host(node.inputs[0], _ACTIVATION_HOSTS) if function else None
        if host is None:
            return False
        host.activation = function
        return self._absorb(host, node, node.op.kind)

    def _fuse_residual(self, node: Node) -> bool:
        if node.op.kind != "add" or node.inputs[0] == node.inputs[1] or len(set(node.op.inputs)) != 1:
            return False
        earlier, later = sorted(node.inputs, key=self._position)
        host = self._host(later, _HOSTS)
        if host is None or host.residual or earlier in self.constants:
            return False
        host.residual = earlier
        return self._absorb(host, node, "add")

    def _position(self, value: str) -> int:
        """Where ``value`` is made; -1 for what is there from the start."""
        return self._makers.get(self.root[value], -1)


def _changes_nothing(op: Op) -> bool:
    """As for our own kernels, but that axes of size 1 may go anywhere."""
    if op.kind != "transpose":
        return changes_nothing(op)
    kept = [axis for axis in op["perm"] if op.inputs[0].shape[axis] > 1]
    return kept == sorted(kept)


def bias_type(op: Op) -> TensorType:
    """Type of the bias that a folded batch norm leaves."""
    axis = op.outputs[0].rank - 1 if op.kind == "linear" else 1
    return TensorType((op.outputs[0].shape[axis],), op.dtype)
