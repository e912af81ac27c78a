"""`Darts`: differentiable architecture search, first and second order (Liu et al., arXiv:1806.09055)."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from ...networks.errors import UsageError
from ..spaces import SearchSpace
from ._registry import register
from .base import Batch, Common, GradientSearch
from .mixing import weighted

CLEARLY: Final = 1.5
"""Times an equal share: the probability with which a block is clearly preferred."""
_STEP: Final = 0.01  # of the finite difference, over the norm of its direction (section 2.3 of the paper)


@register("darts")
class Darts(GradientSearch):
    """All candidates at once, each times its probability: ``y = sum_o softmax(alpha)_o o(x)``.

    A step on the choices goes down the gradient of ``L_choices(w', alpha)`` with ``w' = w - xi dL_weights/dw``, where
    xi is the learning rate of the weights and the step has their momentum and decay (second order, equation 7); or with
    ``w' = w`` (first order).

    The known failure of this search is that the block which does nothing wins everywhere, since it needs no training
    (Zela et al., arXiv:1909.09656). The guard looks at the positions that can be left out: once more than
    ``most_skips`` of them prefer that, with a probability of one and a half times an equal share or more, the search
    stops with the choices from before the epoch.

    Args:
        space, common: as `GradientSearch`.
        order: 1 or 2.
        most_skips: share of the positions that can be left out, 0 to 1; 1 turns the guard off.

    Raises:
        UsageError: another order, or a share outside 0 .. 1; and as `GradientSearch`.
    """

    default_rate: ClassVar[float] = 3e-4
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)
    choices_decay: ClassVar[float] = 1e-3

    def __init__(
        self,
        space: SearchSpace,
        *,
        order: int = 2,
        most_skips: float = 0.5,
        **common: Unpack[Common],
    ) -> None:
        if order not in (1, 2) or not 0 <= most_skips <= 1:
            raise UsageError(
                f"DARTS of order {order} with at most {most_skips} of the blocks left out",
                hint="give order 1 or 2, and a share from 0 to 1",
            )
        super().__init__(space, **common)
        self.order, self.most_skips = order, most_skips

    def weights_step(self, batch: Batch) -> float:
        probabilities = [position.detach() for position in self.softmax()]
        return self.learn_weights(self.entropy(batch, weighted(probabilities)))

    def choices_step(self, batch: Batch, other: Batch) -> float:
        if self.order == 1:
            loss = self._loss(batch)
            self.learn_choices(torch.autograd.grad(loss, self.choices))
            return float(loss.detach())
        return self._second_order(batch, other)

    def collapsed(self) -> str | None:
        pairs = zip(self.net.identities, self.probabilities, strict=True)
        skips = [
            identity == int(np.argmax(p)) and p[identity] > CLEARLY / len(p)
            for identity, p in pairs
            if identity is not None
        ]
        if sum(skips) <= self.most_skips * len(skips):
            return None
        return f"{sum(skips)} of the {len(skips)} blocks that can be left out would be"

    def _loss(self, batch: Batch) -> Tensor:
        """The loss on images that choices learn from."""
        probabilities = self.softmax()
        return self.with_latency(self.entropy(batch, weighted(probabilities)), probabilities)

    def _second_order(self, batch: Batch, other: Batch) -> float:
        weights = list(self.net.parameters())

        def learning() -> Tensor:
            return self.entropy(other, weighted(self.softmax()))

        rate = float(self.weights_optimiser.param_groups[0]["lr"])
        kept = [weight.detach().clone() for weight in weights]
        steps = self._next_steps(torch.autograd.grad(learning(), weights))
        with torch.no_grad():
            for weight, step in zip(weights, steps, strict=True):
                weight.sub_(rate * step)
        loss = self._loss(batch)
        gradients = torch.autograd.grad(loss, [*self.choices, *weights])
        of_choices, direction = gradients[: len(self.choices)], gradients[len(self.choices) :]
        with torch.no_grad():
            for weight, old in zip(weights, kept, strict=True):
                weight.copy_(old)
        products = hessian_vector_product(learning, weights, self.choices, direction)
        self.learn_choices([g - rate * p for g, p in zip(of_choices, products, strict=True)])
        return float(loss.detach())

    def _next_steps(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """What gradient descent would take off the weights, over its learning rate."""
        momentum, decay = self.training.momentum, self.training.weight_decay
        state = self.weights_optimiser.state
        steps = []
        for weight, gradient in zip(self.net.parameters(), gradients, strict=True):
            step = gradient + decay * weight.detach()
            earlier = state[weight].get("momentum_buffer") if weight in state else None
            steps.append(step if earlier is None else step + momentum * earlier)
        return steps


def hessian_vector_product(
    loss: Callable[[], Tensor],
    weights: Sequence[nn.Parameter],
    choices: Sequence[nn.Parameter],
    direction: Sequence[Tensor],
) -> list[Tensor]:
    """``d2 loss / d choices d weights`` times a direction in the weights, by a central difference (DARTS, equation 8).

    ``(dL/da (w + e v) - dL/da (w - e v)) / (2 e)`` with ``e = 0.01 / ||v||``. The weights are changed on the way and
    given back bit for bit.

    Args:
        loss: computes it anew.
        weights: w.
        choices: a.
        direction: v, a tensor of the shape of each of the weights.

    Returns:
        A tensor for each of the choices.
    """
    norm = float(torch.sqrt(sum((part.double().square().sum() for part in direction), torch.zeros(()).double())))
    if norm == 0:
        return [torch.zeros_like(logits) for logits in choices]
    step = _STEP / norm
    kept = [weight.detach().clone() for weight in weights]
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, old, part in zip(weights, kept, direction, strict=True):
                weight.copy_(old + sign * step * part)
        sides.append(torch.autograd.grad(loss(), choices))
    with torch.no_grad():
        for weight, old in zip(weights, kept, strict=True):
            weight.copy_(old)
    return [(above - below) / (2 * step) for above, below in zip(*sides, strict=True)]
