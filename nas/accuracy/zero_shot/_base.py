"""`ZeroShot`: a score without training; `BatchScore`: one that looks at a batch of images."""

from abc import abstractmethod

import torch
from torch import Tensor

from ....networks import Network
from ....networks.errors import UsageError
from ..base import AccuracyEstimator
from ..data import ImageSet
from ._modules import explained, labelled


class ZeroShot(AccuracyEstimator):
    """A score of a network as torch initialises it. What torch cannot compute has no score, and torch's reason."""

    meaning = "order"

    def _score(self, network: Network) -> float:
        with explained(network):
            return self._computed(network)

    @abstractmethod
    def _computed(self, network: Network) -> float:
        """The score of one network; see `_score`."""


class BatchScore(ZeroShot):
    """A score that looks at a batch of images at once.

    Args:
        images: to take the batch from; None for normal deviates with random labels.
        batch: how many; a network that is built for more than one image keeps its own number.
        seed: of weights and images.

    Raises:
        UsageError: fewer than two images, among which nothing can be compared.
    """

    def __init__(self, *, images: ImageSet | None = None, batch: int = 32, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if batch < 2:
            raise UsageError(f"{batch} is no size of a batch to compare images in", hint="give 2 or more")
        self.images = images
        self.batch = batch

    def _labelled(self, network: Network) -> tuple[Tensor, Tensor]:
        """Images, [b, c, h, w], and their labels, [b]: the same for every network of one form."""
        return labelled(network, self.batch, self.images, torch.Generator().manual_seed(self.seed))
