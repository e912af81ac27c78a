"""`FromScratch`: the accuracy of a network that was trained for itself; dear, and what others are judged by."""

from dataclasses import replace
from pathlib import Path

from ...networks import Network
from ...networks.errors import CheckpointError, NotSupportedError, TrainingError, UsageError
from ._registry import register
from .augmentation import Augmentation
from .base import AccuracyEstimator, NoScoreError
from .data import ImageSet, digits_for
from .recipe import Recipe
from .training import OnProgress, train

_HELD_OUT = 0.25
_FOR_DIGITS = Recipe(epochs=15, batch=64, augmentation=Augmentation(padding=1, flip=False))


@register("from-scratch")
class FromScratch(AccuracyEstimator):
    """Trains each network and reports its accuracy on held-out images, in percent.

    A network whose training fails (`DivergedError`, out of memory) has no score.

    Args:
        images: to learn from; scikit-learn's digits, at each network's size, if omitted.
        held_out: to judge by; a quarter of ``images`` if omitted.
        recipe: of all trainings, its seed replaced by ``seed``; if omitted the defaults, or for digits a short one
            without mirror images.
        folder: for a checkpoint of each network, so that a killed search goes on; None keeps none.
        on_progress: see `train`.
        device: see `train`.
        seed: of initial weights, orders, augmentation and what is held out.
    """

    meaning = "accuracy_pct"

    def __init__(
        self,
        *,
        images: ImageSet | None = None,
        held_out: ImageSet | None = None,
        recipe: Recipe | None = None,
        folder: str | Path | None = None,
        on_progress: OnProgress | None = None,
        device: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if images is None and held_out is not None:
            raise UsageError("there is nothing to learn from", hint="give images=, too")
        self.recipe = replace(recipe or (Recipe() if images is not None else _FOR_DIGITS), seed=seed)
        self.folder = None if folder is None else Path(folder)
        self._images, self._held_out = images, held_out
        self._on_progress, self._device = on_progress, device

    def _score(self, network: Network) -> float:
        images, held_out = self._data(network)
        checkpoint = None if self.folder is None else self.folder / f"{network.fingerprint}.npz"
        try:
            trained = train(
                network,
                images,
                held_out,
                self.recipe,
                checkpoint=checkpoint,
                on_progress=self._on_progress,
                device=self._device,
            )
        except CheckpointError:
            raise
        except (TrainingError, NotSupportedError) as error:
            raise NoScoreError(error.message) from None
        return trained.accuracy_pct

    def _data(self, network: Network) -> tuple[ImageSet, ImageSet]:
        images = self._images
        if images is None:
            images = digits_for(network)
        return (images, self._held_out) if self._held_out is not None else images.split(_HELD_OUT, self.seed)
