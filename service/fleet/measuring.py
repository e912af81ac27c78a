"""One device of a fleet is measured: its node is asked, rows are committed as they come, lost nodes are waited for."""

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from ...luts import Fingerprint, Measurement, Store
from ...luts.measurement import utc_now
from ...networks.errors import FleetError, LutraError, NodeLostError
from ..client.transport import error_of
from .cluster import require_versions
from .names import resource_of
from .node import Measurer, Subject
from .order import Order
from .outcome import Outcome

if TYPE_CHECKING:
    from ...luts import DeviceRecord
    from ...luts.store import Lease
    from .cluster import Fleet, Listener

logger = logging.getLogger(__name__)

_LOOK_S: Final = 0.5
_SLOW_TO_NOTICE_S: Final = 60.0  # that a node is gone
_MOST_LOSSES: Final = 3
"""A device whose node is lost so often in a row without a new row, is given up: it may be what kills the node."""


class _CancelledError(Exception):
    """It was cancelled before anything was measured."""


class DeviceRun:
    """Measures one device to the end, on whatever node has it.

    Args:
        fleet: the machines.
        ray: the module.
        device: what the fleet calls it.
        order: what to measure.
        store: where rows go.
        new_table: begin a new table where the device has changed.
        patience_s: how long to wait for a node that was lost.
        listen: told of each event.
        cancel: set when it is to stop.
    """

    def __init__(
        self,
        fleet: "Fleet",
        ray: Any,
        device: str,
        order: Order,
        store: Store,
        new_table: bool,
        patience_s: float,
        listen: "Listener",
        cancel: Event,
    ) -> None:
        self._fleet, self._ray, self._device, self._order, self._store = fleet, ray, device, order, store
        self._new_table, self._patience_s, self._listen, self._cancel = new_table, patience_s, listen, cancel
        self._done: dict[Subject, Measurement] = {}
        self._committed = self._losses = 0
        self._measuring = False
        self._node = self._digest = self._waits_for = ""

    def run(self) -> Outcome:
        """Measure; what goes wrong is in the outcome."""
        document: dict[str, Any] = {}
        error: LutraError | None = None
        try:
            document = self._until_it_is_done()
        except _CancelledError:
            document = {"interrupted": True}
        except LutraError as raised:
            error = raised
            self._tell("broke_off", code=error.code, message=error.message)
        shown = document.pop("shown", None)
        return Outcome(
            device=self._device,
            node=self._node,
            digest=self._digest,
            document=document,
            shown=shown,
            committed=self._committed,
            losses=self._losses,
            error=error,
        )

    def _until_it_is_done(self) -> dict[str, Any]:
        in_a_row, begun_s = 0, time.monotonic()
        while True:
            earlier, committed, self._measuring = dict(self._done), self._committed, False
            try:
                return _together(self._attempt(), earlier)
            except self._ray.exceptions.RayTaskError as fault:
                raise self._broken(fault) from fault
            except self._ray.exceptions.RayError as lost:
                if "creation task" in str(lost):
                    raise self._broken(lost) from lost
                logger.info("%s: %s", self._device, lost)
                if self._measuring:
                    begun_s = time.monotonic()
                    in_a_row = 1 if self._committed > committed else in_a_row + 1
                    self._losses += 1
                    self._tell("node_lost", node=self._node, reason=type(lost).__name__, rows=self._committed)
                # Where it had not begun, Ray has not noticed yet that the node is dead, and the time decides.
                if in_a_row == _MOST_LOSSES or time.monotonic() - begun_s > self._patience_s + _SLOW_TO_NOTICE_S:
                    raise NodeLostError(
                        f"{self._node or 'the machine'} of {self._device} was lost again and again without a new row "
                        f"({type(lost).__name__})",
                        hint="look at its memory and at Ray's logs there; committed rows are kept",
                    ) from lost
            self._cancel.wait(_LOOK_S)

    def _broken(self, fault: Exception) -> FleetError:
        """What a node could not do, for a reason that will not pass."""
        return FleetError(
            f"{self._device} cannot be measured: {str(fault).strip().splitlines()[-1]}",
            hint="look at Ray's logs of that machine; a fault of Lutra's should be reported",
        )

    def _attempt(self) -> dict[str, Any]:
        """Measure on the node that has the device now; raises an error of Ray's where it is lost."""
        if not self._losses and self._device in self._fleet.devices() and not self._fleet.is_free(self._device):
            self._wait("others", f"{self._device} is being measured for somebody else")
        actor = (
            self._ray.remote(Measurer)
            .options(num_cpus=0, resources={resource_of(self._device): 1}, max_concurrency=4, max_restarts=0)
            .remote(self._device)
        )
        try:
            require_versions(self._device, lambda: self._answer(actor.versions.remote()))
            self._node = self._answer(actor.host.remote())
            introduced = json.loads(self._answer(actor.introduce.remote(self._order.to_json(), self._order.sources)))
            _raise_error_of(introduced)
            return self._measure(actor, Fingerprint.from_dict(introduced["fingerprint"]))
        finally:
            self._ray.kill(actor)

    def _measure(self, actor: Any, fingerprint: Fingerprint) -> dict[str, Any]:
        from ...profiler import Device
        from ...profiler.continuity import require_same_machine
        from ...profiler.waiting import leased

        if not self._new_table:
            require_same_machine(self._store, Device(self._device, fingerprint))
        self._digest = fingerprint.digest
        record = self._store.register_device(fingerprint, self._device)
        with leased(self._store, record, math.inf, self._cancel, partial(self._wait, "store")) as lease:
            if lease is None:
                raise _CancelledError
            known, self._measuring = self._store.table(record).to_json(), True
            stream = actor.measure.options(num_returns="streaming").remote(known, list(self._done))
            end: Mapping[str, Any] = {}
            for batch in self._batches(actor, stream):
                self._take(batch, record, lease)
                end = batch
            _raise_error_of(end)
            for name, document in end["documents"].items():
                self._store.set_document(record, name, document)
            return dict(end["result"])

    def _take(self, batch: Mapping[str, Any], record: "DeviceRecord", lease: "Lease") -> None:
        """Commit the rows of a batch, then tell of them."""
        rows = [Measurement.from_dict(row) for row in batch["rows"]]
        if rows:
            lease.require()
            self._store.record_many(record, rows, replace=True)
            self._committed += len(rows)
            self._done |= {(row.subject_kind, row.subject_key): row for row in rows}
        for event in batch["events"]:
            self._listen(self._device, event)

    def _batches(self, actor: Any, stream: Any) -> Iterator[Mapping[str, Any]]:
        told_to_stop = False
        while True:
            if self._cancel.is_set() and not told_to_stop:
                actor.cancel.remote()
                told_to_stop = True
            if self._ray.wait([stream], timeout=_LOOK_S)[0]:
                try:
                    reference = next(stream)
                except StopIteration:
                    return
                yield json.loads(self._ray.get(reference))

    def _answer(self, reference: Any) -> Any:
        """What a node answers; waits until the device is free.

        Raises:
            NodeLostError: no machine has the device, and has not had it for as long as patience lasts.
        """
        seen_s = time.monotonic()
        while not self._ray.wait([reference], timeout=_LOOK_S)[0]:
            if self._cancel.is_set():
                raise _CancelledError
            now_s = time.monotonic()
            if self._device in self._fleet.devices():
                seen_s = now_s
            elif now_s - seen_s > self._patience_s:
                raise NodeLostError(
                    f"no machine of the fleet has had {self._device} for {self._patience_s:g} s",
                    hint=f"let it join again: lutra fleet join --device {self._device}; committed rows are kept",
                )
            else:
                self._wait("node", f"no machine has {self._device}; waiting for one to join")
        self._waits_for = ""
        return self._ray.get(reference)

    def _wait(self, what: str, reason: str) -> None:
        """Tell what is waited for, once."""
        if what != self._waits_for:
            self._waits_for = what
            self._tell("waiting", reason=reason)

    def _tell(self, event: str, **what: Any) -> None:
        self._listen(self._device, {"event": event, "at": utc_now(), **what})


def _raise_error_of(answer: Mapping[str, Any]) -> None:
    if error := answer.get("error"):
        raise error_of(error["code"], error["message"], error["hint"], None)


def _together(document: dict[str, Any], earlier: Mapping[Subject, Measurement]) -> dict[str, Any]:
    """What the last attempt came to, with what earlier ones had measured."""
    kernels = [row for (kind, _), row in earlier.items() if kind == "kernel" and row.status != "failed"]
    noisy = [row.label for row in kernels if row.status == "noisy" and row.label not in document["noisy"]]
    return document | {
        "measured": document["measured"] + len(kernels),
        "skipped": document["skipped"] - len(kernels),
        "noisy": [*noisy, *document["noisy"]],
    }
