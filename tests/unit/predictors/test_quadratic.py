"""Products of sizes are found, outliers are not followed, and squares do not run away."""

import numpy as np
import pytest

from lutra.predictors import QuadraticPredictor
from lutra.predictors.metrics import mape


@pytest.fixture(scope="module")
def sizes() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.integers(1, 7, 400), rng.choice([512, 640], 400), rng.uniform(512, 3072, 400)])


def latency_ms(sizes: np.ndarray) -> np.ndarray:
    return 5 + sizes[:, 0] * (3 + 0.002 * sizes[:, 1] + 0.001 * sizes[:, 2])


def test_products_are_found(sizes: np.ndarray) -> None:
    predictor = QuadraticPredictor().fit(sizes[:300], latency_ms(sizes[:300]))
    assert mape(latency_ms(sizes[300:]), predictor.predict(sizes[300:])) < 0.2


def test_outliers_are_not_followed(sizes: np.ndarray) -> None:
    measured = latency_ms(sizes)
    measured[:300:10] *= 3
    predictor = QuadraticPredictor().fit(sizes[:300], measured[:300])
    assert mape(latency_ms(sizes[300:]), predictor.predict(sizes[300:])) < 0.5


def test_a_column_that_never_changes_does_no_harm(sizes: np.ndarray) -> None:
    table = np.column_stack([sizes, np.full(len(sizes), 6)])
    predictor = QuadraticPredictor().fit(table[:300], latency_ms(sizes[:300]))
    assert mape(latency_ms(sizes[300:]), predictor.predict(table[300:])) < 0.2


def test_sizes_beyond_the_samples_are_held_and_marked(sizes: np.ndarray) -> None:
    predictor = QuadraticPredictor().fit(sizes, latency_ms(sizes))
    far = predictor.predict(np.array([6.0, 640.0, 1e6]))
    assert far.extrapolated
    assert far.latency_ms < 2 * latency_ms(sizes).max()
