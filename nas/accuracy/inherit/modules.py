"""Between torch modules and what grows: their weights as arrays, and a module with given ones."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ....networks import Network, prune
from ....networks.errors import UsageError
from ....networks.exporters import to_torch
from ._channels import Weights
from .wider import Grown


def weights_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Copies of a module's parameters and buffers by name."""
    return {name: tensor.numpy(force=True).copy() for name, tensor in module.state_dict().items()}


def to_module(grown: Grown) -> nn.Module:
    """The grown network as a torch module with its weights.

    Raises:
        UsageError: the weights are not those of the network.
    """
    return _loaded(grown.network, grown.weights)


def _loaded(network: Network, weights: Weights) -> nn.Module:
    module = to_torch(network)
    named = set(module.state_dict())
    counters = {name for name in named - set(weights) if name.endswith(".num_batches_tracked")}
    state = {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items() if name in named}
    try:
        module.load_state_dict(state | {name: torch.tensor(0) for name in counters})
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise UsageError(f"these are no weights of {network.name}: {what}", hint="give its module's") from None
    return module


def statistics_behind(
    network: Network, weights: Weights, value: str, images: torch.Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of each channel of a value, [c] each, in training mode, for `deeper`'s ``statistics``.

    Args:
        network: it is in.
        weights: of its torch module, by name.
        value: its name; an image-like one, b x c x h x w.
        images: a batch of them, [b, c, h, w].
    """
    part = prune(Network(network.name, network.inputs, network.nodes, (value,)))
    with torch.no_grad():
        features = _loaded(part, weights).train()(images)
    variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0)
    return mean.numpy(), variance.numpy()
