"""`search`: ask a strategy, evaluate, tell it, until the budget is used up; and go on after an interruption.

A search follows from its problem, its strategy with parameters and seed, and what its evaluations gave. The journal
keeps these, so a search that was killed is begun anew, and gets its answers from the journal until that ends. Nothing
depends on who evaluates: a strategy is told of a whole batch at once, in the order in which it asked.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import InfeasibleError, SearchStateError, UsageError
from .evaluation import Outcome, evaluate
from .journal import Journal
from .pareto import non_dominated
from .problem import Evaluations, Problem
from .searchers import Searcher, searcher_class
from .searchers.sampling import keys, nearest
from .spaces import Codes

Stopped: TypeAlias = Literal["evaluations", "exhausted", "repeating", "cancelled"]
"""Why a search ended: the budget was used up; the strategy had nothing left to try; it asked for nothing new any more;
it was told to."""

_REPEATS: Final = 1000  # architectures asked for in a row without a new one, after which a strategy is done
_HOPELESS: Final = 32  # evaluations that all failed, after which it is no use to go on


@dataclass(frozen=True)
class SearchResult:
    """What a search found; or has found so far.

    Attributes:
        problem: what was searched for.
        codes: the architectures that were evaluated, n x d, in the order in which they were asked for, each once.
        evaluations: what became of them.
        stopped: why the search ended; None while it goes on.
    """

    problem: Problem
    codes: Codes
    evaluations: Evaluations
    stopped: Stopped | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def values(self) -> NDArray[np.float64]:
        """The objectives with their own signs, [n, m]; NaN where the evaluation failed."""
        return self.problem.values(self.evaluations.losses)

    @property
    def front(self) -> NDArray[np.int64]:
        """Which architectures no other is better than, by their first objective, the best first."""
        losses = self.evaluations.losses
        best = np.flatnonzero(non_dominated(np.where(self.evaluations.ok[:, None], losses, np.nan)))
        ordered: NDArray[np.int64] = best[np.argsort(losses[best, 0], kind="stable")]
        return ordered

    @property
    def best(self) -> int:
        """Which architecture is best by the first objective.

        Raises:
            UsageError: none was evaluated without failing.
        """
        if not self.evaluations.ok.any():
            raise _nothing(self.evaluations.failures)
        return int(np.where(self.evaluations.ok, self.evaluations.losses[:, 0], np.inf).argmin())

    @property
    def best_so_far(self) -> NDArray[np.float64]:
        """The best value of the first objective after each evaluation, [n]; NaN before the first that did not fail."""
        losses = np.where(self.evaluations.ok, self.evaluations.losses[:, 0], np.inf)
        best = np.minimum.accumulate(losses)
        sign = -1.0 if self.problem.objectives[0].maximise else 1.0
        so_far: NDArray[np.float64] = np.where(np.isinf(best), np.nan, sign * best)
        return so_far

    @property
    def failed(self) -> NDArray[np.int64]:
        """Which evaluations failed; `evaluations.failures` says why."""
        return np.flatnonzero([failure is not None for failure in self.evaluations.failures])


def make_searcher(problem: Problem, strategy: str, *, seed: int = 0, **parameters: Any) -> Searcher:
    """A strategy by name, for a problem.

    Raises:
        UnknownNameError: no such strategy; lists the known ones.
        UsageError: it has no such parameter, or takes one objective and the problem has several.
    """
    made = searcher_class(strategy)
    known = made.parameter_names()
    if unknown := sorted(set(parameters) - set(known)):
        raise UsageError(
            f"the strategy {strategy!r} has no parameter {unknown[0]!r}", hint=f"it has: {', '.join(known) or 'none'}"
        )
    return made(
        problem.space,
        objectives=len(problem.objectives),
        violation=problem.violations if problem.constraints else None,
        seed=seed,
        **parameters,
    )


def search(
    problem: Problem,
    searcher: Searcher,
    *,
    evaluations: int,
    batch: int | None = None,
    executor: Executor | None = None,
    journal: Path | None = None,
    on_batch: Callable[[SearchResult], None] | None = None,
    cancel: Event | None = None,
) -> SearchResult:
    """Search until so many architectures were evaluated, or the strategy has nothing more to try.

    Args:
        problem: what to search for.
        searcher: a new strategy, made for this problem (`make_searcher`).
        evaluations: how many different architectures to evaluate. One that is asked for again is not evaluated again,
            and does not count.
        batch: how many to ask for at once, and so how many are evaluated side by side; as the strategy likes it if
            omitted.
        executor: evaluates architectures for objectives that are not `batched`: any of `concurrent.futures`, or
            `RayExecutor`. What is found does not depend on it. Here, one after the other, if omitted.
        journal: file to keep everything in. Where it is there already, the search goes on from it.
        on_batch: called after each batch with all that was found so far.
        cancel: set it to stop after the architectures that are being evaluated.

    Raises:
        InfeasibleError: no architecture was found that keeps the constraints.
        SearchStateError: the journal is not of this search, or damaged.
        UsageError: a budget or batch below 1, a strategy of another problem, all evaluations failed.
        WorkerCrashedError: the executor cannot go on; the journal has what was finished.
    """
    size = searcher.batch if batch is None else batch
    if evaluations < 1 or size < 1:
        raise UsageError(f"{evaluations} evaluations in batches of {size}", hint="give at least 1 of each")
    if searcher.space is not problem.space or searcher.objectives != len(problem.objectives):
        raise UsageError("the strategy was made for another problem", hint="make it with make_searcher")
    require_feasible(problem, searcher.seed)
    with Journal(journal, _header(problem, searcher)) if journal is not None else nullcontext() as kept:
        run = _Run(problem, searcher, executor, kept, cancel or Event())
        stopped: Stopped | None = None
        while stopped is None:
            stopped = run.batch(size, evaluations)
            if on_batch is not None:
                on_batch(run.found.result(problem, stopped))
    result = run.found.result(problem, stopped)
    if stopped != "cancelled" and not result.evaluations.ok.any() and len(result):
        raise _nothing(result.evaluations.failures)
    return result


def require_feasible(problem: Problem, seed: int = 0) -> None:
    """Make sure that some architecture keeps the constraints.

    Raises:
        InfeasibleError: none was found; says which constraint stands in the way, and the least that it was found to
            need, with the others as near to their bounds as possible.
    """
    if not problem.constraints:
        return
    code, excess = nearest(problem.space, problem.violations, np.random.default_rng(seed))
    if excess <= 0:
        return
    needs = [(float(np.asarray(c.measure(code))[0]), c) for c in problem.constraints]
    least, constraint = max(needs, key=lambda need: (need[0] - need[1].most) / max(abs(need[1].most), 1e-12))
    raise InfeasibleError(constraint.name, constraint.most, least, space=problem.space.name)


class _Found:
    """Different architectures with their evaluations, in arrays that grow."""

    def __init__(self, decisions: int, objectives: int) -> None:
        self._codes = np.empty((64, decisions), np.int64)
        self._losses = np.empty((64, objectives))
        self.failures: list[str | None] = []
        self.ok = 0

    def __len__(self) -> int:
        return len(self.failures)

    def add(self, codes: Codes, outcomes: list[Outcome]) -> None:
        start, end = len(self), len(self) + len(codes)
        while end > len(self._codes):
            self._codes = np.concatenate([self._codes, np.empty_like(self._codes)])
            self._losses = np.concatenate([self._losses, np.empty_like(self._losses)])
        self._codes[start:end] = codes
        self._losses[start:end] = [outcome.losses for outcome in outcomes]
        self.failures += [outcome.failure for outcome in outcomes]
        self.ok += sum(outcome.failure is None for outcome in outcomes)

    def result(self, problem: Problem, stopped: Stopped | None) -> SearchResult:
        """Everything so far; no copy, for nothing of it changes any more."""
        n = len(self)
        evaluations = Evaluations(self._losses[:n], np.zeros(n), tuple(self.failures))
        return SearchResult(problem, self._codes[:n], evaluations, stopped)


class _Run:
    """One search, batch by batch."""

    def __init__(
        self, problem: Problem, searcher: Searcher, executor: Executor | None, journal: Journal | None, cancel: Event
    ) -> None:
        self._problem, self._searcher, self._executor = problem, searcher, executor
        self._journal, self._cancel = journal, cancel
        self.found = _Found(len(problem.space.decisions), len(problem.objectives))
        self._known: dict[bytes, Outcome] = {}
        self._asks = deque(journal.asked if journal is not None else ())
        self._kept: dict[bytes, Outcome] = {}
        if journal is not None and journal.codes:
            self._kept = dict(zip(keys(np.array(journal.codes, np.int64)), journal.outcomes, strict=True))
        self._repeats = 0

    def batch(self, size: int, evaluations: int) -> Stopped | None:
        """Ask, evaluate and tell once; why the search ends now, if it does."""
        if self._cancel.is_set():
            return "cancelled"
        codes = self._ask(min(size, evaluations - len(self.found)))
        if not len(codes):
            self._require_replayed()
            return "exhausted"
        before = len(self.found)
        violations = self._problem.violations(codes)
        if not self._evaluate(codes, violations):
            return "cancelled"
        self._tell(codes, violations)
        self._repeats = 0 if len(self.found) > before else self._repeats + len(codes)
        if len(self.found) >= _HOPELESS and self.found.ok == 0:
            raise _nothing(self.found.failures)
        if len(self.found) >= evaluations:
            return "evaluations"
        return "repeating" if self._repeats >= _REPEATS else None

    def _ask(self, n: int) -> Codes:
        if self._asks:
            n = self._asks.popleft()
        elif self._journal is not None:
            self._journal.ask(n)
        space = self._problem.space
        return space.canonical(space.validate(self._searcher.ask(n)))

    def _evaluate(self, codes: Codes, violations: NDArray[np.float64]) -> bool:
        """Find out what becomes of ``codes``, from the journal or anew; False where that was cancelled midway."""
        wanted: dict[bytes, int] = {}
        for i, key in enumerate(keys(codes)):
            if key not in self._known and violations[i] <= 0:
                wanted.setdefault(key, i)
        done = {i: self._kept.pop(key) for key, i in wanted.items() if key in self._kept}
        missing = [i for i in wanted.values() if i not in done]
        if missing:
            self._require_replayed()
            for j, outcome in evaluate(self._problem, codes[missing], self._executor, self._cancel):
                done[missing[j]] = outcome
                if self._journal is not None:
                    self._journal.answer(codes[missing[j]].tolist(), outcome)
        if order := [i for i in wanted.values() if i in done]:
            outcomes = [done[i] for i in order]
            self.found.add(codes[order], outcomes)
            self._known.update(zip(keys(codes[order]), outcomes, strict=True))
        return len(done) == len(wanted)

    def _tell(self, codes: Codes, violations: NDArray[np.float64]) -> None:
        broken = Outcome((math.nan,) * len(self._problem.objectives), "breaks the constraints")
        outcomes = [self._known.get(key, broken) for key in keys(codes)]
        losses = np.array([outcome.losses for outcome in outcomes])
        self._searcher.tell(codes, Evaluations(losses, violations, tuple(outcome.failure for outcome in outcomes)))

    def _require_replayed(self) -> None:
        """Make sure that nothing of the journal is left when something is evaluated that it does not have."""
        if not self._kept or self._journal is None:
            return
        then, now = (", ".join(f"{k} {v}" for k, v in v.items()) for v in (self._journal.written_by, _versions()))
        raise SearchStateError(
            f"{self._journal.path} has architectures that the strategy does not ask for: it was written by {then}; "
            f"this is {now}",
            hint="go on with those versions, or give another file",
        )


def _nothing(failures: Sequence[str | None]) -> UsageError:
    if not failures:
        return UsageError("nothing was evaluated", hint="search with a larger budget")
    return UsageError(
        f"all of {len(failures)} evaluations failed; the first {failures[0]}",
        hint="correct what measures the objectives, and begin with a new journal",
    )


def _header(problem: Problem, searcher: Searcher) -> dict[str, Any]:
    """What a search is, as JSON data."""
    return {
        "space": problem.space.name,
        "choices": [len(decision.choices) for decision in problem.space.decisions],
        "strategy": searcher.kind,
        "parameters": searcher.parameters(),
        "seed": searcher.seed,
        "objectives": [[o.name, "most" if o.maximise else "least"] for o in problem.objectives],
        "constraints": [[constraint.name, constraint.most] for constraint in problem.constraints],
        **_versions(),
    }


def _versions() -> dict[str, str]:
    try:
        own = version("lutra")
    except PackageNotFoundError:
        own = "?"
    return {"lutra": own, "numpy": np.__version__}
