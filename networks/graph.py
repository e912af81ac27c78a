"""`Network`: a directed acyclic graph of ops with shapes, its totals, fingerprint and JSON form."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import CorruptModelError, FormatVersionError, LutraError, ShapeError
from .memory import peak_activation_bytes
from .ops import Op, TensorType, make_op

FORMAT_VERSION = 1
"""Version of the JSON form; raised whenever an older reader could misread a newer file."""


@dataclass(frozen=True)
class Node:
    """One op in a network.

    Attributes:
        name: unique in its network; also the prefix of its weights' names.
        op: what it computes.
        inputs: names of the values it reads.
        weights_from: name of an earlier node whose weights it shares ("" for its own).
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    weights_from: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values it makes: its own name, or ``name:0``, ``name:1`` ... where there are several."""
        count = len(self.op.outputs)
        return (self.name,) if count == 1 else tuple(f"{self.name}:{i}" for i in range(count))


@dataclass(frozen=True)
class Network:
    """A network in execution order.

    Attributes:
        name: what people call it.
        inputs: names and types of the graph's inputs.
        nodes: in an order in which every value is made before it is read.
        outputs: names of the values it returns.

    Raises:
        ShapeError: a value is read before it is made, made twice, or of another type than its reader expects.
    """

    name: str
    inputs: tuple[tuple[str, TensorType], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        types: dict[str, TensorType] = dict(self.inputs)
        owners: dict[str, Node] = {}
        if len(types) != len(self.inputs):
            raise ShapeError(f"network {self.name!r} has two inputs of one name")
        for node in self.nodes:
            if node.name in owners:
                raise ShapeError(f"network {self.name!r} has two nodes named {node.name!r}")
            read = tuple(types.get(value) for value in node.inputs)
            if read != node.op.inputs:
                missing = [value for value in node.inputs if value not in types]
                problem = (
                    f"reads {missing} before they are made" if missing else f"expects {node.op.inputs}, gets {read}"
                )
                raise ShapeError(f"node {node.name!r} ({node.op.kind}) {problem}")
            if node.weights_from:
                owner = owners.get(node.weights_from)
                if owner is None or owner.op.weights != node.op.weights or owner.weights_from:
                    raise ShapeError(f"node {node.name!r} cannot share the weights of {node.weights_from!r}")
            for value, type_ in zip(node.outputs, node.op.outputs, strict=True):
                if value in types:
                    raise ShapeError(f"value {value!r} is made twice")
                types[value] = type_
            owners[node.name] = node
        for value in self.outputs:
            if value not in types:
                raise ShapeError(f"network {self.name!r} returns {value!r}, which nothing makes")
        if not self.outputs:
            raise ShapeError(f"network {self.name!r} returns nothing")
        object.__setattr__(self, "_types", types)

    @property
    def types(self) -> Mapping[str, TensorType]:
        """Type of every value by name."""
        types: dict[str, TensorType] = self._types  # type: ignore[attr-defined]
        return types

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __str__(self) -> str:
        ins = ", ".join(str(type_) for _, type_ in self.inputs)
        outs = ", ".join(str(self.types[value]) for value in self.outputs)
        return f"{self.name}: {ins} -> {outs}, {len(self)} ops, {self.macs:,} MACs, {self.params:,} params"

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products (1 MAC = 2 FLOPs)."""
        return sum(node.op.macs for node in self.nodes)

    @cached_property
    def params(self) -> int:
        """Trained numbers; shared weights count once."""
        return sum(node.op.params for node in self.nodes if not node.weights_from)

    @cached_property
    def bytes_moved(self) -> int:
        """Sum over ops of the bytes they read and write (inputs, weights, outputs), nothing fused."""
        return sum(node.op.bytes_moved for node in self.nodes)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the trained numbers in the element types of their ops."""
        sizes = (
            node.op.params * TensorType((1,), node.op.dtype).nbytes for node in self.nodes if not node.weights_from
        )
        return sum(sizes)

    def peak_activation_bytes(self, dtype: str | None = None, inplace_depthwise: bool = False) -> int:
        """Largest amount of activation memory that is live at once; see `lutra.networks.memory`.

        Args:
            dtype: count every floating-point activation as this type ("int8", "int4", ...); None keeps its own.
            inplace_depthwise: depthwise convolutions overwrite their input, one channel at a time.
        """
        return peak_activation_bytes(self, dtype=dtype, inplace_depthwise=inplace_depthwise)

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each value, in execution order."""
        readers: dict[str, list[Node]] = {value: [] for value in self.types}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers[value].append(node)
        return readers

    def op_counts(self) -> dict[str, int]:
        """How often each op kind occurs."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.op.kind] = counts.get(node.op.kind, 0) + 1
        return counts

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of what is computed: the same for any names and any valid order of the nodes."""
        return _fingerprint(self)

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` gives an equal network back."""
        return {
            "format": "lutra.network",
            "version": FORMAT_VERSION,
            "name": self.name,
            "inputs": [{"name": name, "shape": list(t.shape), "dtype": t.dtype} for name, t in self.inputs],
            "nodes": [
                {"name": n.name, "op": n.op.kind, "inputs": list(n.inputs), "attrs": dict(n.op.attrs)}
                | ({"weights_from": n.weights_from} if n.weights_from else {})
                for n in self.nodes
            ],
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Network":
        """The network that `to_json` wrote.

        Raises:
            FormatVersionError: written by a newer version.
            CorruptModelError: not such a document.
        """
        if not isinstance(document, Mapping) or document.get("format") != "lutra.network":
            raise CorruptModelError("this is not a network in Lutra's JSON form", hint="write one with Network.save")
        version = document.get("version")
        if not isinstance(version, int) or version < 1:
            raise CorruptModelError(f"the network file has no valid format version: {version!r}")
        if version > FORMAT_VERSION:
            raise FormatVersionError("the network file", version, FORMAT_VERSION)
        try:
            inputs = tuple((_text(i["name"]), TensorType(tuple(i["shape"]), i["dtype"])) for i in document["inputs"])
            types = dict(inputs)
            nodes = []
            for entry in document["nodes"]:
                op = make_op(entry["op"], *(types[value] for value in entry["inputs"]), **entry["attrs"])
                node = Node(_text(entry["name"]), op, tuple(entry["inputs"]), _text(entry.get("weights_from", "")))
                types.update(zip(node.outputs, op.outputs, strict=True))
                nodes.append(node)
            return cls(_text(document["name"]), inputs, tuple(nodes), tuple(map(_text, document["outputs"])))
        except LutraError as error:
            raise CorruptModelError(f"the network file is damaged: {error.message}", hint=error.hint) from None
        except KeyError as error:
            raise CorruptModelError(f"the network file is damaged: {error} is missing") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise CorruptModelError(f"the network file is damaged: {error!r}") from None

    def save(self, path: str | Path) -> None:
        """Write the JSON form to ``path``."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Network":
        """Read a network that `save` wrote.

        Raises:
            CorruptModelError: the file is missing, cannot be read, or is not such a document.
            FormatVersionError: written by a newer version.
        """
        try:
            document = json.loads(Path(path).read_text())
        except OSError as error:
            raise CorruptModelError(f"{path} cannot be read: {error.strerror}", hint="check the path") from None
        except (ValueError, RecursionError) as error:
            raise CorruptModelError(
                f"{path} cannot be read as a network: {error}", hint="write one with Network.save"
            ) from None
        return cls.from_json(document)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a name")
    return value


def _fingerprint(network: Network) -> str:
    """Hash of the multiset of node hashes, each over a node's op, all it depends on and all that depends on it.

    Both directions are needed: twin branches with weights of their own have the same past, and only their readers
    tell which of them is read.
    """
    values = {name: _digest("input", i, str(type_)) for i, (name, type_) in enumerate(network.inputs)}
    past: dict[str, str] = {}
    for node in network.nodes:
        shared = past.get(node.weights_from, "")
        own = _digest("node", node.op.key, shared, *(values[value] for value in node.inputs))
        past[node.name] = own
        values.update((value, _digest(own, i)) for i, value in enumerate(node.outputs))

    readers: dict[str, list[str]] = {value: [] for value in network.types}
    for i, value in enumerate(network.outputs):
        readers[value].append(f"output {i}")
    sharers: dict[str, list[str]] = {node.name: [] for node in network.nodes}
    whole = []
    for node in reversed(network.nodes):
        future = (_digest(*sorted(readers[value])) for value in node.outputs)
        own = _digest(past[node.name], *future, "shared by", *sorted(sharers[node.name]))
        whole.append(own)
        for i, value in enumerate(node.inputs):
            readers[value].append(f"{own} {i}")
        if node.weights_from:
            sharers[node.weights_from].append(own)
    inputs = (_digest(values[name], *sorted(readers[name])) for name, _ in network.inputs)
    return _digest("network", *inputs, "nodes", *sorted(whole), "outputs", *(values[v] for v in network.outputs))


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


class NetworkBuilder:
    """Builds a `Network` op by op.

    Values are handed around as names; `type_of` gives their types. Node names are made from the enclosing
    `scope`s and the op kind unless given::

        b = NetworkBuilder("tiny")
        x = b.input((1, 3, 32, 32))
        x = b.op("conv2d", x, out_channels=8, kernel_size=3, padding=1)
        network = b.build(b.op("relu", x))
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._inputs: list[tuple[str, TensorType]] = []
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}
        self._scopes: list[str] = []
        self._counts: dict[str, int] = {}

    def input(self, shape: Iterable[int], dtype: str = "float32", name: str = "") -> str:
        """Declare an input of the network."""
        name = name or ("input" if not self._inputs else f"input{len(self._inputs)}")
        type_ = TensorType(tuple(shape), dtype)
        self._inputs.append((name, type_))
        self._types[name] = type_
        return name

    def scope(self, name: str) -> "_Scope":
        """``with b.scope("layer1"):`` prefixes the names of the nodes made inside."""
        return _Scope(self._scopes, name)

    def ops(self, kind: str, *inputs: str, name: str = "", weights_from: str = "", **attrs: Any) -> tuple[str, ...]:
        """Append an op; returns the names of all its outputs.

        Raises:
            ShapeError: the op cannot take these inputs or attributes; the message names the node.
        """
        full = self._unique(".".join((*self._scopes, name or kind)))
        try:
            op = make_op(kind, *(self._types[value] for value in inputs), **attrs)
        except ShapeError as error:
            raise ShapeError(f"{full}: {error.message}", hint=error.hint) from None
        node = Node(full, op, inputs, weights_from)
        self._nodes.append(node)
        self._types.update(zip(node.outputs, op.outputs, strict=True))
        return node.outputs

    def op(self, kind: str, *inputs: str, name: str = "", weights_from: str = "", **attrs: Any) -> str:
        """Append an op with one output; returns its name."""
        (value,) = self.ops(kind, *inputs, name=name, weights_from=weights_from, **attrs)
        return value

    def type_of(self, value: str) -> TensorType:
        return self._types[value]

    def shape(self, value: str) -> tuple[int, ...]:
        return self._types[value].shape

    def channels(self, value: str) -> int:
        """Size of axis 1: the channels of an image."""
        return self._types[value].shape[1]

    def build(self, *outputs: str) -> Network:
        """The finished network."""
        return Network(self.name, tuple(self._inputs), tuple(self._nodes), outputs)

    def _unique(self, name: str) -> str:
        seen = self._counts.get(name, 0)
        self._counts[name] = seen + 1
        return f"{name}_{seen}" if seen else name


class _Scope:
    def __init__(self, stack: list[str], name: str) -> None:
        self._stack, self._name = stack, name

    def __enter__(self) -> None:
        self._stack.append(self._name)

    def __exit__(self, *exc: object) -> None:
        self._stack.pop()


def prune(network: Network) -> Network:
    """The network without nodes that no output depends on."""
    needed = set(network.outputs)
    kept: list[Node] = []
    for node in reversed(network.nodes):
        if needed.intersection(node.outputs) or node.name in needed:
            needed.update(node.inputs)
            if node.weights_from:
                needed.add(node.weights_from)
            kept.append(node)
    return Network(network.name, network.inputs, tuple(reversed(kept)), network.outputs)


__all__ = ["FORMAT_VERSION", "Network", "NetworkBuilder", "Node", "prune"]
