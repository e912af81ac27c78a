"""Running a search from the command line: the problem of its settings, progress, Ctrl-C, workers, going on."""

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .settings import JOURNAL, Settings

if TYPE_CHECKING:
    from ...nas import Problem, SearchResult
    from ...nas.problem import Measure
    from ...nas.spaces import Codes, SearchSpace
    from ...nas_bridge import LatencyOracle
    from ...networks.errors import InfeasibleError
    from .accuracy import Accuracy
    from .devices import Latency

LATENCY: Final = "latency_ms"
TRADED: Final = (LATENCY, "macs", "params")
"""What can be made small beside what is made large."""
_PROBES: Final = 8


@dataclass(frozen=True)
class Prepared:
    """A search that could begin.

    Attributes:
        settings: what it is.
        space: that is searched.
        latency: what is known of the device.
        accuracy: what is made large.
        problem: all of it together.
    """

    settings: Settings
    space: "SearchSpace"
    latency: "Latency"
    accuracy: "Accuracy"
    problem: "Problem"


def prepare(settings: Settings) -> Prepared:
    """Find all that a search needs, and make sure that its budgets can be kept.

    Raises:
        InfeasibleError: no architecture keeps a budget; says the least.
        SearchStateError: a search that goes on finds other latencies than it began with.
        LutraError: a name is not known, or something does not fit together.
    """
    from ...nas import require_feasible
    from ...networks.errors import InfeasibleError, SearchStateError
    from ..spaces import space_of
    from .accuracy import accuracy_of
    from .devices import latency_of

    _check(settings)
    space = space_of(settings.space)
    accuracy = accuracy_of(settings.accuracy, space, settings.space, settings.seed)
    latency = latency_of(settings, space)
    problem = _problem(settings, space, latency, accuracy)
    try:
        require_feasible(problem, settings.seed)
    except InfeasibleError as error:
        raise _with_exact_least(error, settings, latency) from None
    probed = tuple(latency.oracle.latencies_ms(space.sample(_PROBES, np.random.default_rng(0))).tolist())
    if settings.probe_ms and not np.allclose(settings.probe_ms, probed, rtol=1e-9, atol=0):
        raise SearchStateError(
            f"the latencies of {latency.oracle.device} have changed since the search began",
            hint="begin anew in another folder, or bring the device's table back as it was",
        )
    return Prepared(replace(settings, probe_ms=probed), space, latency, accuracy, problem)


def _check(settings: Settings) -> None:
    from ...nas.searchers import searcher_class
    from ...networks.errors import UnknownNameError, UsageError

    strategy = searcher_class(settings.strategy)
    for name in settings.trade:
        if name not in TRADED:
            raise UnknownNameError("objective", name, TRADED)
    if settings.trade and not strategy.several:
        raise UsageError(
            f"the strategy {settings.strategy!r} takes one objective", hint="leave --trade out, or use nsga2"
        )
    if LATENCY not in settings.bounds and LATENCY not in settings.trade:
        raise UsageError("nothing bounds the latency", hint="give --max-ms, or --strategy nsga2 --trade latency_ms")
    if settings.margin is not None and not 0.5 < settings.margin < 1:
        raise UsageError(
            f"a margin of {settings.margin}", hint="give a probability above 0.5 and below 1, such as 0.95"
        )


def _problem(settings: Settings, space: "SearchSpace", latency: "Latency", accuracy: "Accuracy") -> "Problem":
    from ...nas import Constraint, Objective, Problem
    from ...networks.errors import UsageError

    measures: dict[str, Measure] = {
        LATENCY: latency.oracle.latencies_ms,
        "macs": lambda codes: space.costs(codes).macs,
        "params": lambda codes: space.costs(codes).params,
    }
    if accuracy.objective.name in settings.trade:
        raise UsageError(f"{settings.accuracy} is made large and small at once", hint="leave it out of --trade")
    objectives = [accuracy.objective, *(Objective(name, measures[name]) for name in settings.trade)]
    if settings.margin is not None:
        measures[LATENCY] = partial(_upper_ms, latency.oracle, settings.margin)
    bounds = [Constraint(name, measures[name], most) for name, most in settings.bounds.items()]
    if latency.memory_share is not None:
        bounds.append(Constraint(f"share of {latency.oracle.device}'s memory", latency.memory_share, 1.0))
    return Problem(space, objectives, bounds)


def _upper_ms(oracle: "LatencyOracle", margin: float, codes: "Codes") -> NDArray[np.float64]:
    """What the latencies stay below with a probability of ``margin``, [n]."""
    upper: NDArray[np.float64] = oracle.intervals_ms(codes, 2 * margin - 1)[:, 1]
    return upper


def _with_exact_least(error: "InfeasibleError", settings: Settings, latency: "Latency") -> "InfeasibleError":
    """The error with the least latency of the space, where that is known better than by looking for it."""
    from ...networks.errors import InfeasibleError

    if error.what != LATENCY or settings.margin is not None:
        return error
    least = min(error.least, latency.oracle.cheapest().latency_ms)
    return InfeasibleError(LATENCY, error.budget, least, space=latency.oracle.space.name)


@dataclass(frozen=True)
class Run:
    """A search as far as it got.

    Attributes:
        prepared: what was searched for.
        result: what was found.
        seconds: how long this session took.
    """

    prepared: Prepared
    result: "SearchResult"
    seconds: float


def run(prepared: Prepared, folder: Path, *, workers: int = 1) -> Run:
    """Search with a progress bar; Ctrl-C ends it after what is being evaluated, and the folder keeps it.

    Raises:
        SearchStateError: the folder's journal is of another search, or damaged.
        LutraError: as `lutra.nas.search` raises.
    """
    from ...nas import make_searcher, search
    from ..campaigns import cancel_on_interrupt
    from ..render import search_progress

    settings, began_s = prepared.settings, time.monotonic()
    searcher = make_searcher(prepared.problem, settings.strategy, seed=settings.seed, **settings.parameters)
    try:
        with (
            _executor(workers) as executor,
            cancel_on_interrupt("evaluated") as cancel,
            search_progress(settings.evaluations, prepared.accuracy.label) as show,
        ):
            result = search(
                prepared.problem,
                searcher,
                evaluations=settings.evaluations,
                batch=settings.batch,
                executor=executor,
                journal=folder / JOURNAL,
                on_batch=show,
                cancel=cancel,
            )
    except KeyboardInterrupt:
        tell_how_to_go_on(folder)
        raise
    return Run(prepared, result, time.monotonic() - began_s)


def tell_how_to_go_on(folder: Path) -> None:
    """The command that goes on, on standard error."""
    import shlex

    sys.stderr.write(f"interrupted; go on with: {shlex.join(['lutra', 'search', '--resume', str(folder)])}\n")


@contextmanager
def _executor(workers: int) -> "Iterator[Executor | None]":
    """Processes that evaluate; none where one is enough."""
    if workers == 1:
        yield None
        return
    # Spawned ones begin clean; they leave Ctrl-C to this process, which decides what is still finished.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts) as executor:
        yield executor


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
