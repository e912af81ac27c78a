"""`Kernel`: a piece of a runtime's own lowered graph, the thing that is measured and that a table has rows for."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import CorruptModelError, UnsupportedOpError
from ..ops import Op, TensorType

LACKING = "lacking"
"""Domain of nodes that stand for ops which the runtime lacks; their attribute ``reason`` says what it is."""

AttrValue = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class KernelNode:
    """One node of a lowered graph, in the runtime's own terms.

    Attributes:
        op: the runtime's name of the op ("Conv", "QuickGelu", "conv2d").
        domain: op set the name is from ("" for the default one).
        attrs: attributes, sorted by name.
        inputs: tensors read; "" for an optional input that is left out.
        outputs: tensors made; "" for an optional output that is left out.
    """

    op: str
    domain: str
    attrs: tuple[tuple[str, AttrValue], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Constant:
    """A stored tensor of a kernel.

    ``values`` (row-major) are kept only where they decide what is computed: shapes, axes, bounds. Weights are not
    kept; any content of the right shape takes the same time.
    """

    type: TensorType
    values: tuple[int, ...] | tuple[float, ...] | None = None


@dataclass(frozen=True)
class Kernel:
    """A connected piece of a lowered graph: fused ops with their layouts, cut where a single tensor is live.

    Equal keys mean equal work: tensor names, weights' contents and the position in a network do not enter.

    Attributes:
        runtime: who lowered it.
        nodes: in execution order.
        inputs: activations it reads, with their types (in the runtime's layout).
        constants: stored tensors by name.
        outputs: activations it leaves behind, with their types.
        macs: multiply-accumulates.
        bytes_moved: bytes of inputs, stored tensors and outputs, each once.
        label: what people see; not part of the identity.
        opset: version of ONNX's default op set that the nodes are written in; 0 where they are not ONNX.
    """

    runtime: str
    nodes: tuple[KernelNode, ...]
    inputs: tuple[tuple[str, TensorType], ...]
    constants: tuple[tuple[str, Constant], ...]
    outputs: tuple[tuple[str, TensorType], ...]
    macs: int
    bytes_moved: int
    label: str
    opset: int = 0

    @cached_property
    def key(self) -> str:
        """Hex digest of the canonical form."""
        return hashlib.sha256(json.dumps(self._canonical(), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def weight_bytes(self) -> int:
        return sum(constant.type.nbytes for _, constant in self.constants)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the runtime lacks to run it, in words, once for each op; such a kernel cannot be measured."""
        return tuple(str(dict(node.attrs)["reason"]) for node in self.nodes if node.domain == LACKING)

    def _canonical(self) -> list[Any]:
        """The graph with tensors numbered in order of first use."""
        constants, inputs = dict(self.constants), dict(self.inputs)
        numbers: dict[str, int] = {"": -1}
        declared: list[Any] = []
        for node in self.nodes:
            for name in (*node.inputs, *node.outputs):
                if name in numbers:
                    continue
                numbers[name] = len(numbers) - 1
                if name in constants:
                    constant = constants[name]
                    declared.append([numbers[name], "constant", str(constant.type), constant.values])
                elif name in inputs:
                    declared.append([numbers[name], "input", str(inputs[name])])
        nodes = [
            [node.domain, node.op, node.attrs, [numbers[n] for n in node.inputs], [numbers[n] for n in node.outputs]]
            for node in self.nodes
        ]
        return [self.runtime, self.opset, declared, nodes, [numbers[name] for name, _ in self.outputs]]

    def to_json(self) -> dict[str, Any]:
        """Everything needed to build the kernel again on another day, as JSON."""
        return {
            "runtime": self.runtime,
            "label": self.label,
            "opset": self.opset,
            "macs": self.macs,
            "bytes_moved": self.bytes_moved,
            "inputs": [[name, list(t.shape), t.dtype] for name, t in self.inputs],
            "constants": [
                [name, list(c.type.shape), c.type.dtype, None if c.values is None else list(c.values)]
                for name, c in self.constants
            ],
            "nodes": [
                {"op": n.op, "domain": n.domain, "attrs": dict(n.attrs), "inputs": n.inputs, "outputs": n.outputs}
                for n in self.nodes
            ],
            "outputs": [[name, list(t.shape), t.dtype] for name, t in self.outputs],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Kernel":
        """The kernel that `to_json` wrote.

        Raises:
            CorruptModelError: not such a document.
        """
        try:
            return cls(
                runtime=document["runtime"],
                nodes=tuple(
                    KernelNode(n["op"], n["domain"], freeze_attrs(n["attrs"]), tuple(n["inputs"]), tuple(n["outputs"]))
                    for n in document["nodes"]
                ),
                inputs=tuple((name, TensorType(tuple(shape), dtype)) for name, shape, dtype in document["inputs"]),
                constants=tuple(
                    (name, Constant(TensorType(tuple(shape), dtype), None if values is None else tuple(values)))
                    for name, shape, dtype, values in document["constants"]
                ),
                outputs=tuple((name, TensorType(tuple(shape), dtype)) for name, shape, dtype in document["outputs"]),
                macs=document["macs"],
                bytes_moved=document["bytes_moved"],
                label=document["label"],
                opset=document["opset"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptModelError(f"a stored kernel is damaged: {error!r}") from None


def lacking_node(op: Op, reason: str, inputs: Sequence[str], outputs: Sequence[str]) -> KernelNode:
    """A node that stands for an op which the runtime lacks.

    Args:
        op: of the catalogue.
        reason: what is lacking, in words.
        inputs: tensors that it would read.
        outputs: tensors that it would make.
    """
    return KernelNode(op.kind, LACKING, freeze_attrs({"key": op.key, "reason": reason}), tuple(inputs), tuple(outputs))


def require_supported(kernels: Iterable[Kernel]) -> None:
    """Refuse kernels with ops that their runtime lacks.

    Raises:
        UnsupportedOpError: names all that is lacking.
    """
    lacks: Counter[str] = Counter()
    for kernel in kernels:
        lacks.update(kernel.lacks)
    if lacks:
        raise UnsupportedOpError(f"what {kernel.runtime} is to run", lacks, hint="use another --runtime")


def freeze_attrs(attrs: Mapping[str, Any]) -> tuple[tuple[str, AttrValue], ...]:
    """Attributes as `KernelNode` holds them: lists become tuples, names are sorted."""
    frozen = ((name, tuple(value) if isinstance(value, list | tuple) else value) for name, value in attrs.items())
    return tuple(sorted(frozen))


@dataclass(frozen=True)
class LoweredNetwork:
    """What a runtime really runs for one network.

    Attributes:
        runtime: who lowered it.
        network_fingerprint: fingerprint of the network it came from.
        kernels: in execution order; the same kernel may come more than once.
    """

    runtime: str
    network_fingerprint: str
    kernels: tuple[Kernel, ...]

    @cached_property
    def distinct(self) -> dict[str, Kernel]:
        """Kernels by key, each once, in order of first use."""
        distinct: dict[str, Kernel] = {}
        for kernel in self.kernels:
            distinct.setdefault(kernel.key, kernel)
        return distinct

    @property
    def macs(self) -> int:
        return sum(kernel.macs for kernel in self.kernels)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the runtime lacks to run the network, once for each op; see `Kernel.lacks`."""
        return tuple(reason for kernel in self.kernels for reason in kernel.lacks)
