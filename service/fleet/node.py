"""What runs on a node of a fleet: measures one of its devices, and sends rows as they come.

What goes to and fro is text and bytes in Lutra's own forms, so that neither end takes objects of the other's.
"""

import json
import logging
import queue
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from ...luts import Measurement, Store, Table
from ...luts.normalisation import COMPUTE_REFERENCE, MEMORY_REFERENCE
from ...networks.errors import LutraError
from .names import local_name
from .order import Order

if TYPE_CHECKING:
    from ...profiler import CampaignEvent, CampaignResult, Plan
    from ..profiling import Work

logger = logging.getLogger(__name__)

_MOST_AT_ONCE: Final = 256  # rows and events that are sent together
_END: Final = None

Subject = tuple[str, str]
"""Kind and key of a row."""


def versions() -> dict[str, str]:
    """What has to be the same on all machines of a fleet."""
    try:
        own = version("lutra")
    except PackageNotFoundError:
        own = "not installed"
    return {"Lutra": own, "Python": ".".join(map(str, sys.version_info[:2]))}


class Measurer:
    """Measures one device of the node that it runs on.

    Args:
        device: what the fleet calls it.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._folder = TemporaryDirectory(prefix="lutra-fleet-")
        self._cancel = threading.Event()
        self._order: Order | None = None
        self._work: Work | None = None

    def versions(self) -> dict[str, str]:
        """Those of the node."""
        return versions()

    def host(self) -> str:
        """The node's name."""
        return socket.gethostname()

    def cancel(self) -> None:
        """Stop as soon as what is being measured stands."""
        self._cancel.set()

    def introduce(self, order: str, sources: Sequence[tuple[str, bytes]]) -> str:
        """Plan what is to be measured; the device's fingerprint, or why it cannot be measured."""
        try:
            self._order = Order.from_json(order, sources)
            self._work = self._planned(self._order)
        except LutraError as error:
            return json.dumps({"error": error.to_dict()})
        return json.dumps({"fingerprint": self._work.device.fingerprint.to_dict()})

    def _planned(self, order: Order) -> "Work":
        from ...profiler import resolve_device
        from ..jobs.sources import space_named
        from ..profiling import work_of

        device = replace(resolve_device(local_name(self._device), **order.settings), name=self._device)
        folder = Path(self._folder.name) / "models"
        folder.mkdir()
        return work_of(
            device,
            order.networks(folder),
            [space_named(name) for name in order.spaces],
            check=order.check,
            check_networks=order.check_networks,
        )

    def measure(self, known: str, done: Sequence[Subject]) -> Iterator[str]:
        """Measure what was planned; yields JSON objects with ``events`` and ``rows``, the last one with ``result``.

        Args:
            known: the device's table, as JSON.
            done: rows of it that need not be measured again, whatever the order says.
        """
        assert self._order is not None
        assert self._work is not None
        with Store.open(Path(self._folder.name) / "rows.db") as store:
            table = Table.from_json(known)
            record = store.register_device(table.fingerprint, self._device)
            store.record_many(
                record, _still_good(table, self._work.plan, self._order.fresh, {(kind, key) for kind, key in done})
            )
            for name, document in table.documents.items():
                store.set_document(record, name, document)
            yield from _Campaign(self._work, self._order, store, self._cancel).told()


def _still_good(table: Table, plan: "Plan", fresh: bool, done: set[Subject]) -> Iterator[Measurement]:
    """Rows of a table that are not to be measured again. What the device's nominal speed is, stays."""
    networks = {subject.network.fingerprint for subject in plan.subjects}
    for row in table:
        subject = row.subject_kind, row.subject_key
        planned = row.subject_key in plan.kernels or row.subject_key in networks or row.subject_kind == "constant"
        kept = row.subject_key in (COMPUTE_REFERENCE, MEMORY_REFERENCE) or not planned
        if not fresh or kept or subject in done:
            yield row


class _Campaign:
    """A campaign in a thread of its own, and what it tells."""

    def __init__(self, work: "Work", order: Order, store: Store, cancel: threading.Event) -> None:
        self._work, self._order, self._store, self._cancel = work, order, store, cancel
        self._told: queue.SimpleQueue[tuple[CampaignEvent, Measurement | None] | None] = queue.SimpleQueue()
        self._end: dict[str, Any] = {}

    def told(self) -> Iterator[str]:
        """Run it; yields what it tells, and at last what it came to."""
        thread = threading.Thread(target=self._run, name="lutra-fleet-campaign")
        thread.start()
        try:
            yield from self._batches()
        finally:
            self._cancel.set()
            thread.join()
        yield json.dumps({"events": [], "rows": [], **self._end})

    def _batches(self) -> Iterator[str]:
        ended = False
        while not ended:
            told = [self._told.get()]
            while len(told) < _MOST_AT_ONCE and not self._told.empty():
                told.append(self._told.get())
            ended = told[-1] is _END
            pairs = [pair for pair in told if pair is not None]
            rows = [row.to_dict() for _, row in pairs if row is not None]
            yield json.dumps({"events": [event.to_dict() for event, _ in pairs], "rows": rows})

    def _run(self) -> None:
        from ..campaigns import measure

        plan, order = self._work.plan, self._order
        try:
            result = measure(
                plan,
                self._store,
                budget_s=order.budget_s,
                target_error=order.target_error,
                events=self._listen,
                cancel=self._cancel,
            )
            self._end = {"result": self._came_to(result), "documents": self._store.documents(plan.device.fingerprint)}
        except LutraError as error:
            self._end = {"error": error.to_dict()}
        except Exception as error:
            logger.exception("the campaign broke off")
            self._end = {
                "error": {"code": LutraError.code, "message": f"{type(error).__name__}: {error}", "hint": None}
            }
        finally:
            self._told.put(_END)

    def _listen(self, event: "CampaignEvent") -> None:
        """What is told of a row comes once it is in the store: it goes along."""
        row = None
        if event.name in ("row", "failed"):
            kind, key = event.kind, event.key  # type: ignore[attr-defined]
            row = self._store.get(self._work.device.fingerprint, kind, key)
        self._told.put((event, row))

    def _came_to(self, result: "CampaignResult") -> dict[str, Any]:
        from ..profiling import document

        compared = self._work.compared(result)
        return document(result, self._work, compared) | {"shown": None if compared is None else compared.detailed()}
