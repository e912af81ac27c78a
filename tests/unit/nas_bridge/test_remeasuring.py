"""The best of a search are measured, and the oracle learns from them."""

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lutra.luts._native", reason="the extension module is not built")

from lutra.nas import Constraint, Objective, Problem, make_searcher
from lutra.nas import search as nas_search
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import EncodingOracle, FunctionOracle, LatencyBudget, Remeasure, TableOracle, params_of
from lutra.nas_bridge.testing import table_of
from lutra.networks.errors import MeasurementError, UsageError
from lutra.predictors import AdditivePredictor


@dataclass
class Found:
    """What a search has found so far."""

    codes: Any
    front: Any


def search(oracle: Any, hook: Any, count: int, seed: int = 0) -> Any:
    """Random architectures, twenty a batch; the front is the five that seem to be quickest."""
    rng = np.random.default_rng(seed)
    codes = np.empty((0, 4), np.int64)
    while len(codes) < count:
        codes = np.concatenate([codes, oracle.space.sample(20, rng)])
        hook(Found(codes, np.argsort(oracle.latencies_ms(codes), kind="stable")[:5]))
    return codes


@pytest.fixture
def start(space: ChainSpace, timer: Any) -> tuple[Any, Any]:
    """Architectures that were measured before: too few, and of the wrong half of the space."""
    codes = space.sample(200, np.random.default_rng(1))
    codes = codes[codes.sum(axis=1) < 6][:12]
    return codes, np.array([timer(space.decode(code)) for code in codes])


def test_the_oracle_learns_from_the_best(space: ChainSpace, timer: Any, start: tuple[Any, Any]) -> None:
    oracle = EncodingOracle(space, AdditivePredictor("board").fit(*start))
    hook = Remeasure(oracle, FunctionOracle(space, timer, device="board"), *start, top=6, every=40)
    codes = search(oracle, hook, 200)
    assert len(hook.reports) == 5
    assert [len(report.rows) for report in hook.reports] == [6] * 5
    networks = [row.network for report in hook.reports for row in report.rows]
    assert len(set(networks)) == 30  # none twice
    assert hook.reports[-1].summary.mape_pct < hook.reports[0].summary.mape_pct
    truth = np.array([timer(space.decode(code)) for code in codes[:40]])
    assert (np.abs(oracle.latencies_ms(codes[:40]) / truth - 1) < 0.05).mean() > 0.9
    told = str(hook.reports[0])
    assert all(word in told for word in ("predicted ms", "measured ms", "MAPE", "Spearman"))


def test_a_table_is_scaled(space: ChainSpace) -> None:
    oracle = TableOracle(space, table_of(space))
    truth = TableOracle(space, table_of(space))

    def device(network: Any) -> float:
        digits = network.name.rpartition("/")[2]
        return 1.3 * truth.latency_ms([int(digit) for digit in digits]) + 0.05

    hook = Remeasure(oracle, FunctionOracle(space, device), top=8, every=20)
    codes = search(oracle, hook, 40)
    np.testing.assert_allclose(oracle.latencies_ms(codes), 1.3 * truth.latencies_ms(codes) + 0.05, rtol=1e-4)
    assert hook.reports[0].summary.mape_pct > 20
    assert hook.reports[1].summary.mape_pct < 0.1


def test_an_interrupted_search_goes_on_with_the_same_numbers(
    space: ChainSpace, timer: Any, start: tuple[Any, Any], tmp_path: Path
) -> None:
    def run(count: int, journal: Path) -> tuple[Any, Any, int]:
        runs: list[str] = []

        def counted(network: Any) -> float:
            runs.append(network.name)
            return float(timer(network))

        oracle = EncodingOracle(space, AdditivePredictor().fit(*start))
        device = FunctionOracle(space, counted, journal=journal)
        hook = Remeasure(oracle, device, *start, top=4, every=20)
        codes = search(oracle, hook, count)
        return oracle.latencies_ms(codes), hook.reports, len(runs)

    whole, reports, runs = run(100, tmp_path / "whole.jsonl")
    run(60, tmp_path / "part.jsonl")
    again, after, rest = run(100, tmp_path / "part.jsonl")
    np.testing.assert_array_equal(again, whole)
    assert after == reports
    assert (runs, rest) == (20, 8)


def test_a_search_measures_its_best_and_goes_on(
    space: ChainSpace, timer: Any, start: tuple[Any, Any], tmp_path: Path
) -> None:
    """With a budget that follows what was learned; killed after the first batches and begun again."""

    def run(name: str, cancel_after: int | None = None) -> tuple[Any, Remeasure]:
        oracle = EncodingOracle(space, AdditivePredictor("board").fit(*start))
        device = FunctionOracle(space, timer, device="board", journal=tmp_path / f"{name}.timings")
        hook, cancel = Remeasure(oracle, device, *start, top=3, every=15), Event()
        budget = LatencyBudget(oracle, 2.0)
        problem = Problem(
            space,
            [Objective("params", params_of(space), maximise=True)],
            [Constraint(budget.name, budget, budget.most)],
        )

        def after_batch(result: Any) -> None:
            hook(result)
            if cancel_after is not None and len(result.codes) >= cancel_after:
                cancel.set()

        searcher = make_searcher(problem, "aging", population=10, sample=3)
        return nas_search(
            problem, searcher, evaluations=80, batch=5, journal=tmp_path / name, on_batch=after_batch, cancel=cancel
        ), hook

    whole, hook = run("whole")
    assert len(hook.reports) >= 4
    assert hook.reports[-1].summary.mape_pct < 5
    kept = LatencyBudget(hook.oracle, 2.0).kept(whole.codes)  # what was tried before it was known better may not
    best = whole.codes[kept][np.argmax(whole.values[kept, 0])]
    assert timer(space.decode(best)) < 2.0 * 1.05
    stopped, _ = run("part", cancel_after=40)
    assert stopped.stopped == "cancelled"
    again, after = run("part")
    np.testing.assert_array_equal(again.codes, whole.codes)
    assert after.reports == hook.reports


def test_what_fails_is_left_out(
    space: ChainSpace, timer: Any, start: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def flaky(network: Any) -> float:
        if network.name.endswith(("0", "1", "4")):
            raise OSError("the board is gone")
        return float(timer(network))

    oracle = EncodingOracle(space, AdditivePredictor().fit(*start))
    hook = Remeasure(oracle, FunctionOracle(space, flaky, device="board"), *start, top=10, every=20)
    report = hook.measure(space.sample(10, np.random.default_rng(5)))
    assert 0 < len(report.rows) < 10
    assert len(hook.device.failures) + len(report.rows) == 10
    gone = np.array([[1, 2, 3, 4], [2, 2, 2, 4]])
    with pytest.raises(MeasurementError, match="none of 2 architectures could be measured on board: OSError"):
        hook.measure(gone)
    hook = Remeasure(oracle, hook.device, *start, every=2)
    with caplog.at_level(logging.WARNING):
        hook(Found(gone, np.array([0])))
    assert "none of 2 architectures" in caplog.text
    assert not hook.reports


def test_what_makes_no_sense(space: ChainSpace, timer: Any, start: tuple[Any, Any]) -> None:
    oracle = EncodingOracle(space, AdditivePredictor().fit(*start))
    device = FunctionOracle(space, timer)
    with pytest.raises(UsageError, match="the best 0 every 200"):
        Remeasure(oracle, device, *start, top=0)
    with pytest.raises(UsageError, match="forgets what it was fitted to"):
        Remeasure(oracle, device)
    with pytest.raises(UsageError, match="1 latencies of 12"):
        Remeasure(oracle, device, start[0], [1.0])


def test_nothing_new_is_measured_twice(space: ChainSpace, timer: Any, start: tuple[Any, Any]) -> None:
    oracle = EncodingOracle(space, AdditivePredictor().fit(*start))
    hook = Remeasure(oracle, FunctionOracle(space, timer), *start, every=5)
    hook(Found(start[0], np.arange(3)))
    assert not hook.reports
    hook(Found(start[0][:4], np.arange(3)))
    assert not hook.reports
