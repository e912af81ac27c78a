"""XNNPACK's graph while it is being written: values in memory order, stored tensors, nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..graph import Node
from ..ops import TensorType
from .kernel import AttrValue, Constant, KernelNode, freeze_attrs, lacking_node
from .layouts import Order, Shape, plain, same_memory, stored_shape

Values = tuple[float, ...]


@dataclass(frozen=True)
class Stored:
    """Where a value of the network is: a tensor of XNNPACK's graph, and the order of its axes."""

    name: str
    shape: Shape
    order: Order

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass
class XnnGraph:
    """What is written so far.

    Attributes:
        nodes: in the order they were written; ``op`` is the name behind ``xnn_define_``.
        types: of all tensors, in memory order.
        constants: stored tensors, in memory order.
        macs: multiply-accumulates by a node's first output.
    """

    nodes: list[KernelNode] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    _places: dict[str, Stored] = field(default_factory=dict)
    _logical_constants: dict[str, Constant] = field(default_factory=dict)
    _copies: dict[tuple[str, Shape, Order], str] = field(default_factory=dict)

    def place(self, value: str, stored: Stored) -> None:
        """Say where the network's ``value`` is."""
        self._places[value] = stored

    def stored(self, value: str) -> Stored:
        """Where the network's ``value`` is."""
        return self._places[value]

    def is_constant(self, value: str) -> bool:
        return value in self._logical_constants

    def constant_values(self, value: str) -> Values | None:
        return self._logical_constants[value].values

    def input(self, value: str, type_: TensorType, order: Order) -> None:
        """An input of the network, in a memory order."""
        shape = stored_shape(type_.shape, order)
        self.types[value] = type_.with_shape(*shape)
        self.place(value, Stored(value, shape, order))

    def keep(self, value: str, constant: Constant) -> None:
        """A stored value of the network; written in the order in which it is read."""
        self._logical_constants[value] = constant
        self.place(value, Stored(value, constant.type.shape, plain(constant.type.rank)))

    def weight(self, name: str, shape: Shape, values: Values | None = None) -> str:
        """A stored tensor of XNNPACK's own shape."""
        self.types[name] = TensorType(shape)
        self.constants[name] = Constant(TensorType(shape), values)
        return name

    def emit(
        self, op: str, inputs: Sequence[str], outputs: Sequence[tuple[str, Shape]], macs: int = 0, **attrs: AttrValue
    ) -> str:
        """Append a node; returns the name of its first output. All outputs have one shape, kept as an attribute."""
        for name, shape in outputs:
            self.types[name] = TensorType(shape)
        names = tuple(name for name, _ in outputs)
        attrs["shape"] = outputs[0][1]
        self.nodes.append(KernelNode(op, "", freeze_attrs(attrs), tuple(inputs), names))
        self.macs[names[0]] = macs
        return names[0]

    def lack(self, node: Node, reason: str) -> None:
        """Append a node for an op without an operator: it reads what is there and leaves its outputs row-major.

        Args:
            node: of the network.
            reason: what is lacking, in words.
        """
        places = ((value, self.stored(value)) for value in node.inputs)
        read = [self.at(value, p.order) if self.is_constant(value) else p.name for value, p in places]
        self.nodes.append(lacking_node(node.op, reason, read, node.outputs))
        self.macs[node.outputs[0]] = node.op.macs
        for name, type_ in zip(node.outputs, node.op.outputs, strict=True):
            self.types[name] = type_
            self.place(name, Stored(name, type_.shape, plain(type_.rank)))

    def at(self, value: str, order: Order, rank: int | None = None) -> str:
        """The tensor that holds ``value`` with its axes in ``order``, made by a transpose where there is none yet.

        Args:
            value: of the network.
            order: wanted memory order.
            rank: of the reader, which sees axes of size 1 in front where it is higher than the value's.
        """
        place = self._places[value]
        added = 0 if rank is None else rank - place.rank
        shape = (1,) * added + _logical_shape(place)
        known = (*range(added), *(axis + added for axis in place.order))
        if not added and known == order and not self.is_constant(value):
            return place.name
        key = (place.name, shape, order)
        if key not in self._copies:
            self._copies[key] = self._in_order(value, shape, known, order)
        return self._copies[key]

    def _in_order(self, value: str, shape: Shape, known: Order, order: Order) -> str:
        place, wanted = self._places[value], stored_shape(shape, order)
        if self.is_constant(value):
            return self._write_constant(value, shape, order)
        name = f"{value}~{'x'.join(map(str, wanted))}~{''.join(map(str, order))}"
        if same_memory(shape, known, order):
            return self.emit("static_reshape", [place.name], [(name, wanted)])
        source = place.name
        if place.rank < len(shape):
            spread = stored_shape(shape, known)
            source = self.emit("static_reshape", [source], [(f"{name}~spread", spread)])
        perm = tuple(known.index(axis) for axis in order)
        return self.emit("static_transpose", [source], [(name, wanted)], perm=perm)

    def _write_constant(self, value: str, shape: Shape, order: Order) -> str:
        values = self._logical_constants[value].values
        if values is not None:
            values = tuple(np.reshape(values, shape).transpose(order).ravel().tolist())
        wanted = stored_shape(shape, order)
        name = value if value not in self.constants else f"{value}~{'x'.join(map(str, wanted))}"
        return self.weight(name, wanted, values)


def _logical_shape(place: Stored) -> Shape:
    sizes = dict(zip(place.order, place.shape, strict=True))
    return tuple(sizes[axis] for axis in range(place.rank))
