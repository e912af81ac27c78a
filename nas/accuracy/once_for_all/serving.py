"""Sub-networks as they are used: with statistics of their own; and the file that a supernet is kept in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ....networks.errors import CheckpointError
from ...checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ..data import ImageSet, Statistics
from ..data_augmentation import Batches
from .supernet import ElasticSupernet, Subnet, resized

_WHAT: Final = "supernet"
_BATCH: Final = 250  # images at once


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


def recalibrate(subnet: Subnet, calibration: Calibration) -> None:
    """Give a sub-network's batch norms the mean statistics of batches of its own, in place.

    Those that training left are of many sub-networks at once, and worth nothing to any of them.
    """
    device = str(next(subnet.module.parameters()).device)
    update_bn(calibration.batches(subnet.network.inputs[0][1].shape[-1], device), subnet.module)
    subnet.module.eval()


def ready_subnet(net: ElasticSupernet, code: npt.ArrayLike, calibration: Calibration) -> Subnet:
    """An architecture, [d], taken out and calibrated; its module scales images of other sizes to its own.

    Raises:
        UsageError: no valid code.
    """
    subnet = net.extract(code)
    recalibrate(subnet, calibration)
    return Subnet(subnet.network, Scaled(subnet.module, net.resolution(code)).eval())


def save_supernet(net: ElasticSupernet, calibration: Calibration, path: str | Path) -> None:
    """Keep a supernet in an .npz file, with the images that its sub-networks are calibrated by.

    Raises:
        CheckpointError: the place cannot be written.
    """
    images, (mean, deviation) = calibration.images, calibration.statistics
    state = {f"weights/{name}": value.numpy(force=True) for name, value in net.state_dict().items()}
    state |= {"images": images.images, "labels": images.labels, "mean": mean, "deviation": deviation}
    progress = {"images": images.name, "classes": list(images.classes)}
    write_checkpoint(Checkpoint(net.identity, progress, state), Path(path), _WHAT)


def load_supernet(net: ElasticSupernet, path: str | Path) -> Calibration:
    """Give a supernet the weights of a file; returns the images that its sub-networks are calibrated by.

    Raises:
        CheckpointError: there is no such file, it is damaged, or of another space.
        FormatVersionError: a newer version wrote it.
    """
    saved = read_checkpoint(Path(path), net.identity, _WHAT)
    if saved is None:
        raise CheckpointError(f"there is no supernet at {path}", hint="give the file that save_supernet wrote")
    prefix = "weights/"
    try:
        weights = {n.removeprefix(prefix): torch.from_numpy(a) for n, a in saved.state.items() if n.startswith(prefix)}
        net.load_state_dict(weights)
        classes = tuple(map(str, saved.progress["classes"]))
        images = ImageSet(str(saved.progress["images"]), saved.state["images"], saved.state["labels"], classes)
        mean, deviation = (np.asarray(saved.state[name], np.float32) for name in ("mean", "deviation"))
    except (KeyError, RuntimeError, TypeError) as error:
        what = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged ({what})", hint="train the supernet again") from None
    return Calibration(images, (mean, deviation))
