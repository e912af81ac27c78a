"""`inherit`: the weights of a trained network for another one that resembles it, so that it computes the same where it
can (Net2Net, arXiv:1511.05641; network morphism, arXiv:1603.01670).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....networks import Network
from ._resemblance import Resemblance
from .modules import fresh_weights
from .wider import Grown


@dataclass(frozen=True)
class Kinship:
    """How much of a trained network another one can take over.

    Attributes:
        same: whether it then computes the same, in evaluation mode.
        lost: why not, where each loss begins; a sentence each.
        share: of its trained numbers, those that come from the trained network, 0 to 1.
        alike: share of its nodes that have their like there, with the same op, 0 to 1.
    """

    same: bool
    lost: tuple[str, ...]
    share: float
    alike: float


@dataclass(frozen=True)
class Heir(Grown):
    """A network with inherited weights.

    Attributes:
        kinship: what it took over.
        undone: batch norms that are new, and begin as an identity with a mean of 0 and a variance of 1.
    """

    kinship: Kinship
    undone: tuple[str, ...]


def kinship(network: Network, relative: Network) -> Kinship:
    """What a network could inherit of a relative, by their structures alone; quick, and needs no torch."""
    return _kinship(Resemblance(network, relative, {}, {}))


def inherit(network: Network, relative: Grown, *, seed: int = 0, noise: float = 0.0) -> Heir:
    """Weights for a network from a trained relative.

    Layers are aligned by what they are and where they stand. The same function stays where layers have more channels
    (all are repeated in turn, and whoever reads them reads each with its share), where windows of the same stride are
    larger (the old weights stand in their middle), where a branch is new that is added to something (its last norm or
    layer begins at 0), and where a layer is new behind a rectifier or without one (it begins as an identity). Fewer
    channels take the first ones, smaller windows the middle; other layers begin at random. These change the function,
    and so do larger images, other strides, and ops that are no identity; `Kinship.lost` says what did.

    Args:
        network: that is to inherit.
        relative: with trained weights.
        seed: of layers that begin at random, and of the noise.
        noise: standard deviation of what is added to the weights of repeated channels, relative to that of all weights
            of their layer; with 0 they are equal, and learn the same for ever, but nothing at all changes.

    Raises:
        MissingDependencyError: torch is not installed.
        KeyError: the relative's weights are not those of its network.
    """
    found = Resemblance(network, relative.network, relative.weights, fresh_weights(network, seed))
    if noise:
        _disturb(found, np.random.default_rng(seed), noise)
    return Heir(network, found.made, _kinship(found), tuple(found.undone))


def _kinship(found: Resemblance) -> Kinship:
    network = found.new
    share = found.inherited / network.params if network.params else 1.0
    return Kinship(found.same, tuple(found.lost), share, found.alike / len(network))


def _disturb(found: Resemblance, rng: np.random.Generator, noise: float) -> None:
    """Noise on the weights of channels that are there already."""
    for layer, channels in found.doubled.items():
        weight: NDArray[Any] = found.made[f"{layer}.weight"]
        _, first = np.unique(channels, return_index=True)
        repeated = np.setdiff1d(np.arange(len(channels)), first)
        random = rng.standard_normal((len(repeated), *weight.shape[1:]))
        weight[repeated] += (noise * weight.std() * random).astype(weight.dtype)
