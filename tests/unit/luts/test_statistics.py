"""The interval of the quartile covers the truth as often as it says, also when rounds drift together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import quartile_interval, relative_halfwidth
from lutra.luts.statistics import quantiles


@given(
    st.lists(st.floats(0, 1e18), min_size=1, max_size=40),
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_quantiles_are_those_of_numpy(values: list[float], shares: list[float]) -> None:
    found = quantiles(np.array(values), np.array(shares))
    assert found.tolist() == np.quantile(np.array(values), shares).tolist()


def naive_interval(
    samples: np.ndarray, rounds: np.ndarray, rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """Draw rounds, join their samples, sort, take the first at or above a quarter; no vector tricks."""
    names = np.unique(rounds)
    quartiles = []
    for _ in range(resamples):
        drawn = rng.choice(names, size=len(names))
        joined = np.sort(np.concatenate([samples[rounds == name] for name in drawn]))
        quartiles.append(joined[int(np.ceil(0.25 * len(joined))) - 1])
    low, high = np.quantile(quartiles, [0.025, 0.975])
    return float(low), float(high)


def test_agrees_with_the_naive_bootstrap() -> None:
    rng = np.random.default_rng(3)
    rounds = np.repeat(np.arange(12), 20)
    samples = (1e6 + 5e4 * rng.normal(size=12)[rounds] + 1e4 * rng.normal(size=240)).astype(np.int64)
    fast = quartile_interval(samples, rounds, np.random.default_rng(1), resamples=4000)
    slow = naive_interval(samples, rounds, np.random.default_rng(2), resamples=4000)
    width = slow[1] - slow[0]
    assert fast == pytest.approx(slow, abs=0.1 * width)


def test_covers_the_true_quartile_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    spread_between, spread_within, true_quartile = 30_000, 10_000, None
    total = np.hypot(spread_between, spread_within)
    true_quartile = 1e6 - 0.6745 * total
    rounds = np.repeat(np.arange(40), 10)
    covered = 0
    for _ in range(200):
        shift = rng.normal(0, spread_between, 40)[rounds]
        samples = (1e6 + shift + rng.normal(0, spread_within, 400)).astype(np.int64)
        low, high = quartile_interval(samples, rounds, rng, resamples=200)
        covered += low <= true_quartile <= high
    assert 170 <= covered <= 200  # 95 % of 200 is 190; a bootstrap over single samples covers about 80


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, rounds = np.arange(100) ** 2, np.arange(100) // 10
    whole = quartile_interval(samples, rounds, np.random.default_rng(0), resamples=50)
    monkeypatch.setattr("lutra.luts.statistics._MAX_CELLS", 700)
    assert quartile_interval(samples, rounds, np.random.default_rng(0), resamples=50) == whole


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=60), st.integers(2, 8))
@settings(max_examples=50)
def test_interval_is_ordered_and_within_the_samples(values: list[int], count: int) -> None:
    samples = np.array(values)
    rounds = np.arange(len(values)) % count
    low, high = quartile_interval(samples, rounds, np.random.default_rng(0), resamples=40)
    assert samples.min() <= low <= high <= samples.max()


def test_halfwidth_is_relative_to_what_is_above_the_overhead() -> None:
    samples, rounds = np.arange(1000, 2000), np.arange(1000) % 10
    plain = relative_halfwidth(samples, rounds, np.random.default_rng(0))
    less = relative_halfwidth(samples, rounds, np.random.default_rng(0), overhead_ns=625.0)
    assert plain is not None
    assert plain > 0
    assert less == pytest.approx(plain * 1249.75 / (1249.75 - 625))


@pytest.mark.parametrize(
    ("samples", "rounds", "overhead_ns"),
    [([], [], 0.0), ([5, 6, 7], [0, 0, 0], 0.0), ([5, 6, 7], [0, 1, 2], 10.0), ([0, 0], [0, 1], 0.0)],
)
def test_halfwidth_is_unknown(samples: list[int], rounds: list[int], overhead_ns: float) -> None:
    arrays = np.array(samples, np.int64), np.array(rounds, np.int32)
    assert relative_halfwidth(*arrays, np.random.default_rng(0), overhead_ns=overhead_ns) is None


def test_identical_samples_are_certain() -> None:
    assert relative_halfwidth(np.full(20, 7), np.arange(20) % 4, np.random.default_rng(0)) == 0.0
