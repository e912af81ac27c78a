"""The loop of a search: budgets, failures, executors, progress, and going on after an interruption."""

import math
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from lutra.nas import Constraint, Objective, Problem, RayExecutor, make_searcher, search
from lutra.nas.testing import ToySpace, toy_cost, toy_gain
from lutra.networks.errors import InfeasibleError, UnknownNameError, UsageError, WorkerCrashedError

SPACE = ToySpace(8, 5)


def gain_of_one(code):
    return toy_gain(code[None])[0]


def moody(code):
    """An objective with every kind of trouble."""
    if code[1] == 1:
        raise MemoryError("out of memory:\nbuy more")
    return {2: math.nan, 3: math.inf, 4: "much"}.get(int(code[1]), gain_of_one(code))


def hard_exit(code):
    import os

    os._exit(3 if code[0] >= 0 else 0)


def problem(measure=gain_of_one, *, most=None, space=SPACE, batched=False):
    bounds = [] if most is None else [Constraint("cost", toy_cost, most)]
    return Problem(space, [Objective("gain", measure, maximise=True, batched=batched)], bounds)


def run(given, *, strategy="random", seed=0, evaluations=40, **options):
    return search(given, make_searcher(given, strategy, seed=seed), evaluations=evaluations, **options)


def test_what_was_found():
    found = run(problem(most=12))
    assert (len(found), found.stopped) == (40, "evaluations")
    assert (toy_cost(found.codes) <= 12).all()
    assert found.values[:, 0] == pytest.approx(toy_gain(found.codes))
    assert found.values[found.best, 0] == found.values.max() == found.best_so_far[-1]
    assert (np.diff(found.best_so_far) >= 0).all()
    assert found.front.tolist() == [found.best]
    assert found.failed.size == 0
    assert found.evaluations.ok.all()


def test_the_front_is_of_all_objectives():
    both = Problem(SPACE, [Objective("gain", toy_gain, maximise=True), Objective("cost", toy_cost)])
    found = run(both, evaluations=200)
    front = found.values[found.front]
    assert len(front) > 3
    assert (np.diff(front[:, 0]) < 0).all()
    assert (np.diff(front[:, 1]) < 0).all()


def test_failures_are_kept_with_their_reasons():
    found = run(problem(moody), evaluations=60)
    by_choice = dict(zip(found.codes[:, 1].tolist(), found.evaluations.failures, strict=True))
    assert by_choice == {
        0: None,
        1: "gain raised MemoryError: out of memory:\nbuy more",
        2: "gain gave nan",
        3: "gain gave inf",
        4: "gain raised ValueError: could not convert string to float: 'much'",
    }
    assert len(found) == 60
    assert found.failed.tolist() == np.flatnonzero(found.codes[:, 1] != 0).tolist()
    assert found.codes[found.best, 1] == 0
    assert np.isnan(found.evaluations.losses[found.failed]).all()


def test_a_batch_that_raises_is_measured_one_by_one():
    def whole(codes):
        return [float(moody(code)) for code in codes]

    one, all_ = run(problem(moody), evaluations=60), run(problem(whole, batched=True), evaluations=60)
    assert all_.codes.tolist() == one.codes.tolist()
    assert all_.evaluations.failures == one.evaluations.failures


def test_what_failed_cheaply_is_not_measured_at_a_price():
    measured = []

    def dear(code):
        measured.append(code)
        return 1.0

    cheap = Objective("cheap", lambda codes: np.where(codes[:, 1] == 1, np.nan, 1.0))
    given = Problem(SPACE, [cheap, Objective("dear", dear, batched=False)])
    found = run(given, evaluations=60)
    assert 0 < len(found.failed) == 60 - len(measured)
    assert {found.evaluations.failures[i] for i in found.failed} == {"cheap gave nan"}


@pytest.mark.parametrize("evaluations", [3, 500])
def test_if_all_fail_it_is_said(evaluations):
    calls = []

    def broken(code):
        calls.append(code)
        raise KeyError("accuracy")

    with pytest.raises(UsageError, match=r"all of \d+ evaluations failed; the first gain raised KeyError: 'accuracy'"):
        run(problem(broken), evaluations=evaluations, batch=8)
    assert len(calls) == min(evaluations, 32)


@pytest.mark.parametrize("given", [1.0, None, ["x"], np.ones((64, 1)), np.ones(63)])
def test_an_objective_of_another_form_is_no_failed_evaluation(given):
    with pytest.raises(UsageError, match=r"objective 'gain' gave .* for 64 architectures"):
        run(problem(lambda _: given, batched=True), evaluations=64)


def test_executors_find_the_same():
    alone = run(problem(moody), evaluations=48, batch=8)
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2) as processes:
        for executor in (threads, processes):
            found = run(problem(moody), evaluations=48, batch=8, executor=executor)
            assert found.codes.tolist() == alone.codes.tolist()
            assert found.evaluations.failures == alone.evaluations.failures
            np.testing.assert_array_equal(found.evaluations.losses, alone.evaluations.losses)


@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_finds_the_same():
    pytest.importorskip("ray")
    alone = run(problem(moody), evaluations=16, batch=8)
    with RayExecutor(resources={"num_cpus": 1}) as fleet:
        found = run(problem(moody), evaluations=16, batch=8, executor=fleet)
    assert found.codes.tolist() == alone.codes.tolist()
    assert found.evaluations.failures == alone.evaluations.failures
    np.testing.assert_array_equal(found.evaluations.losses, alone.evaluations.losses)


def test_workers_that_die_are_an_error_and_lose_nothing(tmp_path):
    with ProcessPoolExecutor(1) as executor, pytest.raises(WorkerCrashedError, match="a worker died"):
        run(problem(hard_exit), executor=executor, journal=tmp_path / "journal")
    assert len(run(problem(), journal=tmp_path / "journal")) == 40


def test_it_tells_how_far_it_is():
    seen = []
    whole = run(problem(), evaluations=20, batch=8, on_batch=lambda found: seen.append((len(found), found.stopped)))
    assert seen == [(8, None), (16, None), (20, "evaluations")]
    assert len(whole) == 20


@pytest.mark.parametrize("threads", [0, 2])
def test_it_stops_when_told_to(threads):
    cancel, measured = Event(), []

    def cancelling(code):
        measured.append(code)
        if len(measured) == 10:
            cancel.set()
        time.sleep(0.01)
        return 1.0

    executor = ThreadPoolExecutor(threads) if threads else None
    found = run(problem(cancelling), evaluations=100, batch=64, cancel=cancel, executor=executor)
    assert found.stopped == "cancelled"
    assert 10 <= len(found) <= 10 + 2 * threads
    assert len(measured) == len(found)


def test_a_strategy_that_repeats_itself_ends():
    given = problem()
    searcher = make_searcher(given, "random")
    codes = searcher.ask(2)
    searcher.ask = lambda n: codes[:n]
    found = search(given, searcher, evaluations=100)
    assert (len(found), found.stopped) == (2, "repeating")


def test_a_strategy_that_breaks_the_constraints_is_told_so():
    given, told = problem(most=4), []
    searcher = make_searcher(given, "random")
    asked = SPACE.sample(32, np.random.default_rng(0))
    asked = asked[toy_cost(asked) > 4]
    searcher.ask = lambda n: asked[:n]
    searcher.tell = lambda _, evaluations: told.append(evaluations)
    found = search(given, searcher, evaluations=100)
    with pytest.raises(UsageError, match="nothing was evaluated"):
        found.best  # noqa: B018
    assert set(told[0].failures) == {"breaks the constraints"}
    assert (told[0].violations > 0).all()


def test_bad_use():
    given = problem()
    with pytest.raises(UnknownNameError, match="unknown strategy 'gird'"):
        make_searcher(given, "gird")
    for numbers in ({"evaluations": 0}, {"batch": 0}):
        with pytest.raises(UsageError, match="give at least 1 of each"):
            run(given, **numbers)
    with pytest.raises(UsageError, match="made for another problem"):
        search(problem(space=ToySpace(2, 2)), make_searcher(given, "random"), evaluations=1)
    with pytest.raises(InfeasibleError, match=r"cost <= -3: the least is 1"):
        run(problem(most=-3))
