"""`GnnPredictor`: a graph network on the ops of any network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..luts import Fingerprint, Table
from ..networks.errors import MissingDependencyError, UsageError
from ._artifact import TABLE_FILE, Artifact
from ._batch import Batch
from ._domain import Domain
from ._graphs import Graph, GraphBatch, graph_of
from ._lowering import Lowerer
from ._registry import register
from ._table_times import op_times_ns
from .learned import LearnedPredictor, Model

if TYPE_CHECKING:
    from types import ModuleType

    from ._messages import GraphNet

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_CHUNK_OPS: Final = 8192  # ops that are predicted side by side: their states stay in the caches
_WEIGHT: Final = "net."


@dataclass(frozen=True)
class GnnModel:
    """A graph network with its units.

    Attributes:
        net: in torch.
        centre: of the ops' features, shape ``[f]``.
        scale: of them, shape ``[f]``.
        log_unit_ms: logarithm of the net's unit of latency, in ms.
        shape: op kinds, numbers of an op, width, layers.
    """

    net: "GraphNet"
    centre: Singles
    scale: Singles
    log_unit_ms: float
    shape: tuple[int, int, int, int]

    def latencies_ms(self, prepared: list[Graph]) -> Floats:
        """Latencies of n graphs, shape ``[n]``, in ms."""
        batches = [GraphBatch.of(graphs) for graphs in _chunks(prepared)]
        return self.latencies_of(batches)

    def latencies_of(self, batches: list[GraphBatch]) -> Floats:
        """Latencies of batches of graphs, one behind the other, in ms."""
        logs = _torch_part().log_latencies(self.net, batches, (self.centre, self.scale))[:, 0]
        return np.asarray(np.exp(logs.astype(np.float64) + self.log_unit_ms), np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        weights = {_WEIGHT + name: array for name, array in _torch_part().weights_of(self.net).items()}
        kinds, _, width, layers = self.shape
        state = {"log_unit_ms": self.log_unit_ms, "shape": [kinds, width, layers]}
        return state, {"centre": self.centre, "scale": self.scale, **weights}


@register("gnn")
class GnnPredictor(LearnedPredictor[list[Graph]]):
    """A graph network on ops and the data between them: for networks of any family and size.

    Each op starts from its kind, its costs and its sizes; rounds of messages along the data, against it, and to and
    from the whole graph tell it what stands around it; then it says what it adds to the latency. It is written in plain
    torch: sums over edges are ``index_add``.

    With a table of the device, an op also knows the time of the kernel that it is the last op of, and what it says is a
    factor on that: before anything is learned, the prediction is the table's sum.

    Args:
        device: what people call the device.
        fingerprint: its identity, where it is known.
        seed: of everything random.
        width: of an op's state.
        layers: rounds of messages.
        steps: of gradient descent.
        learning_rate: at its height.
        weight_decay: of AdamW (Loshchilov, Hutter, arXiv:1711.05101).
        table: the device's rows, which have to cover what is learned from and predicted; None does without.
    """

    def __init__(
        self,
        device: str = "unnamed device",
        *,
        fingerprint: Fingerprint | None = None,
        seed: int = 0,
        width: int = 32,
        layers: int = 2,
        steps: int = 400,
        learning_rate: float = 6e-3,
        weight_decay: float = 1e-2,
        table: Table | None = None,
    ) -> None:
        super().__init__(device, fingerprint=fingerprint, seed=seed)
        self.width = width
        self.layers = layers
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.table = table

    def to_artifact(self) -> Artifact:
        """The net, what it has seen, its held-out errors, and the table."""
        plain = super().to_artifact()
        params = {name: value for name, value in plain.params.items() if name != "table"}
        texts = {} if self.table is None else {TABLE_FILE: self.table.to_json()}
        return replace(plain, params=params, texts=texts)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described."""
        predictor = super().from_artifact(artifact)
        if TABLE_FILE in artifact.texts:
            predictor.table = Table.from_json(artifact.texts[TABLE_FILE])
        return predictor

    def _check_parameters(self) -> None:
        self._require_counts("width", "layers", "steps")
        self._require_rates()

    def _prepared(self, batch: Batch, domain: Domain) -> list[Graph]:
        if batch.networks is None:
            raise UsageError("a graph network needs networks, not encodings", hint="decode the architectures first")
        if self.table is None:
            return [graph_of(network, domain.kinds) for network in batch.networks]
        lower = Lowerer()  # `lower` itself remembers networks
        return [graph_of(network, domain.kinds, op_times_ns(network, self.table, lower)) for network in batch.networks]

    def _trained(self, prepared: list[Graph], latencies_ms: Floats, domain: Domain) -> Model[list[Graph]]:
        messages = _torch_part()
        features = np.concatenate([graph.features for graph in prepared])
        centre, scale = features.mean(axis=0), features.std(axis=0)
        scale = np.where(scale > 1e-3, scale, 1.0).astype(np.float32)
        logs = np.log(latencies_ms)
        log_unit = float((logs - np.log([graph.size for graph in prepared])).mean())
        shape = (len(domain.kinds), features.shape[1], self.width, self.layers)
        net = messages.trained(
            messages.new_net(*shape, self.seed),
            prepared,
            (logs - log_unit)[:, None],
            (centre, scale),
            steps=self.steps,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )
        return GnnModel(net, centre, scale, log_unit, shape)

    def _restored(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Model[list[Graph]]:
        kinds, width, layers = map(int, state["shape"])
        shape = (kinds, len(arrays["centre"]), width, layers)
        weights = {name.removeprefix(_WEIGHT): a for name, a in arrays.items() if name.startswith(_WEIGHT)}
        net = _torch_part().restored(*shape, weights)
        return GnnModel(net, arrays["centre"], arrays["scale"], float(state["log_unit_ms"]), shape)


def _torch_part() -> "ModuleType":
    try:
        from . import _messages
    except ImportError:
        raise MissingDependencyError("torch", "learn", "a graph network") from None
    return _messages


def _chunks(graphs: list[Graph]) -> list[list[Graph]]:
    """The graphs in order, in groups of up to `_CHUNK_OPS` ops, or of one."""
    chunks: list[list[Graph]] = []
    room = 0
    for graph in graphs:
        if not chunks or len(graph.kinds) > room:
            chunks.append([])
            room = _CHUNK_OPS
        chunks[-1].append(graph)
        room -= len(graph.kinds)
    return chunks
