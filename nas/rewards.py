"""Accuracy and latency in one number, for strategies with a single objective."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..networks.errors import UsageError


def soft_constraint_reward(
    quality: ArrayLike, latency_ms: ArrayLike, target_ms: float, *, below: float = -0.07, above: float = -0.07
) -> NDArray[np.float64]:
    """MnasNet's reward, to be made large: ``quality * (latency / target) ** exponent`` (arXiv:1807.11626, equation 2).

    With equal exponents a network may buy accuracy with latency on both sides of the target; -0.07 takes 5 % of
    relative accuracy for twice the latency. With ``below=0, above=-1`` nothing is gained by being faster than the
    target (section 3.1).

    Args:
        quality: of n architectures, more is better, above 0: an accuracy.
        latency_ms: of each, above 0.
        target_ms: where the factor is 1.
        below: exponent up to the target, 0 or less.
        above: exponent beyond it, 0 or less.

    Returns:
        ``[n]``; NaN where the quality or the latency is.

    Raises:
        UsageError: not as many latencies as qualities; a target, a latency or a quality that is not positive; a
            positive exponent.
    """
    qualities, latencies = np.asarray(quality, np.float64), np.asarray(latency_ms, np.float64)
    if qualities.shape != latencies.shape:
        raise UsageError(
            f"qualities of shape {qualities.shape}, latencies of shape {latencies.shape}", hint="give one of each"
        )
    if not 0 < target_ms < np.inf or (latencies <= 0).any() or (qualities <= 0).any():
        raise UsageError(
            f"target {target_ms} ms, least latency {np.nanmin(latencies, initial=np.inf)} ms, least quality "
            f"{np.nanmin(qualities, initial=np.inf)}",
            hint="give positive numbers: a quality that can be 0 or less has no meaning in a product",
        )
    if below > 0 or above > 0:
        raise UsageError(f"exponents {below} and {above} reward slow networks", hint="give 0 or less, such as -0.07")
    ratio = latencies / target_ms
    rewards: NDArray[np.float64] = qualities * ratio ** np.where(ratio > 1, above, below)
    return rewards
