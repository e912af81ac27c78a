"""Agreement of predicted and measured latencies."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.predictors import Prediction, Report, metrics

METRICS = [metrics.mape, metrics.rmspe, metrics.rmse, metrics.within, metrics.spearman, metrics.kendall]
RANKS = [metrics.spearman, metrics.kendall]

few_values = st.integers(1, 5).map(float)  # so that ties are common
positive = st.floats(1e-3, 1e6)


def pairs(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[list[float], list[float]]]:
    pair = st.lists(st.tuples(values, values), min_size=2, max_size=60)
    return pair.map(lambda both: ([a for a, _ in both], [b for _, b in both]))


def has_order(pair: tuple[list[float], list[float]]) -> bool:
    return all(len(set(side)) > 1 for side in pair)


def test_worked_example() -> None:
    measured, predicted = [1.0, 2.0, 4.0], [1.1, 1.8, 4.0]
    assert metrics.mape(measured, predicted) == pytest.approx(20 / 3)
    assert metrics.rmspe(measured, predicted) == pytest.approx(100 * math.sqrt(0.02 / 3))
    assert metrics.rmse(measured, predicted) == pytest.approx(math.sqrt(0.05 / 3))
    assert metrics.within(measured, predicted) == 1
    assert metrics.within(measured, predicted, 5) == pytest.approx(1 / 3)
    assert metrics.spearman(measured, predicted) == 1
    assert metrics.kendall(measured, predicted) == 1


def test_the_measurement_is_what_errors_relate_to() -> None:
    assert metrics.mape([2.0], [1.0]) == pytest.approx(50)
    assert metrics.mape([1.0], [2.0]) == pytest.approx(100)


def test_kendall_counts_ties_as_tau_b() -> None:
    # Five pairs agree, none disagree, one is tied in the first only: 5 / sqrt(5 * 6).
    assert metrics.kendall([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(30))


def naive_kendall(a: list[float], b: list[float]) -> float:
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i in range(len(a)) for j in range(i)
    ]  # fmt: skip
    surplus = sum(x * y for x, y in signs)
    return float(surplus / math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs)))


@settings(deadline=None)
@given(pairs(few_values).filter(has_order) | pairs(positive).filter(has_order))
def test_kendall_equals_the_definition(pair: tuple[list[float], list[float]]) -> None:
    assert metrics.kendall(*pair) == pytest.approx(naive_kendall(*pair), abs=1e-12)


@settings(deadline=None)
@given(pairs(few_values).filter(has_order) | pairs(positive).filter(has_order))
def test_ranks_equal_scipy(pair: tuple[list[float], list[float]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is what it is compared with")
    assert metrics.spearman(*pair) == pytest.approx(stats.spearmanr(*pair).statistic, abs=1e-9)
    assert metrics.kendall(*pair) == pytest.approx(stats.kendalltau(*pair).statistic, abs=1e-9)


@settings(deadline=None)
@given(pairs(positive).filter(has_order))
def test_ranks_see_order_only(pair: tuple[list[float], list[float]]) -> None:
    measured, predicted = pair
    for rank in RANKS:
        value = rank(measured, predicted)
        assert -1 <= value <= 1
        assert rank(predicted, measured) == pytest.approx(value, abs=1e-12)
        assert rank(measured, [8 * p for p in predicted]) == value
        assert rank(measured, measured) == pytest.approx(1)


@settings(deadline=None)
@given(pairs(positive), st.sampled_from([1e-3, 1e3]))
def test_relative_errors_do_not_depend_on_the_unit(pair: tuple[list[float], list[float]], unit: float) -> None:
    scaled = [[unit * value for value in side] for side in pair]
    for relative in (metrics.mape, metrics.rmspe):
        assert relative(*scaled) == pytest.approx(relative(*pair))


def test_kendall_is_quick_for_a_whole_search_space() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(1, 2, 20_000)
    assert metrics.kendall(measured, measured[::-1]) == pytest.approx(0, abs=0.02)


def test_exactly_ten_percent_is_within_ten_percent() -> None:
    measured = np.arange(1, 200) / 10
    assert metrics.within(measured, 1.1 * measured) == 1
    assert metrics.within(measured, 0.9 * measured) == 1
    assert metrics.within(measured, 1.1001 * measured) == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_the_first_bad_latency_is_named(metric: object, bad: float) -> None:
    assert callable(metric)
    with pytest.raises(UsageError, match="measured latency 2 "):
        metric([1.0, 2.0, bad, bad], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(UsageError, match="predicted latency 0 "):
        metric([1.0, 2.0], [bad, 2.0])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("measured", "predicted"), [([], []), ([1.0, 2.0], [1.0]), ([[1.0]], [[1.0]]), (["fast"], [1.0]), (1.0, 1.0)]
)
def test_other_bad_input_is_refused(metric: object, measured: object, predicted: object) -> None:
    assert callable(metric)
    with pytest.raises(UsageError):
        metric(measured, predicted)


@pytest.mark.parametrize("rank", RANKS)
def test_one_network_or_equal_latencies_have_no_rank(rank: object) -> None:
    assert callable(rank)
    with pytest.raises(UsageError, match="1 measured"):
        rank([1.0], [1.0])
    with pytest.raises(UsageError, match="all predicted latencies are equal"):
        rank([1.0, 2.0], [3.0, 3.0])


@pytest.mark.parametrize("pct", [0, -5, math.nan])
def test_a_tolerance_is_positive(pct: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        metrics.within([1.0], [1.0], pct)


def prediction(network: str, latency_ms: float, coverage: float = 0.9) -> Prediction:
    return Prediction(
        network=network,
        device="host",
        runtime="null",
        threads=1,
        latency_ms=latency_ms,
        low_ms=0.9 * latency_ms,
        high_ms=1.1 * latency_ms,
        coverage=coverage,
    )


def test_report_puts_both_side_by_side() -> None:
    report = Report.of([prediction("a", 1.0), prediction("b", 3.0)], [1.05, 2.5])
    assert [row.inside for row in report.rows] == [True, False]
    assert report.rows[1].error_pct == pytest.approx(20)
    summary = report.summary
    assert (summary.networks, summary.inside, summary.within_10) == (2, 0.5, 0.5)
    assert (summary.spearman, summary.kendall) == (1, 1)
    document = json.loads(report.to_json())
    assert document["rows"][1]["network"] == "b"
    assert document["rows"][1]["inside"] is False
    assert document["summary"]["mape_pct"] == pytest.approx(summary.mape_pct)
    text = str(report)
    assert "+20.0" in text
    assert "Kendall 1.000" in text


def test_report_of_one_network_has_errors_but_no_rank() -> None:
    report = Report.of([prediction("a", 1.0)], [1.0])
    assert report.summary.spearman is None
    assert report.summary.mape_pct == 0
    assert "Spearman" not in str(report)


def test_report_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="0 measured"):
        Report.of([], [])
    with pytest.raises(UsageError, match="measured latency 0"):
        Report.of([prediction("a", 1.0)], [math.nan])
    with pytest.raises(UsageError, match="coverage"):
        Report.of([prediction("a", 1.0), prediction("b", 1.0, coverage=0.5)], [1.0, 1.0])
