"""Networks as graphs of numbers: one row of features for each op, edges along the data, many graphs as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.ops import Op

Singles = NDArray[np.float32]

WINDOW: Final = ("kernel_size0", "stride0", "groups")
"""Attributes that choose how an op is computed, where it has them."""

FEATURES: Final = 9 + len(WINDOW)
"""Numbers of each op, besides its kind; one more where a table tells the time of its kernel."""


NS_PER_MS: Final = 1e6


@dataclass(frozen=True)
class Graph:
    """One network. Letters: v ops, e edges.

    Attributes:
        kinds: number of each op's kind, shape ``[v]``; the count of kinds for one that is not known.
        features: float32 ``[v, f]``.
        edges: reader and maker of each value that one op makes and another reads, shape ``[2, e]``.
    """

    kinds: NDArray[np.int64]
    features: Singles
    edges: NDArray[np.int64]

    @property
    def size(self) -> float:
        """What a latency is in proportion to at first sight: what the table says of all ops in ms, or their number."""
        if self.features.shape[1] == FEATURES:
            return float(len(self.kinds))
        return float(np.expm1(self.features[:, -1].astype(np.float64)).sum()) / NS_PER_MS


@dataclass(frozen=True)
class GraphBatch:
    """Several graphs side by side. Letters: n graphs, v ops and e edges of all together.

    Attributes:
        kinds: shape ``[v]``.
        features: shape ``[v, f]``.
        edges: shape ``[2, e]``, ops numbered through.
        owners: the graph of each op, shape ``[v]``, rising.
        count: n.
    """

    kinds: NDArray[np.int64]
    features: Singles
    edges: NDArray[np.int64]
    owners: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> "GraphBatch":
        """Put n >= 1 graphs side by side."""
        sizes = np.array([len(graph.kinds) for graph in graphs])
        starts = np.cumsum(sizes) - sizes
        return cls(
            kinds=np.concatenate([graph.kinds for graph in graphs]),
            features=np.concatenate([graph.features for graph in graphs]),
            edges=np.concatenate([graph.edges + start for graph, start in zip(graphs, starts, strict=True)], axis=1),
            owners=np.repeat(np.arange(len(graphs)), sizes),
            count=len(graphs),
        )


def graph_of(network: Network, kinds: Sequence[str], times_ns: NDArray[np.float64] | None = None) -> Graph:
    """The graph of a network.

    Args:
        network: which.
        kinds: the op kinds that are known; others share one number.
        times_ns: what a table says of each op, shape ``[v]``; their logarithms become a feature.
    """
    numbers = {kind: number for number, kind in enumerate(kinds)}
    makers: dict[str, int] = {}
    read: list[int] = []
    made: list[int] = []
    for place, node in enumerate(network.nodes):
        for value in node.inputs:
            maker = makers.get(value)
            if maker is not None:
                read.append(place)
                made.append(maker)
        for value in node.outputs:
            makers[value] = place
    features = np.array([_features(node.op) for node in network.nodes], np.float32).reshape(-1, FEATURES)
    if times_ns is not None:
        features = np.concatenate([features, np.log1p(times_ns)[:, None]], axis=1, dtype=np.float32)
    return Graph(
        kinds=np.array([numbers.get(node.op.kind, len(numbers)) for node in network.nodes], np.int64),
        features=features,
        edges=np.array([read, made], np.int64).reshape(2, -1),
    )


@lru_cache(maxsize=65536)
def _features(op: Op) -> tuple[float, ...]:
    """Logarithms of what an op costs and how large it is, and its window; see `FEATURES`."""
    out, first = op.outputs[0], op.inputs[0] if op.inputs else op.outputs[0]
    named = op.features()
    sizes = (
        op.macs,
        op.params,
        op.bytes_moved,
        first.numel,
        out.numel,
        first.shape[1] if first.rank > 1 else 0,
        out.shape[1] if out.rank > 1 else 0,
        out.shape[-1] if out.rank > 2 else 0,
        len(op.inputs),
    )
    return (*(float(np.log1p(size)) for size in sizes), *(float(np.log1p(named.get(name, 0.0))) for name in WINDOW))
