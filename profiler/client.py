"""The profiler's side of a worker process: start it, ask it, notice when it dies or hangs."""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ..networks.errors import GpuLostError, MeasurementError, WorkerCrashedError, WorkerTimeoutError
from ..networks.lowering import Kernel
from .protocol import SAMPLE_COLUMNS, receive, send
from .runtimes import runtime_class

STARTUP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Samples:
    """Columns of one series, each int64 of shape [n]; a sample is ``batch`` calls in a row."""

    batch: int
    columns: dict[str, NDArray[np.int64]] = field(repr=False)

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["wall_ns"])


@dataclass(frozen=True)
class EntrySamples:
    """What came of one entry: its samples, why they ended, and what else is known of them."""

    samples: Samples
    converged: bool
    error: str | None
    finite: bool
    observed: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupResult:
    """What came of one interleaved measurement."""

    entries: dict[str, EntrySamples]
    compute_reference: Samples
    memory_reference: Samples
    rounds: int
    elapsed_s: float
    interrupted: bool
    out_of_time: bool
    clock: dict[str, int]
    priority: str = "normal"

    @property
    def sampled_s(self) -> float:
        """Wall time inside samples, the references' included, in seconds."""
        series = [entry.samples for entry in self.entries.values()]
        series += [self.compute_reference, self.memory_reference]
        return float(sum(samples["wall_ns"].sum() for samples in series)) / 1e9


@dataclass(frozen=True)
class PreparedInfo:
    """What a worker made ready.

    Attributes:
        executions: how often the subject runs in one call.
        overheads: how often each constant of the runtime occurs in one call, by name.
        implementation: what the library calls the code that runs; "" where it does not say.
        own_cold: samples on cold caches are taken in the runtime's own way, of one execution alone.
    """

    executions: int
    overheads: dict[str, int]
    implementation: str = ""
    own_cold: bool = False


class WorkerClient:
    """A worker process with one runtime. A context manager: leaving it ends the process.

    Args:
        runtime: name of the runtime.
        threads: how many threads it may use.
        precision: number format that networks are run in.
        silence_timeout_s: a worker that says nothing for so long is taken to hang, and killed; the runtime's own
            `Runtime.silence_timeout_s` if None.

    Raises:
        MeasurementError: the runtime could not be started; the message has its reason.
    """

    def __init__(
        self, runtime: str, threads: int, precision: str = "float32", *, silence_timeout_s: float | None = None
    ) -> None:
        self._silence_timeout_s = silence_timeout_s or runtime_class(runtime).silence_timeout_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self._process = subprocess.Popen(
            # -P: modules of the user's own in the current folder are not imported in place of the ones we mean.
            [sys.executable, "-P", "-m", "lutra.profiler.worker", runtime, str(threads), precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | runtime_class(runtime).environment(),
            # Ctrl-C goes to all of the terminal's process group; a worker that is just starting would die of it.
            process_group=0,
        )
        self._answers: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._next(STARTUP_TIMEOUT_S)
        except MeasurementError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def describe(self) -> dict[str, str]:
        """Versions of the runtime and its parts."""
        versions: dict[str, str] = self._ask({"do": "describe"})[0]["versions"]
        return versions

    def prepare(self, name: str, kernel: Kernel, copies: int, seed: int) -> PreparedInfo:
        """Make ``copies`` of a kernel ready under ``name``."""
        request = {"do": "prepare", "id": name, "kernel": kernel.to_json(), "seed": seed, "copies": copies}
        return self._prepared(request)

    def prepare_network(self, name: str, network: Network, model: bytes | None, seed: int) -> PreparedInfo:
        """Make a whole network ready under ``name``; ``model`` is the user's own file, if there is one."""
        request = {"do": "prepare_network", "id": name, "network": network.to_json(), "seed": seed}
        return self._prepared(request, model or b"")

    def prepare_overheads(self) -> list[dict[str, Any]]:
        """Make the runtime's constants ready, each under ``"constant " + name``; returns their descriptions."""
        overheads: list[dict[str, Any]] = self._ask({"do": "prepare_overheads"})[0]["overheads"]
        return overheads

    def release(self, names: list[str]) -> None:
        """Forget what was prepared under ``names``."""
        self._ask({"do": "release", "ids": names})

    def measure(
        self,
        names: list[str],
        options: dict[str, Any],
        progress: Callable[[dict[str, Any]], None],
        *,
        priority: str = "normal",
        scrub_bytes: int = 0,
    ) -> GroupResult:
        """Time what was prepared under ``names`` against each other.

        Args:
            names: of prepared entries.
            options: of `lutra.profiler._native.measure_interleaved`.
            progress: called a few times a second with counts and the index of the current entry.
            priority: of the measuring thread, "auto" or "normal" (`measuring_priority`).
            scrub_bytes: written through, untimed, in front of each sample; 0 leaves the caches as they are.
        """
        request = {"do": "measure", "ids": names, "options": options, "priority": priority, "scrub_bytes": scrub_bytes}
        answer, blob = self._ask(request, progress=progress)
        series = _unpack(answer, blob)
        entries = {
            name: EntrySamples(samples, **entry)
            for name, samples, entry in zip(names, series, answer["entries"], strict=False)
        }
        return GroupResult(
            entries,
            series[-2],
            series[-1],
            answer["rounds"],
            answer["elapsed_s"],
            answer["interrupted"],
            answer["out_of_time"],
            answer["clock"],
            answer["priority"],
        )

    def cancel(self) -> None:
        """End the measurement that is under way; it returns what it has."""
        self._send({"do": "cancel"})

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with suppress(BrokenPipeError):  # of what a dead process has not read
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _prepared(self, request: dict[str, Any], blob: bytes = b"") -> PreparedInfo:
        answer = self._ask(request, blob)[0]
        return PreparedInfo(answer["executions"], answer["overheads"], answer["implementation"], answer["own_cold"])

    def _ask(
        self, message: dict[str, Any], blob: bytes = b"", progress: Callable[[dict[str, Any]], None] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        self._send(message, blob)
        while True:
            answer, data = self._next(self._silence_timeout_s)
            if "progress" not in answer:
                return answer, data
            if progress is not None:
                progress(answer["progress"])

    def _send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, message, blob)
        except (BrokenPipeError, OSError):
            raise self._death() from None

    def _next(self, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        try:
            frame = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            raise WorkerTimeoutError(
                f"the runtime's process said nothing for {timeout_s:.0f} s and was killed",
                hint="the subject hangs in this runtime; leave it out, or try another --runtime",
            ) from None
        if frame is None:
            raise self._death()
        if frame[0].get("lost"):
            raise GpuLostError(
                frame[0]["error"],
                hint="look at nvidia-smi and the system's log; then give the same command again: rows so far are kept",
            )
        if "error" in frame[0]:
            raise MeasurementError(frame[0]["error"], hint=frame[0]["hint"])
        return frame

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while (frame := receive(self._process.stdout)) is not None:
                self._answers.put(frame)
        except (OSError, ValueError):  # closed under us, or half a frame: the process is gone
            pass
        self._answers.put(None)

    def _death(self) -> WorkerCrashedError:
        """What is known of a worker that ended by itself: its signal or status, and its last words."""
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1].strip()}" if lines else ""
        return WorkerCrashedError(f"the runtime's process {how}{said}", killed=status == -signal.SIGKILL)


def _unpack(answer: dict[str, Any], blob: bytes) -> list[Samples]:
    numbers = np.frombuffer(blob, "<i8")
    series, at = [], 0
    for length, batch in zip(answer["lengths"], answer["batches"], strict=True):
        columns = {}
        for name in SAMPLE_COLUMNS:
            columns[name] = numbers[at : at + length]
            at += length
        series.append(Samples(batch, columns))
    return series
