"""`Lesson`: what a step of a training learns, and how what was learned is judged; `train_module` does the rest."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .data_augmentation import Batches
from .recipe import Recipe


class Lesson(ABC):
    """What a module learns from a batch.

    Whatever is random in it must follow from the number of the step alone, so that a training goes on after a kill as
    if there had been none.
    """

    @abstractmethod
    def gradients(self, module: nn.Module, inputs: Tensor, targets: Tensor, step: int) -> float:
        """Add the gradients of a batch to those of the module's parameters; returns the loss.

        Args:
            module: in training mode.
            inputs: images, [b, c, h, w], channels last in memory.
            targets: shares of k classes, [b, k].
            step: its number, from 0.
        """

    @abstractmethod
    def accuracy_pct(self, module: nn.Module, batches: Batches) -> float:
        """Percent of images that the module classifies rightly."""

    def optimiser(self, module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        """What takes the steps; its state is tensors, or None. The learning rate of its groups is set at each step."""
        decayed = [p for p in module.parameters() if p.dim() > 1]
        others = [p for p in module.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
        )


class Labels(Lesson):
    """Cross entropy with the labels.

    Args:
        smoothing: share of a label that goes to all classes alike.
    """

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing

    def gradients(self, module: nn.Module, inputs: Tensor, targets: Tensor, step: int) -> float:
        del step
        with mixed_precision(inputs):
            outputs = module(inputs)
        loss = cross_entropy(outputs[:, : targets.shape[1]].float(), targets, label_smoothing=self._smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def accuracy_pct(self, module: nn.Module, batches: Batches) -> float:
        return evaluate(module, batches)


def mixed_precision(inputs: Tensor) -> AbstractContextManager[Any]:
    """On a GPU, layers in bfloat16."""
    return torch.autocast("cuda", torch.bfloat16) if inputs.is_cuda else nullcontext()


def evaluate(module: nn.Module, batches: Batches) -> float:
    """Percent of images that the module, in evaluation mode, classifies rightly."""
    module.eval()
    right, seen = 0, 0
    with torch.no_grad():
        for inputs, labels in batches.in_order():
            with mixed_precision(inputs):
                outputs = module(inputs.contiguous(memory_format=torch.channels_last))
            right += int((outputs[:, : batches.classes].argmax(dim=1) == labels).sum())
            seen += len(labels)
    return 100 * right / seen
