"""`AzNas`: several scores without training, each ranked, and their ranks put together."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_unshuffle

from ....networks import Network
from .._registry import register
from ..base import AccuracyEstimator, Floats, NoScoreError, Scores, ranks
from ._graphs import trunk
from ._modules import batch_size, explained, fresh, noise

_SMALL = 1e-12


@dataclass(frozen=True)
class AzScores:
    """The parts of AZ-NAS's score of one network; more is better.

    Attributes:
        expressivity: entropy of the principal components of the features, in nats, summed over blocks.
        progressivity: the least gain of that entropy from one block to the next.
        trainability: mean over blocks of 2 - s - 1/s, s the spectral norm of a block's Jacobian; at most 0, where
            gradients neither grow nor vanish.
        complexity: multiply-accumulates.
    """

    expressivity: float
    progressivity: float
    trainability: float
    complexity: float


def put_together(columns: Sequence[Floats]) -> Floats:
    """Non-linear sum of ranks (Lee and Ham, arXiv:2403.19232, equation 8): sum over scores of log(rank / n), [n].

    A network that is bad in one score loses more than it can gain in another.

    Args:
        columns: scores of the same n networks, [n] each; NaN ranks lowest.
    """
    total = np.zeros(len(columns[0]))
    for column in columns:
        total += np.log(ranks(np.where(np.isnan(column), -np.inf, column)) / len(column))
    return total


@register("az-nas")
class AzNas(AccuracyEstimator):
    """AZ-NAS (Lee and Ham, arXiv:2403.19232): expressivity, progressivity, trainability and complexity, ranked among
    the networks that are estimated together. A score says nothing of networks of another call.

    Blocks are nodes whose names begin alike up to a numbered part, which is not their last ("cells.3", "layer1.0",
    "features.7"), where one tensor alone passes on to the next; the features are those tensors, for normal deviates as
    images.

    Args:
        batch: images.
        seed: of weights and images.
    """

    meaning = "order"

    def __init__(self, *, batch: int = 16, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.batch = batch

    def estimate(self, networks: Sequence[Network]) -> Scores:
        found, seconds, failures = self._each(networks, self.parts)
        values = np.full(len(networks), np.nan)
        scored = [i for i, parts in enumerate(found) if parts is not None]
        if scored:
            rows = np.array([astuple(parts) for parts in found if parts is not None])
            values[scored] = put_together(list(rows.T))
        return Scores(values, seconds, failures, self.meaning)

    def _score(self, network: Network) -> float:
        return float(self.estimate([network]).values[0])

    def parts(self, network: Network) -> AzScores:
        """The four scores of one network.

        Raises:
            NoScoreError: it has fewer than two blocks.
        """
        features = trunk(network)
        outputs = block_outputs(features) if features is not None else ()
        if features is None or len(outputs) < 2:
            raise NoScoreError("it has no two blocks before a global average pool")
        with explained(network):
            return self._parts(network, Network(network.name, features.inputs, features.nodes, outputs))

    def _parts(self, network: Network, features: Network) -> AzScores:
        module = fresh(features, self.seed)
        random = torch.Generator().manual_seed(self.seed)
        images = noise(network, batch_size(network, self.batch), random)
        maps: tuple[Tensor, ...] = module(images)
        entropies = [_entropy(found.detach()) for found in maps]
        norms = [_spectral_norm(before, after, random) for before, after in pairwise(maps)]
        return AzScores(
            expressivity=sum(entropies),
            progressivity=min(b - a for a, b in pairwise(entropies)),
            trainability=float(np.mean([2 - s - 1 / max(s, _SMALL) for s in norms])),
            complexity=float(network.macs),
        )


def block_outputs(network: Network) -> tuple[str, ...]:
    """Names of the values that alone pass on from a block, in order; see `AzNas`."""
    last_read = {value: i for i, node in enumerate(network.nodes) for value in node.inputs}
    last_read.update(dict.fromkeys(network.outputs, len(network.nodes)))
    following = [_block(node.name) for node in network.nodes[1:]] + [""]
    alive = {name for name, _ in network.inputs}
    found = []
    for i, (node, after) in enumerate(zip(network.nodes, following, strict=True)):
        alive = {value for value in (*alive, *node.outputs) if last_read.get(value, -1) > i}
        if _block(node.name) not in ("", after) and alive == {node.name} and len(network.types[node.name].shape) == 4:
            found.append(node.name)
    return tuple(found)


def _block(name: str) -> str:
    """A node's name up to its first numbered part; "" where there is none, or nothing follows."""
    parts = name.split(".")
    numbered = next((i for i, part in enumerate(parts[:-1]) if part.isdecimal()), -1)
    return ".".join(parts[: numbered + 1])


def _entropy(features: Tensor) -> float:
    """Entropy of the shares of the principal components of [b, c, h, w], each position a sample of c numbers; nats."""
    samples = features.transpose(0, 1).flatten(1).double()
    shares = torch.linalg.eigvalsh(torch.cov(samples).reshape(len(samples), -1)).clamp_min(0)
    shares = shares[shares > _SMALL * shares.sum()] / shares.sum()
    return -float((shares * shares.log()).sum())


def _spectral_norm(before: Tensor, after: Tensor, random: torch.Generator) -> float:
    """Of a block's Jacobian, estimated: the largest singular value of the mean over positions of g_in g_outᵀ.

    g_out are random signs at the block's output and g_in what they become at its input; where the block makes images
    smaller, positions of its input become channels, with zeros where the input ends before a whole stride.
    """
    signs = torch.randint(2, after.shape, generator=random).to(after.dtype) * 2 - 1
    (back,) = torch.autograd.grad(after, before, signs, retain_graph=True)
    (height, width), (rows, columns) = before.shape[2:], after.shape[2:]
    stride = -(-height // rows)
    if stride > 1:
        back = pixel_unshuffle(pad(back, (0, columns * stride - width, 0, rows * stride - height)), stride)
    into, out = back.transpose(0, 1).flatten(1), signs.transpose(0, 1).flatten(1)
    return float(torch.linalg.matrix_norm(into @ out.T / out.shape[1], 2))
