"""A worker: takes jobs from a store, one after the other, and runs each in a process group of its own."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_data_path

from ...luts import Store
from ...networks.errors import StoreError, UsageError
from .attempt import Attempt
from .job import Claim, Worker
from .kinds import JOB_KINDS
from .queue import JobQueue

logger = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_LONGEST_WAIT_S: Final = 15.0
_PRUNE_EVERY_S: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker takes, and where it works.

    Attributes:
        store: path or URL of the store; None for the default one.
        kinds: of jobs that it takes.
        devices: names of devices that it measures, each with what this machine calls it.
        folder: where jobs keep files until they are finished.
        until_idle: end as soon as there is nothing to do.
    """

    store: str | None
    kinds: Sequence[str]
    devices: Mapping[str, str]
    folder: Path
    until_idle: bool = False


def work(settings: WorkerSettings, stop: threading.Event) -> int:
    """Take jobs until told to stop; returns how many were taken.

    A store that does not answer is waited for. When it is told to stop, the job that it runs brings what it measures to
    the disk and goes back into the queue.

    Args:
        settings: what to take.
        stop: set to end.

    Raises:
        StoreError: the store cannot be opened at the start.
        UnknownNameError: no such kind of job.
    """
    for kind in settings.kinds:
        JOB_KINDS.get(kind)
    with Store.open(settings.store) as store:
        queue = JobQueue(store)
        # A child finds the store by its URL; the name that a store shows has no password in it.
        place = store.database.location
        url = str(place.path) if place.path else place.url.render_as_string(hide_password=False)
        me = Worker.here()
        logger.info("%s takes jobs of %s", me.name, store.location)
        taken = 0
        for claim in _claims(queue, me, settings, stop):
            taken += 1
            logger.info("job %s (%s) begins, attempt %s", claim.job.id, claim.job.kind, claim.job.attempts)
            folder = settings.folder / claim.job.id
            Attempt(queue, claim, url, folder, settings.devices, stop).run()
        return taken


def _claims(queue: JobQueue, me: Worker, settings: WorkerSettings, stop: threading.Event) -> Iterator[Claim]:
    wait_s, pruned_s = _LOOK_S, 0.0
    while not stop.is_set():
        try:
            if time.monotonic() - pruned_s > _PRUNE_EVERY_S:
                queue.prune()
                pruned_s = time.monotonic()
            claim = queue.claim(me, settings.kinds, settings.devices)
            wait_s = _LOOK_S
        except StoreError as fault:
            logger.warning("no job can be taken: %s", fault.message)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            continue
        if claim is not None:
            yield claim
        elif settings.until_idle:
            return
        else:
            stop.wait(_LOOK_S)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM, or the first Ctrl-C, sets; the second Ctrl-C ends the program as usual."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        del frame
        signal.signal(signal.SIGINT, signal.default_int_handler)
        logger.warning("told to stop (%s); what is being measured is brought to the disk", signal.Signals(number).name)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def default_folder() -> Path:
    """Where jobs keep files until they are finished, unless another place is asked for."""
    return user_data_path("lutra", appauthor=False) / "jobs"


def devices_here() -> dict[str, str]:
    """All devices that can be measured from this machine, by their own names."""
    from ...profiler import devices

    return {info.name: info.name for info in devices() if info.available}


def devices_of(texts: Sequence[str]) -> dict[str, str]:
    """The devices that ``NAME`` or ``NAME=LOCAL`` stand for: what requests call them, and what this machine does.

    Raises:
        UsageError: an empty name, or one given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, local = text.partition("=")
        if not name or (equals and not local) or name in found:
            raise UsageError(f"--device {text!r}", hint="name each device once: --device null, or --device pi4=host")
        found[name] = local or name
    return found
