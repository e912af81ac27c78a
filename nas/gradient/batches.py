"""Batches of labelled images for torch: standardised, in an order that a seed decides."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...networks.errors import UsageError
from .supernet import Supernet


class LabelledImages(Protocol):
    """n images of k classes in memory; `lutra.nas.accuracy` reads such sets from files."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """[n, c, h, w]: c channels of h x w pixels, from 0 to 255."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """[n], the class of each image, from 0."""


class Batch(NamedTuple):
    """n images at once.

    Attributes:
        images: float32 [n, c, h, w], each channel with mean 0 and deviation 1 over the images that weights learn from.
        labels: int64 [n].
    """

    images: Tensor
    labels: Tensor


class Batches:
    """Batches of one size; what is left over of a set is left out.

    Args:
        data: the images.
        like: the images whose channels give mean and deviation.
        size: of a batch, 2 or more: batch norm needs as many.
        device: where torch computes.

    Raises:
        UsageError: fewer images than a batch has.
    """

    def __init__(self, data: LabelledImages, like: LabelledImages, size: int, device: str = "cpu") -> None:
        if len(data.images) < size:
            raise UsageError(
                f"{len(data.images)} images make no batch of {size}", hint="give more images, or a smaller batch"
            )
        self._data, self._size, self._device = data, size, device
        mean = like.images.mean(axis=(0, 2, 3), dtype=np.float64)
        deviation = np.maximum(like.images.std(axis=(0, 2, 3), dtype=np.float64), 1)
        self._mean = mean.astype(np.float32)[:, None, None]
        self._deviation = deviation.astype(np.float32)[:, None, None]

    def __len__(self) -> int:
        return len(self._data.images) // self._size

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """All batches of one pass over the images, in random order."""
        order = rng.permutation(len(self._data.images))
        for start in range(len(self)):
            yield self._batch(order[start * self._size : (start + 1) * self._size])

    def endless(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of pass after pass."""
        while True:
            yield from self.shuffled(rng)

    def in_order(self) -> Iterator[Batch]:
        """All batches in the order of the images."""
        for start in range(len(self)):
            yield self._batch(np.arange(start * self._size, (start + 1) * self._size))

    def _batch(self, index: NDArray[np.int64]) -> Batch:
        images = (self._data.images[index].astype(np.float32) - self._mean) / self._deviation
        labels = torch.from_numpy(self._data.labels[index])
        return Batch(torch.from_numpy(images).to(self._device), labels.to(self._device))


def check_images(data: LabelledImages, net: Supernet, what: str) -> None:
    """Refuse images that a supernet cannot learn from.

    Args:
        data: the images.
        net: whose input they are to be.
        what: what they are for.

    Raises:
        UsageError: images of another size, or labels beyond the classes.
    """
    shape, wanted = tuple(data.images.shape[1:]), net.chain.input.shape[1:]
    if shape != wanted or data.images.dtype != np.uint8:
        raise UsageError(
            f"images for {what} are {data.images.dtype} of the shape {shape}; the space takes {wanted}",
            hint="give uint8 images of that size, or a space for yours (name@32)",
        )
    if data.labels.shape != data.images.shape[:1]:
        raise UsageError(
            f"{len(data.images)} images for {what}, but labels of the shape {data.labels.shape}",
            hint="give each image one label",
        )
    if len(data.labels) and not 0 <= data.labels.min() <= data.labels.max() < net.classes:
        raise UsageError(
            f"labels for {what} go from {data.labels.min()} to {data.labels.max()}; the head has {net.classes} classes",
            hint="number the classes from 0, or use a space with a larger head",
        )
