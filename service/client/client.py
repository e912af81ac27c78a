"""`Client`: the devices, tables, predictions and jobs of a server."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from ...luts import DeviceRecord, DeviceSummary, Fingerprint, Measurement, RowNumbers, Table
from ...networks.errors import LutraError
from .jobs import RemoteJobs
from .predictor import RemoteOracle, RemotePredictor
from .transport import Transport
from .work import RemoteWork


class Client:
    """A server, asked with the methods of `Store`, `load_predictor` and `JobQueue`.

    It is a context manager that closes its connections. Threads may share it. Whatever goes wrong is raised as the
    error that it was on the server; UnreachableServerError where that does not answer.

    Args:
        url: such as ``http://127.0.0.1:8000``; None for the environment variable ``LUTRA_SERVER``.
        token: from ``lutra serve`` or ``lutra token create``; None for the environment variable ``LUTRA_TOKEN``.

    Attributes:
        jobs: the server's queue.
        work: the half of it that agents use.

    Raises:
        MissingDependencyError: the extra ``client`` is not installed.
        UsageError: no address, or one that is none.
        UnauthenticatedError: no token.
    """

    def __init__(self, url: str | None = None, *, token: str | None = None) -> None:
        self._transport = Transport(url, token)
        self.jobs = RemoteJobs(self._transport)
        self.work = RemoteWork(self._transport)

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    @property
    def location(self) -> str:
        """The server's address."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- devices and rows, as `Store` ---------------------------------------------------------------------

    def devices(self) -> list[DeviceRecord]:
        """All devices, the one used last first."""
        return [self.device(item["digest"]) for item in self._pages("/v1/devices")]

    def summaries(self) -> list[DeviceSummary]:
        """How many rows there are of each device, the one used last first."""
        return [DeviceSummary(device=self._record(item), counts=item["counts"]) for item in self._pages("/v1/devices")]

    def device(self, device: str | Fingerprint | DeviceRecord) -> DeviceRecord:
        """A device's record.

        Raises:
            UnknownNameError: no such device; lists the names of those there are.
        """
        return self._record(self._transport.json("GET", f"/v1/devices/{_named(device)}"))

    def register_device(self, fingerprint: Fingerprint, name: str) -> DeviceRecord:
        """Make a device known, or known under another name."""
        document = {"name": name, "fingerprint": fingerprint.to_dict()}
        return self._record(self._transport.json("POST", "/v1/devices", document=document))

    def heartbeat(
        self,
        device: str | Fingerprint | DeviceRecord,
        *,
        agent: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Say that a device's agent lives."""
        document = {"agent": agent, "state": dict(state or {})}
        self._transport.json("POST", f"/v1/devices/{_named(device)}/heartbeat", document=document)

    @contextmanager
    def lease(self, device: str | Fingerprint | DeviceRecord, *, stale_after_s: float = 60.0) -> Iterator[None]:
        """The right to profile a device, for the ``with`` block; it is renewed meanwhile.

        Raises:
            StoreLockedError: another process has the device.
        """
        path = f"/v1/devices/{_named(device)}/lease"
        taken = self._transport.json("POST", path, document={"seconds": stale_after_s})
        mine, ended = f"{path}/{taken['id']}", threading.Event()

        def renew() -> None:
            while not ended.wait(stale_after_s / 4):
                try:
                    self._transport.json("PUT", mine)
                except LutraError:  # it may be reached again by the next time
                    continue

        thread = threading.Thread(target=renew, name="lutra-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._transport.json("DELETE", mine)

    def table(self, device: str | Fingerprint | DeviceRecord) -> Table:
        """All rows of a device, with their samples and its documents."""
        return Table.from_json(self.export(device, "json"))

    def get(self, device: str | Fingerprint | DeviceRecord, kind: str, key: str) -> Measurement:
        """The row of a subject whatever its status.

        Raises:
            UnknownNameError: there is none.
        """
        path = f"/v1/tables/{_named(device)}/row"
        return Measurement.from_dict(self._transport.json("GET", path, query={"kind": kind, "key": key}))

    def numbers(self, device: str | Fingerprint | DeviceRecord, kind: str | None = None) -> Iterator[RowNumbers]:
        """Iterate over the rows of a device, or those of one kind, without their samples."""
        for item in self._pages(f"/v1/tables/{_named(device)}/rows", kind=kind):
            yield RowNumbers(**item | {"flags": tuple(item["flags"])})

    def export(self, device: str | Fingerprint | DeviceRecord, format: str) -> bytes:  # noqa: A002  # what it is
        """A table as the content of a file: ``"parquet"``, ``"csv"`` or ``"json"``."""
        return self._transport.content(f"/v1/tables/{_named(device)}/export", query={"format": format})

    def import_file(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002  # what it is
        name: str | None = None,
        replace: bool = False,
    ) -> list[dict[str, Any]]:
        """Take the table in a file over into the server's store, all of it or nothing.

        Returns:
            For each device its name, digest, rows, and how many of them were written.
        """
        path = Path(path)
        query = {"format": format or path.suffix.lstrip(".").lower(), "name": name, "replace": str(replace).lower()}
        found: list[dict[str, Any]] = self._transport.json(
            "POST", "/v1/tables/import", content=path.read_bytes(), query=query
        )
        return found

    def diff(self, left: str, right: str) -> dict[str, Any]:
        """Two tables beside each other, as plain JSON data."""
        found: dict[str, Any] = self._transport.json("GET", "/v1/tables/diff", query={"left": left, "right": right})
        return found

    def delete_device(self, device: str | Fingerprint | DeviceRecord) -> None:
        """Remove a device with all its rows."""
        self._transport.json("DELETE", f"/v1/tables/{_named(device)}")

    # -- predictions --------------------------------------------------------------------------------------

    def load_predictor(
        self,
        device: str = "host",
        *,
        model: str | None = None,
        runtime: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
    ) -> RemotePredictor:
        """What predicts from a device's table there; or from a saved predictor of that name, which is ``model``.

        Nothing is asked before the first prediction.
        """
        source: dict[str, Any] = {"device": device, "runtime": runtime, "threads": threads, "precision": precision}
        given = {"model": model} if model is not None else {k: v for k, v in source.items() if v is not None}
        return RemotePredictor(self._transport, given)

    def oracle(self, space: Any, device: str = "host", **setting: Any) -> RemoteOracle:
        """The latencies of a search space's codes on a device there.

        Args:
            space: a `SearchSpace` that the server knows by its name.
            device: whose table.
            setting: as for `load_predictor`.
        """
        return self.load_predictor(device, **setting).oracle(space)

    def models(self) -> list[dict[str, Any]]:
        """The saved predictors, as plain JSON data."""
        return list(self._pages("/v1/models"))

    # -- inside -------------------------------------------------------------------------------------------

    def _pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        following: str | None = path
        while following is not None:
            page = self._transport.json("GET", following, query=query if following == path else None)
            items: Iterable[dict[str, Any]] = page["items"]
            yield from items
            following = page["next"]

    def _record(self, item: Mapping[str, Any]) -> DeviceRecord:
        found = self._transport.json("GET", f"/v1/devices/{item['digest']}/fingerprint")
        named = {name: item[name] for name in ("name", "created_at", "used_at")}
        return DeviceRecord(fingerprint=Fingerprint.from_json(json.dumps(found)), **named)


def _named(device: str | Fingerprint | DeviceRecord) -> str:
    return quote(device if isinstance(device, str) else device.digest, safe="")
