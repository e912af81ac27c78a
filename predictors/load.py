"""`load_predictor`: from the name of a device, or a saved predictor, to something that predicts."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, Union

from ..luts import Fingerprint, Table
from ..luts.table import CALIBRATION_DOCUMENT
from ..networks.errors import (
    CorruptModelError,
    FingerprintMismatchError,
    NotCoveredError,
    NotSupportedError,
    UnknownNameError,
    UsageError,
)
from .additive import TablePredictor
from .base import LatencyPredictor

if TYPE_CHECKING:
    from ..luts import DeviceRecord, Store

HOST: Final = "host"
_FIRST_PROFILE: Final = "lutra profile mobilenet_v2"
_DIGEST_PREFIX: Final = 6  # fewest digits that name a device by its digest, as in the store

StoreLike: TypeAlias = Union["Store", str, os.PathLike[str], None]
"""An open store, its path or URL, or None for the default one."""


def load_predictor(
    device: str | os.PathLike[str] = HOST,
    *,
    store: StoreLike = None,
    runtime: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> LatencyPredictor:
    """Return the predictor of a device, from the rows in the store; or read a saved one.

    Args:
        device: ``"host"`` for this machine; the name of another device in the store, or the first six or more
            digits of its digest; or the path of a folder that `LatencyPredictor.save` wrote (text with a
            separator in it, such as ``"./tuned"``, or a ``pathlib.Path``).
        store: the store, or where it is; it is only read.
        runtime: who executes the network. None takes this machine's default for the host, and any that was
            profiled for another device.
        threads: how many threads the runtime uses. None takes 1 for the host, and any for another device.
        precision: number format that networks are run in. None takes float32 for the host, and any for another device.

    Raises:
        UnknownNameError: no such device in the store.
        NotCoveredError: this machine has not been profiled yet.
        FingerprintMismatchError: the host's rows were measured on another machine, runtime version or setting.
        UsageError: several devices match.
        NotSupportedError: the device's rows were imported without their runtime.
        StoreError: the store cannot be read.
        ArtifactError: the folder holds no predictor (or a child, when it is damaged).
        FormatVersionError: a newer version of Lutra saved it.
    """
    if isinstance(device, os.PathLike) or os.sep in device:
        if any(given is not None for given in (store, runtime, threads, precision)):
            hint = "leave out store, runtime, threads, precision"
            raise UsageError("a saved predictor has its device in it", hint=hint)
        return LatencyPredictor.load(device)
    with _opened(store) as opened:
        records = opened.devices() if opened else []
        if device == HOST:
            record = _host_record(records, runtime, 1 if threads is None else threads, precision or "float32")
        else:
            record = _named_record(records, device, (runtime, threads, precision))
        assert opened is not None  # without a store there are no records, and both raise
        table = opened.table(record)
    return table_predictor(table, HOST if device == HOST else record.name)


def table_predictor(table: Table, name: str | None = None) -> TablePredictor:
    """The predictor of a table, with what calibrates it where the table has such a document.

    Args:
        table: the rows of one device.
        name: what people call the device; None takes the table's name.

    Raises:
        CorruptModelError: the document is damaged.
    """
    document = table.documents.get(CALIBRATION_DOCUMENT)
    if document is None:
        return TablePredictor(table, name)
    try:
        scale, error = float(document["scale"]), float(document["error"])
    except (KeyError, TypeError, ValueError) as problem:
        raise CorruptModelError(f"the calibration of {name or table.name} is damaged: {problem!r}") from None
    predictor = TablePredictor(table, name, prior_error=error)
    predictor.scale_ = scale
    return predictor


@contextmanager
def _opened(store: StoreLike) -> "Iterator[Store | None]":
    """The store to read; None where there is none yet."""
    from ..luts import Store
    from ..luts.location import locate

    if isinstance(store, Store):
        yield store
        return
    if locate(store).missing:
        yield None
        return
    with Store.open(store, create=False, read_only=True) as opened:
        yield opened


def _host_record(
    records: "Sequence[DeviceRecord]", runtime: str | None, threads: int, precision: str
) -> "DeviceRecord":
    from ..luts.host import host_fingerprint

    wanted = host_fingerprint(runtime, threads=threads, precision=precision)
    for record in records:
        if record.digest == wanted.digest:
            return record
    flags = f" --runtime {runtime}" * bool(runtime) + f" --threads {threads}" * (threads != 1)
    flags += f" --precision {precision}" * (precision != "float32")
    hint = f"{_FIRST_PROFILE}{flags}"
    others = [record.fingerprint.differences(wanted) for record in records if record.name == HOST]
    if others:
        raise FingerprintMismatchError(
            "the host's rows were measured under other conditions (then -> now)",
            min(others, key=len),
            hint=f"profile it as it is now: {hint} --new-table",
        )
    raise NotCoveredError(
        f"this machine has not been profiled yet ({_setting(wanted)})", (), hint=f"profile it first: {hint}"
    )


def _with_kernels(record: "DeviceRecord") -> "DeviceRecord":
    """The record, unless its rows were imported from a file that does not say which runtime they are of."""
    if record.fingerprint.kind == "imported":
        raise NotSupportedError(
            f"the rows of {record.name} were imported without their runtime: no network can be taken apart into them",
            hint="profile the device itself, or add its building blocks up with lutra.luts.BlockTable",
        )
    return record


def _named_record(
    records: "Sequence[DeviceRecord]", device: str, setting: tuple[str | None, int | None, str | None]
) -> "DeviceRecord":
    """The one record of ``device`` under a runtime, thread count and precision, each None for any."""
    named = [record for record in records if record.name == device or _is_digest_of(device, record)]
    if not named:
        raise UnknownNameError("device", device, {HOST, *(record.name for record in records)})
    matching = [record for record in named if _has_setting(record.fingerprint, setting)]
    if len(matching) == 1:
        return _with_kernels(matching[0])
    listed = "; ".join(f"{record.digest[:12]} ({_setting(record.fingerprint)})" for record in matching or named)
    if matching:
        raise UsageError(
            f"{len(matching)} tables of {device}: {listed}",
            hint="give runtime, threads, precision, or the digest as the device",
        )
    raise UsageError(f"no table of {device} with this runtime, threads and precision", hint=f"there are: {listed}")


def _has_setting(fingerprint: Fingerprint, setting: tuple[str | None, int | None, str | None]) -> bool:
    held = (fingerprint.runtime_name, fingerprint.threads, fingerprint.precision)
    return all(wanted in (None, value) for wanted, value in zip(setting, held, strict=True))


def _is_digest_of(text: str, record: "DeviceRecord") -> bool:
    return len(text) >= _DIGEST_PREFIX and record.digest.startswith(text)


def _setting(fingerprint: Fingerprint) -> str:
    runtime = dict(fingerprint.runtime)
    version = f" {runtime['version']}" if "version" in runtime else ""
    threads = f"{fingerprint.threads} thread{'s' * (fingerprint.threads != 1)}"
    cache = dict(fingerprint.settings).get("cache")
    caches = f", caches {cache}" * bool(cache)
    return f"{fingerprint.runtime_name}{version}, {threads}, {fingerprint.precision}{caches}"
