"""An agent: takes jobs of a server, runs them on this machine, and brings the server what was measured."""

import fcntl
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_data_path

from ...luts import Store
from ...networks.errors import (
    ForbiddenError,
    JobRequestError,
    LutraError,
    NothingHereError,
    NotSupportedError,
    StoreError,
    StoreLockedError,
    UnauthenticatedError,
    UnknownNameError,
)
from ..client.work import RemoteWork
from ..jobs.attempt import Attempt
from ..jobs.job import Worker
from ..jobs.kinds import self_contained_kinds
from ..jobs.queue import JobQueue
from .assignments import MINE, RETURN, Assignments
from .forwarding import Forwarder
from .link import Link
from .outbox import Outbox

logger = logging.getLogger(__name__)

_LOOK_S: Final = 2.0
_LAST_S: Final = 15.0  # for what is to be told when the agent is stopped


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """What an agent measures, and for whom.

    Attributes:
        server: its address; None for the environment's ``LUTRA_SERVER``.
        token_file: holds the token; None for the environment's ``LUTRA_TOKEN``.
        name: what people call the agent.
        store: file of its own store: the spool.
        devices: names of devices that it measures, each with what this machine calls it.
        folder: where jobs keep files until they are finished.
        until_idle: end as soon as there is nothing to do, and the server has everything.
    """

    server: str | None
    token_file: Path | None
    name: str
    store: Path
    devices: Mapping[str, str]
    folder: Path
    until_idle: bool = False


def default_store() -> Path:
    """Where an agent keeps what it measures, unless another place is asked for."""
    return user_data_path("lutra", appauthor=False) / "agent.db"


def run_agent(settings: AgentSettings, stop: threading.Event) -> int:
    """Take jobs of a server until told to stop; returns how many were taken.

    While the server is out of reach, what is measured stays in the store, and a job that runs goes on. When the agent
    is told to stop, the job that it runs brings what it measures to the disk and is given back.

    Args:
        settings: what to measure, and for whom.
        stop: set to end.

    Raises:
        UsageError: no address, or one that is none.
        UnauthenticatedError, ForbiddenError: the server refuses the token at the start; what is kept stays.
        NotSupportedError: the server is too old to have work for agents.
        MissingDependencyError: the extra ``client`` is not installed.
        StoreLockedError: another agent works with the store.
        StoreError: the store cannot be opened.
    """
    link = Link(settings.server, settings.token_file)
    try:
        with _alone(settings.store), Store.open(settings.store) as store:
            return _Agent(settings, store, link, stop).run()
    finally:
        link.close()


class _Agent:
    def __init__(self, settings: AgentSettings, store: Store, link: Link, stop: threading.Event) -> None:
        self._settings, self._store, self._link, self._stop = settings, store, link, stop
        self._queue = JobQueue(store)
        self._assignments, self._outbox = Assignments(store, self._queue), Outbox(store)
        self._kinds = self_contained_kinds()
        self._forwarder = Forwarder(
            store,
            self._queue,
            self._assignments,
            self._outbox,
            link,
            settings.name,
            self._kinds,
            [*settings.devices],
        )
        self._strangers = [*settings.devices]  # devices that the server has not been told of
        self._taken = 0

    def run(self) -> int:
        self._resume()
        self._begin()
        self._forwarder.start()
        try:
            while not self._stop.is_set():
                if self._run_one() or self._fetch():
                    continue
                if self._settings.until_idle and self._forwarder.is_done and not self._link.trouble:
                    break
                self._stop.wait(_LOOK_S)
        finally:
            self._forwarder.stop(_LAST_S)
        if left := len(self._outbox):
            logger.warning("%d rows wait in %s for the next time", left, self._settings.store)
        return self._taken

    def _resume(self) -> None:
        """Go on with jobs of an earlier run; those of devices that are not measured any more are given back."""
        self._outbox.retry()
        self._queue.claim(Worker.here(), [], [])  # takes nothing, but from an agent that is dead
        for held in self._assignments.all():
            device = self._queue.get(held.job_id).device
            served = device is None or device in self._settings.devices
            if held.fate in (MINE, RETURN):
                self._assignments.decide(held, MINE if served else RETURN)

    def _begin(self) -> None:
        """Take the first job; a server that is out of reach is waited for, one that refuses is not."""
        try:
            self._ask_for_a_job()
        except (UnauthenticatedError, ForbiddenError):
            raise
        except NothingHereError:
            raise NotSupportedError(
                f"{self._link.url} has no work for agents", hint="it is an older version of Lutra, or none: upgrade it"
            ) from None
        except LutraError as error:
            self._link.note(error)

    def _introduce(self, name: str) -> None:
        """Make a device known that the server has never heard of; one that it knows has its tables already."""
        from ...profiler import resolve_device

        with suppress(UnknownNameError):
            self._outbox.goes_into(self._link.ask(RemoteWork.table_called, name))
            return
        try:
            fingerprint = resolve_device(self._settings.devices[name]).fingerprint
        except LutraError as error:
            logger.warning("%s is not introduced to the server: %s", name, error.message)
            return
        self._outbox.goes_into(self._link.ask(RemoteWork.register, fingerprint, name))

    def _run_one(self) -> bool:
        """Run a job that waits here; whether there was one."""
        try:
            claim = self._queue.claim(Worker.here(), self._kinds, self._settings.devices)
        except StoreError as error:
            logger.warning("no job can be begun: %s", error.message)
            return False
        if claim is None:
            return False
        logger.info("job %s (%s) begins", claim.job.id, claim.job.kind)
        self._forwarder.running = claim.job.id
        folder = self._settings.folder / claim.job.id
        try:
            Attempt(self._queue, claim, str(self._settings.store), folder, self._settings.devices, self._stop).run()
        finally:
            self._forwarder.running = None
        return True

    def _fetch(self) -> bool:
        """Take the next job of the server; whether there was one."""
        if not self._link.may_ask:
            return False
        try:
            return self._ask_for_a_job()
        except LutraError as error:
            self._link.note(error)
            return False

    def _ask_for_a_job(self) -> bool:
        while self._strangers:
            self._introduce(self._strangers[-1])
            self._strangers.pop()
        if self._assignments.all():
            return False  # the server has not heard all of it: asked for any job, it might give that one once more
        token, asked = self._assignments.next_token(), self._settings
        job = self._link.ask(RemoteWork.claim, asked.name, token, self._kinds, [*asked.devices])
        if job is None:
            return False
        try:
            self._assignments.accept(job, token)
        except (UnknownNameError, JobRequestError) as error:
            told = error.to_dict() | {"hint": "upgrade the agent, or ask for something else"}
            self._link.ask(RemoteWork.end, job.id, token, "failed", error=told)
            self._assignments.decline()
            return True
        self._taken += 1
        return True


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Keep other agents off the store while the block runs; the system ends that with the process, however it dies.

    Raises:
        StoreLockedError: there is another one.
        StoreError: the folder cannot be written.
    """
    path = store.with_name(f"{store.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", hint="name a store in a folder that you can write to"
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreLockedError(
                f"another agent works with {store}", hint="stop it, or give this one another --store"
            ) from None
        yield
    finally:
        os.close(file)
