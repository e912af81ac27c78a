"""`extract`: an architecture taken out of the supernet of a gradient search."""

import numpy.typing as npt
from torch import nn

from ...networks.errors import NotSupportedError
from ..accuracy.augmentation import NO_AUGMENTATION
from ..accuracy.data import ImageSet
from ..accuracy.recalibration import recalibrate
from .base import GradientSearch
from .supernet import Supernet


def extract(search: GradientSearch, code: npt.ArrayLike, images: ImageSet) -> nn.Module:
    """An architecture as a plain module of its network, in evaluation mode, with copies of the supernet's weights.

    Statistics of its batch norms are measured on images, batch by batch. It reads images that are normalised by
    ``images.channel_statistics()``.

    Args:
        search: whose supernet.
        code: int64 [d].
        images: those that weights learned from, or some hundreds of them.

    Raises:
        UsageError: no valid code, or images that do not fit.
        NotSupportedError: the supernet is one of cells, not of positions of a chain.
    """
    choices = search.path(search.space.validate(code)[0])
    if not isinstance(search.net, Supernet):
        raise NotSupportedError(
            f"no network is taken out of a supernet of {search.space.name}",
            hint="train the architecture for itself: train(space.decode(code), ...)",
        )
    module = search.net.extract(search.space.decode(code), choices)
    recalibrate(module, (pixels for pixels, _ in search.batches(images, images, NO_AUGMENTATION).in_order()))
    return module
