"""`Proxyless` and `ProxylessReinforce`: ProxylessNAS, one path in memory (Cai et al., arXiv:1812.00332)."""

from collections.abc import Sequence
from typing import ClassVar, Final, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from ...networks.errors import UsageError
from ..spaces import Codes, SearchSpace
from ._registry import register
from .base import Batch, Common, GradientSearch
from .mixing import gated, one_path

_UPDATES: Final = ("two", "full")
_BASELINE_DECAY: Final = 0.99


class _OnePath(GradientSearch):
    """Weights learn one path at a time, drawn by the probabilities."""

    default_rate: ClassVar[float] = 1e-3
    betas: ClassVar[tuple[float, float]] = (0.0, 0.999)

    def weights_step(self, batch: Batch) -> float:
        return self.learn_weights(self.entropy(batch, one_path(self.drawn())))


@register("proxyless")
class Proxyless(_OnePath):
    """Binary gates: one candidate at each position is computed, and the gradient of its gate reaches the choices.

    With probabilities p = softmax(alpha) and one-hot gates g drawn by them,
    ``dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i)`` (equation 4).

    - "full": the gradient of all gates; candidates that were not drawn are computed in the backward pass, one by one.
    - "two": two candidates are drawn without replacement, p is taken of these two alone, and after the step both
      alphas are shifted so that the probabilities of all others stay what they were (section 3.2.1).

    Where a position can be left out, that candidate hands its input on, and the shortcut of the others is part of them;
    this adds ``<dL/dy, x>`` to the gradient of every gate, which the softmax takes out again.

    Args:
        space, common: as `GradientSearch`.
        update: "two" or "full".

    Raises:
        UsageError: another update; and as `GradientSearch`.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        update: str = "two",
        **common: Unpack[Common],
    ) -> None:
        if update not in _UPDATES:
            raise UsageError(f"no update {update!r} of ProxylessNAS", hint=f"give one of {', '.join(_UPDATES)}")
        super().__init__(space, **common)
        self.update = update

    def choices_step(self, batch: Batch, other: Batch) -> float:
        del other
        drawn = [self._draw(p) for p in self.probabilities]
        full = self.softmax()
        chances = full if self.update == "full" else [_of_drawn(a, d) for a, d in zip(self.choices, drawn, strict=True)]
        active = [one_hot(torch.tensor(d[0]), len(p)).to(p) for d, p in zip(drawn, full, strict=True)]
        gates = [straight_through(g, p) for g, p in zip(active, chances, strict=True)]
        loss = self.with_latency(
            self.entropy(batch, gated(gates, drawn)),
            [straight_through(p, c) for p, c in zip(full, chances, strict=True)],
        )
        gradients = torch.autograd.grad(loss, self.choices)
        before = [logits.detach().clone() for logits in self.choices]
        self.learn_choices(gradients)
        if self.update == "two":
            for logits, old, indices in zip(self.choices, before, drawn, strict=True):
                rescale(logits, old, indices)
        return float(loss.detach())

    def _draw(self, probabilities: NDArray[np.float64]) -> list[int]:
        """The active candidate, and behind it the others whose gates get a gradient."""
        count = len(probabilities)
        if self.update == "full":
            active = int(self.rng.choice(count, p=probabilities))
            return [active, *(i for i in range(count) if i != active)]
        possible = min(2, int(np.count_nonzero(probabilities)))
        pair = self.rng.choice(count, possible, replace=False, p=probabilities)
        chances = probabilities[pair] / probabilities[pair].sum()
        active = int(self.rng.choice(pair, p=chances))
        return [active, *(int(i) for i in pair if i != active)]


def straight_through(value: Tensor, gradient_of: Tensor) -> Tensor:
    """``value``, whose gradient goes to ``gradient_of`` instead."""
    return value.detach() + (gradient_of - gradient_of.detach())


def _of_drawn(logits: Tensor, drawn: Sequence[int]) -> Tensor:
    """Probabilities among the drawn candidates alone; 0 for the others."""
    index = torch.tensor(drawn, device=logits.device)
    return torch.zeros_like(logits).scatter(0, index, logits[index].softmax(dim=0))


def rescale(logits: Tensor, before: Tensor, drawn: Sequence[int]) -> None:
    """Shift the drawn logits, in place, so that the probabilities of all others are what they were ``before``.

    Only the sum of the drawn exponentials must stay the same: ``log(sum exp(new) / sum exp(old))`` is taken off each
    (github.com/mit-han-lab/proxylessnas, search/modules/mix_op.py).
    """
    index = torch.tensor(drawn, device=logits.device)
    with torch.no_grad():
        logits[index] -= torch.logsumexp(logits[index], 0) - torch.logsumexp(before[index], 0)


@register("proxyless-r")
class ProxylessReinforce(_OnePath):
    """ProxylessNAS-R: the choices learn by REINFORCE (section 3.3.2), so the latency needs no gradient.

    A step draws ``networks`` architectures, takes the accuracy of each on one batch with the supernet's weights, and
    goes along ``mean_k (R_k - b) grad log p(k)``: R is ``accuracy (T / latency)^w``, w the weight of the latency term,
    whose form is not used; b is a moving average of R with a decay of .99.

    Args:
        space, common: as `GradientSearch`.
        networks: drawn for each step on the choices.

    Raises:
        UsageError: no network; and as `GradientSearch`.
    """

    remembered: ClassVar[tuple[str, ...]] = ("baseline",)

    def __init__(
        self,
        space: SearchSpace,
        *,
        networks: int = 10,
        **common: Unpack[Common],
    ) -> None:
        if networks < 1:
            raise UsageError(f"REINFORCE with {networks} networks a step", hint="give 1 or more")
        super().__init__(space, **common)
        self.networks = networks
        self.baseline: float | None = None

    def choices_step(self, batch: Batch, other: Batch) -> float:
        del other
        codes = np.array([self.drawn() for _ in range(self.networks)], np.int64)
        rewards = self._rewards(codes, batch)
        mean = float(rewards.mean())
        before = mean if self.baseline is None else self.baseline
        self.baseline = before + (1 - _BASELINE_DECAY) * (mean - before)
        advantages = torch.from_numpy(rewards - self.baseline)
        self.learn_choices(
            [
                reinforce_gradient(logits.detach(), torch.from_numpy(column), advantages)
                for logits, column in zip(self.choices, codes.T, strict=True)
            ]
        )
        return -mean

    def _rewards(self, codes: Codes, batch: Batch) -> NDArray[np.float64]:
        """R of each architecture; the weight of the latency follows."""
        images, targets = batch
        with torch.no_grad():
            outputs = [self.net(images, one_path(code))[:, : targets.shape[1]] for code in codes.tolist()]
        labels = targets.argmax(dim=1)
        rewards = np.array([float((made.argmax(dim=1) == labels).double().mean()) for made in outputs])
        if self.latency is None:
            return rewards
        latencies = self.latency.oracle.latencies_ms(codes)
        rewards = rewards * (self.latency.target_ms / latencies) ** self.latency.current
        self.latency.follow(float(latencies.mean()))
        return rewards


def reinforce_gradient(logits: Tensor, drawn: Tensor, advantages: Tensor) -> Tensor:
    """Gradient of ``-mean_k advantage_k log softmax(logits)[drawn_k]`` over n draws.

    Args:
        logits: [c].
        drawn: int64 [n].
        advantages: float64 [n].
    """
    taken = one_hot(drawn, len(logits)).double().to(logits.device) - logits.double().softmax(dim=0)
    return (-(advantages.to(logits.device)[:, None] * taken).mean(dim=0)).to(logits)
