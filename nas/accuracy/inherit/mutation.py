"""`grow`: a random step to a larger network that computes the same, for searches that keep what was learned."""

import numpy as np

from ....networks import Network
from ....networks.errors import UsageError
from ._channels import Weights
from .deeper import deepenable, deeper
from .wider import Grown, widenable, wider


def grow(
    network: Network,
    weights: Weights,
    rng: np.random.Generator,
    *,
    factor: int = 2,
    noise: float = 1e-3,
    depthwise: bool = False,
) -> Grown:
    """A neighbour of a network: one layer wider, or one deeper, at even odds; with its weights (function-preserving
    mutation, as in arXiv:1711.04528).

    Args:
        network: to begin from.
        weights: of its torch module, by name.
        rng: of what grows.
        factor: of the channels of a layer that grows wider.
        noise: see `wider`; without any, repeated channels learn the same for ever.
        depthwise: a new layer looks at each channel by itself.

    Raises:
        UsageError: a factor below 2, or a network in which nothing can grow.
    """
    if factor < 2:
        raise UsageError(f"a factor of {factor} does not widen a layer", hint="give 2 or more")
    layers, rectifiers = widenable(network), deepenable(network)
    if not layers and not rectifiers:
        raise UsageError(f"nothing in {network.name} can grow", hint="take a network with ReLUs, or with inner layers")
    if rectifiers and (not layers or rng.random() < 0.5):
        return deeper(network, weights, str(rng.choice(rectifiers)), depthwise=depthwise)
    layer = str(rng.choice(layers))
    made = network.types[layer].shape
    channels = made[1] if len(made) == 4 else made[-1]
    return wider(network, weights, layer, factor * channels, seed=int(rng.integers(1 << 31)), noise=noise)
