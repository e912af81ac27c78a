"""`Training`: how long and how fast a supernet learns; `EpochReport`: what became of an epoch."""

import math
from dataclasses import dataclass, field

from ...networks.errors import UsageError
from ..accuracy.augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast a supernet learns.

    Attributes:
        epochs: passes over the images that weights learn from, warm-up included.
        warm_up: of these, how many at the beginning leave the choices alone.
        batch: images at once.
        weights_rate: learning rate of the weights to begin with; it falls to 0 as half a cosine.
        momentum: of their gradient descent.
        weight_decay: of the weights.
        choices_every: steps on the weights for each step on the choices.
        augmentation: of the images that weights learn from.

    Raises:
        UsageError: a number that makes no sense.
    """

    epochs: int = 50
    warm_up: int = 0
    batch: int = 64
    weights_rate: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 3e-4
    choices_every: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if not (self.epochs >= 1 and 0 <= self.warm_up <= self.epochs and self.batch >= 2 and self.choices_every >= 1):
            raise UsageError(
                f"{self.epochs} epochs with {self.warm_up} of warm-up, batches of {self.batch}, a step on the choices "
                f"every {self.choices_every}",
                hint="give 1 epoch or more, a warm-up within them, batches of 2 or more, and 1 step or more",
            )
        if not (0 < self.weights_rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.weight_decay < math.inf):
            raise UsageError(
                f"learning rate {self.weights_rate}, momentum {self.momentum}, weight decay {self.weight_decay}",
                hint="give a positive rate, a momentum below 1, and a decay of 0 or more",
            )

    def rate_at(self, progress: float) -> float:
        """Learning rate of the weights at a progress in [0, 1)."""
        return self.weights_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: its number, from 1.
        weights_loss: mean cross entropy on the images that weights learn from.
        choices_loss: mean loss on those that choices learn from, latency included; None during warm-up.
        certainty: 1 - entropy of the choices / that of equal probabilities, mean over decisions: 0 to 1.
        expected_ms: latency expected of an architecture drawn by the probabilities; None without a device.
        latency_weight: how hard the latency presses; None without a device.
    """

    epoch: int
    weights_loss: float
    choices_loss: float | None
    certainty: float
    expected_ms: float | None
    latency_weight: float | None
