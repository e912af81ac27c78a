"""Killing what a job has started, all of it."""

import os
import signal
from contextlib import suppress
from typing import Final

import psutil

_TRIES: Final = 3


def kill_session(leader: int) -> None:
    """Kill all processes of a session, its leader last.

    A job's process leads a session of its own. What it starts stays in that session even where it has a process group
    of its own, as the processes of runtimes have.

    Args:
        leader: the process that leads the session. It must not have been waited for: its number must not be another's.
    """
    for _ in range(_TRIES):  # one that is killed may just have started another
        others = [pid for pid in psutil.pids() if pid != leader and _is_of(pid, leader)]
        for pid in others:
            _kill(pid)
        if not others:
            break
    _kill(leader)


def _is_of(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader
    except (ProcessLookupError, PermissionError):
        return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
