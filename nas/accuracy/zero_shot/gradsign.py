"""`GradSign`: how much the gradients of single images agree in sign before training."""

import torch
from torch.nn.functional import cross_entropy

from ....networks import Network
from .._registry import register
from ..data import ImageSet
from ._base import BatchScore
from ._modules import fresh, layer_weights


@register("gradsign")
class GradSign(BatchScore):
    """GradSign (Zhang and Jia, arXiv:2110.08616, algorithm 1): sum over the weights of layers of |sum over images of
    the sign of their gradients|. Where the optima of single images lie close together, their gradients agree.

    Each image runs by itself, so batch norms see it alone.
    """

    def __init__(self, *, images: ImageSet | None = None, batch: int = 16, seed: int = 0) -> None:
        super().__init__(images=images, batch=batch, seed=seed)

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        weights = layer_weights(module, network)
        signs = [torch.zeros_like(weight) for weight in weights]
        for image, label in zip(*self._labelled(network), strict=True):
            loss = cross_entropy(module(image[None]), label[None])
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            for total, gradient in zip(signs, gradients, strict=True):
                if gradient is not None:
                    total += gradient.sign()
        return float(sum(float(total.abs().sum()) for total in signs))
