"""A worker with what is prepared in it, that comes back when it dies."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..luts.host import DEFAULT_CACHE
from ..luts.residency import RESIDENT
from ..networks.errors import MeasurementError, WorkerCrashedError, WorkerTimeoutError
from ..networks.lowering import Kernel
from .client import GroupResult, PreparedInfo, WorkerClient
from .copies import ROTATED_BYTES, copies_of, resident_copies_of
from .plan import Plan
from .runtimes import runtime_class

CONSTANT, KERNEL, NETWORK = "constant", "kernel", "network"
COPIES = {KERNEL: copies_of, RESIDENT: resident_copies_of}
"""Subject kinds that are a kernel, and how many copies of it each runs."""


def entry_name(kind: str, key: str) -> str:
    """Name under which a worker knows something."""
    return f"{kind} {key}"


class Session:
    """Prepares and times constants, kernels and networks of a plan in a worker process.

    A context manager; leaving it ends the worker.

    Attributes:
        prepared: what is ready in the worker, by name.
        overheads: descriptions of the runtime's constants, once prepared.
    """

    def __init__(self, plan: Plan, seed: int, priority: str = "normal") -> None:
        self._device, self._seed, self._priority = plan.device, seed, priority
        self._kernels = plan.kernels
        self._subjects = {subject.network.fingerprint: subject for subject in plan.subjects}
        self._worker = self._start()
        self._sequence: list[str] = []
        self._spared: list[str] = []  # what killed a worker together, and none of it alone
        self.prepared: dict[str, PreparedInfo] = {}
        self.overheads: list[dict[str, Any]] = []

    def _start(self) -> WorkerClient:
        return WorkerClient(self._device.runtime, self._device.threads, self._device.precision)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exc: object) -> None:
        self._worker.close()

    @property
    def pid(self) -> int:
        """Of the worker."""
        return self._worker.pid

    def describe(self) -> dict[str, str]:
        """Versions of the runtime and its parts."""
        return self._worker.describe()

    def follow(self, keys: Iterable[str]) -> None:
        """From now on measure kernels in this order, with repetitions. Each gets as many copies as it has places."""
        self._sequence = [entry_name(KERNEL, key) for key in keys]

    def prepare_neighbours(self) -> None:
        """Make ready what else is to run in the sequence; what cannot be is left out of it."""
        for name in dict.fromkeys(self._sequence):
            with suppress(MeasurementError):
                self.prepare(name)

    def prepare_constants(self) -> None:
        """Make the runtime's constants ready."""
        self.overheads = self._worker.prepare_overheads()
        for overhead in self.overheads:
            base = {overhead["base"]: 1} if overhead["base"] else {}
            name = entry_name(CONSTANT, overhead["name"])
            self.prepared[name] = PreparedInfo(overhead["executions"], base)

    def prepare(self, name: str) -> None:
        """Make a kernel or a network ready.

        Raises:
            MeasurementError: it cannot be; if that killed the worker, a fresh one has everything else.
        """
        if name in self.prepared:
            return
        try:
            self.prepared[name] = self._prepare_again_if_killed(name)
        except MeasurementError as error:
            self._sequence = [other for other in self._sequence if other != name]
            if isinstance(error, WorkerCrashedError | WorkerTimeoutError):
                self.restart(self.prepared)
            raise

    def _prepare_again_if_killed(self, name: str) -> PreparedInfo:
        """Make it ready. A kill from outside says nothing of a kernel the first time, much the second time."""
        try:
            return self._prepare_as_timed(name)
        except WorkerCrashedError as crash:
            if not crash.killed:
                raise
            self.restart(self.prepared)
            return self._prepare_as_timed(name)

    def _prepare_as_timed(self, name: str) -> PreparedInfo:
        """Make it ready. Where the runtime has its own way to cold caches, one execution is timed by itself."""
        info = self._prepare(name)
        alone = info.own_cold and self._device.cache == "cold-all"
        return replace(info, executions=1, overheads={}) if alone else info

    def _prepare(self, name: str) -> PreparedInfo:
        kind, _, key = name.partition(" ")
        if kind in COPIES:
            kernel = self._kernels[key]
            return self._worker.prepare(name, kernel, self._copies(kind, name, kernel), self._seed)
        subject = self._subjects[key]
        return self._worker.prepare_network(name, subject.network, subject.model, self._seed)

    def measure(
        self, options: dict[str, Any], labels: dict[str, str], progress: Callable[[dict[str, int], str], bool]
    ) -> GroupResult:
        """Time everything that is prepared.

        Args:
            options: of the timing core.
            labels: what to call entries when reporting progress.
            progress: gets counts and the current label; returns whether to go on.
        """
        names = list(self.prepared)

        def report(counts: dict[str, int]) -> None:
            name = names[counts["current"]]
            if not progress(counts, labels.get(name, name)):
                self._worker.cancel()

        # Whole networks are timed in every round, so that they are compared with kernels of the same moments.
        every_round = [i for i, name in enumerate(names) if name.startswith(NETWORK)]
        chosen: dict[str, Any] = {"every_round": every_round, "sequences": self._sequences(names)}
        scrub_bytes = 0
        if self._device.cache == "cold-all":
            # One execution a sample: the second of a batch would find what the first left behind.
            chosen["sequences"] = chosen["sequences"] or [[i] for i in range(len(names))]
            scrub_bytes = ROTATED_BYTES
        priority = self._priority
        return self._worker.measure(names, options | chosen, report, priority=priority, scrub_bytes=scrub_bytes)

    def _copies(self, kind: str, name: str, kernel: Kernel) -> int:
        """How many copies of a kernel one call runs, or of how many the calls of a sequence take the next."""
        if self._sequence:
            return self._sequence.count(name)
        rotation = runtime_class(self._device.runtime).rotation
        return COPIES[kind](kernel, rotation) if self._device.cache == DEFAULT_CACHE else 1

    def _sequences(self, names: list[str]) -> list[list[int]]:
        """Where the runtime wants kernels in order: those that are ready, and the constants, as indices of names."""
        constants = [name for name in names if name.startswith(CONSTANT)]
        order = [name for name in self._sequence if name in self.prepared]
        return [[names.index(name) for name in (*order, *constants)]] if order else []

    def drop_culprits(self) -> list[str]:
        """After a measurement killed the worker: run each entry alone in a fresh one, and drop those that kill it too.

        Returns:
            Names of what was dropped: where none is guilty alone, none the first time, as the worker may have been
            killed from outside; the second time all.
        """
        names = [name for name in self.prepared if not name.startswith(CONSTANT)]
        culprits = [name for name in names if not self._survives(name)]
        if not culprits and self._spared == names:
            culprits = names
        self._spared = names
        self.restart([name for name in names if name not in culprits])
        return culprits

    def _survives(self, name: str) -> bool:
        try:
            self.restart([name])
            once = {"min_rounds": 1, "max_rounds": 1, "seed": self._seed}
            self._worker.measure([name], once, lambda _: None)
        except MeasurementError:
            return False
        return True

    def restart(self, names: Iterable[str]) -> None:
        """A fresh worker with ``names`` prepared in it, and the constants where they were."""
        wanted = [name for name in names if not name.startswith(CONSTANT)]
        self._worker.close()
        self._worker = self._start()
        self.prepared = {}
        if self.overheads:
            self.prepare_constants()
        for name in wanted:
            self.prepared[name] = self._prepare_as_timed(name)

    def release(self, kinds: Iterable[str]) -> None:
        """Forget what is prepared of these kinds."""
        names = [name for name in self.prepared if name.partition(" ")[0] in tuple(kinds)]
        self._worker.release(names)
        for name in names:
            del self.prepared[name]
        if CONSTANT in tuple(kinds):
            self.overheads = []
