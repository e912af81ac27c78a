"""The worker process: owns one runtime, prepares what it is sent, and times it in the native core.

Started as ``python -m lutra.profiler.worker RUNTIME THREADS PRECISION``. It takes frames (`lutra.profiler.protocol`)
on standard input and answers on what was standard output; anything that a library prints goes to standard error.
"""

import os
import queue
import signal
import sys
import threading
from dataclasses import replace
from typing import IO, Any

import numpy as np

from ..networks import Network
from ..networks.errors import LutraError
from ..networks.lowering import Kernel
from ._native import (
    CancelFlag,
    EntryResult,
    Fatal,
    Measured,
    Runnable,
    ScrubbedRunnable,
    Scrubber,
    Series,
    measure_interleaved,
)
from .priority import measuring_priority
from .protocol import SAMPLE_COLUMNS, receive, send
from .runtimes import Prepared, Runtime, runtime_class


class Worker:
    """Answers the requests of one profiler until it closes the stream."""

    def __init__(self, runtime: Runtime, answers: IO[bytes]) -> None:
        self._runtime = runtime
        self._answers = answers
        self._prepared: dict[str, Prepared] = {}
        self._reference_pair: tuple[Runnable, Runnable] | None = None
        self._has_references = False
        self.cancel = CancelFlag()

    def serve(self, requests: "queue.Queue[tuple[dict[str, Any], bytes] | None]") -> None:
        """Handle requests in order. What goes wrong is answered, not raised: the profiler decides."""
        handlers = {
            "describe": self._describe,
            "prepare": self._prepare,
            "prepare_network": self._prepare_network,
            "prepare_overheads": self._prepare_overheads,
            "release": self._release,
            "measure": self._measure,
        }
        while (request := requests.get()) is not None:
            message, blob = request
            try:
                answer, data = handlers[message["do"]](message, blob)
            except LutraError as error:
                answer, data = {"error": error.message, "hint": error.hint}, b""
            except Fatal as error:
                answer, data = {"error": str(error), "hint": None, "lost": True}, b""
            except Exception as error:  # a library's own error: the campaign records it and goes on
                answer, data = {"error": f"{type(error).__name__}: {error}", "hint": None}, b""
            send(self._answers, answer, data)

    def _describe(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        del message, blob
        return {"versions": self._runtime.describe()}, b""

    def _prepare(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        del blob
        kernel = Kernel.from_json(message["kernel"])
        copies = message["copies"]
        self._runtime.require_memory(kernel, copies)
        prepared = self._runtime.prepare(kernel, copies, message["seed"])
        return self._keep(message["id"], prepared)

    def _prepare_network(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        network = Network.from_json(message["network"])
        prepared = self._runtime.prepare_network(network, blob or None, message["seed"])
        return self._keep(message["id"], prepared)

    def _prepare_overheads(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        del message, blob
        listed = []
        for overhead in self._runtime.overheads():
            self._prepared[f"constant {overhead.name}"] = overhead.prepared
            listed.append(
                {
                    "name": overhead.name,
                    "label": overhead.label,
                    "base": overhead.base,
                    "executions": overhead.prepared.executions,
                }
            )
        return {"overheads": listed}, b""

    def _release(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        del blob
        for name in message["ids"]:
            del self._prepared[name]
        return {}, b""

    def _measure(self, message: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        del blob
        prepared = _on_caches([self._prepared[name] for name in message["ids"]], message["scrub_bytes"])
        wanted = message["priority"] if self._runtime.clock is None else "normal"
        with self._runtime.measuring(), measuring_priority(wanted, self._runtime.threads) as priority:
            measured = measure_interleaved(
                [p.runnable for p in prepared],
                progress=self._report,
                cancel=self.cancel,
                clock=self._runtime.clock,
                references=self._references(),
                **message["options"],
            )
            finite = [p.finite() for p in prepared]
        return _pack(measured, finite, [p.observed() for p in prepared], priority)

    def _references(self) -> tuple[Runnable, Runnable] | None:
        """Those of the runtime, made once."""
        if not self._has_references:
            self._reference_pair, self._has_references = self._runtime.references(), True
        return self._reference_pair

    def _report(self, converged: int, entries: int, current: int, round_: int, elapsed_s: float) -> None:
        progress = {"converged": converged, "entries": entries, "current": current, "round": round_}
        send(self._answers, {"progress": progress | {"elapsed_s": elapsed_s}})

    def _keep(self, name: str, prepared: Prepared) -> tuple[dict[str, Any], bytes]:
        self._prepared[name] = prepared
        answer = {"executions": prepared.executions, "overheads": prepared.overheads}
        own_cold = prepared.cold is not None
        return answer | {"implementation": prepared.implementation, "own_cold": own_cold}, b""


def _on_caches(prepared: list[Prepared], scrub_bytes: int) -> list[Prepared]:
    """The same with cold caches in front of each sample, if that is asked for."""
    if scrub_bytes == 0:
        return prepared
    scrubber = Scrubber(scrub_bytes)
    return [p.cold() if p.cold else replace(p, runnable=ScrubbedRunnable(p.runnable, scrubber)) for p in prepared]


def _pack(
    measured: Measured, finite: list[bool], observed: list[dict[str, Any]], priority: str
) -> tuple[dict[str, Any], bytes]:
    """The result as JSON plus one block of int64 columns."""
    series = [entry.samples for entry in measured.entries]
    series += [measured.compute_reference, measured.memory_reference]
    entries = [_entry(*entry) for entry in zip(measured.entries, finite, observed, strict=True)]
    answer = {
        "entries": entries,
        "lengths": [len(s) for s in series],
        "batches": [s.batch for s in series],
        "rounds": measured.rounds,
        "priority": priority,
        "elapsed_s": measured.elapsed_s,
        "interrupted": measured.interrupted,
        "out_of_time": measured.out_of_time,
        "clock": {
            "resolution_ns": measured.clock.resolution_ns,
            "overhead_ns": measured.clock.overhead_ns,
            "cpu_overhead_ns": measured.clock.cpu_overhead_ns,
            "min_sample_ns": measured.clock.min_sample_ns,
        },
    }
    return answer, b"".join(_column(s, name) for s in series for name in SAMPLE_COLUMNS)


def _entry(entry: EntryResult, finite: bool, observed: dict[str, Any]) -> dict[str, Any]:
    return {"converged": entry.converged, "error": entry.error, "finite": finite, "observed": observed}


def _column(series: Series, name: str) -> bytes:
    return np.asarray(getattr(series, name), "<i8").tobytes()


def main() -> None:
    """Serve one profiler. The terminal's Ctrl-C is the profiler's to handle; it sends a cancel request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue()
    try:
        worker = Worker(runtime_class(sys.argv[1])(int(sys.argv[2]), sys.argv[3]), answers)
    except LutraError as error:
        send(answers, {"error": error.message, "hint": error.hint})
        return
    send(answers, {"ready": os.getpid()})

    def read() -> None:
        # A thread of its own, because a cancel request must get through while the core is measuring.
        while (frame := receive(sys.stdin.buffer)) is not None:
            if frame[0]["do"] == "cancel":
                worker.cancel.set()
            else:
                requests.put(frame)
        worker.cancel.set()
        requests.put(None)

    threading.Thread(target=read, daemon=True).start()
    worker.serve(requests)


if __name__ == "__main__":
    main()
