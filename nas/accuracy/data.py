"""`ImageSet`: labelled images in memory, decoded once; scikit-learn's handwritten digits, which need no download."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...networks import Network
from ...networks.errors import ImageDataError, MissingDependencyError, UsageError

Statistics: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Mean and standard deviation of each of c channels, as shares of full brightness, [c] each."""

MOST_CLASSES = 1 << 16
"""More than any set of images has: a larger label is damage, not a class."""

_DIGITS_SIZE = 8


@dataclass(frozen=True)
class ImageSet:
    """n labelled images of one size.

    Attributes:
        name: what they are called: a file, a folder, "digits".
        images: uint8 [n, c, h, w]: c channels (1 or 3) of h x w pixels.
        labels: int64 [n], the index of each one's class.
        classes: names of the k classes.

    Raises:
        ImageDataError: no images, arrays that do not fit each other, or a label that is no class.
    """

    name: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3):
            raise ImageDataError(
                self.name,
                f"images are {images.dtype} of the shape {images.shape}",
                hint="give uint8 of n x c x h x w, with 1 or 3 channels c",
            )
        if not images.size:
            raise ImageDataError(self.name, "there are no images in it", hint="give one image or more")
        if labels.shape != (len(images),) or labels.dtype != np.int64:
            raise ImageDataError(
                self.name,
                f"{len(images)} images, but labels are {labels.dtype} of the shape {labels.shape}",
                hint="give each image one whole number",
            )
        wrong = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
        if len(wrong):
            raise ImageDataError(
                self.name,
                f"label {labels[wrong[0]]} is none of the {len(self.classes)} classes ({len(wrong)} such labels)",
                row=int(wrong[0]),
                hint=f"label images 0 to {len(self.classes) - 1}, or name more classes",
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of each image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def require_fit(self, network: Network) -> None:
        """Refuse a network that does not read these images, or knows fewer classes.

        Raises:
            UsageError: says what both have.
        """
        reads, classes = network.inputs[0][1].shape[1:], network.types[network.outputs[0]].shape[-1]
        if self.shape != reads or len(self.classes) > classes:
            raise UsageError(
                f"{network.name} reads {reads} and knows {classes} classes; images of {self.name!r} are {self.shape}, "
                f"of {len(self.classes)} classes",
                hint="load the images with size=, or build the network for them",
            )

    def subset(self, index: npt.ArrayLike) -> "ImageSet":
        """Some of the images, by their numbers, [m]."""
        chosen = np.asarray(index)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])

    def split(self, share: float, seed: int = 0) -> tuple["ImageSet", "ImageSet"]:
        """Two sets without an image in common, the second with ``share`` of the images of each class (rounded).

        Raises:
            UsageError: a share outside 0 .. 1, or one that leaves a set empty.
        """
        if not 0 < share < 1:
            raise UsageError(f"cannot split {share} off a set of images", hint="give a share between 0 and 1")
        rng = np.random.default_rng(seed)
        second = np.zeros(len(self), np.bool_)
        for label in range(len(self.classes)):
            members = rng.permutation(np.flatnonzero(self.labels == label))
            second[members[: round(share * len(members))]] = True
        if second.all() or not second.any():
            raise UsageError(
                f"a share of {share} of {len(self)} images leaves one of two sets empty",
                hint="give more images, or a share nearer to a half",
            )
        return self.subset(np.flatnonzero(~second)), self.subset(np.flatnonzero(second))

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation of each channel over all pixels; no deviation is 0."""
        counts = np.stack([np.bincount(self.images[:, c].ravel(), minlength=256) for c in range(self.shape[0])])
        levels, shares = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
        mean = shares @ levels
        deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
        return mean.astype(np.float32), np.maximum(deviation, 1 / 255).astype(np.float32)


def as_labels(
    name: str, values: npt.ArrayLike, classes: Sequence[str] = ()
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers of 64 bits, [n], and the names of their classes: numbers where none are given.

    Raises:
        ImageDataError: not whole numbers, or larger than any class is.
    """
    given = np.asarray(values)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ImageDataError(
            name, f"labels are {given.dtype} of the shape {given.shape}", hint="give each image one whole number"
        )
    labels = given.astype(np.int64)
    beyond = np.flatnonzero(given >= MOST_CLASSES)
    if len(beyond):
        row = int(beyond[0])
        raise ImageDataError(name, f"label {given[row]} is no class", row=row, hint="number the classes from 0")
    return labels, tuple(classes) or tuple(map(str, range(int(labels.max(initial=-1)) + 1)))


def digits(size: int = 8, channels: int = 3) -> ImageSet:
    """1,797 handwritten digits that scikit-learn brings along (UCI, "Optical recognition of handwritten digits").

    Args:
        size: height and width; a multiple of 8, the pixels repeated.
        channels: 1, or 3 equal ones, as networks of the zoo read them.

    Raises:
        UsageError: another size, or other channels.
        MissingDependencyError: scikit-learn is not installed.
    """
    if size < _DIGITS_SIZE or size % _DIGITS_SIZE or channels not in (1, 3):
        raise UsageError(
            f"there are no digits of {channels} channels and {size} x {size} pixels",
            hint="give a multiple of 8 pixels, and 1 or 3 channels",
        )
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError("scikit-learn", "learn", "learning from handwritten digits") from None
    loaded = load_digits()
    grey = np.round(loaded.images * (255 / 16)).astype(np.uint8)  # 8 x 8, from 0 to 16
    repeats = size // _DIGITS_SIZE
    large = grey.repeat(repeats, axis=1).repeat(repeats, axis=2)[:, None]
    labels, classes = as_labels("digits", loaded.target)
    return ImageSet("digits", np.ascontiguousarray(np.repeat(large, channels, axis=1)), labels, classes)


def digits_for(network: Network) -> ImageSet:
    """Handwritten digits of the size that a network reads.

    Raises:
        UsageError: there are none of that size.
        MissingDependencyError: scikit-learn is not installed.
    """
    channels, height, width = network.inputs[0][1].shape[1:]
    if height != width:
        raise UsageError(f"there are no digits of {height} x {width} pixels", hint="give images=")
    return digits(height, channels)
