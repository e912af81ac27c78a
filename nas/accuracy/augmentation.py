"""`Augmentation`: what is done to training images; `data_augmentation` does it."""

from dataclasses import dataclass

from ...networks.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images, each anew in every epoch.

    Attributes:
        padding: black pixels put around before an image of the old size is cut out somewhere.
        flip: whether half of the images are mirrored, left for right.
        cutout: side in pixels of a square that is greyed out somewhere (arXiv:1708.04552); 0 for none.
        mixup: alpha of the Beta distribution of the share at which images and labels are mixed with those of another
            image (arXiv:1710.09412); 0 for no mixing.
    """

    padding: int = 4
    flip: bool = True
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if self.padding < 0 or self.cutout < 0 or not 0 <= self.mixup < float("inf"):
            raise UsageError(f"{self} makes no sense", hint="give numbers of at least 0")


NO_AUGMENTATION = Augmentation(padding=0, flip=False)
