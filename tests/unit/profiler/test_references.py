"""Machine speed around samples, and how far a subject follows it."""

import numpy as np
import pytest

from lutra.profiler.client import Samples
from lutra.profiler.references import (
    COMPUTE_COLUMN,
    MEMORY_COLUMN,
    Nominal,
    block_times,
    compute_elasticity,
    fit_normalisation,
)

VISIT_NS = 100_000_000


def reference(times_ns: list[float], *, per_visit: int = 3, batch: int = 1) -> Samples:
    """Visits every 0.1 s, each of samples that last ``times_ns`` of the visit."""
    wall = np.repeat(np.asarray(times_ns), per_visit).astype(np.int64) * batch
    start = [
        visit * VISIT_NS + sample * int(time * batch + 10)
        for visit, time in enumerate(times_ns)
        for sample in range(per_visit)
    ]
    zeros = np.zeros(len(wall), np.int64)
    columns = {"wall_ns": wall, "cpu_ns": wall, "start_ns": np.array(start, np.int64), "round": zeros}
    return Samples(batch, columns)


def test_a_sample_is_compared_with_the_visits_around_it() -> None:
    times = block_times(reference([100, 100, 100, 200, 200, 200], batch=7), np.array([150, 450]) * 1_000_000)
    assert times.tolist() == [100, 200]


def test_one_disturbed_visit_does_not_count() -> None:
    times = block_times(reference([100, 100, 900, 100, 100]), np.arange(5) * VISIT_NS + VISIT_NS // 2)
    assert times.tolist() == [100] * 5


def test_one_visit_is_enough_and_moments_outside_take_the_nearest() -> None:
    assert block_times(reference([100]), np.array([-5, 0, 10**12])).tolist() == [100] * 3
    assert block_times(reference([100, 300]), np.array([0])).tolist() == [100]


def subject(compute: np.ndarray, memory: np.ndarray, true: tuple[float, float], noise: float) -> Samples:
    rng = np.random.default_rng(0)
    rounds = np.repeat(np.arange(len(compute)), 4)
    compute, memory = np.repeat(compute, 4), np.repeat(memory, 4)
    time = 1e6 * (compute / 1e5) ** true[0] * (memory / 2e5) ** true[1] * rng.lognormal(0, noise, len(rounds))
    columns = {"cpu_ns": time, "round": rounds, COMPUTE_COLUMN: compute, MEMORY_COLUMN: memory}
    return Samples(1, {name: np.asarray(values).astype(np.int64) for name, values in columns.items()})


NOMINAL = Nominal(1e5, 2e5)


@pytest.mark.parametrize("true", [(1.0, 0.0), (0.1, 0.0), (0.2, 0.6), (0.7, 0.1)])
def test_elasticities_come_from_the_samples_where_the_machine_changed_speed(true: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    samples = subject(1e5 * rng.uniform(0.7, 1.3, 30), 2e5 * rng.uniform(0.6, 1.5, 30), true, 0.005)
    fitted = fit_normalisation(samples, "cpu_ns", NOMINAL, 1.0)
    assert (fitted.compute_elasticity, fitted.memory_elasticity) == pytest.approx(true, abs=0.05)
    normalised = samples["cpu_ns"] / fitted.factors
    assert np.std(normalised) < 0.02 * np.mean(normalised)


def test_a_machine_of_one_speed_leaves_the_prior_and_the_number() -> None:
    samples = subject(np.full(20, 1e5), np.full(20, 2e5), (1.0, 0.0), 0.02)
    fitted = fit_normalisation(samples, "cpu_ns", NOMINAL, 3.0)
    assert fitted.compute_elasticity == pytest.approx(compute_elasticity(3.0))
    assert fitted.memory_elasticity == 0
    assert fitted.factors.tolist() == [1.0] * len(samples["cpu_ns"])


def test_outlying_rounds_do_not_decide() -> None:
    rng = np.random.default_rng(2)
    samples = subject(1e5 * rng.uniform(0.8, 1.2, 30), np.full(30, 2e5), (1.0, 0.0), 0.002)
    samples.columns["cpu_ns"][40:48] *= 4
    assert fit_normalisation(samples, "cpu_ns", NOMINAL, None).compute_elasticity == pytest.approx(1.0, abs=0.1)


def test_streams_follow_the_clock_less_than_arithmetic() -> None:
    values = [compute_elasticity(x) for x in (0.0, 0.3, 1.0, 10.0, 1e6)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (pytest.approx(0.1), pytest.approx(1.0, abs=1e-4))
    assert compute_elasticity(None) == 1.0


def test_samples_without_references_stay_as_they_are() -> None:
    samples = Samples(1, {"cpu_ns": np.array([1]), "round": np.array([0])})
    assert fit_normalisation(samples, "cpu_ns", NOMINAL, None) is None
