"""Between torch modules and what grows: their weights as arrays, and a module with given ones."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....networks import Network, prune
from ....networks.errors import UsageError
from ....networks.exporters import to_torch
from ._channels import Weights
from .wider import Grown

if TYPE_CHECKING:  # so that searches can ask what a network could inherit where torch is not installed
    from torch import Tensor, nn


def weights_of(module: "nn.Module") -> dict[str, NDArray[Any]]:
    """Copies of a module's parameters and buffers by name."""
    return {name: tensor.numpy(force=True).copy() for name, tensor in module.state_dict().items()}


def fresh_weights(network: Network, seed: int) -> dict[str, NDArray[Any]]:
    """Parameters and buffers by name as torch initialises a network's module; the global random state is left alone.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    from ..training import fresh_module

    return weights_of(fresh_module(network, seed))


def to_module(grown: Grown) -> "nn.Module":
    """The grown network as a torch module with its weights.

    Raises:
        UsageError: the weights are not those of the network.
    """
    return _loaded(grown.network, grown.weights)


def _loaded(network: Network, weights: Weights) -> "nn.Module":
    import torch

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
    network: Network, weights: Weights, value: str, images: "Tensor"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of each channel of a value, [c] each, in training mode, for `deeper`'s ``statistics``.

    Args:
        network: it is in.
        weights: of its torch module, by name.
        value: its name; an image-like one, b x c x h x w.
        images: a batch of them, [b, c, h, w].
    """
    import torch

    part = prune(Network(network.name, network.inputs, network.nodes, (value,)))
    with torch.no_grad():
        features = _loaded(part, weights).train()(images)
    variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0)
    return mean.numpy(), variance.numpy()


def settle(module: "nn.Module", norms: Collection[str], images: "Tensor") -> None:
    """Give batch norms that are an identity the statistics of what they read, so that they are one in training, too.

    Args:
        module: changed in place; in evaluation mode afterwards.
        norms: names of batch norms that compute what they read in evaluation mode (`Heir.undone`).
        images: a batch of them, [b, c, h, w].
    """
    import torch

    def measure(norm: "nn.Module", inputs: "tuple[Tensor]", _: "Tensor") -> None:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        for array, values in ((norm.running_mean, mean), (norm.running_var, variance), (norm.bias, mean)):
            array.copy_(values)
        norm.weight.copy_((variance + norm.eps).sqrt())

    module.eval()
    hooks = [module.get_submodule(name).register_forward_hook(measure) for name in norms]
    if hooks:
        with torch.no_grad():
            module(images)
    for hook in hooks:
        hook.remove()
