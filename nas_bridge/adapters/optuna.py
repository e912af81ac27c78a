"""A search's problem for Optuna's samplers (optuna.org; Akiba et al., KDD 2019).

::

    study = optuna.create_study(directions=directions_of(problem), sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective_of(problem), n_trials=100)
    code = code_of(study.best_trial, problem.space)

or, a batch at a time::

    asking = AskTell(problem, study)
    codes = asking.ask(8)
    asking.tell(values)

Constraints become those of the trials, which the samplers that know constraints take into account.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...networks.errors import MissingDependencyError, UsageError
from ..space import CodedSpace
from ._problem import SearchProblem, excesses_of, losses_of

try:
    from optuna.study import Study
    from optuna.trial import BaseTrial, Trial, TrialState
except ImportError:
    raise MissingDependencyError("optuna", "search-extras", "the adapter for Optuna") from None


def suggested(trial: BaseTrial, space: CodedSpace) -> NDArray[np.int64]:
    """The architecture that a trial suggests, [P]: one categorical parameter a decision, by its choices' names."""
    code = [
        decision.choices.index(str(trial.suggest_categorical(name, decision.choices)))
        for name, decision in zip(_names(space), space.decisions, strict=True)
    ]
    return _repaired(space, code)


def code_of(trial: BaseTrial, space: CodedSpace) -> NDArray[np.int64]:
    """The architecture of a trial that was made before, [P].

    Raises:
        UsageError: the trial's parameters are not those of the space.
    """
    try:
        code = [
            decision.choices.index(str(trial.params[name]))
            for name, decision in zip(_names(space), space.decisions, strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"trial {trial.number} is of another space than {space.name!r}: {error}", hint="use a study of its own"
        ) from None
    return _repaired(space, code)


def directions_of(problem: SearchProblem) -> list[str]:
    """Which way each objective goes, as `optuna.create_study` takes it."""
    return ["maximize" if objective.maximise else "minimize" for objective in problem.objectives]


def objective_of(problem: SearchProblem) -> Callable[[Trial], tuple[float, ...]]:
    """What `Study.optimize` calls with each trial: sets its constraints, gives the objectives with their own signs.

    What an objective raises is raised; one that gives NaN makes Optuna record the trial as failed.
    """
    signs = np.array([-1.0 if objective.maximise else 1.0 for objective in problem.objectives])

    def evaluate(trial: Trial) -> tuple[float, ...]:
        code = suggested(trial, problem.space)[None]
        _constrain(problem, [trial], code)
        return tuple((losses_of(problem, code)[0] * signs).tolist())

    return evaluate


class AskTell:
    """A study that is asked for architectures, and told what became of them, a batch at a time.

    Args:
        problem: what is searched for.
        study: with the directions of its objectives (`directions_of`).

    Raises:
        UsageError: other directions.
    """

    def __init__(self, problem: SearchProblem, study: Study) -> None:
        directions = [direction.name.lower() for direction in study.directions]
        if directions != directions_of(problem):
            raise UsageError(
                f"the study's directions are {directions}", hint="make it with directions=directions_of(problem)"
            )
        self._problem, self._study = problem, study
        self._open: list[Trial] = []

    def ask(self, n: int) -> NDArray[np.int64]:
        """``n`` architectures, [n, P], of which `tell` must be told before the next are asked for.

        Raises:
            UsageError: what became of the last ones is not known yet.
        """
        if self._open:
            raise UsageError(f"{len(self._open)} trials have no values yet", hint="tell them before asking again")
        trials = [self._study.ask() for _ in range(n)]
        codes = np.stack([suggested(trial, self._problem.space) for trial in trials])
        _constrain(self._problem, trials, codes)
        self._open = trials
        return codes

    def tell(self, values: ArrayLike) -> None:
        """The objectives of what was asked for last, [n, m], with their own signs; a NaN fails its trial.

        Raises:
            UsageError: not one row for each.
        """
        rows = np.asarray(values, np.float64)
        if rows.shape != (len(self._open), len(self._study.directions)):
            raise UsageError(
                f"values of shape {rows.shape} for {len(self._open)} trials of {len(self._study.directions)} "
                "objectives",
                hint="give one row for each architecture of the last ask",
            )
        trials, self._open = self._open, []
        for trial, row in zip(trials, rows, strict=True):
            if np.isnan(row).any():
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, row.tolist())


def _constrain(problem: SearchProblem, trials: Sequence[Trial], codes: NDArray[np.int64]) -> None:
    """Say of each trial by how much its architecture misses the bounds."""
    for trial, row in zip(trials, excesses_of(problem, codes).tolist(), strict=True):
        for constraint, excess in zip(problem.constraints, row, strict=True):
            trial.set_constraint(constraint.name, excess)


def _names(space: CodedSpace) -> list[str]:
    """A name for each decision; decisions themselves may share one."""
    return [f"{number} {decision.name}" for number, decision in enumerate(space.decisions)]


def _repaired(space: CodedSpace, code: Sequence[int]) -> NDArray[np.int64]:
    one: NDArray[np.int64] = space.repair(np.array([code], np.int64))[0]
    return one
