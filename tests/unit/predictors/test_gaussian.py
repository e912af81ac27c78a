"""The mixture's posterior is the closed form, and knows what it does not know."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.predictors.gaussian import Draws, Ingredients, posterior

_SETTINGS = settings(max_examples=25, deadline=None)


def problem(seed: int, n: int, p: int, k: int = 2) -> tuple[np.ndarray, np.ndarray, Ingredients]:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((k, p, p))
    covariances = factors @ factors.transpose(0, 2, 1) / p
    features = rng.standard_normal((n, p))
    return features, features @ rng.standard_normal(p), Ingredients(tuple("abcdef"[:k]), covariances)


@given(seed=st.integers(0, 999), n=st.integers(2, 12), p=st.integers(1, 8), noise=st.floats(0.01, 2))
@_SETTINGS
def test_one_draw_gives_the_textbook_posterior(seed: int, n: int, p: int, noise: float) -> None:
    features, values, ingredients = problem(seed, n, p)
    found = posterior(features, values, ingredients, Draws(np.array([[0.7, 0.3]]), np.array([noise]), np.ones(1)))
    prior = 0.7 * ingredients.covariances[0] + 0.3 * ingredients.covariances[1]
    gain = prior @ features.T @ np.linalg.inv(features @ prior @ features.T + noise * np.eye(n))
    assert np.allclose(found.mean, gain @ values, atol=1e-7)
    misfit = 2 + values @ np.linalg.inv(features @ prior @ features.T + noise * np.eye(n)) @ values
    scale = misfit / (2 + n)
    assert np.allclose(found.covariance, scale * (prior - gain @ features @ prior), atol=1e-6 * scale)
    assert found.noise_variance == pytest.approx(scale * noise)


@given(seed=st.integers(0, 999))
@_SETTINGS
def test_levels_of_noise_are_a_mixture(seed: int) -> None:
    features, values, ingredients = problem(seed, 6, 4)
    shares, noise, prior = np.array([[0.5, 0.5]]), np.array([0.05, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    mixed = posterior(features, values, ingredients, Draws(shares, noise, prior))
    alone = [posterior(features, values, ingredients, Draws(shares, noise[[i]], np.ones(1))) for i in range(3)]
    covariance = ingredients.covariances.mean(axis=0)
    log_evidence = [
        -0.5 * np.linalg.slogdet(inner := features @ covariance @ features.T + level * np.eye(6))[1]
        - 4 * np.log(2 + values @ np.linalg.solve(inner, values))
        for level in noise
    ]
    weights = prior * np.exp(np.array(log_evidence) - max(log_evidence))
    weights /= weights.sum()
    mean = sum(w * one.mean for w, one in zip(weights, alone, strict=True))
    second = sum(w * (one.covariance + np.outer(one.mean, one.mean)) for w, one in zip(weights, alone, strict=True))
    assert np.allclose(mixed.mean, mean, atol=1e-3 * np.abs(mean).max())
    assert np.allclose(mixed.covariance, second - np.outer(mean, mean), atol=1e-3 * np.abs(second).max())


@given(seed=st.integers(0, 999))
@_SETTINGS
def test_many_samples_are_compressed_without_loss(seed: int) -> None:
    features, values, ingredients = problem(seed, 30, 3)
    values = values + np.random.default_rng(seed).standard_normal(30)
    draws = Draws(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0.1, 1.0]), np.array([0.3, 0.7]))
    compressed = posterior(features, values, ingredients, draws)
    # Features that are 0 change nothing, but with 31 of them no sample is redundant.
    wide = np.pad(features, ((0, 0), (0, 28)))
    covariances = np.pad(ingredients.covariances, ((0, 0), (0, 28), (0, 28)))
    whole = posterior(wide, values, Ingredients(ingredients.names, covariances), draws)
    assert np.allclose(compressed.evidence, whole.evidence)
    assert np.allclose(compressed.mean, whole.mean[:3])
    assert np.allclose(compressed.covariance, whole.covariance[:3, :3])
    assert compressed.samples == whole.samples == 30


def test_the_evidence_finds_the_ingredient_that_made_the_values() -> None:
    rng = np.random.default_rng(0)
    direction = np.zeros(6)
    direction[2] = 1.0
    ingredients = Ingredients(("right", "wrong"), np.stack([np.outer(direction, direction), np.eye(6)]))
    features = rng.standard_normal((20, 6))
    draws = Draws(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.01]), np.ones(1))
    found = posterior(features, features @ direction + 0.1 * rng.standard_normal(20), ingredients, draws)
    assert found.evidence[0] > 0.9
    assert found.evidence.sum() == pytest.approx(1)


def test_doubt_grows_away_from_the_samples() -> None:
    features, values, ingredients = problem(1, 10, 3)
    draws = Draws(np.array([[0.5, 0.5]]), np.array([0.1]), np.ones(1))
    found = posterior(features, values, ingredients, draws)
    deviations = [found.predict(scale * features[:1])[1][0] for scale in (1, 3, 10, 30)]
    assert deviations == sorted(deviations)
    assert deviations[-1] > 5 * deviations[0]


@given(st.integers(0, 99))
@_SETTINGS
def test_the_covariance_is_one(seed: int) -> None:
    features, values, ingredients = problem(seed, 5, 7)
    rng = np.random.default_rng(seed)
    draws = Draws(rng.uniform(0.1, 1, (8, 2)), rng.uniform(0.01, 1, 4), np.full(4, 0.25))
    covariance = posterior(features, values, ingredients, draws).covariance
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


@pytest.mark.parametrize("shape", [(0,), (4,)])
def test_samples_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    features, _, ingredients = problem(0, 5, 3)
    with pytest.raises(UsageError):
        posterior(features[: shape[0]] if not shape[0] else features, np.ones(shape), ingredients, draws_of_one())


def draws_of_one() -> Draws:
    return Draws(np.array([[0.5, 0.5]]), np.array([0.1]), np.ones(1))
