"""What to measure: chosen architectures leave less doubt, and less error, than random ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.predictors.sampling import choose_samples


def variance_left(features: np.ndarray, covariance: np.ndarray, noise: float, chosen: np.ndarray) -> float:
    rows = features[chosen]
    inner = np.linalg.inv(rows @ covariance @ rows.T + noise * np.eye(len(rows)))
    left = covariance - covariance @ rows.T @ inner @ rows @ covariance
    return float(np.einsum("ij,jk,ik->i", features, left, features).mean())


@given(seed=st.integers(0, 999), count=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_chosen_ones_differ_and_leave_less_doubt_than_random_ones(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((60, 8)) * rng.uniform(0.2, 3, 8)
    covariance = np.diag(rng.uniform(0.1, 2, 8))
    chosen = choose_samples(features, covariance, 0.1, count, rng)
    assert len(set(chosen.tolist())) == count
    doubts = [variance_left(features, covariance, 0.1, rng.choice(60, count, replace=False)) for _ in range(20)]
    assert variance_left(features, covariance, 0.1, chosen) <= np.median(doubts) + 1e-12


def test_the_first_is_the_best_single_one() -> None:
    rng = np.random.default_rng(3)
    features, covariance = rng.standard_normal((30, 4)), np.eye(4)
    first = choose_samples(features, covariance, 0.5, 1, rng)[0]
    doubts = [variance_left(features, covariance, 0.5, np.array([row])) for row in range(30)]
    assert first == int(np.argmin(doubts))


def test_all_can_be_chosen() -> None:
    features = np.eye(5)
    assert sorted(choose_samples(features, np.eye(5), 0.1, 5, np.random.default_rng(0))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [0, -1, 6])
def test_a_count_that_makes_no_sense_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="of 5"):
        choose_samples(np.eye(5), np.eye(5), 0.1, count, np.random.default_rng(0))
