"""Campaigns on simulated devices: rows from a model of the hardware, computed side by side, each the same every time.

A simulator knows no noise, needs no clock and no worker process. Kernels are simulated in threads, because simulators
are native code that lets others run meanwhile; rows are committed as they come.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..luts import Fingerprint, Measurement, Table
from ..luts.compose import RUN_CONSTANT
from ..luts.host import logical_cores
from ..networks.errors import LutraError, MeasurementError
from ..networks.lowering import Kernel

if TYPE_CHECKING:
    from ..luts import Store
    from .budget import Budget
    from .devices import Device
    from .events import CampaignEvent
    from .outcome import CampaignResult
    from .plan import Plan
    from .progress import Announcer, Progress
    from .recording import Recorder

SIMULATED_FLAG: Final = "simulated"
"""Flag of every row that was computed and not timed."""

_AHEAD: Final = 2  # kernels that wait for each thread
_GROUP: Final = 48  # kernels between two choices of what to simulate next


@dataclass(frozen=True)
class SimulatedKernel:
    """What a simulator says of one kernel: ``runs`` of it take ``total_ns``, so that the number is exact.

    Attributes:
        total_ns: of all runs together.
        runs: how many.
        details: what else is known, as plain JSON data: cycles and stalls, or what bounds it.
        rel_halfwidth: half the 95 % interval of the latency relative to it; 0 where the simulator has no doubt.
    """

    total_ns: int
    runs: int
    details: Mapping[str, Any]
    rel_halfwidth: float = 0.0

    @classmethod
    def of_cycles(cls, cycles: int, mhz: int, details: Mapping[str, Any]) -> "SimulatedKernel":
        """A kernel of so many cycles: ``mhz`` runs take ``cycles`` microseconds."""
        return cls(1000 * cycles, mhz, {"cycles": cycles, **details})

    @classmethod
    def of_ns(cls, latency_ns: float, details: Mapping[str, Any], *, rel_halfwidth: float) -> "SimulatedKernel":
        """A kernel of so many nanoseconds, to the picosecond."""
        return cls(round(1000 * latency_ns), 1000, details, rel_halfwidth)


class Simulator(ABC):
    """A model of a device under one runtime. Safe to call from several threads at once."""

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """The identity of the device, model and firmware included: the key of its rows."""

    @property
    @abstractmethod
    def versions(self) -> dict[str, str]:
        """What made the rows, for the record."""

    @property
    @abstractmethod
    def documents(self) -> Mapping[str, Mapping[str, Any]]:
        """What is kept beside the rows, by name, such as what calibrates them."""

    @abstractmethod
    def simulate(self, kernel: Kernel) -> SimulatedKernel:
        """Run a kernel once.

        Raises:
            LutraError: it cannot be run; the message is the reason that the row has.
        """

    @abstractmethod
    def run_overhead(self) -> SimulatedKernel:
        """What an inference costs beside its kernels."""

    @abstractmethod
    def estimate_s(self, kernel: Kernel) -> float:
        """Rough seconds that simulating a kernel takes."""


def simulated_row(simulator: Simulator, kernel: Kernel) -> Measurement:
    """The row of a kernel; a failed one where the simulator cannot run it."""
    try:
        if kernel.lacks:
            raise MeasurementError(f"the engine has no {', '.join(dict.fromkeys(kernel.lacks))}")
        found = simulator.simulate(kernel)
    except LutraError as error:
        return Measurement(
            subject_kind="kernel",
            subject_key=kernel.key,
            label=kernel.label,
            status="failed",
            reason=error.message,
            versions=simulator.versions,
            flags=(SIMULATED_FLAG,),
            spec=kernel.to_json(),
        )
    return _row(simulator, "kernel", kernel.key, kernel.label, found, kernel.to_json())


def _row(
    simulator: Simulator, kind: str, key: str, label: str, found: SimulatedKernel, spec: Mapping[str, Any]
) -> Measurement:
    return Measurement(
        subject_kind=kind,
        subject_key=key,
        label=label,
        samples_ns=np.array([found.total_ns]),
        executions_per_sample=found.runs,
        rel_halfwidth=found.rel_halfwidth,
        flags=(SIMULATED_FLAG,),
        conditions=dict(found.details),
        versions=simulator.versions,
        spec=spec,
    )


def simulate_all(
    simulator: Simulator,
    kernels: Iterable[Kernel],
    *,
    workers: int | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[Measurement]:
    """The rows of kernels, in the order in which they are done.

    Args:
        simulator: who runs them.
        kernels: which.
        workers: threads; None for one a core.
        go_on: asked before each kernel is begun; what is begun is finished.
    """
    threads = workers or logical_cores()
    waiting = iter(kernels)
    with ThreadPoolExecutor(threads) as pool:
        begun: set[Future[Measurement]] = set()
        while True:
            for kernel in islice(waiting, threads * _AHEAD - len(begun)) if go_on() else ():
                begun.add(pool.submit(simulated_row, simulator, kernel))
            if not begun:
                return
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def simulated_table(device: "Device", kernels: Iterable[Kernel]) -> Table:
    """The rows of kernels on a simulated device, kept nowhere."""
    assert device.simulator is not None
    rows = [*simulate_all(device.simulator, kernels), _constant_row(device.simulator)]
    return Table(device.fingerprint, rows, name=device.name, documents=device.simulator.documents)


def _constant_row(simulator: Simulator) -> Measurement:
    found = simulator.run_overhead()
    return _row(simulator, "constant", RUN_CONSTANT, "one inference", found, {"base": None})


def run_simulation(
    plan: "Plan",
    store: "Store",
    *,
    fresh: bool = False,
    wait_s: float = 0.0,
    budget_s: float | None = None,
    target_error: float | None = None,
    progress: "Callable[[Progress], None] | None" = None,
    events: "Callable[[CampaignEvent], None] | None" = None,
    cancel: Event | None = None,
) -> "CampaignResult":
    """Simulate what ``plan`` asks for and ``store`` does not have; the arguments are those of `run_campaign`.

    Whole networks are not simulated: they are the sums of their kernels.

    Raises:
        StoreLockedError: another process is simulating the device.
        UsageError: a budget or target that makes no sense.
        StoreError: the store cannot be written; what was committed stands.
    """
    from .budget import Budget
    from .choosing import require_share
    from .outcome import CampaignResult
    from .progress import Announcer
    from .recording import Recorder
    from .waiting import leased

    assert plan.device.simulator is not None
    require_share(target_error)
    cancel = cancel or Event()
    budget = Budget(budget_s, plan.kernel_s())
    announcer = Announcer(progress, events, budget, rounds=1)
    device = store.register_device(plan.device.fingerprint, plan.device.name)
    with leased(store, device, wait_s, cancel, partial(announcer.waiting, "device")) as lease:
        if lease is None:
            return CampaignResult(interrupted=True, table=store.table(device))
        for name, document in plan.device.simulator.documents.items():
            store.set_document(device, name, document)
        recorder = Recorder(store, device, lease, announcer.row)
        work = _Simulation(plan, plan.device.simulator, recorder, announcer, budget, cancel)
        return work.run(fresh, target_error, chooses=budget_s is not None or target_error is not None)


class _Simulation:
    """One campaign on a simulated device that is held."""

    def __init__(
        self,
        plan: "Plan",
        simulator: Simulator,
        recorder: "Recorder",
        announcer: "Announcer",
        budget: "Budget",
        cancel: Event,
    ) -> None:
        self._plan, self._simulator, self._recorder = plan, simulator, recorder
        self._announcer, self._budget, self._cancel = announcer, budget, cancel
        self._failed: dict[str, str] = {}

    def run(self, fresh: bool, target_error: float | None, *, chooses: bool) -> "CampaignResult":
        """Simulate all that has no row, or with ``chooses`` what interpolation knows least about first."""
        from .choosing import Chooser
        from .outcome import CampaignResult

        known = set() if fresh else self._recorder.keys("kernel", ("ok",))
        pending = {key: kernel for key, kernel in self._plan.kernels.items() if key not in known}
        self._announcer.start(self._plan, len(pending), 0)
        self._budget.begin()
        chooser = None
        if chooses:
            chooser = Chooser(self._plan, pending, self._announcer.done, self._recorder, target_error, seed=0)
        for chosen in [pending] if chooser is None else chooser.choose(self._affordable):
            self._simulate(chosen)
        self._record_constant()
        done = self._announcer.done
        left = [key for key in pending if key not in done]
        result = CampaignResult(
            measured=len(done - self._recorder.keys("kernel", ("failed",))),
            skipped=len(self._plan.kernels) - len(pending),
            failed=self._failed,
            interpolated=0 if self._cancel.is_set() else len(left),
            held_out_error=chooser.held_out_error if chooser else None,
            interrupted=self._cancel.is_set(),
            table=self._recorder.table,
        )
        self._announcer.finish(result)
        return result

    def _affordable(self) -> int:
        return self._budget.affordable(_GROUP) if self._goes_on() else 0

    def _goes_on(self) -> bool:
        return not self._cancel.is_set() and self._budget.remaining_s > 0

    def _simulate(self, kernels: Mapping[str, Kernel]) -> None:
        """Simulate kernels side by side, and commit each row as it comes."""
        started_s, counted = time.monotonic(), 0
        for row in simulate_all(self._simulator, kernels.values(), go_on=self._goes_on):
            if row.status == "failed":
                self._failed[row.label] = row.reason
            self._recorder.record(row)
            self._announcer.show(row.label)
            counted += 1
        self._budget.spent(counted, time.monotonic() - started_s)

    def _record_constant(self) -> None:
        if RUN_CONSTANT not in self._recorder.keys("constant"):
            self._recorder.record(_constant_row(self._simulator))
