"""`Context`: what a running job has: the store, a folder, a way to tell what happens, and word that it is to stop."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ...luts import Store
from ...luts.measurement import utc_now
from ...networks.errors import JobLostError, StoreError
from .job import Claim, Job
from .queue import JobQueue
from .reading import write_files

if TYPE_CHECKING:
    from ...profiler import Device

logger = logging.getLogger(__name__)

_TELL_EVERY_S: Final = 0.2


class Context:
    """What a running job has, as a context manager: what it has told is on disk when the block ends.

    Args:
        store: where rows go.
        queue: the jobs of that store.
        claim: the job, and the right to write about it.
        folder: to work in; a job that is begun again on the same machine finds there what it left.
        devices: what this machine calls the devices that go by other names elsewhere.

    Attributes:
        cancel: set when the job is to stop as soon as what it is doing stands.
    """

    def __init__(self, store: Store, queue: JobQueue, claim: Claim, folder: Path, devices: Mapping[str, str]) -> None:
        self.store, self.folder = store, folder
        self.cancel = threading.Event()
        self._queue, self._claim, self._devices = queue, claim, devices
        self._untold: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell_until_stopped, name="lutra-job-events", daemon=True)

    @property
    def job(self) -> Job:
        """The job as it was when it was taken."""
        return self._claim.job

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._tell()

    def resolve_device(self, name: str, **settings: Any) -> "Device":
        """The device that a request calls ``name`` (`lutra.profiler.resolve_device`); its table goes under that name.

        Raises:
            LutraError: this machine has no such device, or not with these settings.
        """
        from ...profiler import resolve_device

        local = self._devices.get(name, name)
        device = resolve_device(local, **settings)
        return device if local == name else replace(device, name=name)

    def event(self, event: Mapping[str, Any]) -> None:
        """Tell that something happened: plain JSON data with its name as ``event``; readable within moments."""
        with self._lock:
            self._untold.append({"at": utc_now(), **event})

    def keep(self, name: str, content: bytes) -> None:
        """Keep a file with the job (`JobQueue.put_file`)."""
        self._queue.put_file(self.job.id, self._claim.token, name, content)

    def keep_folder(self, folder: Path, prefix: str = "") -> None:
        """Keep all files of a folder with the job, under their paths within it."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.keep(prefix + path.relative_to(folder).as_posix(), path.read_bytes())

    def fetch_folder(self, job_id: str, prefix: str, folder: Path) -> Path:
        """Write the files of another job whose names begin with ``prefix`` into a folder, which is returned."""
        write_files(self._queue, job_id, folder, prefix)
        return folder

    def _tell_until_stopped(self) -> None:
        while not self._stop.wait(_TELL_EVERY_S):
            try:
                self._tell()
            except JobLostError as error:
                logger.warning("%s", error.message)
                self.cancel.set()
                return
            except StoreError as fault:  # may pass by the next time
                logger.warning("no events are told for now: %s", fault.message)

    def _tell(self) -> None:
        with self._lock:
            if self._untold:
                self._queue.append_events(self.job.id, self._claim.token, self._untold)
                self._untold = []
