"""What all scores without training need: a module with fresh weights, and images to run it on."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ....networks import Network
from ....networks.errors import UsageError
from ....networks.exporters import to_torch
from ..base import NoScoreError
from ..data import ImageSet
from ._graphs import is_layer, reads_its_input

_OF_ONE_BATCH = frozenset({"reshape", "expand", "constant", "parameter"})
"""Ops whose attributes hold the batch that a network is built for."""


@contextmanager
def explained(network: Network) -> Iterator[None]:
    """Turns what torch raises into the reason why there is no score."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        fixed = network.inputs[0][1].shape[0] == 1 and _OF_ONE_BATCH & network.op_counts().keys()
        hint = "; it is made for one image: build it with batch=" if fixed else ""
        raise NoScoreError(f"torch cannot compute it ({' '.join(str(error).split())}){hint}") from None


def fresh(network: Network, seed: int) -> nn.Module:
    """The network as a module in training mode, its weights initialised as torch does from ``seed``.

    Raises:
        NoScoreError: it reads something else than one batch of images; or nothing of them reaches its output.
    """
    if len(network.inputs) != 1 or len(network.inputs[0][1].shape) != 4:
        raise NoScoreError("it does not read one batch of images")
    if not reads_its_input(network):
        raise NoScoreError("nothing of its input reaches its output")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return to_torch(network).train()


def batch_size(network: Network, wanted: int) -> int:
    """``wanted``, or the network's own batch where it is built for more than one image."""
    own: int = network.inputs[0][1].shape[0]
    return own if own > 1 else wanted


def noise(network: Network, count: int, random: torch.Generator) -> Tensor:
    """Normal deviates for images, [count, c, h, w]."""
    return torch.randn(count, *network.inputs[0][1].shape[1:], generator=random)


def labelled(network: Network, count: int, images: ImageSet | None, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images, [b, c, h, w], and labels, [b]: ``count`` at random out of a set, normalised; or noise and random labels.

    Raises:
        UsageError: images of another form than the network reads, or of more classes than it knows.
    """
    classes = network.types[network.outputs[0]].shape[-1]
    count = batch_size(network, count)
    if images is None:
        return noise(network, count, random), torch.randint(classes, (count,), generator=random)
    images.require_fit(network)
    if len(images) < count:
        raise UsageError(f"{len(images)} images are no batch of {count}", hint="give more, or a smaller batch")
    index = torch.randperm(len(images), generator=random)[:count].numpy()
    mean, deviation = images.channel_statistics()
    pixels = images.images[index] / np.float32(255)
    scaled = (pixels - mean[:, None, None]) / deviation[:, None, None]
    return torch.from_numpy(scaled), torch.from_numpy(images.labels[index])


def modules_of(module: nn.Module, network: Network, kinds: Collection[str]) -> list[nn.Module]:
    """The modules of the network's nodes of some kinds, in its order."""
    named = dict(module.named_modules(remove_duplicate=False))
    return [named[node.name] for node in network if node.op.kind in kinds]


def layer_weights(module: nn.Module, network: Network) -> list[nn.Parameter]:
    """The weights of convolutions and linear layers, without their biases."""
    named = dict(module.named_modules(remove_duplicate=False))
    return [named[node.name].get_parameter("weight") for node in network if is_layer(node)]
