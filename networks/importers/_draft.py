"""A network while it is being imported: nodes that may still change, and tensors that are not yet weights of a node."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..graph import Network, Node, prune
from ..ops import Op, TensorType, make_op
from .result import Imported, ImportReport, TensorSource

Array = np.ndarray[Any, Any]

MAX_KEPT_VALUES = 64
"""Constants up to this many elements keep their values; larger ones only shape what is computed (masks, tables)."""


class UnsupportedError(Exception):
    """A handler met a form of its op that the catalogue cannot say; the importer collects these."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor stored in the model, or worked out from such while importing.

    Attributes:
        shape: its shape; may hold zeros.
        dtype: its element type; may be one that no op takes.
        learned: it was trained, as far as the model says.
        source: where it lies; None for what was worked out.
        values: its elements, where they are few enough to be worth reading.
    """

    shape: tuple[int, ...]
    dtype: str
    learned: bool = False
    source: TensorSource | None = None
    values: Array | None = None

    @classmethod
    def of(cls, values: Any) -> "Stored":
        """A tensor that was worked out."""
        array = np.asarray(values)
        return cls(array.shape, str(array.dtype), values=array)

    def transposed(self, *axes: int) -> "Stored":
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            source=self.source and self.source.then("transpose", axes),
            values=None if self.values is None else self.values.transpose(axes),
        )

    def reshaped(self, *shape: int) -> "Stored":
        if shape == self.shape:
            return self
        return replace(
            self,
            shape=shape,
            source=self.source and self.source.then("reshape", shape),
            values=None if self.values is None else self.values.reshape(shape),
        )

    def scaled(self, factor: float) -> "Stored":
        if factor == 1:
            return self
        return replace(
            self,
            source=self.source and self.source.then("scale", (factor,)),
            values=None if self.values is None else self.values * factor,
        )

    def all_equal(self, value: float) -> bool:
        """Whether every element is known to be ``value``."""
        return self.values is not None and bool((self.values == value).all())


@dataclass
class DraftNode:
    """A node that fusing may still replace in place."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    sources: dict[str, TensorSource]

    @property
    def outputs(self) -> tuple[str, ...]:
        return Node(self.name, self.op, self.inputs).outputs


@dataclass
class Draft:
    """Collects nodes; `finish` makes the network of them."""

    name: str
    inputs: list[tuple[str, TensorType]] = field(default_factory=list)
    nodes: list[DraftNode] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    producers: dict[str, DraftNode] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    constants: dict[str, Array] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _counts: Counter[str] = field(default_factory=Counter)
    _held: dict[TensorSource, str] = field(default_factory=dict)

    def input(self, name: str, type_: TensorType) -> str:
        """Declares an input."""
        self.inputs.append((name, type_))
        self.types[name] = type_
        self._names.add(name)
        return name

    def add(
        self,
        kind: str,
        *inputs: str,
        name: str,
        sources: Mapping[str, Stored] | None = None,
        **attrs: Any,
    ) -> tuple[str, ...]:
        """Appends an op; returns the names of its outputs. ``sources`` says where its weights lie."""
        op = make_op(kind, *(self.types[value] for value in inputs), **attrs)
        found = {key: s.source for key, s in (sources or {}).items() if s.source is not None}
        node = DraftNode(self._unique(name, len(op.outputs)), op, inputs, found)
        self.nodes.append(node)
        for value, type_ in zip(node.outputs, op.outputs, strict=True):
            self.types[value] = type_
            self.producers[value] = node
        return node.outputs

    def hold(self, tensor: Stored, name: str) -> str:
        """``tensor`` as a value that any op can read: a parameter or a constant, made once however often it is read."""
        if tensor.source is not None and tensor.source in self._held:
            return self._held[tensor.source]
        attrs: dict[str, Any] = {"shape": tensor.shape, "dtype": tensor.dtype}
        if tensor.learned:
            kind = "parameter"
        else:
            kind, values = "constant", tensor.values
            if values is not None and (values.size <= MAX_KEPT_VALUES or tensor.source is None):
                attrs["values"] = tuple(map(float, values.ravel()))
        if tensor.source is not None:
            name = readable(tensor.source.name.removesuffix(".weight")) or name
        sources = {} if "values" in attrs else {"weight": tensor}
        (value,) = self.add(kind, name=name, sources=sources, **attrs)
        if tensor.source is not None:
            self._held[tensor.source] = value
        return value

    def finish(self, outputs: tuple[str, ...]) -> Imported:
        """The network, without nodes that nothing needs, and with shared weights told."""
        owners: dict[Any, str] = {}
        nodes = []
        for node in self.nodes:
            key = tuple(sorted(node.sources.items(), key=lambda item: item[0]))
            complete = bool(node.op.weights) and set(node.sources) == {*node.op.weights, *node.op.buffers}
            owner = owners.setdefault(key, node.name) if complete else node.name
            nodes.append(Node(node.name, node.op, node.inputs, "" if owner == node.name else owner))
        network = Network(self.name, tuple(self.inputs), tuple(nodes), outputs)
        pruned = prune(network)
        kept = {node.name for node in pruned}
        dropped = self.dropped.copy()
        dropped.update(
            f"{node.op.kind} (unused)" for node in nodes if node.name not in kept and not node.op.spec.is_source
        )
        own = {node.name for node in pruned if not node.weights_from}
        sources = {(n.name, key): s for n in self.nodes if n.name in own for key, s in n.sources.items()}
        return Imported(pruned, sources, ImportReport({}, dict(dropped)), self.constants)

    def readers(self) -> Iterator[tuple[str, DraftNode]]:
        """Every (value, node that reads it)."""
        return ((value, node) for node in self.nodes for value in dict.fromkeys(node.inputs))

    def _unique(self, wanted: str, outputs: int) -> str:
        name = wanted
        while not self._free(name, outputs):
            self._counts[wanted] += 1
            name = f"{wanted}_{self._counts[wanted]}"
        self._names.add(name)
        return name

    def _free(self, name: str, outputs: int) -> bool:
        if name in self._names:
            return False
        return outputs == 1 or not any(f"{name}:{i}" in self.types for i in range(outputs))


def readable(name: str) -> str:
    """A model's own name as a dotted path: ``/layer1/conv/Conv`` becomes ``layer1.conv.Conv``."""
    dotted = re.sub(r"[/:.]+", ".", re.sub(r"\s+", "_", name))
    return dotted.strip("._")
