"""How fast images are decoded, once, and augmented, in every epoch."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from lutra.nas.accuracy import load_images
from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data_augmentation import Batches

from .._results import Figure
from ..facts import SHARED


def measure() -> dict[str, Any]:
    """Images a second: decoded from JPEG, and augmented in batches of 128."""
    begin = time.perf_counter()
    images = load_images(SHARED / "images" / "cifar10-train.parquet")
    decoded = time.perf_counter() - begin
    batches = Batches(images, 128, augmentation=Augmentation(cutout=8))
    list(zip(range(20), batches.epoch(0), strict=False))
    begin = time.perf_counter()
    seen = sum(len(labels) for _, labels in batches.epoch(1))
    return {
        "decoded_per_s": len(images) / decoded,
        "augmented_per_s": seen / (time.perf_counter() - begin),
        "images": len(images),
    }


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The two speeds."""
    for figure, key, what in (
        ("images_decoded_per_s", "decoded_per_s", "JPEG pictures of 32 x 32 pixels in Parquet, decoded once"),
        ("images_augmented_per_s", "augmented_per_s", "cropped, mirrored, cut out and normalised, batches of 128"),
    ):
        yield Figure(
            figure=figure,
            value=round(found[key]),
            unit="images/s",
            goal=None,
            better="higher",
            peer="",
            protocol=f"{found['images']:,} images of CIFAR-10, {what}",
            command=command,
        )


def table(found: Mapping[str, Any]) -> str:
    """Both, as Markdown."""
    return (
        "## Images\n\n"
        f"Decoded once: {found['decoded_per_s']:,.0f} images a second. "
        f"Augmented in every epoch: {found['augmented_per_s']:,.0f} images a second.\n"
    )
