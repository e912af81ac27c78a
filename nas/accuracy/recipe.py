"""`Recipe`: how a network is trained; and the learning rate that follows from it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...networks.errors import UsageError
from .augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum and a learning rate that falls as a cosine.

    Attributes:
        epochs: passes over the images.
        batch: images in a step.
        learning_rate: at its height.
        warm_up: share of the steps in which the learning rate rises to that.
        momentum: of Nesterov's.
        weight_decay: of weights of two axes or more; scales, shifts and biases have none.
        label_smoothing: share of a label that goes to all classes alike (arXiv:1512.00567, section 7).
        augmentation: of the training images.
        averaging: by how much the averaged weights keep at each step (an exponential moving average, less at first);
            they are the result. 0 for the last weights themselves.
        patience: epochs without a better accuracy after which training stops; None never stops early.
        seed: of initial weights, orders and augmentation.

    Raises:
        UsageError: a number that makes no sense.
    """

    epochs: int = 20
    batch: int = 128
    learning_rate: float = 0.1
    warm_up: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    averaging: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        patience = 1 if self.patience is None else self.patience
        require_counts({"epochs": self.epochs, "batch": self.batch, "patience": patience})
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise UsageError(
                f"learning_rate is {self.learning_rate!r}, weight_decay {self.weight_decay!r}",
                hint="give a positive rate, and a decay of 0 or more",
            )
        shares = {name: getattr(self, name) for name in ("warm_up", "momentum", "label_smoothing", "averaging")}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise UsageError(f"{name} is {share!r}", hint=f"give {name} as a number from 0, and below 1")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The rate at a step, from 0, of all ``steps``: a line up to its height, then half a cosine down to 0."""
        rising = self.warm_up * steps
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * (step - rising) / (steps - rising)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def require_counts(counts: Mapping[str, Any]) -> None:
    """Make sure that values, by their names, are whole numbers of 1 or more.

    Raises:
        UsageError: one is not.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} is {count!r}", hint=f"give {name} as a whole number of 1 or more")
