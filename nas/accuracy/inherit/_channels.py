"""Which channels of a network belong together, and what each op does with them.

Every channel of every value has an identity. A layer makes new ones; ops that pass channels on (batch norms,
rectifiers, pools, depthwise convolutions) keep them, a concatenation joins them, a sum ties those of its operands to
each other one by one. Channels that are tied, directly or not, form a class and are only repeated together. Around
grouped convolutions and channel shuffles, channels at the same place of each group are tied too, so that groups stay
equally large.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....networks import Network, Node

Ints: TypeAlias = NDArray[np.intp]
Weights: TypeAlias = Mapping[str, NDArray[Any]]
"""Arrays by ``"{node}.{weight}"``, as in the state of the network's torch module."""

_UNARY: Final = frozenset(
    (
        *("batch_norm", "relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu", "tanh"),
        *("exp", "sqrt", "erf", "neg", "abs", "clip", "cast"),
        *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d", "upsample"),
    )
)
"""Ops that treat each channel alike, and by itself."""

_BINARY: Final = frozenset(("add", "sub", "mul", "div", "pow"))
_LAYERS: Final = frozenset(("conv2d", "conv1d", "linear"))

Treatment = Literal["same", "tied", "layer", "begun", "joined", "cut", "shuffled", "flattened", "fixed"]


class Trace:
    """The channels of a network.

    Attributes:
        network: whose they are.
        ids: of the channels of each value, [c].
        axes: of each value's channels.
        treatments: what each node does with channels.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ids: dict[str, Ints] = {}
        self.axes: dict[str, int] = {}
        self.treatments: dict[str, Treatment] = {}
        self._count = 0
        self._ties: list[tuple[Ints, Ints]] = []
        self._fixed: list[tuple[Ints, str]] = []
        self._shared = {node.weights_from for node in network} | {node.name for node in network if node.weights_from}
        for name, _ in network.inputs:
            self._fresh_fixed(name, network.types[name].shape, "they are the network's input")
        for node in network:
            self._add(node)
        for value in network.outputs:
            self._fix(self.ids[value], "they are the network's output")

    @cached_property
    def classes(self) -> Ints:
        """The class of each id, named by its least member, [number of ids]."""
        labels = np.arange(self._count)
        while True:
            before = labels.copy()
            for first, second in self._ties:
                least = np.minimum(labels[first], labels[second])
                np.minimum.at(labels, first, least)
                np.minimum.at(labels, second, least)
            labels = labels[labels]
            if (labels == before).all():
                return labels

    @cached_property
    def fixed(self) -> dict[int, str]:
        """Classes that cannot change, and why."""
        return {int(label): reason for ids, reason in self._fixed for label in np.unique(self.classes[ids])}

    def classes_of(self, value: str) -> Ints:
        """The classes of a value's channels, in order, once each."""
        return np.unique(self.classes[self.ids[value]])

    def _fix(self, ids: Ints, reason: str) -> None:
        self._fixed.append((ids, reason))

    def _fresh(self, count: int) -> Ints:
        self._count += count
        return np.arange(self._count - count, self._count)

    def _fresh_fixed(self, value: str, shape: tuple[int, ...], reason: str) -> None:
        axis = 1 if len(shape) == 4 else len(shape) - 1
        self.axes[value] = axis
        self.ids[value] = self._fresh(shape[axis] if shape else 1)
        self._fix(self.ids[value], reason)

    def _tie_groups(self, ids: Ints, groups: int) -> None:
        """Tie how often the channels at one place of each group are repeated."""
        blocks = ids.reshape(groups, -1)
        self._ties += [(blocks[0], block) for block in blocks[1:]]

    def _add(self, node: Node) -> None:
        treatment = self.treatments[node.name] = self._treatment(node)
        first = node.inputs[0] if node.inputs else ""
        ids = self.ids.get(first, np.arange(0))
        self.axes.update(dict.fromkeys(node.outputs, self.axes.get(first, 0)))
        match treatment:
            case "same":
                self.ids.update(dict.fromkeys(node.outputs, ids))
            case "tied":
                self._ties.append((ids, self.ids[node.inputs[1]]))
                self.ids[node.name] = ids
            case "layer":
                self.ids[node.name] = self._fresh(out_channels(node))
                if (groups := groups_of(node)) > 1:
                    self._tie_groups(ids, groups)
                    self._tie_groups(self.ids[node.name], groups)
            case "begun":  # what it reads is laid out in another way, what it makes is its own
                self._fix(ids, f"{node.name} ({node.op.kind}) reads them as they are")
                self.ids[node.name] = self._fresh(out_channels(node))
                self.axes[node.name] = node.op.inputs[0].rank - 1
            case "joined":
                self.ids[node.name] = np.concatenate([self.ids[value] for value in node.inputs])
            case "cut":
                parts = np.split(ids, np.cumsum(node.op["sizes"])[:-1])
                self.ids.update(zip(node.outputs, parts, strict=True))
            case "shuffled":
                self._tie_groups(ids, node.op["groups"])
                self.ids[node.name] = ids[shuffled(len(ids), node.op["groups"])]
            case "flattened":
                self.ids[node.name] = np.repeat(ids, node.op.outputs[0].shape[-1] // len(ids))
            case "fixed":
                for value in node.inputs:
                    self._fix(self.ids[value], f"{node.name} ({node.op.kind}) reads them as they are")
                for value, type_ in zip(node.outputs, node.op.outputs, strict=True):
                    self._fresh_fixed(value, type_.shape, f"{node.name} ({node.op.kind}) makes them as they are")

    def _treatment(self, node: Node) -> Treatment:
        """What a node does with channels; "fixed" is whatever is not understood."""
        kind, op = node.op.kind, node.op
        if not node.inputs or node.name in self._shared:
            return "fixed"
        axis, rank = self.axes[node.inputs[0]], op.inputs[0].rank
        if is_layer(node):
            if axis != (rank - 1 if kind == "linear" else 1):
                return "begun" if kind == "linear" else "fixed"
            return "same" if is_depthwise(node) else "layer"
        if self._passes(node):
            return "same"
        if kind in _BINARY and self._same_channels(node.inputs, op.outputs[0].shape):
            return "tied"
        if kind == "concat" and all(self.axes[value] == op["axis"] % rank for value in node.inputs):
            return "joined"
        if kind == "split" and axis == op["axis"] % rank:
            return "cut"
        if kind == "flatten" and axis == op["start_axis"]:
            return "flattened"
        return "shuffled" if kind == "channel_shuffle" else "fixed"

    def _passes(self, node: Node) -> bool:
        """Whether a node treats every channel alike and by itself, and keeps their places."""
        op, axis, rank = node.op, self.axes[node.inputs[0]], node.op.inputs[0].rank
        if op.kind in _UNARY:
            return op.kind != "batch_norm" or axis == 1
        if op.kind in ("mean", "sum", "max"):
            reduced = {a % rank for a in op["axes"]}
            return axis not in reduced and (bool(op["keepdims"]) or min(reduced) > axis)
        if op.kind == "pad":
            return bool(op["pads"][axis] == op["pads"][axis + rank] == 0)
        if op.kind in ("slice", "split"):
            return bool(axis != op["axis"] % rank)
        return bool(op.kind == "flatten" and axis < op["start_axis"])

    def _same_channels(self, values: tuple[str, ...], shape: tuple[int, ...]) -> bool:
        axes = {self.axes[value] for value in values}
        return len(axes) == 1 and all(len(self.ids[value]) == shape[next(iter(axes))] for value in values)


def is_layer(node: Node) -> bool:
    """Whether a node is a convolution or a linear layer."""
    return node.op.kind in _LAYERS


def out_channels(node: Node) -> int:
    """Channels that a layer makes."""
    return int(node.op["out_features" if node.op.kind == "linear" else "out_channels"])


def groups_of(node: Node) -> int:
    """Groups of a layer."""
    return 1 if node.op.kind == "linear" else int(node.op["groups"])


def is_depthwise(node: Node) -> bool:
    """Whether each channel of a layer is made of one channel alone, in the same place."""
    return 1 < groups_of(node) == out_channels(node) == node.op.inputs[0].shape[1]


def shuffled(count: int, groups: int) -> Ints:
    """Where the channels of a channel shuffle come from."""
    return np.arange(count).reshape(groups, -1).T.ravel()
