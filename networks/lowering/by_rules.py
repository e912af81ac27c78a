"""Lowering by stored fusion rules, where the runtime itself is not installed.

The rules give kernels in the catalogue's terms. The rows of a table are those of the runtime's own kernels; which of
them stand for which was noted while the table was measured, on a machine that has the runtime (`Aliases`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self, TypeAlias

from ..errors import CorruptModelError
from ..graph import Network, Node, prune
from ..ops import TensorType
from .fusion import FusionRules
from .kernel import Kernel, KernelNode, LoweredNetwork, freeze_attrs
from .labels import native_label
from .native import changes_nothing
from .segments import cut

_LONGEST_UNIT = 6
"""Kernels by the rules that are looked up together at most."""


Pair: TypeAlias = tuple[list[Kernel], list[Kernel]]
"""What stands for each other: kernels by the rules, and the runtime's own."""


@dataclass
class _Group:
    """Ops that the rules put into one kernel."""

    nodes: list[Node]
    inputs: list[str]
    outputs: tuple[str, ...]
    chain: list[str] = field(default_factory=list)


def lower_by_rules(network: Network, rules: FusionRules) -> LoweredNetwork:
    """The kernels that ``rules`` make of ``network``, cut where a single tensor is live, in the catalogue's terms."""
    groups = _Grouper(prune(network), rules).run()
    types = dict(network.types)
    nodes = [_node(group) for group in groups]
    by_node = dict(zip(nodes, groups, strict=True))
    sizes = {name: type_.nbytes for name, type_ in types.items()}
    main_input = network.inputs[0][0] if network.inputs else ""
    segments = cut(nodes, main_input, (), sizes)
    kernels = tuple(_kernel(rules.runtime, segment, by_node, types) for segment in segments)
    return LoweredNetwork(rules.runtime, network.fingerprint, kernels)


class _Grouper:
    """One pass over a network in execution order."""

    def __init__(self, network: Network, rules: FusionRules) -> None:
        self._network, self._rules = network, rules
        self._readers = network.consumers()
        self._root: dict[str, str] = {value: value for value in network.types}
        self._stored: set[str] = set()
        self._maker: dict[str, _Group] = {}
        self._groups: list[_Group] = []

    def run(self) -> list[_Group]:
        for node in self._network:
            if all(value in self._stored for value in node.inputs):
                self._stored.update(node.outputs)
            elif node.op.kind in self._rules.views or node.op.spec.is_view or changes_nothing(node.op):
                self._root[node.name] = self._root[node.inputs[0]]
            elif not self._joins(node):
                self._start(node)
        return self._groups

    def _start(self, node: Node) -> None:
        group = _Group([node], self._read(node), node.outputs, [_kind(node)])
        self._groups.append(group)
        self._maker.update(dict.fromkeys(node.outputs, group))

    def _joins(self, node: Node) -> bool:
        """Put ``node`` into the kernel of what it reads, where a rule says so and nobody else reads that."""
        makers = [(value, self._maker[value]) for value in node.inputs if value in self._maker]
        for value, group in sorted(makers, key=lambda made: -self._groups.index(made[1])):
            sole = len(self._readers[value]) == 1 and value not in self._network.outputs and group.outputs == (value,)
            if sole and self._rules.fuses(*group.chain, _kind(node)):
                group.nodes.append(node)
                group.inputs += [read for read in self._read(node) if read != value and read not in group.inputs]
                group.outputs = node.outputs
                if node.op.kind != "batch_norm":  # folded: what comes next meets the layer itself
                    group.chain.append(_kind(node))
                self._maker.update(dict.fromkeys(node.outputs, group))
                # The kernel runs where its last operand is there.
                self._groups.remove(group)
                self._groups.append(group)
                return True
        return False

    def _read(self, node: Node) -> list[str]:
        return list(dict.fromkeys(self._root[value] for value in node.inputs if value not in self._stored))


def _kind(node: Node) -> str:
    """The op's name in the rules."""
    op = node.op
    if op.kind == "conv2d" and op["groups"] == op.inputs[0].shape[1] > 1:
        return "conv2d depthwise"
    return "linear flat" if op.kind == "linear" and op.inputs[0].rank == 2 else op.kind


def _node(group: _Group) -> KernelNode:
    attrs = {f"{i}.{name}": value for i, node in enumerate(group.nodes) for name, value in node.op.attrs}
    ops = "+".join(node.op.kind for node in group.nodes)
    return KernelNode(ops, "", freeze_attrs(attrs), tuple(group.inputs), group.outputs)


def _kernel(
    runtime: str, segment: Sequence[KernelNode], groups: Mapping[KernelNode, _Group], types: Mapping[str, TensorType]
) -> Kernel:
    made = [name for node in segment for name in node.outputs]
    read = dict.fromkeys(name for node in segment for name in node.inputs if name not in made)
    ops = [node.op for group in segment for node in groups[group].nodes]
    return Kernel(
        runtime=f"{runtime} by rules",
        nodes=tuple(segment),
        inputs=tuple((name, types[name]) for name in read),
        constants=(),
        outputs=tuple((name, types[name]) for name in segment[-1].outputs),
        macs=sum(op.macs for op in ops),
        bytes_moved=sum(op.bytes_moved for op in ops),
        label=native_label(ops[0], [op.kind for op in ops[1:]]),
    )


@dataclass
class Aliases:
    """Which of a runtime's kernels stand for which kernels by its rules.

    A unit is a kernel that multiplies, or those behind it that do not; where the two lowerings are cut at different
    places, several of them. Reorders belong to what reads their output. What is known of a unit behind the very unit
    before it comes first, because layouts depend on that; else what is known of it anywhere.
    """

    units: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def learn(self, by_rules: LoweredNetwork, real: LoweredNetwork) -> None:
        """Note what both lowerings of one network have in common."""
        before = ""
        for ours, theirs in _for_their_readers(_aligned(_runs(by_rules.kernels), _runs(real.kernels))):
            unit = " ".join(kernel.key for kernel in ours)
            keys = tuple(kernel.key for kernel in theirs)
            self.units[f"{before}|{unit}"] = keys
            self.units.setdefault(f"|{unit}", keys)
            before = ours[-1].key

    def resolve(self, by_rules: LoweredNetwork) -> tuple[list[str], list[Kernel]]:
        """Keys of the runtime's kernels in execution order, and the kernels by the rules that nothing is known of."""
        keys: list[str] = []
        missing: list[Kernel] = []
        runs = [part for run in _runs(by_rules.kernels) for part in _parts(run) if part]
        at, before = 0, ""
        while at < len(runs):
            length, found = self._longest(runs[at : at + _LONGEST_UNIT], before)
            if found is None:
                missing += runs[at]
            else:
                keys += found
            at += length
            before = runs[at - 1][-1].key
        return keys, missing

    def _longest(self, runs: Sequence[Sequence[Kernel]], before: str) -> tuple[int, tuple[str, ...] | None]:
        for length in range(len(runs), 0, -1):
            unit = " ".join(kernel.key for run in runs[:length] for kernel in run)
            for context in (before, ""):
                if f"{context}|{unit}" in self.units:
                    return length, self.units[f"{context}|{unit}"]
        return 1, None

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `from_json` gives equal aliases back."""
        return {"units": {unit: list(keys) for unit, keys in self.units.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The aliases that `to_json` wrote.

        Raises:
            CorruptModelError: not such a document.
        """
        try:
            return cls({str(unit): tuple(map(str, keys)) for unit, keys in document["units"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptModelError(f"stored aliases of kernels are damaged: {error!r}") from None


def _runs(kernels: Iterable[Kernel]) -> list[list[Kernel]]:
    """The kernels, cut in front of each that multiplies."""
    runs: list[list[Kernel]] = [[]]
    for kernel in kernels:
        if kernel.macs and any(before.macs for before in runs[-1]):
            runs.append([])
        runs[-1].append(kernel)
    return runs


def _aligned(ours: Sequence[Sequence[Kernel]], theirs: Sequence[Sequence[Kernel]]) -> Iterator[Pair]:
    """Both cut where both have multiplied as much; nothing where the totals differ."""
    sums = [[*accumulate(sum(kernel.macs for kernel in run) for run in side)] for side in (ours, theirs)]
    if sums[0][-1] != sums[1][-1]:
        return
    starts = [0, 0]
    for total in sorted(set(sums[0]).intersection(sums[1])):
        ends = [side.index(total) + 1 for side in sums]
        yield (
            [kernel for run in ours[starts[0] : ends[0]] for kernel in run],
            [kernel for run in theirs[starts[1] : ends[1]] for kernel in run],
        )
        starts = ends


def _for_their_readers(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs, each in a part that multiplies and one that does not, reorders moved to what reads their output."""
    carried: list[Kernel] = []
    for ours, theirs in pairs:
        theirs = carried + theirs
        carried = []
        while theirs and _prepares(theirs[-1]):
            carried.insert(0, theirs.pop())
        ours_parts, their_parts = _parts(ours), _parts(theirs)
        if ours_parts[1] and their_parts[1]:
            yield ours_parts[0], their_parts[0]
            yield ours_parts[1], their_parts[1]
        else:
            yield ours, theirs


def _parts(run: Sequence[Kernel]) -> tuple[list[Kernel], list[Kernel]]:
    """Up to and with the last kernel that multiplies, and what is behind it; both in the first where none does."""
    end = max((i for i, kernel in enumerate(run) if kernel.macs), default=len(run) - 1) + 1
    return list(run[:end]), list(run[end:])


def _prepares(kernel: Kernel) -> bool:
    """Whether a kernel of ONNX Runtime only brings a tensor into the layout of the layer behind it."""
    return all(node.op == "ReorderInput" or dict(node.attrs).get("perm") == (0, 2, 3, 1) for node in kernel.nodes)
