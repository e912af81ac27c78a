"""Expected latencies, and their gradients, where a source can only be asked about one architecture after the other.

Both estimates are unbiased; they draw architectures decision by decision.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._positions import Integers, counts_of
from ._probabilities import checked_probabilities, like
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

Ask: TypeAlias = Callable[[Integers], NDArray[np.float64]]
"""Latencies of n codes, in ms."""

_MORE: Final = 16


def by_score(
    space: CodedSpace, ask: Ask, probabilities: "Sequence[torch.Tensor]", samples: int, rng: np.random.Generator
) -> "torch.Tensor":
    """By the score function: each latency weighs the gradient of the logarithm of its architecture's probability.

    What is subtracted from a latency is the mean of the others, which keeps the estimate unbiased (Williams, "Simple
    statistical gradient-following algorithms", Machine Learning 8, 1992; Kool et al., "Buy 4 REINFORCE samples, get a
    baseline for free", 2019). For sources that are slow to ask: it asks ``samples`` times.

    Args:
        space: of the codes.
        ask: the source.
        probabilities: as `LatencyOracle.expected_ms`.
        samples: architectures to draw, at least two.
        rng: of what is drawn.
    """
    import torch

    checked = checked_probabilities(probabilities, space)
    codes = _drawn(checked, samples, rng)
    latencies_ms = ask(codes)
    mean_ms = float(latencies_ms.mean())
    above = torch.from_numpy((latencies_ms - mean_ms) / (samples - 1)).to(checked[0].device)
    picked = [given[torch.from_numpy(column).to(given.device)] for given, column in zip(checked, codes.T, strict=True)]
    logarithms = torch.stack(picked).log().sum(dim=0)
    return like(mean_ms + above @ (logarithms - logarithms.detach()), probabilities)


def by_substitution(
    space: CodedSpace, ask: Ask, probabilities: "Sequence[torch.Tensor]", samples: int, rng: np.random.Generator
) -> "torch.Tensor":
    """By trying every choice of one decision at a time in each drawn architecture.

    The derivative by the probability of a choice is the expected latency with that choice, which is so averaged over
    everything but the other decisions: the score function with one decision at a time summed out (Titsias,
    Lázaro-Gredilla, "Local expectation gradients", NIPS 2015). The value is the mean of `_MORE` times as many others.
    For sources that are quick to ask: it asks ``samples`` times about as many architectures as there are choices.

    Args:
        space: of the codes.
        ask: the source.
        probabilities: as `LatencyOracle.expected_ms`.
        samples: architectures to draw.
        rng: of what is drawn.
    """
    import torch

    checked = checked_probabilities(probabilities, space)
    value_ms = float(ask(_drawn(checked, _MORE * samples, rng)).mean())
    means_ms = _substituted(ask, _drawn(checked, samples, rng), counts_of(space))
    # Less their mean, for the sake of 32 bits; see `Walk.expected`.
    rises = [
        given @ torch.from_numpy(found - found.mean()).to(given.device)
        for given, found in zip(checked, means_ms, strict=True)
    ]
    rise = torch.stack(rises).sum()
    return like(value_ms + (rise - rise.detach()), probabilities)


def _substituted(ask: Ask, codes: Integers, counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """By decision, the mean latency of the codes with each of its choices."""
    tried = np.repeat(codes, sum(counts), axis=0).reshape(len(codes), sum(counts), -1)
    starts = np.cumsum([0, *counts])
    for decision, (start, count) in enumerate(zip(starts, counts, strict=False)):
        tried[:, start : start + count, decision] = np.arange(count)
    means_ms = ask(tried.reshape(-1, len(counts))).reshape(len(codes), -1).mean(axis=0)
    return np.split(means_ms, starts[1:-1])


def _drawn(probabilities: "Sequence[torch.Tensor]", samples: int, rng: np.random.Generator) -> Integers:
    """Codes of architectures drawn decision by decision, [samples, P]; no choice without probability is drawn."""
    codes = np.empty((samples, len(probabilities)), np.int64)
    for column, given in zip(codes.T, probabilities, strict=True):
        weights = given.detach().cpu().numpy().clip(min=0)
        column[:] = rng.choice(len(weights), samples, p=weights / weights.sum())
    return codes
