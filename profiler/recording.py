"""The rows of a device while a campaign runs: all in memory, each on disk before anybody is told of it."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ..luts import Measurement, Store, Table
from ..luts.compose import compose
from ..luts.store import DeviceRecord, Lease
from ..networks.lowering import Kernel
from .session import CONSTANT, NETWORK


class Recorder:
    """Commits rows, and answers what the device's table holds without reading the store again.

    Args:
        store: where rows are committed.
        device: whose rows.
        lease: the right to write them.
        committed: called with each row once it is on disk.
    """

    def __init__(
        self, store: Store, device: DeviceRecord, lease: Lease, committed: Callable[[Measurement], None]
    ) -> None:
        self._store, self._device, self._lease, self._committed = store, device, lease, committed
        table = store.table(device)
        self._documents = table.documents
        self._rows: dict[str, dict[str, Measurement]] = {}
        self._together: list[Measurement] | None = None
        for row in table:
            self._keep(row)

    def _keep(self, row: Measurement) -> None:
        self._rows.setdefault(row.subject_kind, {})[row.subject_key] = row

    @property
    def table(self) -> Table:
        """All rows of the device."""
        rows = (row for by_key in self._rows.values() for row in by_key.values())
        return Table(self._device.fingerprint, rows, name=self._device.name, documents=self._documents)

    def get(self, kind: str, key: str) -> Measurement | None:
        """The row of a subject, or None."""
        return self._rows.get(kind, {}).get(key)

    def keys(self, kind: str, statuses: Collection[str] = ("ok", "noisy", "failed")) -> set[str]:
        """Subjects of a kind that have a row with one of these statuses."""
        return {key for key, row in self._rows.get(kind, {}).items() if row.status in statuses}

    @property
    def overheads_ns(self) -> dict[str, float]:
        """The runtime's constants by name, as far as they are known."""
        rows = self._rows.get(CONSTANT, {}).values()
        return {row.subject_key: row.latency_ns for row in rows if row.status != "failed"}

    def record(self, row: Measurement) -> None:
        """Commit a row in place of any earlier one: nothing that has a good row is measured again unasked.

        Raises:
            StoreLockedError: another process took the device, because this one was stopped for long.
            StoreError: the row cannot be written.
        """
        self._keep(row)
        if self._together is None:
            self._commit([row])
        else:
            self._together.append(row)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit the rows of a block in one transaction at its end, which costs little more than one row's.

        Raises:
            StoreLockedError, StoreError: as `record`; then none of them is written.
        """
        rows: list[Measurement] = []
        self._together = rows
        try:
            yield
        finally:
            self._together = None
        self._commit(rows)

    def _commit(self, rows: list[Measurement]) -> None:
        self._lease.require()
        self._store.record_many(self._device, rows, replace=True)
        for row in rows:
            self._committed(row)

    def record_better(self, row: Measurement) -> None:
        """Commit a row that was measured again, unless the earlier one is the better."""
        earlier = self.get(row.subject_kind, row.subject_key)
        if earlier is None or _doubt(row) < _doubt(earlier):
            self.record(row)

    def predicted_ns(self, kernels: Collection[Kernel]) -> float | None:
        """What the rows say of a network; None where a kernel failed or has no row yet."""
        sums = compose(self.table, tuple(kernels))
        return None if sums.missing else sums.total_ns

    def predict_again(self, fingerprint: str, kernels: Collection[Kernel]) -> None:
        """Renew what stands beside a whole network as its prediction, after rows of its kernels changed."""
        row = self.get(NETWORK, fingerprint)
        if row is not None and row.status != "failed":
            spec: Mapping[str, object] = {**row.spec, "predicted_ns": self.predicted_ns(kernels)}
            self.record(replace(row, spec=spec))


def _doubt(row: Measurement) -> tuple[int, float]:
    """Smaller for the better row: one in order before a noisy and a failed one, then the narrower interval."""
    halfwidth = math.inf if row.rel_halfwidth is None else row.rel_halfwidth
    return ("ok", "noisy", "failed").index(row.status), halfwidth
