"""Running a search from the command line: the problem of its settings, progress, Ctrl-C, workers, going on."""

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

import numpy as np

from . import gradient
from .settings import JOURNAL, TRAINED, Settings

if TYPE_CHECKING:
    from ...nas import Problem, SearchResult
    from ...nas.spaces import SearchSpace
    from ...nas_bridge import LatencyBudget
    from .accuracy import Accuracy
    from .devices import Latency

LATENCY: Final = "latency_ms"
TRADED: Final = (LATENCY, "macs", "params", "peak_bytes")
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
        others: what is known of other devices that have to keep a budget.
    """

    settings: Settings
    space: "SearchSpace"
    latency: "Latency"
    accuracy: "Accuracy"
    problem: "Problem"
    others: "tuple[Latency, ...]" = ()


def prepare(settings: Settings, folder: Path) -> Prepared:
    """Find all that a search needs, and make sure that its budgets can be kept.

    Args:
        settings: what the search is.
        folder: of the search, which need not be there yet.

    Raises:
        InfeasibleError: no architecture keeps a budget; says the least.
        SearchStateError: a search that goes on finds other latencies than it began with.
        LutraError: a name is not known, or something does not fit together.
    """
    from ...nas import require_feasible
    from ...networks.errors import InfeasibleError, NotCoveredError, SearchStateError
    from ..spaces import space_of
    from .accuracy import accuracy_of
    from .devices import MEASURED_HERE, how_to_profile, latency_of

    by_gradient = gradient.is_kind(settings.strategy)
    _check(settings, by_gradient)
    space = space_of(settings.space)
    if by_gradient:
        accuracy = gradient.accuracy_of_supernet(settings.data)
    else:
        accuracy = accuracy_of(
            settings.accuracy,
            space,
            settings.space,
            seed=settings.seed,
            data=settings.data,
            supernet=settings.supernet,
            memory=folder / TRAINED,
        )
    latency = latency_of(settings, space)
    others = tuple(latency_of(_of_other(settings, name), space) for name in settings.also)
    _require_distinct([known.oracle.device for known in (latency, *others)])
    budgets = _budgets(settings, latency, others)
    problem = _problem(settings, space, latency, accuracy, budgets)
    try:
        require_feasible(problem, settings.seed)
    except InfeasibleError as error:
        for budget in budgets:
            if error.what == budget.name:
                budget.require()  # which knows the least exactly where the device's latencies are sums
        raise
    except NotCoveredError as error:
        if settings.model is None and settings.device in MEASURED_HERE:
            raise NotCoveredError(error.message, error.missing, hint=how_to_profile(settings)) from None
        raise
    codes = space.sample(_PROBES, np.random.default_rng(0))
    probed = tuple(ms for known in (latency, *others) for ms in known.oracle.latencies_ms(codes).tolist())
    if settings.probe_ms and not np.allclose(settings.probe_ms, probed, rtol=1e-9, atol=0):
        raise SearchStateError(
            f"the latencies of {', '.join(known.oracle.device for known in (latency, *others))} have changed since the "
            "search began",
            hint="begin anew in another folder, or bring the device's table back as it was",
        )
    return Prepared(replace(settings, probe_ms=probed), space, latency, accuracy, problem, others)


def _require_distinct(devices: "Sequence[str]") -> None:
    from ...networks.errors import UsageError

    for device in devices:
        if devices.count(device) > 1:
            raise UsageError(f"two devices are called {device}", hint="name each device once")


def _of_other(settings: Settings, device: str) -> Settings:
    """The settings as those of another device, whose table is the one there is."""
    return replace(settings, device=device, model=None, runtime=None, threads=None, precision=None, engine=None)


def _check(settings: Settings, by_gradient: bool) -> None:
    from ...nas.searchers import searcher_class
    from ...networks.errors import UnknownNameError, UsageError

    for name in settings.trade:
        if name not in TRADED:
            raise UnknownNameError("objective", name, TRADED)
    if settings.trade and not (by_gradient or searcher_class(settings.strategy).several):
        raise UsageError(
            f"the strategy {settings.strategy!r} takes one objective", hint="leave --trade out, or use nsga2"
        )
    if LATENCY not in settings.bounds and LATENCY not in settings.trade:
        raise UsageError("nothing bounds the latency", hint="give --max-ms, or --strategy nsga2 --trade latency_ms")
    if settings.margin is not None and not 0.5 < settings.margin < 1:
        raise UsageError(
            f"a margin of {settings.margin}", hint="give a probability above 0.5 and below 1, such as 0.95"
        )


def _problem(
    settings: Settings,
    space: "SearchSpace",
    latency: "Latency",
    accuracy: "Accuracy",
    budgets: "Sequence[LatencyBudget]",
) -> "Problem":
    from ...nas import Constraint, Objective, Problem
    from ...nas_bridge import latency_on, macs_of, params_of, peak_bytes_of
    from ...networks.errors import UsageError

    quantities = {"macs": macs_of(space), "params": params_of(space), "peak_bytes": peak_bytes_of(space)}
    quantities[LATENCY] = latency_on(latency.oracle)
    if accuracy.objective.name in settings.trade:
        raise UsageError(f"{settings.accuracy} is made large and small at once", hint="leave it out of --trade")
    objectives = [accuracy.objective, *(Objective(name, quantities[name]) for name in settings.trade)]
    bounds = [Constraint(budget.name, budget, budget.most) for budget in budgets]
    bounds += [Constraint(n, quantities[n], most) for n, most in settings.bounds.items() if n != LATENCY]
    if latency.memory_share is not None:
        bounds.append(Constraint(f"share of {latency.oracle.device}'s memory", latency.memory_share, 1.0))
    return Problem(space, objectives, bounds)


def _budgets(settings: Settings, latency: "Latency", others: "Sequence[Latency]") -> "list[LatencyBudget]":
    """What the device may take, where that is bounded, and what the other ones may."""
    from ...nas_bridge import LatencyBudget

    # Half of what an interval misses lies above it.
    coverage = None if settings.margin is None else 2 * settings.margin - 1
    wanted = [(latency, settings.bounds[LATENCY])] if LATENCY in settings.bounds else []
    wanted += zip(others, settings.also.values(), strict=True)
    return [LatencyBudget(known.oracle, most_ms, coverage=coverage) for known, most_ms in wanted]


@dataclass(frozen=True)
class Run:
    """A search as far as it got.

    Attributes:
        prepared: what was searched for.
        result: what was found.
        derived: which architecture was derived from a supernet; None where the best that was tried is the answer.
    """

    prepared: Prepared
    result: "SearchResult"
    derived: int | None = None


@dataclass(frozen=True)
class Evaluators:
    """Who evaluates networks: this process, others beside it, or the machines of a fleet.

    Attributes:
        workers: processes on this machine; 1 for this one.
        fleet: address of a cluster; None for this machine alone.
        needs: what an evaluation on the fleet needs: "cpus", "gpus".
    """

    workers: int = 1
    fleet: str | None = None
    needs: Mapping[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: both a fleet and workers, or needs without a fleet.
        """
        from ...networks.errors import UsageError

        if self.fleet is not None and self.workers > 1:
            raise UsageError("--fleet and --workers", hint="leave --workers out: the fleet's machines have their own")
        if self.fleet is None and self.needs:
            raise UsageError("--needs without --fleet", hint="name the cluster: --fleet HOST:PORT")


def run(prepared: Prepared, folder: Path, evaluators: Evaluators = Evaluators()) -> Run:
    """Search with a progress bar; Ctrl-C ends it after what is being evaluated, and the folder keeps it.

    Args:
        prepared: what is searched for.
        folder: of the search.
        evaluators: who evaluates, where no supernet is trained.

    Raises:
        FleetError: the cluster cannot be reached, or its machines are not fit for it.
        SearchStateError: the folder's journal is of another search, or damaged.
        LutraError: as `lutra.nas.search` raises.
    """
    from ..campaigns import cancel_on_interrupt
    from ..render import search_progress

    settings = prepared.settings
    if gradient.is_kind(settings.strategy):
        return gradient.run(prepared, folder)
    if evaluators.fleet is not None:
        _require_single(prepared)
    with (
        _executor(evaluators) as executor,
        cancel_on_interrupt("evaluated") as cancel,
        search_progress(settings.evaluations, prepared.accuracy.label) as show,
    ):
        return search_in(prepared, folder, executor, show, cancel)


def search_in(
    prepared: Prepared,
    folder: Path,
    executor: Executor | None,
    on_batch: "Callable[[SearchResult], None]",
    cancel: Event,
) -> Run:
    """Search with a journal in a folder, from which it goes on where it was interrupted.

    Args:
        prepared: what is searched for, by a strategy that trains no supernet.
        folder: of the journal.
        executor: evaluates; None for this process.
        on_batch: told after each batch.
        cancel: set it to stop after what is being evaluated.

    Raises:
        SearchStateError: the folder's journal is of another search, or damaged.
        LutraError: as `lutra.nas.search` raises.
    """
    from ...nas import make_searcher, search

    settings = prepared.settings
    searcher = make_searcher(prepared.problem, settings.strategy, seed=settings.seed, **settings.parameters)
    result = search(
        prepared.problem,
        searcher,
        evaluations=settings.evaluations,
        batch=settings.batch,
        executor=executor,
        journal=folder / JOURNAL,
        on_batch=on_batch,
        cancel=cancel,
    )
    return Run(prepared, result)


def tell_how_to_go_on(folder: Path) -> None:
    """The command that goes on, on standard error."""
    import shlex

    sys.stderr.write(f"interrupted; go on with: {shlex.join(['lutra', 'search', '--resume', str(folder)])}\n")


def _require_single(prepared: Prepared) -> None:
    """Make sure that there is something for a fleet to do."""
    from ...networks.errors import UsageError

    if all(objective.batched for objective in prepared.problem.objectives):
        raise UsageError(
            f"{prepared.accuracy.label} is known here for all networks at once: a fleet has nothing to evaluate",
            hint="leave --fleet out, or give --accuracy file.py:function with a function of one network",
        )


@contextmanager
def _executor(evaluators: Evaluators) -> "Iterator[Executor | None]":
    """What evaluates, where it is not this process."""
    if evaluators.fleet is not None:
        from ..fleet import Fleet
        from ..fleet.quiet import ray_in_the_log

        with ray_in_the_log(), Fleet(evaluators.fleet) as fleet, fleet.executor(evaluators.needs) as executor:
            yield executor
        return
    if evaluators.workers == 1:
        yield None
        return
    # Spawned ones begin clean; they leave Ctrl-C to this process, which decides what is still finished.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(evaluators.workers, mp_context=context, initializer=_leave_interrupts) as executor:
        yield executor


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
