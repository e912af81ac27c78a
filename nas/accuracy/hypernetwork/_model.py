"""The hypernetwork itself: messages along and against the data, then weights out of the state of each op."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from ....networks import Network, Node
from .graphs import FEATURES, NORMS, OpGraph, Vocabulary, graph_of, side_by_side

_VECTORS: Final = ("scale", "shift")


class GraphHypernetwork(nn.Module):
    """Predicts all weights of a network from its graph (arXiv:1810.05749; with the additions of arXiv:2110.13100).

    The state of an op begins as the embedding of its kind and sizes. Gated recurrent units then visit the ops along the
    data and back; each takes in messages of the ops before it, and over virtual edges, weighted by one over their
    distance, of those further away. A decoder turns each state into a tile, which is repeated to the shape of the
    weight and scaled (`predict`).

    Args:
        vocabulary: of the networks that it is for.
        width: of an op's state.
        hidden: of the decoder's layers.
        tile: channels of a tile in either direction.
        reach: the longest distance of a virtual edge.
    """

    def __init__(self, vocabulary: Vocabulary, *, width: int, hidden: int, tile: int, reach: int) -> None:
        super().__init__()
        self.vocabulary, self.tile, self.reach = vocabulary, tile, reach
        self.kind = nn.Embedding(len(vocabulary.kinds), width)
        self.sizes = nn.Linear(FEATURES, width)
        self.near = _perceptron(width, width, width)
        self.virtual = _perceptron(width, width, width)
        self.gate = nn.GRUCell(width, width)
        self.norm = nn.LayerNorm(width)
        self.window = nn.Linear(width, hidden * vocabulary.kernel**2)
        # Odd functions: what rectifiers let through is correlated, and sums over a window would exceed their fan-in.
        layers = nn.Linear(hidden, hidden), nn.Linear(hidden, tile * tile)
        self.matrix = nn.Sequential(layers[0], nn.Tanh(), layers[1])
        self.vector = nn.ModuleDict({name: _perceptron(width, hidden, tile) for name in _VECTORS})
        nn.init.kaiming_normal_(self.window.weight, nonlinearity="linear")
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="tanh")

    def states(self, graph: OpGraph) -> Tensor:
        """The state of each of v ops, [v, width]."""
        device = self.sizes.weight.device
        distances = torch.from_numpy(graph.distances).to(device)
        near = (distances == 1).float()
        virtual = torch.where((distances > 1) & (distances <= self.reach), 1 / distances.clamp_min(1).float(), 0.0)
        nodes = self.kind(torch.from_numpy(graph.kinds).to(device))
        nodes = nodes + self.sizes(torch.from_numpy(graph.features).to(device))
        nodes = self._visited(nodes, [torch.from_numpy(group).to(device) for group in graph.forward], near, virtual)
        backward = [torch.from_numpy(group).to(device) for group in graph.backward]
        visited: Tensor = self.norm(self._visited(nodes, backward, near.T, virtual.T))
        return visited

    def _visited(self, nodes: Tensor, groups: Sequence[Tensor], near: Tensor, virtual: Tensor) -> Tensor:
        """States after one visit, group by group; entry (a, b) of the matrices is the weight of b's message to a."""
        order = torch.cat(list(groups))
        near, virtual, nodes = near[order][:, order], virtual[order][:, order], nodes[order]
        states, messages, distant = [nodes[:0]], [nodes[:0]], [nodes[:0]]
        done = 0
        for group in groups:
            rows = slice(done, done + len(group))
            heard = near[rows, :done] @ torch.cat(messages) + virtual[rows, :done] @ torch.cat(distant)
            states.append(self.gate(heard, nodes[rows]))
            messages.append(self.near(states[-1]))
            distant.append(self.virtual(states[-1]))
            done += len(group)
        return torch.cat(states)[order.argsort()]

    def predict(self, networks: Sequence[Network]) -> list[dict[str, Tensor]]:
        """All trained weights of n >= 1 networks, by their names in `to_torch`'s modules.

        Matrices are scaled by sqrt(b / fan-in): b is 2 for convolutions, most of which read what a rectifier has
        halved, and 1 for linear layers. Scales of norms are 2 sigmoid(p / 2), shifts and biases tanh(p / 5) of what the
        decoder says, p (after arXiv:2110.13100, section 4).

        Raises:
            UnsupportedOpError: an op kind that no network of the training had.
            NotSupportedError: weights that are not predicted, or a window larger than those of the training.
        """
        for network in networks:
            self.vocabulary.require(network)
        states = self.states(side_by_side([graph_of(network, self.vocabulary) for network in networks]))
        found, start = [], 0
        for network in networks:
            found.append(self._weights(network, states[start : start + len(network)]))
            start += len(network)
        return found

    def _weights(self, network: Network, states: Tensor) -> dict[str, Tensor]:
        owners = [(i, node) for i, node in enumerate(network.nodes) if node.op.weights and not node.weights_from]
        made: dict[str, Tensor] = {}
        matrices = [(i, node) for i, node in owners if node.op.kind not in NORMS]
        if matrices:
            tiles = self._tiles(states[[i for i, _ in matrices]])
            for (_, node), tile in zip(matrices, tiles, strict=True):
                made[f"{node.name}.weight"] = _matrix(tile, node)
        for part, vectors in (("scale", _named(owners, "weight", NORMS)), ("shift", _named(owners, "bias", None))):
            if vectors:
                rows = self.vector[part](states[[i for i, _ in vectors]])
                rows = 2 * (rows / 2).sigmoid() if part == "scale" else (rows / 5).tanh()
                for (_, node), row in zip(vectors, rows, strict=True):
                    name = "weight" if part == "scale" else "bias"
                    made[f"{node.name}.{name}"] = _repeated(row, node.op.weights[name])
        return made

    def _tiles(self, states: Tensor) -> Tensor:
        """Tiles of n matrices, [n, tile, tile, k, k]: what all positions of a window share is learned once."""
        side = self.vocabulary.kernel
        positions = self.window(states).tanh().reshape(len(states), side * side, -1)
        tiles: Tensor = self.matrix(positions).transpose(1, 2)
        return tiles.reshape(len(states), self.tile, self.tile, side, side)


def _named(nodes: Sequence[tuple[int, Node]], weight: str, kinds: Sequence[str] | None) -> list[tuple[int, Node]]:
    return [(i, n) for i, n in nodes if weight in n.op.weights and (kinds is None or n.op.kind in kinds)]


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _matrix(tile: Tensor, node: Node) -> Tensor:
    """A tile, [t, t, k, k], as the weight of a convolution or a linear layer."""
    shape = node.op.weights["weight"]
    windows = [_middle(tile.shape[-1], side) for side in shape[2:]] or [_middle(tile.shape[-1], 1)] * 2
    cropped = tile[:, :, windows[0], windows[1]]
    if len(shape) == 2:
        cropped = cropped[:, :, 0, 0]
    gain = 2.0 if len(shape) > 2 else 1.0
    return _repeated(cropped, shape) * math.sqrt(gain / math.prod(shape[1:]))


def _middle(side: int, wanted: int) -> slice:
    start = (side - wanted) // 2
    return slice(start, start + wanted)


def _repeated(tile: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor repeated along its axes, and cut off at ``shape``."""
    times = [-(-wanted // had) for wanted, had in zip(shape, tile.shape, strict=True)]
    return tile.repeat(times)[tuple(slice(wanted) for wanted in shape)]


def with_weights(module: nn.Module, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Outputs, [b, k], of a module with other weights than its own; gradients reach those.

    Batch norms see the statistics of the batch: running ones are not predicted. What else tells training from
    evaluation (drop-out) evaluates.

    Args:
        module: `to_torch(network)`; only its buffers change.
        weights: as `GraphHypernetwork.predict` gives them.
        images: [b, c, h, w].
    """
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.train()
    outputs: Tensor = torch.func.functional_call(module, dict(weights), (images,))
    return outputs
