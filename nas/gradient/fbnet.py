"""`FBNet`: Gumbel softmax over all candidates, with a temperature that falls (Wu et al., arXiv:1812.03443)."""

from typing import ClassVar, Final

import torch
from torch import Tensor

from ._registry import register
from .base import Batch, GradientSearch
from .mixing import weighted

_HOTTEST: Final = 5.0
_COOLING: Final = 0.956  # for each epoch of the search


@register("fbnet")
class FBNet(GradientSearch):
    """All candidates at once, each times a random mask ``softmax((theta + g) / tau)``, g Gumbel noise (section 3.3).

    tau is 5 and falls by a factor of .956 each epoch: masks come to be nearly one-hot. The latency is the mask's, too,
    ``sum_l sum_i m_li LAT(b_li)``. The loss of the paper is the form "log" of `LatencyTerm`.
    """

    default_rate: ClassVar[float] = 0.01
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    choices_decay: ClassVar[float] = 5e-4

    @property
    def temperature(self) -> float:
        """tau of the epoch that is next, or under way."""
        return _HOTTEST * _COOLING ** max(len(self.reports) - self.training.warm_up, 0)

    def weights_step(self, batch: Batch) -> float:
        masks = [mask.detach() for mask in self.masks()]
        return self.learn_weights(self.entropy(batch, weighted(masks)))

    def choices_step(self, batch: Batch, other: Batch) -> float:
        del other
        masks = self.masks()
        loss = self.with_latency(self.entropy(batch, weighted(masks)), masks)
        self.learn_choices(torch.autograd.grad(loss, self.choices))
        return float(loss.detach())

    def masks(self) -> list[Tensor]:
        """A random mask of each position, with the gradient of its choices."""
        noise = [torch.from_numpy(self.rng.gumbel(size=len(logits))).to(logits) for logits in self.choices]
        return [((logits + g) / self.temperature).softmax(dim=0) for logits, g in zip(self.choices, noise, strict=True)]
