"""Running a campaign from the command line: progress, events, Ctrl-C, and what to say at the end."""

import json
import logging
import math
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from ..luts import Store
    from ..profiler import CampaignEvent, CampaignResult, Plan

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"


def require_one_on_output(as_json: bool, events: str | None) -> None:
    """Refuse that a result as JSON and events both go to standard output.

    Raises:
        UsageError: they would.
    """
    from ..networks.errors import UsageError

    if as_json and events == STANDARD_OUTPUT:
        raise UsageError("--json and --events - both want standard output", hint="send the events to a file")


def run(
    plan: "Plan",
    store: "Store",
    *,
    fresh: bool,
    recheck: bool = False,
    new_table: bool = False,
    wait: bool = False,
    budget_s: float | None = None,
    target_error: float | None = None,
    events: str | None = None,
) -> "CampaignResult":
    """Run a campaign with a progress bar; Ctrl-C ends it after the rows that are good enough.

    Args:
        plan: what to measure.
        store: where rows go.
        fresh: measure everything again.
        recheck: measure whole networks again.
        new_table: begin a new table where the machine has changed.
        wait: wait for another process that is profiling the device, however long.
        budget_s: how long to measure.
        target_error: error of interpolation at which to stop.
        events: file for events, "-" for standard output.
    """
    from .render import campaign_progress

    with event_writer(events) as listener, cancel_on_interrupt() as cancel, campaign_progress() as progress:
        return measure(
            plan,
            store,
            fresh=fresh,
            recheck=recheck,
            new_table=new_table,
            wait_s=math.inf if wait else 0.0,
            budget_s=budget_s,
            target_error=target_error,
            progress=progress,
            events=listener,
            cancel=cancel,
        )


def measure(plan: "Plan", store: "Store", **options: Any) -> "CampaignResult":
    """Run a campaign (`run_campaign`, which takes the options), and keep the fusion rules beside its rows."""
    from ..profiler import run_campaign
    from ..profiler.fusion import keep_rules

    result = run_campaign(plan, store, **options)
    keep_rules(plan, store)
    return result


@contextmanager
def event_writer(path: str | None) -> "Iterator[_Lines | None]":
    """What writes a campaign's events as lines of JSON, each at once; None where nobody wants them.

    A reader that goes away, or a full disk, ends the events but not the campaign.

    Args:
        path: a file, which is added to; "-" for standard output; None for no events.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield None
    elif path == STANDARD_OUTPUT:
        sys.stdout.flush()
        # Without the buffers in between: what cannot be written must not be tried again when the program ends.
        yield _Lines(getattr(sys.stdout.buffer, "raw", sys.stdout.buffer))
    else:
        with _opened(path) as stream:
            yield _Lines(stream)


def _opened(path: str) -> BinaryIO:
    from ..networks.errors import UsageError

    try:
        return Path(path).open("ab", buffering=0)
    except OSError as error:
        raise UsageError(
            f"events cannot be written to {path}: {error.strerror}",
            hint="name a file in a folder that you can write to",
        ) from error


class _Lines:
    """Writes events to a stream, for as long as the stream takes them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream

    def __call__(self, event: "CampaignEvent") -> None:
        self.write(event.to_dict())

    def write(self, document: Mapping[str, Any]) -> None:
        """Write an event that is plain JSON data."""
        if self._stream is None:
            return
        line = json.dumps(document, allow_nan=False).encode() + b"\n"
        try:
            while line:
                line = line[self._stream.write(line) :]
        except OSError as error:
            logger.warning("no more events are written: %s", error.strerror)
            self._stream = None


@contextmanager
def cancel_on_interrupt(what: str = "measured") -> Iterator[Event]:
    """An event that the first Ctrl-C sets; the second ends the program as usual.

    Args:
        what: what is finished before it ends, for the message.
    """
    cancel = Event()

    def handle(number: int, frame: object) -> None:
        del number, frame
        sys.stderr.write(f"\nfinishing what is {what}; press Ctrl-C again to stop at once\n")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def summarise(result: "CampaignResult", location: str) -> None:
    """Say on standard error what a campaign did."""
    computed = result.table is not None and result.table.fingerprint.kind == "simulated"
    parts = [f"{result.measured} kernels {'simulated' if computed else 'measured'}", f"{result.skipped} known before"]
    if result.interpolated:
        error = result.held_out_error
        held_out = "" if error is None else f" (held-out error {error:.1%})"
        parts.append(f"{result.interpolated} left to interpolation{held_out}")
    if result.requeued:
        parts.append(f"{result.requeued} measured again")
    if result.noisy:
        parts.append(f"{len(result.noisy)} noisy (lutra doctor tells why)")
    if result.failed:
        parts.append(f"{len(result.failed)} failed")
    sys.stderr.write(f"{', '.join(parts)}; table in {location}\n")
    _say_what_lacks(result)


def summarise_networks(result: "CampaignResult", asked: int, location: str) -> None:
    """Say on standard error what a campaign of whole networks did."""
    parts = [f"{asked - len(result.failed)} of {asked} networks measured" if not result.interrupted else "stopped"]
    if result.noisy:
        parts.append(f"{len(result.noisy)} noisy (lutra doctor tells why)")
    sys.stderr.write(f"{', '.join(parts)}; rows in {location}\n")
    _say_what_lacks(result)


def _say_what_lacks(result: "CampaignResult") -> None:
    for label, reason in result.failed.items():
        sys.stderr.write(f"failed: {label}: {reason}\n")
    if result.interrupted:
        sys.stderr.write(f"interrupted; go on with: {resume_command()}\n")


def resume_command() -> str:
    """The command line that was typed, without what would start over."""
    import shlex

    return shlex.join(["lutra", *(word for word in sys.argv[1:] if word != "--fresh")])
