"""The graph network in torch and its training; imported only where a `GnnPredictor` trains or predicts."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..luts.host import logical_cores
from ._graphs import FEATURES, NS_PER_MS, Graph, GraphBatch
from ._perceptrons import mean_loss, one_thread, schedule

Floats = NDArray[np.float64]

_BATCH: Final = 32


class _Layer(nn.Module):
    """One round of messages along the data, against it, and to and from the whole graph; added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own = nn.Linear(width, width)
        self.messages = nn.Linear(width, 2 * width, bias=False)
        self.whole = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, nodes: Tensor, batch: "TorchBatch") -> Tensor:
        inner = self.norm(nodes)
        forward, backward = self.messages(inner).chunk(2, dim=1)
        mixed = self.own(inner)
        mixed = mixed.index_add(0, batch.readers, forward.index_select(0, batch.makers))
        mixed = mixed.index_add(0, batch.makers, backward.index_select(0, batch.readers))
        means = batch.pooled(inner) * batch.inverse_sizes
        mixed = mixed + self.whole(means).index_select(0, batch.owners)
        added: Tensor = self.out(mixed.relu())
        return nodes + added


class TorchBatch:
    """A `GraphBatch` as tensors."""

    def __init__(self, batch: GraphBatch) -> None:
        self.kinds = torch.from_numpy(batch.kinds)
        self.features = torch.from_numpy(batch.features)
        self.readers, self.makers = torch.from_numpy(batch.edges)
        self.owners = torch.from_numpy(batch.owners)
        self.count = batch.count
        sizes = np.bincount(batch.owners, minlength=batch.count).astype(np.float32)
        self.inverse_sizes = torch.from_numpy(1 / np.maximum(sizes, 1))[:, None]

    def pooled(self, nodes: Tensor) -> Tensor:
        """Sums over the ops of each graph."""
        return nodes.new_zeros(self.count, nodes.shape[1]).index_add(0, self.owners, nodes)


class GraphNet(nn.Module):
    """Says for each op of a graph what it contributes to the latency; a latency is their sum.

    ``log latency = log sum over ops of exp(contribution)``, in units of the typical latency of an op of the samples.
    A sum keeps what is true of latencies: twice the ops take about twice as long, whatever the samples' sizes.
    Where a table tells the time of each op, in the last of its numbers, contributions are factors on those times, and
    training begins with the table's own sum.

    Args:
        kinds: how many op kinds are known.
        features: numbers of an op: `FEATURES`, or one more with a table.
        width: of an op's state.
        layers: rounds of messages.
        outputs: k, how many devices' latencies it says at once.
    """

    def __init__(self, kinds: int, features: int, width: int, layers: int, outputs: int = 1) -> None:
        super().__init__()
        self.kind = nn.Embedding(kinds + 1, width)
        self.sizes = nn.Linear(features, width)
        self.layers = nn.ModuleList([_Layer(width) for _ in range(layers)])
        self.contribution = nn.Linear(width, outputs)
        self.timed = features > FEATURES
        nn.init.zeros_(self.contribution.weight)
        nn.init.zeros_(self.contribution.bias)

    def forward(self, batch: TorchBatch, centre: Tensor, scale: Tensor) -> Tensor:
        """Log latencies of the graphs, shape ``[n, k]``."""
        nodes = (self.sizes((batch.features - centre) / scale) + self.kind(batch.kinds)).relu()
        for layer in self.layers:
            nodes = layer(nodes, batch)
        parts = self.contribution(nodes).clamp(-12, 12).exp()
        if self.timed:
            parts = parts * batch.features[:, -1:].expm1() / NS_PER_MS
        return batch.pooled(parts).clamp_min(1e-12).log()


def new_net(kinds: int, features: int, width: int, layers: int, seed: int, outputs: int = 1) -> GraphNet:
    """A net with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GraphNet(kinds, features, width, layers, outputs)


def trained(
    net: GraphNet,
    graphs: Sequence[Graph],
    targets: Floats,
    scaling: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> GraphNet:
    """Fit a copy of the net to log latencies.

    Args:
        net: where to begin.
        graphs: n samples.
        targets: their log latencies, shape ``[n, k]``, in the net's units; NaN where one is not known.
        scaling: centre and scale of the ops' features.
        steps: of AdamW, with up to 32 graphs each.
        learning_rate: at its height.
        weight_decay: of AdamW.
        seed: of the order of the samples.
    """
    net = copy.deepcopy(net)
    random = np.random.default_rng(seed)
    spreads = np.maximum(np.nanstd(targets, axis=0), 1e-6)
    wanted = torch.from_numpy((targets / spreads).astype(np.float32))
    spread = torch.from_numpy(spreads.astype(np.float32))
    centre, scale = map(torch.from_numpy, scaling)
    optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay)
    with one_thread():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = learning_rate * schedule(step / steps)
            index = random.integers(0, len(graphs), min(_BATCH, len(graphs)))
            found = net(TorchBatch(GraphBatch.of([graphs[i] for i in index])), centre, scale)
            optimiser.zero_grad()
            mean_loss(found / spread, wanted[torch.from_numpy(index)]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
    return net.eval()


def log_latencies(
    net: GraphNet, batches: Sequence[GraphBatch], scaling: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """What the net says of the graphs of all batches, one behind the other, in its units; shape ``[n, k]``.

    Batches are spread over the processor's cores: that is quicker than several cores for each small product.
    """
    centre, scale = map(torch.from_numpy, scaling)

    def ask(batch: GraphBatch) -> NDArray[np.float32]:
        with torch.inference_mode():  # which each thread has to say for itself
            found: NDArray[np.float32] = net(TorchBatch(batch), centre, scale).numpy()
            return found

    with one_thread(), ThreadPoolExecutor(logical_cores()) as pool:
        return np.concatenate([*pool.map(ask, batches), np.empty((0, net.contribution.out_features), np.float32)])


def weights_of(net: GraphNet) -> dict[str, NDArray[np.float32]]:
    """The net's weights by name."""
    return {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}


def restored(
    kinds: int, features: int, width: int, layers: int, weights: dict[str, NDArray[np.float32]], outputs: int = 1
) -> GraphNet:
    """The net with these weights; raises `RuntimeError` if they do not fit."""
    net = new_net(kinds, features, width, layers, 0, outputs)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    return net.eval()
