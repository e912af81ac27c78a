"""What each value of a network is to the values of another one that its weights are to come from.

The new network is walked through in order. A value that equals one of the old network, each of its channels one of the
channels there, is the same as that; a layer with a partner that reads the same has weights with which it makes the
same. What is new begins as nothing where it is added to something else (its last norm or layer is 0), and as an
identity where it stands in line. Whatever else is new begins at random, and nothing behind it is the same.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ....networks import Network, Node
from ._alignment import partners
from ._channels import Ints, Trace, Weights, groups_of, is_depthwise, is_layer, out_channels, shuffled
from ._layers import around, centred, in_line, is_whole, mixed, window_grows

_AGAIN: Final = {"relu": ("relu", "relu6"), "relu6": ("relu6",)}
"""Rectifiers, and those behind which they change nothing."""

_KEEPS_ZERO: Final = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "hard_swish", "silu", "gelu", "tanh", "neg", "abs", "sqrt"),
        *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d", "upsample", "pad", "slice"),
        *("flatten", "channel_shuffle", "mean", "sum", "max"),
    )
)
"""Ops that make zeros of zeros."""


@dataclass(frozen=True)
class Likeness:
    """What a value is to the old network.

    Attributes:
        source: the value of the old network that it takes after; "" for none.
        channels: which of its channels each channel is, [c].
        same: whether it equals that, for any input.
        zero: whether it is zero, for any input.
    """

    source: str
    channels: Ints
    same: bool
    zero: bool = False


class Resemblance:
    """How a network resembles another one, and the weights that follow from that.

    Args:
        new: the network that is to inherit.
        old: the one it inherits from.
        weights: of the old network's module, by name; none where only the resemblance is asked for.
        fresh: of the new network's module, freshly made; none likewise.

    Attributes:
        values: what each value of the new network is.
        made: arrays of the new network, by name.
        lost: why values are not the same, where that begins; a sentence each.
        inherited: how many trained numbers of the new network come from the old one.
        same: whether the new network computes what the old one does.
        alike: how many of its nodes have a partner that is the very same op.
        undone: norms that begin as an identity, and could take the statistics of what they read.
        doubled: by layer with more channels than its partner, which of the latter's each is, [c].
    """

    def __init__(self, new: Network, old: Network, weights: Weights, fresh: Weights) -> None:
        self.new, self.old = new, old
        self.weights = weights
        self._trace, self._before = Trace(new), Trace(old)
        self.partners = partners(self._trace, self._before)
        self._makers = {value: node for node in new for value in node.outputs}
        self._sources = {value: node for node in old for value in node.outputs}
        self._readers = new.consumers()
        self._alike: dict[tuple[object, ...], list[Node]] = {}
        for node in old:
            self._alike.setdefault(self._question(node.op.kind, node.inputs), []).append(node)
        self.silent, self._muted = self._silenced()
        self.values: dict[str, Likeness] = {}
        self.made: dict[str, NDArray[Any]] = dict(fresh)
        self.lost: list[str] = []
        self.inherited = self.alike = 0
        self.undone: list[str] = []
        self.doubled: dict[str, Ints] = {}
        for (name, type_), (source, other) in zip(new.inputs, old.inputs, strict=False):
            channels = around(len(self._trace.ids[name]), len(self._before.ids[source]))
            self.values[name] = Likeness(source, channels, type_.shape[1:] == other.shape[1:])
            if not self.values[name].same:
                self.lost.append(f"it reads {type_}, and the other {other}")
        for name, _ in new.inputs[len(old.inputs) :]:
            self.values[name] = Likeness("", np.arange(len(self._trace.ids[name])), same=False)
        for node in new:
            self._walk(node)
        self.same = self._returns_the_same()
        if self.same:  # whatever was lost is read by nothing
            self.lost = []
        elif not self.lost:
            self.lost.append(f"it returns other values than {old.name} does")

    def _returns_the_same(self) -> bool:
        ends = [self.values[value] for value in self.new.outputs]
        return len(ends) == len(self.old.outputs) and all(
            end.same and end.source == source and np.array_equal(end.channels, np.arange(len(self._before.ids[source])))
            for end, source in zip(ends, self.old.outputs, strict=True)
        )

    def _question(self, kind: str, sources: tuple[str, ...]) -> tuple[object, ...]:
        return (kind, *(sorted(sources) if kind in ("add", "mul") else sources))

    # -- what is new and begins as nothing ----------------------------------------------------------------

    def _silenced(self) -> tuple[set[str], set[str]]:
        """Norms and layers that begin at 0, since what they make is added to something; and what only these read."""
        silent: set[str] = set()
        for node in self.new:
            if node.op.kind == "add" and len(node.inputs) == 2:
                can = [self._silencers(value) for value in node.inputs]
                for own, other in zip(can, reversed(can), strict=True):
                    if own and not other:
                        silent |= own
        muted = set(silent)
        for node in reversed(self.new.nodes):
            readers = [reader for value in node.outputs for reader in self._readers[value]]
            if node.name not in self.partners and readers and all(reader.name in muted for reader in readers):
                muted.add(node.name)
        return silent, muted

    def _silencers(self, value: str) -> set[str]:
        """Those that must be 0 for a value to be zero; none where it cannot be, or is not new."""
        node = self._makers.get(value)
        if node is None or node.name in self.partners or len(self._readers[value]) != 1:
            return set()
        own = self._trace.treatments[node.name] != "fixed"  # fixed ones may share their weights with others
        if own and (is_layer(node) or (node.op.kind == "batch_norm" and "weight" in node.op.weights)):
            return {node.name}
        if node.op.kind == "add" and len(node.inputs) == 2:
            both = [self._silencers(operand) for operand in node.inputs]
            return both[0] | both[1] if all(both) else set()
        return set()

    # -- node by node -------------------------------------------------------------------------------------

    def _walk(self, node: Node) -> None:
        reads = [self.values[value] for value in node.inputs]
        partner = self.partners.get(node.name)
        self.alike += partner is not None and partner.op == node.op
        if node.name in self.silent:
            for name in node.op.weights:
                self._put(node, name, 0.0)
            made = self._new(node, zero=True)
        elif is_layer(node) and self._trace.treatments[node.name] != "fixed":
            made = self._layer(node, partner, reads[0])
        elif node.op.kind == "batch_norm" and self._trace.treatments[node.name] == "same":
            made = self._norm(node, partner, reads[0])
        elif node.op.weights or self._trace.treatments[node.name] == "fixed":
            made = self._untouched(node, partner, reads)
        else:
            made = self._plain(node, partner, reads)
        kept = all(value.same or value.zero for value in made) or node.name in self._muted
        if not kept and all(read.same or read.zero for read in reads):
            self.lost.append(self._why(node, partner, reads))
        self.values.update(zip(node.outputs, made, strict=True))

    def _new(self, node: Node, *, zero: bool = False) -> list[Likeness]:
        return [Likeness("", np.arange(len(self._trace.ids[value])), False, zero) for value in node.outputs]

    def _layer(self, node: Node, partner: Node | None, read: Likeness) -> list[Likeness]:
        if partner is None:
            return [self._identity(node, read)]
        source = partner.inputs[0]
        begun = self._trace.treatments[node.name] == "begun"
        widths = [of.op.inputs[0].shape[-1 if of.op.kind == "linear" else 1] for of in (node, partner)]
        known = read.source == source and (not begun or is_whole(read.channels, len(self._before.ids[source])))
        if not known and widths[0] != widths[1]:
            return self._new(node)  # nobody knows which of what it reads is what
        reads = around(*widths) if begun or not known else read.channels
        exact = read.same and known and (not begun or widths[0] == widths[1])
        if is_depthwise(node):
            makes = reads
        else:
            groups = groups_of(node)
            each, before = out_channels(node) // groups, out_channels(partner) // groups
            makes = (np.arange(groups)[:, None] * before + around(each, before)).ravel()
            wholes = np.arange(groups)[:, None]
            columns = reads.reshape(groups, -1)
            if (columns // (widths[1] // groups) != wholes).any():
                columns = wholes * (widths[1] // groups) + around(widths[0] // groups, widths[1] // groups)
                exact = False
            reads = columns.ravel()
            exact &= len(np.unique(reads)) == widths[1]
            if len(np.unique(makes)) < len(makes):
                self.doubled[node.name] = makes
        exact &= window_grows(node, partner)
        biased = bool(partner.op.attributes.get("bias")), bool(node.op.attributes.get("bias"))
        exact &= biased[1] or not biased[0]
        self.inherited += node.op.params
        if self.weights:
            weight = self._array(partner, "weight")[makes]
            if not is_depthwise(node):
                weight = mixed(weight, groups_of(node), reads, widths[1])
            self._put(node, "weight", centred(weight, node.op.weights["weight"]))
            if biased[1]:
                self._put(node, "bias", self._array(partner, "bias")[makes] if biased[0] else 0.0)
        return [Likeness(partner.name, makes, exact)]

    def _identity(self, node: Node, read: Likeness) -> Likeness:
        """A new layer that passes on what it reads, where it can; else one that begins at random."""
        makes = self._new(node)[0]
        if node.name in self._muted or not read.same or not in_line(node):
            return makes
        if self._trace.treatments[node.name] == "begun":
            return makes
        width, count = len(read.channels), out_channels(node)
        if not is_depthwise(node) and (groups_of(node) > 1 or count < width):
            return makes
        to = around(count, width)
        weight = np.zeros(node.op.weights["weight"], np.float32)
        middle = tuple(size // 2 for size in weight.shape[2:])
        weight[(np.arange(count), 0 if is_depthwise(node) else to, *middle)] = 1
        self._put(node, "weight", weight)
        if "bias" in node.op.weights:
            self._put(node, "bias", 0.0)
        return replace(read, channels=read.channels[to])

    def _norm(self, node: Node, partner: Node | None, read: Likeness) -> list[Likeness]:
        if partner is None:
            if node.name in self._muted or not read.same or "weight" not in node.op.weights:
                return self._new(node)
            self.undone.append(node.name)
            self._put(node, "weight", float(np.sqrt(1 + node.op["eps"])))
            self._put(node, "bias", 0.0)
            return [read]
        known = read.source == partner.inputs[0]
        width = len(self._before.ids[partner.name])
        channels = read.channels if known else around(len(read.channels), width)
        exact = known and read.same and node.op.attributes["eps"] == partner.op.attributes["eps"]
        exact &= node.op.weights.keys() == partner.op.weights.keys()
        self.inherited += node.op.params
        for name in (*node.op.weights, *node.op.buffers):
            if self.weights and f"{partner.name}.{name}" in self.weights:
                self._put(node, name, self._array(partner, name)[channels])
        return [Likeness(partner.name, channels, exact)]

    def _untouched(self, node: Node, partner: Node | None, reads: list[Likeness]) -> list[Likeness]:
        """An op that has to read channels as they are."""
        if partner is None or partner.op.kind != node.op.kind:
            partner = self._asked(node, reads) if not node.op.weights else None
        if partner is None or partner.op.weights != node.op.weights:
            return self._new(node)
        self.inherited += 0 if node.weights_from else node.op.params
        for name, array in self.weights.items():
            if name.startswith(f"{partner.name}.") and (own := f"{node.name}{name[len(partner.name) :]}") in self.made:
                if self.made[own].shape != array.shape:
                    return self._new(node)
                self.made[own] = array
        exact = _alike(node, partner) and bool(node.weights_from) == bool(partner.weights_from)
        if node.weights_from and exact:
            owner = self.partners.get(node.weights_from)
            exact = owner is not None and owner.name == partner.weights_from
        for read, source in zip(reads, partner.inputs, strict=True):
            exact &= read.same and read.source == source and is_whole(read.channels, len(self._before.ids[source]))
        return [
            Likeness(old, np.arange(len(self._trace.ids[new])), exact)
            for new, old in zip(node.outputs, partner.outputs, strict=True)
        ]

    # -- ops without weights ------------------------------------------------------------------------------

    def _plain(self, node: Node, partner: Node | None, reads: list[Likeness]) -> list[Likeness]:
        if (through := self._passed_on(node, reads)) is not None:
            return through
        partner = self._asked(node, reads) or partner
        if partner is None or len(partner.inputs) != len(reads):
            return self._new(node)
        if node.op.kind in ("add", "mul") and reads[0].source == partner.inputs[1] != partner.inputs[0]:
            partner = Node(partner.name, partner.op, tuple(reversed(partner.inputs)))
        exact = _alike(node, partner)
        for read, source in zip(reads, partner.inputs, strict=True):
            exact &= read.same and read.source == source
        maps = self._maps(node, partner, [read.channels for read in reads])
        if maps is None:
            return self._new(node)
        return [Likeness(old, channels, exact) for old, channels in zip(partner.outputs, maps, strict=True)]

    def _passed_on(self, node: Node, reads: list[Likeness]) -> list[Likeness] | None:
        """What an op makes that changes nothing, or makes zeros; None for all others."""
        kind = node.op.kind
        if kind == "add" and (reads[0].zero or reads[1].zero):
            other = reads[1] if reads[0].zero else reads[0]
            return [other] if len(other.channels) == len(self._trace.ids[node.name]) else self._new(node)
        if (kind == "mul" and any(r.zero for r in reads)) or (kind in _KEEPS_ZERO and all(r.zero for r in reads)):
            return self._new(node, zero=True)
        maker = self._sources.get(reads[0].source) if kind in _AGAIN and reads[0].same else None
        if maker is not None and maker.op.kind in _AGAIN[kind] and self._asked(node, reads) is None:
            return [reads[0]]
        return None

    def _asked(self, node: Node, reads: list[Likeness]) -> Node | None:
        """A node of the old network that reads the same and does the same, its partner if that is one."""
        found = self._alike.get(self._question(node.op.kind, tuple(read.source for read in reads)), [])
        fitting = [other for other in found if not other.op.weights and _alike(node, other)]
        partner = self.partners.get(node.name)
        return next((other for other in fitting if partner is not None and other.name == partner.name), None) or next(
            iter(fitting), None
        )

    def _maps(self, node: Node, partner: Node, reads: list[Ints]) -> list[Ints] | None:
        """Which channels of the partner's each output has; None where that cannot be said."""
        widths = [len(self._before.ids[value]) for value in partner.inputs]
        match self._trace.treatments[node.name]:
            case "same":
                return [reads[0]] * len(node.outputs)
            case "tied":
                return [reads[0]] if np.array_equal(reads[0], reads[1]) else None
            case "joined":
                starts = np.cumsum([0, *widths[:-1]])
                return [np.concatenate([m + start for m, start in zip(reads, starts, strict=True)])]
            case "cut":
                ends, own = np.cumsum(partner.op["sizes"]), np.cumsum(node.op["sizes"])[:-1]
                if len(ends) != len(own) + 1:
                    return None
                parts = np.split(reads[0], own)
                inside = [(np.searchsorted(ends, part, side="right") == i).all() for i, part in enumerate(parts)]
                if not all(inside):
                    return None
                starts = ends - np.array(partner.op["sizes"])
                return [part - start for part, start in zip(parts, starts, strict=True)]
            case "shuffled":
                groups = node.op["groups"]
                to = np.argsort(shuffled(widths[0], groups))
                return [to[reads[0][shuffled(len(reads[0]), groups)]]]
            case "flattened":
                each = np.arange(len(self._trace.ids[node.name]) // len(reads[0]))
                if len(each) * widths[0] != len(self._before.ids[partner.name]):
                    return None
                return [(reads[0][:, None] * len(each) + each).ravel()]
        return None

    # -- arrays and reasons -------------------------------------------------------------------------------

    def _array(self, node: Node, name: str) -> NDArray[Any]:
        return np.asarray(self.weights[f"{node.name}.{name}"])

    def _put(self, node: Node, name: str, value: NDArray[Any] | float) -> None:
        """Set an array of the new network, where there are any."""
        if (array := self.made.get(f"{node.name}.{name}")) is not None:
            self.made[f"{node.name}.{name}"] = np.broadcast_to(np.asarray(value, array.dtype), array.shape).copy()

    def _why(self, node: Node, partner: Node | None, reads: list[Likeness]) -> str:
        """Why what a node makes is not the same, though all it reads is."""
        what = f"{node.name} ({node.op.kind})"
        if partner is None or (not is_layer(node) and node.op.kind != partner.op.kind):
            return f"{what} is new, and no identity"
        if is_layer(node):
            if not window_grows(node, partner):
                return f"{what} sees another part of the image than {partner.name} did"
            if reads[0].source != partner.inputs[0]:
                return f"{what} reads something else than {partner.name} did"
            read = len(self._before.ids[partner.inputs[0]])
            return f"{what} reads {len(reads[0].channels)} channels, {partner.name} read {read}"
        if _alike(node, partner):
            return f"{what} reads something else than {partner.name} did"
        return f"{what} is another than {partner.name} was"


def _alike(node: Node, other: Node) -> bool:
    """Whether two ops do the same, apart from how many channels they do it to."""
    sizes = ("sizes",) if node.op.kind == "split" else ()
    one, two = ({n: v for n, v in of.op.attrs if n not in sizes} for of in (node, other))
    return node.op.kind == other.op.kind and one == two
