"""Running a campaign from the command line: progress, Ctrl-C, and what to say at the end."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..luts import Store
    from ..profiler import CampaignResult, Plan


def run(plan: "Plan", store: "Store", *, fresh: bool, recheck: bool = False) -> "CampaignResult":
    """Run a campaign with a progress bar; Ctrl-C ends it after the rows that are good enough."""
    from ..profiler import run_campaign
    from ..profiler.fusion import keep_rules
    from .render import campaign_progress

    with cancel_on_interrupt() as cancel, campaign_progress() as progress:
        result = run_campaign(plan, store, fresh=fresh, recheck=recheck, progress=progress, cancel=cancel)
    keep_rules(plan, store)
    return result


@contextmanager
def cancel_on_interrupt() -> Iterator[Event]:
    """An event that the first Ctrl-C sets; the second ends the program as usual."""
    cancel = Event()

    def handle(number: int, frame: object) -> None:
        del number, frame
        sys.stderr.write("\nfinishing what is measured; press Ctrl-C again to stop at once\n")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def summarise(result: "CampaignResult", location: str) -> None:
    """Say on standard error what a campaign did."""
    parts = [f"{result.measured} kernels measured", f"{result.skipped} known before"]
    if result.noisy:
        parts.append(f"{len(result.noisy)} noisy (lutra doctor tells why)")
    if result.failed:
        parts.append(f"{len(result.failed)} failed")
    sys.stderr.write(f"{', '.join(parts)}; table in {location}\n")
    for label, reason in result.failed.items():
        sys.stderr.write(f"failed: {label}: {reason}\n")
    if result.interrupted:
        sys.stderr.write(f"interrupted; go on with: {resume_command()}\n")


def resume_command() -> str:
    """The command line that was typed, without what would start over."""
    import shlex

    return shlex.join(["lutra", *(word for word in sys.argv[1:] if word != "--fresh")])
