"""Sub-networks as they are used: with statistics of their own; and the file that a supernet is kept in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....networks.errors import CheckpointError, UsageError
from ...checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ..data import ImageSet, Statistics
from ..data_augmentation import Batches
from ..recalibration import recalibrate
from .supernet import ElasticSupernet, Subnet, resized

_WHAT: Final = "supernet"
_WEIGHTS: Final = "weights/"
_BATCH: Final = 500  # images at once: with no more, statistics are those of all of them


@dataclass(frozen=True)
class Calibration:
    """Images that batch norms' statistics are measured on.

    Attributes:
        images: of the largest size; some hundreds are enough.
        statistics: by which they are normalised.
    """

    images: ImageSet
    statistics: Statistics

    def batches(self, size: int, device: str = "cpu") -> list[Tensor]:
        """Normalised batches of images, each [n, c, size, size]."""
        found = Batches(self.images, _BATCH, statistics=self.statistics, device=device)
        return [resized(inputs, size) for inputs, _ in found.in_order()]


@dataclass(frozen=True)
class Kept:
    """What a supernet's file holds beside its weights.

    Attributes:
        calibration: for the batch norms of sub-networks.
        held_out: images that neither weights nor statistics were made of, to judge by; None where none were kept.
    """

    calibration: Calibration
    held_out: ImageSet | None


class Scaled(nn.Module):
    """A sub-network behind what scales images to its size.

    Args:
        module: the sub-network's.
        side: height and width that it reads.
    """

    def __init__(self, module: nn.Module, side: int) -> None:
        super().__init__()
        self.module, self.side = module, side

    def forward(self, images: Tensor) -> Tensor:
        """Outputs, [n, k], for images of any size, [n, c, h, w]."""
        outputs: Tensor = self.module(resized(images, self.side))
        return outputs


def ready_subnet(net: ElasticSupernet, code: npt.ArrayLike, calibration: Calibration) -> Subnet:
    """An architecture, [d], taken out and calibrated; its module scales images of other sizes to its own.

    Raises:
        UsageError: no valid code.
    """
    subnet, side = net.extract(code), net.resolution(code)
    recalibrate(subnet.module, calibration.batches(side, str(next(subnet.module.parameters()).device)))
    return Subnet(subnet.network, Scaled(subnet.module, side).eval())


def save_supernet(
    net: ElasticSupernet, calibration: Calibration, path: str | Path, *, held_out: ImageSet | None = None
) -> None:
    """Keep a supernet in an .npz file, with the images that its sub-networks are calibrated by.

    Args:
        net: the supernet.
        calibration: for batch norms.
        path: the file; an earlier one stays until the new one is whole.
        held_out: images to judge by, which then need not be told from the others again; None keeps none.

    Raises:
        UsageError: held-out images that the networks do not read.
        CheckpointError: the place cannot be written.
    """
    state = {f"{_WEIGHTS}{name}": value.numpy(force=True) for name, value in net.state_dict().items()}
    mean, deviation = calibration.statistics
    state |= {"images": calibration.images.images, "labels": calibration.images.labels}
    state |= {"mean": mean, "deviation": deviation}
    progress: dict[str, Any] = {"images": calibration.images.name, "classes": list(calibration.images.classes)}
    if held_out is not None:
        held_out.require_fit(net.largest_network)
        state |= {"held_out/images": held_out.images, "held_out/labels": held_out.labels}
        progress |= {"held_out": {"images": held_out.name, "classes": list(held_out.classes)}}
    write_checkpoint(Checkpoint(net.identity, progress, state), Path(path), _WHAT)


def load_supernet(net: ElasticSupernet, path: str | Path) -> Kept:
    """Give a supernet the weights of a file; returns the images that were kept with them.

    Raises:
        CheckpointError: there is no such file, it is damaged, or of another space; says what differs.
        FormatVersionError: a newer version wrote it.
    """
    saved = read_checkpoint(Path(path), net.identity, _WHAT)
    if saved is None:
        raise CheckpointError(f"there is no supernet at {path}", hint="give the file that save_supernet wrote")
    weights = {n.removeprefix(_WEIGHTS): a for n, a in saved.state.items() if n.startswith(_WEIGHTS)}
    try:
        net.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        images = _images(saved.progress, saved.state, "", net)
        mean, deviation = (_of_channels(saved.state[name], images) for name in ("mean", "deviation"))
        judged = saved.progress.get("held_out")
        held_out = None if judged is None else _images(judged, saved.state, "held_out/", net)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError, UsageError) as error:
        what = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged ({what})", hint="train the supernet again") from None
    return Kept(Calibration(images, (mean, deviation)), held_out)


def _images(told: Mapping[str, Any], state: Mapping[str, NDArray[Any]], prefix: str, net: ElasticSupernet) -> ImageSet:
    classes = tuple(map(str, told["classes"]))
    images = ImageSet(str(told["images"]), state[f"{prefix}images"], state[f"{prefix}labels"], classes)
    images.require_fit(net.largest_network)
    return images


def _of_channels(array: NDArray[Any], images: ImageSet) -> NDArray[np.float32]:
    """A finite number for each channel, [c]."""
    numbers = np.asarray(array, np.float32)
    if numbers.shape != images.shape[:1] or not np.isfinite(numbers).all():
        raise ValueError(f"statistics of the shape {numbers.shape} for {images.shape[0]} channels")
    return numbers
