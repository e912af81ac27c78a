"""What becomes of architectures: their objectives, measured here or by workers, with a reason for each that failed."""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError, WorkerCrashedError
from .problem import Measure, Objective, Problem
from .spaces import Codes

Answer: TypeAlias = float | str
"""A number, or why there is none."""

Answers: TypeAlias = dict[str, Answer]
"""By the name of the objective."""


@dataclass(frozen=True)
class Outcome:
    """What became of one architecture.

    Attributes:
        losses: one for each objective, each to be made small; NaN where it failed.
        failure: why, or None.
    """

    losses: tuple[float, ...]
    failure: str | None = None


def evaluate(
    problem: Problem, codes: Codes, executor: Executor | None = None, cancel: Event | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Measure the objectives of n architectures; yields the index and the outcome of each, as they come.

    Objectives that are `batched` are measured first, here and all at once; the others one architecture after the
    other, by the workers of ``executor`` if there is one. What failed in the former is spared the latter.

    Args:
        problem: its objectives are measured.
        codes: n x d.
        executor: its workers take the objectives and a code each, so they must be able to receive these.
        cancel: once it is set, no further measurement of a single architecture is begun; those are left out.

    Raises:
        UsageError: an objective gives not one number for each architecture.
        WorkerCrashedError: the executor's workers died, so that it cannot go on.
    """
    together = {o.name: _measured_together(o, codes) for o in problem.objectives if o.batched}
    alone = [objective for objective in problem.objectives if not objective.batched]
    known = [{name: answers[i] for name, answers in together.items()} for i in range(len(codes))]
    waiting = []
    for i, answers in enumerate(known):
        if alone and not any(isinstance(answer, str) for answer in answers.values()):
            waiting.append(i)
        else:
            yield i, _outcome(problem, answers)
    work = _measured_here(alone, codes, waiting, cancel or Event())
    if executor is not None:
        work = _measured_by(executor, alone, codes, waiting, cancel or Event())
    for i, answers in work:
        yield i, _outcome(problem, known[i] | answers)


def _outcome(problem: Problem, answers: Answers) -> Outcome:
    failures = [f"{name} {answer}" for name, answer in answers.items() if isinstance(answer, str)]
    if failures:
        return Outcome((math.nan,) * len(problem.objectives), "; ".join(failures))
    signed = ((-1.0 if o.maximise else 1.0) * float(answers[o.name]) for o in problem.objectives)
    return Outcome(tuple(signed))


def _measured_together(objective: Objective, codes: Codes) -> list[Answer]:
    """Answers of a batched objective; where all at once failed, one after the other, so that each has its reason."""
    try:
        given = objective.measure(codes.copy())  # so that a measure may use them up
    except Exception as error:
        if len(codes) == 1:
            return [_raised(error)]
        return [answer for code in codes for answer in _measured_together(objective, code[None])]
    values = _numbers(objective, given, len(codes))
    return [_answer(value) for value in values.tolist()]


def _numbers(objective: Objective, given: Any, n: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(given, np.float64)
        shape = str(list(values.shape))
    except (TypeError, ValueError):
        values, shape = np.empty(0), f"a {type(given).__name__}"
    if values.shape != (n,):
        raise UsageError(
            f"objective {objective.name!r} gave {shape} for {n} architectures",
            hint=f"let its measure give {n} numbers, [{n}], or say batched=False",
        )
    return values


def _measured_here(
    objectives: Sequence[Objective], codes: Codes, which: Sequence[int], cancel: Event
) -> Iterator[tuple[int, Answers]]:
    for i in which:
        if cancel.is_set():
            return
        yield i, measured([(o.name, o.measure) for o in objectives], codes[i])


def _measured_by(
    executor: Executor, objectives: Sequence[Objective], codes: Codes, which: Sequence[int], cancel: Event
) -> Iterator[tuple[int, Answers]]:
    measures = [(o.name, o.measure) for o in objectives]
    futures: dict[Future[Answers], int] = {}
    try:
        for i in which:
            futures[executor.submit(measured, measures, codes[i])] = i
        for future in as_completed(futures):
            if not future.cancelled():
                yield futures[future], _result(future, measures)
            if cancel.is_set():
                _cancel(futures)
    except BrokenExecutor as error:
        raise WorkerCrashedError(
            f"a worker died while architectures were evaluated: {error}",
            hint="look at its memory; then start the search again with the same journal, which has what was finished",
        ) from error
    finally:
        _cancel(futures)


def _cancel(futures: Iterable[Future[Answers]]) -> None:
    for future in futures:
        future.cancel()


def _result(future: Future[Answers], measures: Sequence[tuple[str, Measure]]) -> Answers:
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:  # the call never ran, or its worker alone died
        return {measures[0][0]: _raised(error)}


def measured(measures: Sequence[tuple[str, Measure]], code: NDArray[np.int64]) -> Answers:
    """Answers of objectives for one architecture, by name, up to the first that fails; runs in a worker."""
    answers: Answers = {}
    for name, measure in measures:
        try:
            value = measure(code.copy())
            answers[name] = _answer(float(value))
        except Exception as error:
            answers[name] = _raised(error)
        if isinstance(answers[name], str):
            break
    return answers


def _answer(value: float) -> Answer:
    return value if math.isfinite(value) else f"gave {value}"


def _raised(error: Exception) -> str:
    text = str(error).strip()
    return f"raised {type(error).__name__}" + (f": {text}" if text else "")
