"""Heads of a `DevicePrior`: networks trained on all source devices at once, whose outputs stand for the devices.

A linear model of a source, which the prior has anyway, sees what adds up. A head also sees what does not: it is one net
with an output for each source, so that what sources have in common is learnt from all of them, and the noise of one is
not taken for its nature. To the new device each output is one more feature, whose weight the samples settle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.errors import MissingDependencyError, UnknownNameError, UsageError
from ._batch import Batch
from ._domain import Domain
from ._graphs import Graph, GraphBatch, graph_of

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]
Architectures: TypeAlias = NDArray[Any] | Sequence[Network]

_LAYER: Final = "layer"
_NET: Final = "net."
_CHUNK: Final = 64  # graphs that are predicted side by side

# Chosen by the errors on a fifth of the sources' own samples, of FBNet's FD and NAS-Bench-201's ND.
_MLP: Final[Mapping[str, Any]] = {
    "hidden": (64, 64),
    "members": 4,
    "steps": 400,
    "learning_rate": 2e-3,
    "weight_decay": 3.0,
}
_GNN: Final[Mapping[str, Any]] = {"steps": 400, "learning_rate": 6e-3, "weight_decay": 1e-2}
_GNN_WIDTH: Final = 32
_GNN_LAYERS: Final = 2


class Head(Protocol):
    """Says what each of k sources takes for an architecture."""

    kind: ClassVar[str]

    @classmethod
    def trained(cls, given: Architectures, centred: Floats, latencies_ms: Floats, seed: int) -> Self:
        """Learn from sources.

        Args:
            given: n architectures.
            centred: their additive features, shape ``[n, p]``.
            latencies_ms: of the sources, shape ``[n, k]``; NaN where one was not measured.
            seed: of everything random.

        Raises:
            UsageError: architectures of a form that the head cannot read.
            MissingDependencyError: torch is not installed.
        """

    def outputs(self, given: Architectures, centred: Floats) -> Floats:
        """What it says of n architectures, in each source's own spread, shape ``[n, k]``."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain JSON data and arrays, from which `restored` makes it again."""

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `state` described; raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` if it is none."""


@dataclass(frozen=True)
class MlpHead:
    """Perceptrons on one-hot choices. Letters: m members.

    Attributes:
        layers: weights ``[m, in, out]`` and biases ``[m, 1, out]``, with rectifiers in between.
    """

    kind: ClassVar[str] = "mlp"
    layers: tuple[tuple[Singles, Singles], ...]

    @classmethod
    def trained(cls, given: Architectures, centred: Floats, latencies_ms: Floats, seed: int) -> Self:
        if not isinstance(given, np.ndarray):
            raise UsageError("an MLP head needs encodings, not networks", hint="give codes, or take the head 'gnn'")
        try:
            from ._perceptrons import trained
        except ImportError:
            raise MissingDependencyError("torch", "learn", "training an MLP") from None
        spread = np.nanstd(latencies_ms, axis=0)
        targets = (latencies_ms - np.nanmean(latencies_ms, axis=0)) / np.where(spread > 0, spread, 1.0)
        return cls(trained(centred.astype(np.float32), targets.astype(np.float32), **_MLP, seed=seed))

    def outputs(self, given: Architectures, centred: Floats) -> Floats:
        del given
        values = np.broadcast_to(centred.astype(np.float32), (len(self.layers[0][0]), *centred.shape))
        for number, (weights, biases) in enumerate(self.layers):
            values = np.matmul(values if not number else np.maximum(values, 0), weights) + biases
        return np.asarray(values.mean(axis=0), np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        named = [(f"{_LAYER}{n}.weights", w) for n, (w, _) in enumerate(self.layers)]
        named += [(f"{_LAYER}{n}.biases", b) for n, (_, b) in enumerate(self.layers)]
        return {"layers": len(self.layers)}, dict(named)

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        numbers = range(int(state["layers"]))
        return cls(tuple((arrays[f"{_LAYER}{n}.weights"], arrays[f"{_LAYER}{n}.biases"]) for n in numbers))


@dataclass(frozen=True)
class GnnHead:
    """A graph network on the ops of networks, with a contribution of each op to each source.

    Attributes:
        kinds: op kinds that it knows.
        net: in torch.
        shape: its width and number of layers.
        scaling: centre and scale of the ops' features.
        log_units: logarithms of the net's unit of latency for each source, in ms, shape ``[k]``.
        centre: mean of each source's latencies in ms, shape ``[k]``.
        spread: their standard deviation, shape ``[k]``.
    """

    kind: ClassVar[str] = "gnn"
    kinds: tuple[str, ...]
    net: Any
    shape: tuple[int, int]
    scaling: tuple[Singles, Singles]
    log_units: Floats
    centre: Floats
    spread: Floats

    @classmethod
    def trained(cls, given: Architectures, centred: Floats, latencies_ms: Floats, seed: int) -> Self:
        del centred
        if isinstance(given, np.ndarray):
            raise UsageError("a graph head needs networks, not encodings", hint="decode the architectures first")
        messages = _messages()
        kinds = Domain.of(Batch(networks=tuple(given))).kinds
        graphs = [graph_of(network, kinds) for network in given]
        features = np.concatenate([graph.features for graph in graphs])
        scale = features.std(axis=0)
        scaling = features.mean(axis=0), np.where(scale > 1e-3, scale, 1.0).astype(np.float32)
        logs = np.log(latencies_ms)
        log_units = np.nanmean(logs - np.log([[graph.size] for graph in graphs]), axis=0)
        shape = (_GNN_WIDTH, _GNN_LAYERS)
        net = messages.new_net(len(kinds), features.shape[1], *shape, seed, outputs=latencies_ms.shape[1])
        net = messages.trained(net, graphs, logs - log_units, scaling, **_GNN, seed=seed)
        spread = np.nanstd(latencies_ms, axis=0)
        centre, spread = np.nanmean(latencies_ms, axis=0), np.where(spread > 0, spread, 1.0)
        return cls(kinds, net, shape, scaling, log_units, centre, spread)

    def outputs(self, given: Architectures, centred: Floats) -> Floats:
        del centred
        assert not isinstance(given, np.ndarray)
        graphs: list[Graph] = [graph_of(network, self.kinds) for network in given]
        batches = [GraphBatch.of(graphs[start : start + _CHUNK]) for start in range(0, len(graphs), _CHUNK)]
        logs = _messages().log_latencies(self.net, batches, self.scaling).astype(np.float64)
        outputs: Floats = (np.exp(logs + self.log_units) - self.centre) / self.spread
        return outputs

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        weights = {_NET + name: array for name, array in _messages().weights_of(self.net).items()}
        own = {"features_centre": self.scaling[0], "features_scale": self.scaling[1], "log_units": self.log_units}
        return {"kinds": list(self.kinds), "shape": list(self.shape)}, {
            **weights,
            **own,
            "centre": self.centre,
            "spread": self.spread,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        kinds = tuple(map(str, state["kinds"]))
        scaling = arrays["features_centre"], arrays["features_scale"]
        weights = {name.removeprefix(_NET): array for name, array in arrays.items() if name.startswith(_NET)}
        width, layers = map(int, state["shape"])
        outputs = len(arrays["log_units"])
        net = _messages().restored(len(kinds), len(scaling[0]), width, layers, weights, outputs=outputs)
        return cls(kinds, net, (width, layers), scaling, arrays["log_units"], arrays["centre"], arrays["spread"])


HEADS: Final[Mapping[str, type[MlpHead] | type[GnnHead]]] = {head.kind: head for head in (MlpHead, GnnHead)}


def head_class(kind: str) -> type[MlpHead] | type[GnnHead]:
    """The head of that name.

    Raises:
        UnknownNameError: there is none; lists them.
    """
    if kind not in HEADS:
        raise UnknownNameError("head", kind, HEADS)
    return HEADS[kind]


def _messages() -> Any:
    try:
        from . import _messages as messages
    except ImportError:
        raise MissingDependencyError("torch", "learn", "a graph network") from None
    return messages
