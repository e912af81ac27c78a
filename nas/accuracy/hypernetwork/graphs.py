"""Networks as a graph hypernetwork reads them: op kinds, sizes, and how far every op is from every other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from ....networks import Network, Node
from ....networks.errors import NotSupportedError, UnsupportedOpError

Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

NORMS: Final = ("batch_norm", "layer_norm", "group_norm", "rms_norm")
"""Kinds whose ``weight`` is a scale around 1."""

MATRICES: Final = ("conv2d", "linear")
"""Kinds whose ``weight`` is o x i, with a window in the last two axes or none."""

_WINDOW: Final = ("kernel_size0", "stride0", "groups", "dilation0")
FEATURES: Final = 5 + len(_WINDOW)
"""Numbers of each op, besides its kind."""


@dataclass(frozen=True)
class Vocabulary:
    """What a hypernetwork knows of the ops of networks.

    Attributes:
        kinds: op kinds that it has an embedding of, in order.
        kernel: the largest height or width of a window that it predicts.
    """

    kinds: tuple[str, ...]
    kernel: int

    @classmethod
    def of(cls, networks: Sequence[Network]) -> "Vocabulary":
        """That of a few networks.

        Raises:
            NotSupportedError: one has weights that nothing here predicts.
        """
        for network in networks:
            _require_predictable(network)
        nodes = [node for network in networks for node in network.nodes]
        sides = [side for node in nodes for side in node.op.weights.get("weight", ())[2:]]
        return cls(tuple(sorted({node.op.kind for node in nodes})), max(sides, default=1))

    def require(self, network: Network) -> None:
        """Refuse a network with an op that these do not have.

        Raises:
            UnsupportedOpError: an op kind that no network of the training had.
            NotSupportedError: weights that are not predicted, or a window larger than those of the training.
        """
        unknown = {kind: n for kind, n in network.op_counts().items() if kind not in self.kinds}
        if unknown:
            listed = ", ".join(f"{kind} x{count}" for kind, count in sorted(unknown.items()))
            raise UnsupportedOpError(
                network.name,
                unknown,
                hint=f"the hypernetwork never saw {listed}: train it on a space whose networks have these ops",
            )
        _require_predictable(network)
        for node in network.nodes:
            window = node.op.weights.get("weight", ())[2:]
            if max(window, default=1) > self.kernel:
                raise NotSupportedError(
                    f"{node.name!r} of {network.name} has a window of {window}, larger than any that was trained on",
                    hint=f"take windows of up to {self.kernel}, or train on a space that has larger ones",
                )


def _require_predictable(network: Network) -> None:
    for node in network.nodes:
        if node.op.weights and node.op.kind not in (*NORMS, *MATRICES):
            raise NotSupportedError(
                f"nothing here predicts the weights of {node.name!r} ({node.op.kind}) in {network.name}",
                hint=f"use networks whose weights are those of {', '.join((*MATRICES, *NORMS))}",
            )


def depends_on_input(network: Network) -> bool:
    """Whether anything of the input reaches the output; in some spaces, cells may let nothing through."""
    reached = {name for name, _ in network.inputs}
    for node in network.nodes:
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
    return not reached.isdisjoint(network.outputs)


@dataclass(frozen=True)
class OpGraph:
    """The ops of one network, or of several side by side. Letters: v ops.

    Attributes:
        kinds: the number of each op's kind in the vocabulary, shape ``[v]``.
        features: logarithms of each op's sizes, float32 ``[v, FEATURES]``.
        distances: entry (a, b) is the fewest edges on a way along the data from op b to op a, 0 where there is none;
            shape ``[v, v]``.
        forward: ops in groups that follow from earlier groups alone, along the data.
        backward: the same against the data.
    """

    kinds: Integers
    features: Singles
    distances: Integers
    forward: tuple[Integers, ...]
    backward: tuple[Integers, ...]


def graph_of(network: Network, vocabulary: Vocabulary) -> OpGraph:
    """The graph of a network whose ops the vocabulary has (`Vocabulary.require`)."""
    numbers = {kind: number for number, kind in enumerate(vocabulary.kinds)}
    place = {value: i for i, node in enumerate(network.nodes) for value in node.outputs}
    makers = [sorted({place[value] for value in node.inputs if value in place}) for node in network.nodes]
    distances = _distances(makers)
    return OpGraph(
        np.array([numbers[node.op.kind] for node in network.nodes], np.int64),
        np.array([_features(node) for node in network.nodes], np.float32).reshape(-1, FEATURES),
        distances,
        _groups(distances == 1, range(len(makers))),
        _groups(distances.T == 1, reversed(range(len(makers)))),
    )


def side_by_side(graphs: Sequence[OpGraph]) -> OpGraph:
    """One or more graphs as one, without an edge between them."""
    starts = [0, *accumulate(len(graph.kinds) for graph in graphs)]
    distances = np.zeros((starts[-1], starts[-1]), np.int64)
    for graph, start, end in zip(graphs, starts, starts[1:], strict=False):
        distances[start:end, start:end] = graph.distances
    return OpGraph(
        np.concatenate([graph.kinds for graph in graphs]),
        np.concatenate([graph.features for graph in graphs]),
        distances,
        _joined([graph.forward for graph in graphs], starts),
        _joined([graph.backward for graph in graphs], starts),
    )


def _joined(groups: Sequence[tuple[Integers, ...]], starts: Sequence[int]) -> tuple[Integers, ...]:
    return tuple(
        np.concatenate([each[i] + start for each, start in zip(groups, starts, strict=False) if i < len(each)])
        for i in range(max(map(len, groups)))
    )


def _distances(makers: Sequence[Sequence[int]]) -> Integers:
    """From makers of what each op reads, all of them earlier ops, the fewest edges between any two; 0 for no way."""
    count = len(makers)
    far = np.iinfo(np.int64).max // 2
    found = np.full((count, count), far, np.int64)
    for reader, made in enumerate(makers):
        if made:
            found[reader] = found[made].min(axis=0) + 1
        found[reader, reader] = 0
    return np.where(found >= far, 0, found)


def _groups(edges: npt.NDArray[np.bool_], order: Iterable[int]) -> tuple[Integers, ...]:
    """Ops by the longest way that leads to them; ``edges[a, b]`` where a reads b, which stands earlier in the order."""
    levels = np.zeros(len(edges), np.int64)
    for op in order:
        levels[op] = 1 + levels[edges[op]].max(initial=-1)
    return tuple(np.flatnonzero(levels == level) for level in range(int(levels.max(initial=0)) + 1))


def _features(node: Node) -> tuple[float, ...]:
    """Logarithms of channels read and made, size, inputs, products in a sum, and the window; see `FEATURES`."""
    op = node.op
    out, first, named = op.outputs[0], op.inputs[0] if op.inputs else op.outputs[0], op.features()
    sizes = (
        first.shape[1] if first.rank > 1 else 0,
        out.shape[1] if out.rank > 1 else 0,
        out.shape[-1] if out.rank > 2 else 0,
        len(op.inputs),
        op.macs // out.numel,
    )
    return tuple(float(np.log1p(size)) for size in (*sizes, *(named.get(name, 0.0) for name in _WINDOW)))
