"""`wider`: a layer with more channels that computes the same (Net2WiderNet, arXiv:1511.05641, section 2.2)."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....networks import Network, Node, TensorType
from ....networks.errors import UnknownNameError, UsageError
from ....networks.ops import make_op
from ._channels import Ints, Trace, Weights, groups_of, is_depthwise, is_layer, out_channels, shuffled

_ANOTHER = "widen it by a whole factor, or another layer; widenable(network) names them"
_TORCHS_OWN = ("num_batches_tracked", "weight")  # of batch norms and constants: arrays of modules, but not of their ops


@dataclass(frozen=True)
class Grown:
    """A network that grew out of another, with weights with which it computes the same.

    Attributes:
        network: the larger network.
        weights: its arrays by ``"{node}.{weight}"``, as in the state of its torch module.
    """

    network: Network
    weights: dict[str, NDArray[Any]]


def widenable(network: Network) -> tuple[str, ...]:
    """Names of the layers that `wider` can at least double.

    Depthwise convolutions are left out: they follow what they read. So are layers whose channels are shuffled between
    two grouped convolutions in such a way that repeated ones would change groups.
    """
    trace = Trace(network)
    tried: dict[tuple[int, ...], bool] = {}
    found = []
    for node in network:
        if is_layer(node) and not is_depthwise(node):
            own = tuple(trace.classes_of(node.name).tolist())
            if own not in tried:
                tried[own] = not trace.fixed.keys() & set(own) and _doubles(network, trace, own)
            if tried[own]:
                found.append(node.name)
    return tuple(found)


def _doubles(network: Network, trace: Trace, own: tuple[int, ...]) -> bool:
    repeats = np.where(np.isin(trace.classes, own), 2, 1)
    try:
        _Growth(network, {}, trace, repeats, 0.0, np.random.default_rng(0)).grown()
    except UsageError:
        return False
    return True


def wider(network: Network, weights: Weights, layer: str, channels: int, *, seed: int = 0, noise: float = 0.0) -> Grown:
    """The network with ``channels`` channels out of ``layer``, and out of every layer that is tied to it.

    Random channels are repeated, or all of them equally often where ``channels`` is a multiple of what there is.
    Whoever reads a channel that is there m times reads each with 1/m of its weight. The output stays the same in
    evaluation mode.

    Args:
        network: to be widened.
        weights: of its torch module, by name.
        layer: name of a convolution or linear layer.
        channels: more than it has.
        seed: of what is repeated.
        noise: standard deviation of what is added to the weights of repeated channels, relative to that of all weights
            of their layer, so that they can learn different things; with 0 the output stays the same exactly.

    Raises:
        UnknownNameError: no such layer.
        UsageError: not more channels; channels that cannot change, and why; or a number that groups, parts or shuffles
            do not allow.
    """
    trace = Trace(network)
    rng = np.random.default_rng(seed)
    repeats = _chosen(network, trace, layer, channels, rng)
    return _Growth(network, weights, trace, repeats, noise, rng).grown()


def _chosen(network: Network, trace: Trace, layer: str, channels: int, rng: np.random.Generator) -> Ints:
    """How often each channel of the old network stands in the wider one, by its id."""
    layers = {node.name: node for node in network if is_layer(node)}
    if layer not in layers:
        raise UnknownNameError("layer", layer, layers)
    before = out_channels(layers[layer])
    if channels <= before:
        raise UsageError(f"{layer} has {before} channels, which {channels} would not widen", hint="give more channels")
    own, sizes = np.unique(trace.classes[trace.ids[layer]], return_counts=True)
    if reasons := [trace.fixed[int(label)] for label in own if int(label) in trace.fixed]:
        raise UsageError(f"the channels of {layer} cannot change: {reasons[0]}", hint="widen one of widenable(network)")
    if channels % before == 0:
        return np.where(np.isin(trace.classes, own), channels // before, 1)
    repeats, left = np.ones(len(trace.classes), np.intp), channels - before  # by class
    while left:
        fitting = own[sizes <= left]
        if not len(fitting):
            raise UsageError(
                f"{layer} cannot have {channels} channels: {left} are no whole group of tied ones",
                hint=f"widen it by a multiple of {int(np.lcm.reduce(sizes))}",
            )
        label = rng.choice(fitting)
        repeats[label] += 1
        left -= int(sizes[own == label][0])
    return repeats[trace.classes]


@dataclass
class _Growth:
    """The wider network, node by node.

    Attributes:
        repeats: how often each channel stands in it, by its id in the old one.
        maps: by value, which old channel each new one is.
    """

    old: Network
    weights: Weights
    trace: Trace
    repeats: Ints
    noise: float
    rng: np.random.Generator
    maps: dict[str, Ints] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)
    made: dict[str, NDArray[Any]] = field(default_factory=dict)

    def grown(self) -> Grown:
        nodes = []
        for name, type_ in self.old.inputs:
            self.maps[name], self.types[name] = np.arange(len(self.trace.ids[name])), type_
        for node in self.old:
            attributes = self._grow(node)
            op = make_op(node.op.kind, *(self.types[v] for v in node.inputs), **(node.op.attributes | attributes))
            self.types.update(zip(node.outputs, op.outputs, strict=True))
            nodes.append(Node(node.name, op, node.inputs, node.weights_from))
        return Grown(Network(self.old.name, self.old.inputs, tuple(nodes), self.old.outputs), self.made)

    def _grow(self, node: Node) -> dict[str, Any]:
        """Find the maps of a node's outputs and its arrays; returns the attributes that change."""
        maps = [self.maps[value] for value in node.inputs]
        widths = [len(self.trace.ids[value]) for value in node.inputs]
        match self.trace.treatments[node.name]:
            case "same":
                self.maps.update(dict.fromkeys(node.outputs, maps[0]))
                self._gather(node, maps[0])
                return {"out_channels": len(maps[0]), "groups": len(maps[0])} if is_layer(node) else {}
            case "tied":
                if not np.array_equal(maps[0], maps[1]):
                    raise UsageError(f"the operands of {node.name} would be in another order", hint=_ANOTHER)
                self.maps[node.name] = maps[0]
            case "layer":
                return self._layer(node, maps[0], widths[0])
            case "begun":
                width = node.op.inputs[0].shape[-1]
                return self._layer(node, np.arange(width), width)
            case "joined":
                starts = np.cumsum([0, *widths[:-1]])
                self.maps[node.name] = np.concatenate([m + start for m, start in zip(maps, starts, strict=True)])
            case "cut":
                return self._cut(node, maps[0])
            case "shuffled":
                groups = node.op["groups"]
                to = np.argsort(shuffled(widths[0], groups))  # where each channel went
                self.maps[node.name] = to[maps[0][shuffled(len(maps[0]), groups)]]
            case "flattened":
                each = np.arange(len(self.trace.ids[node.name]) // widths[0])
                self.maps[node.name] = (maps[0][:, None] * len(each) + each).ravel()
            case "fixed":
                self.maps.update((value, np.arange(len(self.trace.ids[value]))) for value in node.outputs)
                start = f"{node.name}."
                own = (*node.op.weights, *node.op.buffers, *_TORCHS_OWN)
                self.made.update(
                    (start + name, self.weights[start + name]) for name in own if start + name in self.weights
                )
        return {}

    def _layer(self, node: Node, reads: Ints, width: int) -> dict[str, Any]:
        ids = self.trace.ids[node.name]
        made = np.repeat(np.arange(len(ids)), self.repeats[ids])
        self.maps[node.name] = made
        self._gather(node, made)
        attributes = {"out_features" if node.op.kind == "linear" else "out_channels": len(made)}
        key, groups = f"{node.name}.weight", groups_of(node)
        each = width // groups
        columns = reads.reshape(groups, -1)
        if (columns // each != np.arange(groups)[:, None]).any():
            raise UsageError(f"the groups of {node.name} would be mixed", hint=_ANOTHER)
        if key not in self.made:  # asked for the shapes alone
            return attributes
        rows = self.made[key].reshape(groups, len(made) // groups, each, -1)
        parts = [rows[g][:, columns[g] - g * each] for g in range(groups)]
        share = 1 / np.bincount(reads, minlength=width)[columns]
        weight = (np.stack(parts) * share[:, None, :, None]).astype(rows.dtype)
        self.made[key] = weight.reshape(len(made), columns.shape[1], *self.made[key].shape[2:])
        self._disturb(self.made[key], made)
        return attributes

    def _cut(self, node: Node, reads: Ints) -> dict[str, Any]:
        """Parts of other lengths: each keeps the channels that it had."""
        ends = np.cumsum(node.op["sizes"])
        part = np.searchsorted(ends, reads, side="right")
        if (np.diff(part) < 0).any():
            raise UsageError(f"the parts of {node.name} would be mixed", hint=_ANOTHER)
        for i, value in enumerate(node.outputs):
            self.maps[value] = reads[part == i] - (ends[i] - node.op["sizes"][i])
        return {"sizes": tuple(len(self.maps[value]) for value in node.outputs)}

    def _gather(self, node: Node, channels: Ints) -> None:
        """The node's arrays, a row for each new channel."""
        for name in (*node.op.weights, *node.op.buffers, *_TORCHS_OWN):
            if (array := self.weights.get(f"{node.name}.{name}")) is not None:
                self.made[f"{node.name}.{name}"] = array[channels] if array.ndim else array

    def _disturb(self, weight: NDArray[Any], made: Ints) -> None:
        """Noise on the weights of channels that are there already."""
        if self.noise:
            _, first = np.unique(made, return_index=True)
            repeated = np.setdiff1d(np.arange(len(made)), first)
            random = self.rng.standard_normal((len(repeated), *weight.shape[1:]))
            weight[repeated] += (self.noise * weight.std() * random).astype(weight.dtype)
