"""Budgets: refused before any search where nothing keeps them, with the least that there is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")

from lutra.nas.problem import Constraint, Objective, Problem
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import EncodingOracle, FunctionOracle, KnownOracle, LatencyBudget, TableOracle, latency_on
from lutra.nas_bridge.testing import table_of
from lutra.networks.errors import InfeasibleError, NotSupportedError, UsageError
from lutra.predictors import QuadraticPredictor


def test_a_budget_below_the_cheapest_is_refused_with_the_least(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space))
    least_ms = oracle.cheapest().latency_ms
    with pytest.raises(
        InfeasibleError, match=rf"'small' keeps latency_ms@synthetic <= .* the least is {least_ms:.4g}"
    ) as info:
        LatencyBudget(oracle, 0.999 * least_ms).require()
    assert info.value.least == least_ms
    assert LatencyBudget(oracle, 1.001 * least_ms).require().exact


def test_a_margin_is_kept_by_the_upper_end(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space))
    codes = space.sample(200, np.random.default_rng(0))
    plain, sure = LatencyBudget(oracle, 0.3), LatencyBudget(oracle, 0.3, coverage=0.9)
    np.testing.assert_array_equal(sure(codes), oracle.intervals_ms(codes, 0.9)[:, 1])
    assert 0 < sure.kept(codes).sum() < plain.kept(codes).sum() < 200
    least_ms = oracle.cheapest().latency_ms
    with pytest.raises(InfeasibleError) as info:
        LatencyBudget(oracle, 1.001 * least_ms, coverage=0.9).require()
    assert info.value.least > 1.05 * least_ms


def test_a_source_that_can_only_be_asked_is_asked_so_often(space: ChainSpace) -> None:
    asked: list[str] = []

    def timer(network: Any) -> float:
        asked.append(network.name)
        return 0.1 + float(network.macs) / 1e6

    oracle = FunctionOracle(space, timer)
    with pytest.raises(InfeasibleError):
        LatencyBudget(oracle, 0.05).require(evaluations=60)
    assert 15 < len(asked) <= 60
    found = LatencyBudget(FunctionOracle(space, timer), 10.0).require(evaluations=60)
    assert found.bound_ms is None
    assert not found.exact
    with pytest.raises(UsageError, match="0 evaluations"):
        oracle.cheapest(evaluations=0)


def test_known_numbers_say_whether_all_are_known(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    every = np.indices((5,) * 4).reshape(4, -1).T
    whole = KnownOracle(space, every, latency_of(every))
    part = KnownOracle(space, every[7:], latency_of(every[7:]))
    assert whole.cheapest().exact
    assert whole.cheapest().latency_ms == latency_of(every).min()
    assert not part.cheapest().exact


def test_an_interval_of_an_unsure_predictor_is_looked_for(space: ChainSpace, latency_of: Callable[[Any], Any]) -> None:
    codes = space.sample(80, np.random.default_rng(0))
    oracle = EncodingOracle(space, QuadraticPredictor("board").fit(codes, latency_of(codes)))
    budget = LatencyBudget(oracle, 1.0, coverage=0.9)
    with pytest.raises(InfeasibleError, match="latency_ms@board") as info:
        budget.require(evaluations=500)
    every = np.indices((5,) * 4).reshape(4, -1).T
    assert info.value.least == pytest.approx(budget(every).min())


def test_a_budget_is_a_constraint_and_an_objective(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space))
    budget = LatencyBudget(oracle, 0.3)
    codes = space.sample(50, np.random.default_rng(0))
    quantity = latency_on(oracle)
    problem = Problem(space, [Objective(quantity.name, quantity)], [Constraint(budget.name, budget, budget.most)])
    np.testing.assert_array_equal(problem.violations(codes) <= 0, budget.kept(codes))
    assert budget.measure(codes).tolist() == budget(codes).tolist() == quantity(codes).tolist()


@pytest.mark.parametrize("most_ms", [0, -1.0, float("nan"), float("inf"), "30"])
def test_a_budget_that_is_none(space: ChainSpace, most_ms: Any) -> None:
    oracle = TableOracle(space, table_of(space))
    with pytest.raises(UsageError, match="latency budget"):
        LatencyBudget(oracle, most_ms)


def test_a_margin_needs_intervals(space: ChainSpace) -> None:
    with pytest.raises(NotSupportedError, match="how sure"):
        LatencyBudget(KnownOracle(space, [[0, 0, 0, 0]], [1.0]), 1.0, coverage=0.9)
    with pytest.raises(UsageError, match="coverage"):
        LatencyBudget(TableOracle(space, table_of(space)), 1.0, coverage=2.0)
