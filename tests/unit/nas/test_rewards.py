"""MnasNet's reward."""

import numpy as np
import pytest

from lutra.nas import soft_constraint_reward
from lutra.networks.errors import UsageError


def test_it_is_the_quality_at_the_target():
    assert soft_constraint_reward([75.0, 60.0], [30.0, 30.0], 30.0).tolist() == [75.0, 60.0]


def test_twice_the_latency_is_worth_five_percent():
    """MnasNet, section 3.1: two networks of which one is twice as slow and 5 % better are rewarded alike."""
    fast, slow = soft_constraint_reward([0.50, 0.50 * 1.05], [40.0, 80.0], 60.0)
    assert fast == pytest.approx(slow, rel=1e-3)


def test_a_hard_constraint_rewards_no_speed():
    rewards = soft_constraint_reward([0.7, 0.7, 0.7], [10.0, 30.0, 60.0], 30.0, below=0, above=-1)
    assert rewards == pytest.approx([0.7, 0.7, 0.35])


def test_what_is_not_known_stays_unknown():
    rewards = soft_constraint_reward([np.nan, 0.7, 0.7], [30.0, np.nan, 30.0], 30.0)
    assert np.isnan(rewards).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("quality", "latency_ms", "target_ms", "words"),
    [
        ([0.7], [1.0, 2.0], 30.0, "one of each"),
        ([0.7], [0.0], 30.0, "least latency 0.0 ms"),
        ([-0.7], [1.0], 30.0, "no meaning in a product"),
        ([0.7], [1.0], 0.0, "target 0.0 ms"),
        ([0.7], [1.0], float("nan"), "target nan ms"),
    ],
)
def test_numbers_that_make_no_sense(quality, latency_ms, target_ms, words):
    with pytest.raises(UsageError, match=words):
        soft_constraint_reward(quality, latency_ms, target_ms)


def test_slow_networks_are_never_rewarded():
    with pytest.raises(UsageError, match="reward slow networks"):
        soft_constraint_reward([0.7], [1.0], 30.0, above=0.07)
