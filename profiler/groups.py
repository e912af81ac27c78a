"""Kernels that are timed against each other, and the timing of such a group in one or several processes."""

from collections.abc import Callable
from typing import Any

import psutil

from ..networks.errors import WorkerCrashedError, WorkerTimeoutError
from ..networks.lowering import Kernel
from .client import GroupResult
from .copies import HOST_ROTATION, Rotation
from .devices import Device
from .environment import read_environment
from .machine import MachineState, conditions_between, worst_conditions
from .pooling import pooled_results, with_process
from .references import with_references
from .rows import LIMITS_BEFORE, metric_for
from .runtimes import runtime_class
from .session import Session
from .settings import Settings


def groups(kernels: dict[str, Kernel], most: int, rotation: Rotation = HOST_ROTATION) -> list[dict[str, Kernel]]:
    """Kernels in order, cut where a group would grow too large for memory or too long to interleave."""
    budget = min(rotation.group_bytes, psutil.virtual_memory().available // 3)
    cut: list[dict[str, Kernel]] = []
    used = budget + 1
    for key, kernel in kernels.items():
        rotated = max(rotation.rotated_bytes, 4 * kernel.weight_bytes)
        need = min(rotated, rotation.most * kernel.weight_bytes) + kernel.bytes_moved
        if used + need > budget or len(cut[-1]) >= most:
            cut.append({})
            used = 0
        cut[-1][key] = kernel
        used += need
    return cut


class GroupTimer:
    """Times what a session has prepared, in as many processes as are asked for.

    Args:
        device: what is profiled.
        settings: how carefully.
        labels: what people see of each entry, by its name.
        failed: gets the name of an entry that killed the worker, and why.

    Attributes:
        sampled_s: seconds spent inside samples so far; 0 for a simulated device.
    """

    def __init__(
        self, device: Device, settings: Settings, labels: dict[str, str], failed: Callable[[str, str], None]
    ) -> None:
        self._device, self._settings, self._labels, self._failed = device, settings, labels, failed
        self._metric = metric_for(device.threads)
        self._limits_mhz = read_environment().limits_mhz
        self._processes = max(settings.processes, runtime_class(device.runtime).processes)
        self.sampled_s = 0.0

    def time(
        self, session: Session, most_s: float, progress: Callable[[dict[str, int], str], bool]
    ) -> tuple[GroupResult, dict[str, Any]] | None:
        """The samples of everything that is prepared, and the machine's state meanwhile.

        Args:
            session: what has it prepared.
            most_s: longest time for it, once every entry has had its least rounds.
            progress: gets counts and the current label; returns whether to go on.

        Returns:
            None if nothing that is prepared can be run.
        """
        parts, conditions = [], []
        for process in range(self._processes):
            before = MachineState.now(session.pid)
            part = self._time_once(session, process, most_s, progress)
            if part is None:
                return None
            # Simulated devices and GPUs do not care how busy this machine is.
            if self._device.on_host:
                seen = conditions_between(before, MachineState.now(session.pid))
                conditions.append(seen | {"priority": part.priority} | self._surroundings())
            elif self._device.kind == "real":
                seconds = MachineState.now(session.pid).at_s - before.at_s
                conditions.append({"load1": before.load1, "seconds": round(seconds, 3), "cache": self._device.cache})
            if self._device.kind == "real":
                self.sampled_s += part.sampled_s
            parts.append(with_process(with_references(part), session.pid))
            if part.interrupted:
                break
        return pooled_results(parts), worst_conditions(conditions)

    def _surroundings(self) -> dict[str, Any]:
        """What is set on this machine now."""
        environment = read_environment()
        seen = environment.conditions() | {"cache": self._device.cache}
        if environment.limits_mhz != self._limits_mhz:
            seen[LIMITS_BEFORE] = self._limits_mhz
        return seen

    def _time_once(
        self, session: Session, process: int, most_s: float, progress: Callable[[dict[str, int], str], bool]
    ) -> GroupResult | None:
        """Time what is prepared. If that kills the worker, find out which entry did it and go on without."""
        options = self._settings.options(self._metric, self._processes, process, most_s)
        fresh = process > 0
        while session.prepared:
            try:
                if fresh:
                    session.restart(session.prepared)
                    fresh = False
                return session.measure(options, self._labels, progress)
            except (WorkerCrashedError, WorkerTimeoutError) as error:
                for name in session.drop_culprits():
                    self._failed(name, error.message)
        return None
