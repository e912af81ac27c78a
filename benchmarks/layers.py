"""What a table of layers says: the recipes that Lutra's kernels are compared with, on ONNX Runtime.

*Layers*: each op of the network is a model of its own (batch norms folded), optimised by the runtime, run warm, again
and again; the latency of the network is the sum. *Blocks*: the same with an activation joined to the convolution,
matrix product or addition before it, as nn-Meter's fusion rules have it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lutra.networks import Network
from lutra.networks.graph import Node, prune
from lutra.networks.lowering.native import ACTIVATIONS, FOLDS_BATCH_NORM
from lutra.profiler.client import WorkerClient
from lutra.profiler.rows import metric_for

_JOINED_BY_ACTIVATIONS = FOLDS_BATCH_NORM | {"batch_norm", "add"}
_OPTIONS: dict[str, Any] = {"min_rounds": 8, "max_rounds": 24, "samples_per_visit": 3, "seed": 0}
_TOGETHER = 40  # pieces timed in one go, the whole network among them


@dataclass(frozen=True)
class LayerSums:
    """Latencies of one network, in ms.

    Attributes:
        measured_ms: of the whole.
        layers_ms: sum over its layers.
        blocks_ms: sum over its blocks.
    """

    measured_ms: float
    layers_ms: float
    blocks_ms: float


def layer_sums(network: Network, threads: int) -> LayerSums:
    """Time a network, its layers and its blocks in turns."""
    recipes = [list(_pieces(network, joined=joined)) for joined in (False, True)]
    distinct = {piece.fingerprint: piece for recipe in recipes for piece in recipe}
    measured: list[float] = []
    latency_ms: dict[str, float] = {}
    keys = list(distinct)
    for start in range(0, len(keys), _TOGETHER):
        group = {key: distinct[key] for key in keys[start : start + _TOGETHER]}
        times = _timed(group | {"whole": network}, threads)
        measured.append(times.pop("whole"))
        latency_ms |= times
    sums = [sum(latency_ms[key] * n for key, n in Counter(p.fingerprint for p in r).items()) for r in recipes]
    return LayerSums(float(np.mean(measured)), *sums)


def _timed(subjects: dict[str, Network], threads: int) -> dict[str, float]:
    """p25 of each in ms."""
    metric = metric_for(threads)
    with WorkerClient("onnxruntime", threads) as worker:
        for key, subject in subjects.items():
            worker.prepare_network(key, subject, None, 0)
        every_round = [list(subjects).index("whole")]
        options = _OPTIONS | {"metric": metric, "every_round": every_round}
        result = worker.measure(list(subjects), options, lambda _: None)
    samples = {key: entry.samples for key, entry in result.entries.items()}
    return {key: float(np.quantile(s[f"{metric}_ns"], 0.25)) / s.batch / 1e6 for key, s in samples.items()}


def _pieces(network: Network, *, joined: bool) -> Iterator[Network]:
    """The layers of a network, or its blocks, each as a network of its own."""
    graph = prune(network)
    readers = graph.consumers()
    groups: list[list[Node]] = []
    for node in graph:
        if groups and _joins(groups[-1], node, readers, joined):
            groups[-1].append(node)
        else:
            groups.append([node])
    for group in groups:
        if any(value in graph.types for value in group[0].inputs):
            yield _alone(group, graph)


def _joins(group: Sequence[Node], node: Node, readers: dict[str, list[Node]], joined: bool) -> bool:
    """Whether ``node`` belongs to the piece before it, whose result nobody else reads."""
    last = group[-1]
    if node.inputs != last.outputs or len(readers[last.outputs[0]]) != 1:
        return False
    if node.op.kind == "batch_norm":
        return last.op.kind in FOLDS_BATCH_NORM
    return joined and node.op.kind in ACTIVATIONS and last.op.kind in _JOINED_BY_ACTIVATIONS


def _alone(group: Sequence[Node], graph: Network) -> Network:
    made = {value for node in group for value in node.outputs}
    read = dict.fromkeys(value for node in group for value in node.inputs if value not in made)
    inputs = tuple((value, graph.types[value]) for value in read)
    return Network(group[-1].op.kind, inputs, tuple(group), group[-1].outputs)
