"""`recalibrate`: batch norms' statistics measured anew, for weights that were trained in another network.

Sub-networks of a supernet and networks with predicted weights have the running statistics of other networks, with which
they classify no better than by chance (arXiv:1908.09791, section 3.3).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...networks.errors import UsageError


def recalibrate(module: nn.Module, images: Iterable[Tensor]) -> None:
    """Replace the running mean and variance of all batch norms by their means over batches; nothing else changes.

    Each norm sees what the norms before it make of the batch itself, as in training. The module is in evaluation mode
    afterwards.

    Args:
        module: to be recalibrated, in place.
        images: batches, [b, c, h, w], on the module's device.

    Raises:
        UsageError: no batch.
    """
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean over all batches since the reset
    try:
        batches = _measured(module, norms, images)
    finally:
        module.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    if not batches:
        raise UsageError("there is no batch to measure statistics on", hint="give one batch of images or more")


def _measured(module: nn.Module, norms: list[_BatchNorm], images: Iterable[Tensor]) -> int:
    """Number of batches; statistics are forgotten when the first one is there."""
    count = 0
    with torch.no_grad():
        for batch in images:
            if count == 0:
                for norm in norms:
                    norm.reset_running_stats()
            module(batch)
            count += 1
    return count
