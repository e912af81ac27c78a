"""Augmentation of batches in tensors, on whichever device they are; and epochs of batches that follow a seed."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from ...networks.errors import UsageError
from .augmentation import NO_AUGMENTATION, Augmentation
from .data import ImageSet, Statistics


def random_crop(images: Tensor, padding: int, random: torch.Generator) -> Tensor:
    """Windows of the old size out of images with ``padding`` black pixels around them; [b, c, h, w] to the same."""
    count, _, height, width = images.shape
    padded = pad(images, (padding,) * 4)
    offsets = torch.randint(2 * padding + 1, (2, count, 1), generator=random)
    top, left = offsets.to(images.device)
    rows = (top + torch.arange(height, device=images.device))[:, :, None]
    columns = (left + torch.arange(width, device=images.device))[:, None, :]
    sample = torch.arange(count, device=images.device)[:, None, None]
    return padded[sample, :, rows, columns].permute(0, 3, 1, 2)


def random_flip(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of the images mirrored, left for right; [b, c, h, w] to the same."""
    mirrored = torch.rand(len(images), generator=random) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)


def cut_out(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Images with a square of zeros, its centre anywhere, cut off at the edges; [b, c, h, w] to the same."""
    count, _, height, width = images.shape
    centres = torch.rand(2, count, 1, generator=random).to(images.device)
    inside = []
    for centre, length in zip(centres, (height, width), strict=True):
        first = (centre * length).floor() - side // 2
        at = torch.arange(length, device=images.device)
        inside.append((at >= first) & (at < first + side))
    rows, columns = inside
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def mix_up(images: Tensor, targets: Tensor, alpha: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images, [b, c, h, w], and targets, [b, k], mixed with those of another order at one share for the batch."""
    share = _beta(alpha, random)
    order = torch.randperm(len(images), generator=random).to(images.device)
    return torch.lerp(images[order], images, share), torch.lerp(targets[order], targets, share)


def _beta(alpha: float, random: torch.Generator) -> float:
    """A number of the distribution Beta(alpha, alpha); torch's own takes no generator."""
    seed = int(torch.randint(2**31, (), generator=random))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


class Batches:
    """Batches of an image set, normalised: float32 [b, c, h, w], and targets [b, k], a row of shares for each sample.

    All images stay on the device as bytes; only a batch at a time becomes numbers. What an epoch holds follows from the
    seed and its number alone, so that a training goes on from any epoch as if it had not stopped.

    Args:
        images: to be learned from.
        size: of a batch, b. The last, smaller batch of an epoch is left out, unless it is the only one.
        augmentation: of each batch.
        statistics: mean and standard deviation of each channel, as `ImageSet.channel_statistics` gives them; None takes
            those of ``images``.
        seed: of orders and augmentation.
        device: where the batches are to be.

    Attributes:
        size: of a batch.
        classes: k.

    Raises:
        UsageError: no size of a batch.
    """

    def __init__(
        self,
        images: ImageSet,
        size: int,
        *,
        augmentation: Augmentation = NO_AUGMENTATION,
        statistics: Statistics | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if size < 1:
            raise UsageError(f"{size} is no size of a batch", hint="give 1 or more")
        self.size = min(size, len(images))
        self.classes = len(images.classes)
        self._augmentation = augmentation
        self._seed = seed
        self._pixels = torch.from_numpy(images.images).to(device)
        self._labels = torch.from_numpy(images.labels).to(device)
        mean, deviation = images.channel_statistics() if statistics is None else statistics
        self._scale = torch.from_numpy(1 / (255 * deviation)).to(device)[:, None, None]
        self._shift = torch.from_numpy(-mean / deviation).to(device)[:, None, None]

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self._labels) // self.size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, in an order and with an augmentation of its own."""
        random = torch.Generator().manual_seed((self._seed * 1_000_003 + number) % 2**63)
        order = torch.randperm(len(self._labels), generator=random).to(self._labels.device)
        for start in range(0, len(self) * self.size, self.size):
            yield self._batch(order[start : start + self.size], random)

    def _batch(self, index: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        wanted = self._augmentation
        pixels = self._pixels[index]
        if wanted.padding:
            pixels = random_crop(pixels, wanted.padding, random)
        if wanted.flip:
            pixels = random_flip(pixels, random)
        images, targets = self._normalised(pixels), one_hot(self._labels[index], self.classes).float()
        if wanted.cutout:
            images = cut_out(images, wanted.cutout, random)
        if wanted.mixup:
            images, targets = mix_up(images, targets, wanted.mixup, random)
        return images, targets

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as they are, in their own order, with their labels, [b]; the last batch may be smaller."""
        for start in range(0, len(self._labels), self.size):
            yield self._normalised(self._pixels[start : start + self.size]), self._labels[start : start + self.size]

    def _normalised(self, pixels: Tensor) -> Tensor:
        return torch.addcmul(self._shift, pixels.float(), self._scale)
