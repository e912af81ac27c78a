"""Keeping other programs off the measuring thread, where the system permits it.

A real-time thread is not interrupted by ordinary ones, so wall time is the thread's own time even on a busy machine.
Only the measuring thread becomes one, at the lowest real-time priority, and only while it measures: the thread that
reads the profiler's requests stays ordinary and needs another core to be heard on. A runtime with several threads is
left alone: one of them above the others would keep those from its core while it waits for them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..luts.host import logical_cores
from .environment import ROOT, read_environment

_LOWEST = 1


def may_be_realtime(root: Path = ROOT) -> bool:
    """Whether a measuring thread can be real-time without danger: another core is left, and the kernel throttles."""
    return hasattr(os, "SCHED_FIFO") and logical_cores() > 1 and read_environment(root).throttled is True


@contextmanager
def measuring_priority(wanted: str, threads: int) -> Iterator[str]:
    """Run the block at the best priority that ``wanted`` allows.

    Args:
        wanted: "auto" for real-time where permitted, or "normal".
        threads: of the runtime; a single one is bound to the core it runs on, too, several are left alone.

    Yields:
        What was got: "fifo" or "normal".
    """
    if wanted != "auto" or threads > 1 or not may_be_realtime():
        yield "normal"
        return
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_LOWEST))
    except OSError:  # not permitted, or not in this container
        yield "normal"
        return
    try:
        os.sched_setaffinity(0, {_current_core(cores)})
        yield "fifo"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


def _current_core(allowed: set[int]) -> int:
    """The core that this thread runs on (field 39 of its ``stat``; `man 5 proc`), or else the last allowed one."""
    try:
        stat = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
        core = int(stat.rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return max(allowed)
    return core if core in allowed else max(allowed)
