"""What a server consists of beside its routes, and the threads in which it reads and computes."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from platformdirs import user_data_path

from ...luts import DeviceSummary, Store
from ...luts.location import locate
from ...networks.errors import StoreError, UsageError
from ..jobs.queue import JobQueue
from ..tokens import Tokens
from .access import Access
from .knowledge import Knowledge
from .leases import RemoteLeases
from .limits import Limiter
from .metrics import Metrics
from .predicting import Predicting
from .presence import Presence
from .settings import Settings
from .uploads import Uploads

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_LOOK_EVERY_S = 0.1
_EXPIRE_EVERY_S = 3600.0
_PARSERS = 2  # child processes that read files at the same time


class Service:
    """One running server.

    Args:
        settings: what it was told.
        metrics: where it counts.
        own_digest: hash of the token that it printed.

    Attributes:
        store: open for writing.
        store_url: what opens it, password included.
        access: tokens and sessions.
        knowledge: what was read before.
        predicting: predictions.
        uploads: uploaded files.
        leases: devices that programs elsewhere hold.
        presence: signs of life of devices.
        jobs: the queue.
        mark: the store's change mark, as last seen.
        ordinary: limits all requests.
        weighty: limits uploads and jobs.
    """

    def __init__(self, settings: Settings, metrics: Metrics, own_digest: str | None) -> None:
        self.settings = settings
        self.metrics = metrics
        location = locate(settings.store)
        self.store_url = location.url.render_as_string(hide_password=False)
        self.store = Store.open(settings.store)
        beside = location.path.parent if location.path else user_data_path("lutra", appauthor=False)
        self.uploads = Uploads(settings.uploads or beside / "uploads", settings)
        self.models: Path = settings.models or beside / "models"
        self.ordinary = Limiter("requests", settings.requests_per_s, 2 * settings.requests_per_s)
        self.weighty = Limiter("uploads and jobs", settings.heavy_per_s, 10 * settings.heavy_per_s)
        failures = Limiter("wrong tokens", settings.failures_per_s, 10 * settings.failures_per_s)
        self.access = Access(Tokens(self.store), own_digest, failures)
        self.knowledge = Knowledge(self.store, self.models, settings)
        self.predicting = Predicting(self.knowledge, self.uploads)
        self.leases = RemoteLeases(self.store)
        self.presence = Presence(self.store)
        self.jobs = JobQueue(self.store)
        self._summaries: tuple[str, list[DeviceSummary]] = ("", [])
        self.mark = ""
        self._readers = CapacityLimiter(settings.readers)
        self._parsers = CapacityLimiter(_PARSERS)
        self.notice()

    async def read(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do in a thread what reads the store or computes; a few at a time."""
        return await to_thread.run_sync(work, *arguments, limiter=self._readers)

    async def parse(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do in a thread what reads a file from a stranger in a child process; very few at a time."""
        return await to_thread.run_sync(work, *arguments, limiter=self._parsers)

    def notice(self) -> None:
        """Notice whether the store has changed; every route that writes calls it before it answers."""
        self._noticed(self.store.change_mark())

    def _noticed(self, mark: str) -> None:
        self.mark = mark
        self.knowledge.look(mark)
        self.access.forget(mark)

    def summaries(self) -> list[DeviceSummary]:
        """How many rows there are of each device, the one used last first; counted when the store has changed."""
        mark, (counted_at, found) = self.mark, self._summaries
        if counted_at != mark:
            found = self.store.summaries()
            self._summaries = mark, found
        return found

    def require_batch(self, count: int) -> None:
        """Refuse more networks than one request may have.

        Raises:
            UsageError: there are.
        """
        most = self.settings.max_batch
        if count > most:
            raise UsageError(f"{count:,} networks in one request", hint=f"send at most {most:,} at once")

    def measured(self) -> bytes:
        """What Prometheus is told."""
        self.metrics.jobs(self.jobs.counts())
        return self.metrics.text()

    async def watch(self) -> None:
        """Notice what others write, until cancelled; delete uploads in time."""
        expired = 0.0
        while True:
            with suppress(StoreError):  # the requests that need the store say what is wrong with it
                self._noticed(await self.read(self.store.change_mark))
                await self.read(self.leases.expire)
            expired -= _LOOK_EVERY_S
            if expired <= 0:
                expired = _EXPIRE_EVERY_S
                with suppress(OSError):
                    if count := await self.read(self.uploads.expire):
                        logger.info("%d uploads were deleted: they were too old", count)
            await asyncio.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Give leases back, and close the store."""
        self.leases.close()
        self.store.close()
