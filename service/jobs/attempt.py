"""One attempt at a job: a process with a session of its own, watched until it ends or has to."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from ...luts.location import ENVIRONMENT
from ...networks.errors import JobError, StoreError
from .job import Claim
from .orders import AWAY, LOST, Order, Start
from .processes import kill_session
from .queue import JobQueue

logger = logging.getLogger(__name__)

_BEAT_S: Final = 1.0
_LOOK_S: Final = 0.1
GRACE_S: Final[Mapping[Order, float]] = {"cancel": 60.0, "stop": 60.0, "time": 10.0}
"""How long a job may go on after an order, to bring what it measures to the disk; then it is killed."""
_LAST_S: Final = 5.0  # of a process whose job has ended, or is another worker's
_LONGEST_WAIT_S: Final = 15.0  # for a store that does not answer, between two tries
_LEAVE_S: Final = 10.0  # how long a worker that is to end asks a store that does not answer
_AT_ONCE: Final = 1 << 16
_MOST_UNSAID: Final = 1 << 20  # bytes of the log, while the store does not answer


class Attempt:
    """Runs a claimed job in a process of its own, and says in the store how it ended where the process cannot.

    Args:
        queue: where the job is.
        claim: the job, and the right to it.
        store: the store's path or URL; told by the environment, for it may hold a password.
        folder: where the job may keep files until it is finished.
        devices: what this machine calls devices that go by other names in requests.
        stop: set when the worker is to end.
        grace_s: how long the job may go on after an order.
    """

    def __init__(
        self,
        queue: JobQueue,
        claim: Claim,
        store: str,
        folder: Path,
        devices: Mapping[str, str],
        stop: threading.Event,
        grace_s: Mapping[Order, float] = GRACE_S,
    ) -> None:
        self._queue, self._job, self._token = queue, claim.job, claim.token
        self._store, self._folder, self._devices = store, folder, devices
        self._stop, self._grace_s = stop, grace_s
        self._order: Order | None = None
        self._leaves_s = float("inf")
        self._log = bytearray()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Run it to its end. Raises nothing of the store's: it is tried again until it answers, or the job is lost."""
        started_s = time.monotonic()
        process = self._start()
        assert process.stdout is not None
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            self._watch(process, started_s)
        finally:
            kill_session(process.pid)
            status = process.wait()
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            reader.join(timeout=_LAST_S)  # a process that left the group may hold the pipe
            if not reader.is_alive():
                process.stdout.close()
        self._conclude(status)

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {ENVIRONMENT: self._store, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        start = Start(self._job.id, self._token, str(self._folder), dict(self._devices))
        self._tell(process, json.dumps(start.to_dict()))
        return process

    def _tell(self, process: "subprocess.Popen[bytes]", line: str) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended; how, is seen soon
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()

    def _watch(self, process: "subprocess.Popen[bytes]", started_s: float) -> None:
        """Until the process has ended: beat, pass on orders, and end it when it does not obey."""
        beat_s, until_s = 0.0, float("inf")
        while not _has_ended(process):
            now_s = time.monotonic()
            if now_s > until_s:
                logger.warning("job %s did not end in time, and is killed", self._job.id)
                return
            if now_s - beat_s >= _BEAT_S:
                beat_s = now_s
                state = self._beat()
                if state == "lost":
                    beat_s, until_s = float("inf"), min(until_s, now_s + _LAST_S)
                order = self._order_for(state, now_s - started_s)
                if order is not None and self._order is None:
                    self._order, until_s = order, now_s + self._grace_s[order]
                    self._tell(process, order)
            time.sleep(_LOOK_S)

    def _beat(self) -> str:
        """Pass on the log, and hear what state the job is in: "lost" where it is this worker's no more.

        That is so too in the moment between what the process has said of its end, and its end.
        """
        try:
            self._pass_on_log()
            return self._queue.heartbeat(self._job.id, self._token)
        except JobError:
            return "lost"
        except StoreError as fault:  # it may answer the next time; silent for too long, the job is lost
            logger.warning("no heartbeat of job %s: %s", self._job.id, fault.message)
            return "running"

    def _order_for(self, state: str, seconds: float) -> Order | None:
        if state == "cancelling":
            return "cancel"
        if self._job.limit_s is not None and seconds > self._job.limit_s:
            return "time"
        return "stop" if self._stop.is_set() else None

    def _read(self, stream: IO[bytes]) -> None:
        while data := os.read(stream.fileno(), _AT_ONCE):
            with self._lock:
                if len(self._log) < _MOST_UNSAID:
                    self._log += data

    def _pass_on_log(self, *, everything: bool = False) -> None:
        """Write whole lines of what the process printed into the store."""
        with self._lock:
            end = len(self._log) if everything else self._log.rfind(b"\n") + 1
            text = bytes(self._log[: end or (len(self._log) > _AT_ONCE) * len(self._log)])
        if text:
            self._queue.append_log(self._job.id, self._token, text.decode(errors="replace"))
            with self._lock:
                del self._log[: len(text)]

    def _conclude(self, status: int) -> None:
        """Say how it ended, where the process has not said so itself, and tidy up."""
        self._until_it_answers(lambda: self._pass_on_log(everything=True))
        if status not in (0, LOST):
            self._until_it_answers(lambda: self._say_end(status))
        if self._until_it_answers(lambda: self._queue.get(self._job.id).is_finished):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _say_end(self, status: int) -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        job_id, token = self._job.id, self._token
        if self._order == "cancel":
            self._queue.finish(job_id, token, "cancelled")
        elif self._order == "time":
            self._queue.finish(job_id, token, "timed_out")
        elif self._order == "stop":
            self._queue.give_back(job_id, token, "its worker was told to stop")
        elif status == AWAY:
            self._queue.give_back(job_id, token, "its process could not reach the store")
        else:
            self._queue.give_back(job_id, token, f"its process ended with {how}", lost=True)

    def _until_it_answers(self, ask: Callable[[], Any]) -> Any:
        """Ask the store until it answers; None where the job is lost, or the worker has to end before.

        The next worker that asks sees that this one is dead, and takes the job.
        """
        wait_s = _LOOK_S
        while True:
            try:
                return ask()
            except JobError:  # lost, or deleted meanwhile
                return None
            except StoreError as fault:
                logger.warning("the end of job %s cannot be told: %s", self._job.id, fault.message)
            if self._has_to_leave():
                return None
            if self._stop.wait(wait_s):
                time.sleep(_BEAT_S)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _has_to_leave(self) -> bool:
        """Whether the worker is to end, and the store has not answered for as long as that may take."""
        if not self._stop.is_set():
            return False
        now_s = time.monotonic()
        self._leaves_s = min(self._leaves_s, now_s + _LEAVE_S)
        return now_s >= self._leaves_s


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process has ended; its number stays taken, so that its group can still be killed by it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
