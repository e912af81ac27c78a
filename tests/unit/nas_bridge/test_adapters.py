"""Adapters on the real libraries: the same problem, searched by their algorithms."""

import importlib
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("optuna")
pytest.importorskip("pymoo")

import optuna
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize

from lutra.nas.problem import Constraint, Objective, Problem
from lutra.nas.spaces import Codes, Decision, SearchSpace
from lutra.nas_bridge.adapters import optuna as for_optuna
from lutra.nas_bridge.adapters import pymoo as for_pymoo
from lutra.networks.errors import MissingDependencyError, UsageError

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Toy(SearchSpace):
    """Five decisions of three or four choices; the last is used from the second choice of the first on."""

    def __init__(self) -> None:
        names = ("a", "b", "c", "d")
        decisions = [Decision("kind", names[: 3 + (number % 2)]) for number in range(4)]
        super().__init__("toy", [*decisions, Decision("kind", names, when=(0, 1))])

    def _network(self, code: Codes) -> Any:
        raise NotImplementedError


def gain(codes: Codes) -> Any:
    return codes.sum(axis=1)


def cost(codes: Codes) -> Any:
    return 1.0 + (codes**2).sum(axis=1)


def cost_of_one(code: Codes) -> float:
    return float(cost(code[None])[0])


@pytest.fixture
def problem() -> Problem:
    return Problem(
        Toy(),
        [
            Objective("gain", gain, maximise=True),
            Objective("cost", lambda code: float(cost(code[None])[0]), batched=False),
        ],
        [Constraint("cost", cost, 14.0)],
    )


def front(problem: Problem) -> list[tuple[float, float]]:
    """The true one, of all 576 codes."""
    every = np.indices([len(d.choices) for d in problem.space.decisions]).reshape(5, -1).T
    every = np.unique(problem.space.repair(every), axis=0)
    points = {(float(g), float(c)) for g, c in zip(gain(every), cost(every), strict=True) if c <= 14}
    return sorted(p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points))


# -- pymoo --------------------------------------------------------------------------------------------------


def test_pymoo_finds_the_front(problem: Problem) -> None:
    asked: list[Codes] = []
    spied = Objective("gain", lambda codes: (asked.append(codes), gain(codes))[1], maximise=True)
    searched = Problem(problem.space, [spied, problem.objectives[1]], problem.constraints)
    algorithm = NSGA2(pop_size=20, **for_pymoo.operators(searched.space))
    found = minimize(for_pymoo.PymooProblem(searched), algorithm, ("n_eval", 400), seed=0)
    codes = searched.space.repair(found.X)
    assert (codes == found.X).all()
    assert sorted(set(zip(gain(codes).tolist(), cost(codes).tolist(), strict=True))) == front(problem)
    np.testing.assert_array_equal(found.F, np.stack([-gain(codes), cost(codes)], axis=1))
    tried = np.concatenate(asked)
    assert (problem.space.canonical(tried) == tried).all()
    assert len(tried) >= 400


def test_pymoo_follows_its_seed(problem: Problem) -> None:
    def once(seed: int) -> Any:
        algorithm = NSGA2(pop_size=10, **for_pymoo.operators(problem.space))
        return minimize(for_pymoo.PymooProblem(problem), algorithm, ("n_eval", 40), seed=seed).pop.get("X")

    np.testing.assert_array_equal(once(1), once(1))
    assert (once(1) != once(2)).any()


def test_pymoo_takes_a_failure_for_the_worst() -> None:
    space = Toy()
    holes = Objective("cost", lambda codes: np.where(codes[:, 1] == 0, np.nan, cost(codes)))
    adapted = for_pymoo.PymooProblem(Problem(space, [holes]))
    assert adapted.n_ieq_constr == 0
    losses = adapted.evaluate(np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 3]]))
    assert losses.tolist() == [[1e30], [2.0]]  # the last decision is not used there
    found = minimize(adapted, NSGA2(pop_size=10, **for_pymoo.operators(space)), ("n_eval", 100), seed=0)
    assert np.atleast_2d(found.X)[:, 1].tolist() == [1]


def test_an_objective_of_another_size_is_told() -> None:
    adapted = for_pymoo.PymooProblem(Problem(Toy(), [Objective("gain", lambda codes: codes)]))
    with pytest.raises(UsageError, match=r"gain of 1 architectures came as \(1, 5\) numbers"):
        adapted.evaluate(np.zeros((1, 5), int))


# -- Optuna -------------------------------------------------------------------------------------------------


def test_optuna_searches_and_keeps_the_constraints(problem: Problem) -> None:
    sampler = optuna.samplers.NSGAIISampler(population_size=10, seed=0)
    study = optuna.create_study(directions=for_optuna.directions_of(problem), sampler=sampler)
    study.optimize(for_optuna.objective_of(problem), n_trials=150)
    codes = np.stack([for_optuna.code_of(trial, problem.space) for trial in study.best_trials])
    assert (problem.space.canonical(codes) == codes).all()
    assert (cost(codes) <= 14).all()
    values = [tuple(trial.values) for trial in study.best_trials]
    assert values == list(zip(gain(codes).tolist(), cost(codes).tolist(), strict=True))
    assert len(set(values) & set(front(problem))) >= 3


def test_optuna_is_asked_and_told() -> None:
    problem = Problem(Toy(), [Objective("gain", gain, maximise=True)], [Constraint("cost", cost, 14.0)])
    study = optuna.create_study(directions=["maximize"], sampler=optuna.samplers.TPESampler(seed=0))
    asking = for_optuna.AskTell(problem, study)
    for _ in range(15):
        codes = asking.ask(8)
        assert (problem.space.canonical(problem.space.validate(codes)) == codes).all()
        with pytest.raises(UsageError, match="no values yet"):
            asking.ask(1)
        values = gain(codes).astype(float)[:, None]
        values[0] = np.nan
        with pytest.raises(UsageError, match=r"shape \(7, 1\) for 8 trials"):
            asking.tell(values[1:])
        asking.tell(values)
    assert len(study.trials) == 120
    assert sum(trial.state == optuna.trial.TrialState.FAIL for trial in study.trials) == 15
    kept = [trial for trial in study.trials if trial.constraints["cost"] <= 0]
    assert 20 < len(kept) < 120
    best = for_optuna.code_of(study.best_trial, problem.space)
    assert gain(best[None])[0] == study.best_value >= 6


def test_a_study_of_other_directions_is_refused(problem: Problem) -> None:
    with pytest.raises(UsageError, match=r"directions are \['minimize'\]"):
        for_optuna.AskTell(problem, optuna.create_study())


def test_a_trial_of_another_space_is_refused(problem: Problem) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    with pytest.raises(UsageError, match="trial 0 is of another space than 'toy'"):
        for_optuna.code_of(trial, problem.space)


# -- without them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["optuna", "pymoo"])
def test_a_library_that_is_missing_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lutra.nas_bridge.adapters.{library}"
    for module in [m for m in sys.modules if m == library or m.startswith(f"{library}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=rf"needs {library}\n  fix: pip install 'lutra\[search-extras\]'"):
        importlib.import_module(name)
