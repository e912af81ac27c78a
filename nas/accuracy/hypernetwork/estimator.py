"""`Hypernetwork`: the accuracy of networks with weights that a graph hypernetwork predicts in one pass."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ....networks import Network
from ....networks.errors import NotSupportedError, UsageError
from ...spaces import SearchSpace
from .._registry import register
from ..augmentation import Augmentation
from ..base import AccuracyEstimator, NoScoreError, Scores
from ..data import ImageSet, digits_for
from ..data_augmentation import Batches
from ..recipe import Recipe
from ..training import OnProgress, Trained, require_any_batch
from ._model import GraphHypernetwork
from .training import RECIPE, Size, accuracy_of, judging_batches, module_of, train_hypernetwork

_HELD_OUT = 0.25
_FOR_DIGITS = replace(RECIPE, augmentation=Augmentation(padding=1, flip=False))


@register("hypernetwork")
class Hypernetwork(AccuracyEstimator):
    """Predicts the weights of each network and reports its accuracy with them on held-out images, in percent.

    Accuracies are far below those of trained networks and are for comparing networks of the space with each other. They
    are taken with the statistics of batches of 64 images, since running ones are not predicted. One hypernetwork is
    trained for all networks, when the first are asked for; `seconds` of a score are those of prediction and evaluation,
    the training's are in `training_seconds`.

    Args:
        space: whose random architectures it is trained on; needed.
        images: to learn from; scikit-learn's digits, at the size of the space's networks, if omitted.
        held_out: to judge by; a quarter of ``images`` if omitted.
        recipe: of the training, its seed replaced by ``seed``; if omitted `RECIPE`, for digits without mirror images.
        size: of the hypernetwork; the defaults if omitted.
        without: networks that are never trained on.
        checkpoint: an .npz file for the training's state; a finished one is not trained again.
        on_progress: see `train`.
        device: see `train`.
        seed: of initial weights, architectures, orders, augmentation and what is held out.

    Raises:
        UsageError: no space; held-out images without images.
    """

    meaning = "shared_accuracy_pct"

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        images: ImageSet | None = None,
        held_out: ImageSet | None = None,
        recipe: Recipe | None = None,
        size: Size | None = None,
        without: Iterable[Network] = (),
        checkpoint: str | Path | None = None,
        on_progress: OnProgress | None = None,
        device: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed=seed)
        if space is None:
            raise UsageError(
                "a hypernetwork is trained on the architectures of a space, and there is none", hint="give space="
            )
        if images is None and held_out is not None:
            raise UsageError("there is nothing to learn from", hint="give images=, too")
        self.recipe = replace(recipe or (RECIPE if images is not None else _FOR_DIGITS), seed=seed)
        self._space, self._images, self._held_out = space, images, held_out
        self._size, self._without, self._checkpoint = size, tuple(without), checkpoint
        self._on_progress, self._device = on_progress, device
        self._trained: Trained | None = None
        self._judged: Batches | None = None

    @property
    def training_seconds(self) -> float:
        """What the training took that all networks share; 0 before the first is asked for."""
        return 0.0 if self._trained is None else self._trained.seconds

    def estimate(self, networks: Sequence[Network]) -> Scores:
        if networks:
            self.train()
        return super().estimate(networks)

    def train(self) -> Trained:
        """Train the hypernetwork now, if it is not trained yet.

        Raises:
            UsageError, NotSupportedError, TrainingError: see `train_hypernetwork`.
        """
        if self._trained is None:
            images, held_out = self._data()
            self._trained = train_hypernetwork(
                self._space,
                images,
                held_out,
                self.recipe,
                size=self._size,
                without=self._without,
                checkpoint=self._checkpoint,
                on_progress=self._on_progress,
                device=self._device,
            )
            self._held_out = held_out
            self._judged = judging_batches(held_out, self._trained.statistics, self.seed, self._device)
        return self._trained

    def _data(self) -> tuple[ImageSet, ImageSet]:
        images = self._images
        if images is None:
            (code,) = self._space.sample(1, np.random.default_rng(0))
            images = digits_for(self._space.decode(code))
        return (images, self._held_out) if self._held_out is not None else images.split(_HELD_OUT, self.seed)

    def _score(self, network: Network) -> float:
        hypernetwork, judged, held_out = self.train().module, self._judged, self._held_out
        assert isinstance(hypernetwork, GraphHypernetwork)
        assert judged is not None
        assert held_out is not None
        held_out.require_fit(network)
        try:
            with torch.no_grad():
                (weights,) = hypernetwork.predict([network])
            require_any_batch(module_of(network, "cpu"), network)
        except NotSupportedError as error:
            raise NoScoreError(str(error)) from None
        return accuracy_of(network, weights, judged)
