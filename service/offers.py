"""Networks that could be measured on a new device, and what other devices say of them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import LutraError, MissingDependencyError, NotCoveredError, UnknownNameError, UsageError
from .options import sources_of, subject_of
from .samples import NETWORK_COLUMN, network_names, numbers_of, read_columns, scale_of
from .spaces import space_of

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from ..luts import DeviceRecord, Store, Table
    from ..nas.spaces import SearchSpace
    from ..networks import Network
    from ..profiler import Device

Floats: TypeAlias = NDArray[np.float64]
Runnable: TypeAlias = Union["Network", "Path"]

_DRAWN: Final = 500  # random architectures of a space that are candidates
_LEAST_OF_SOURCE: Final = 0.5  # share of the candidates that a table must have a number for
_PROBED: Final = 8  # candidates that a table is asked for first, where each takes a lowering


@dataclass(frozen=True)
class Offered:
    """Architectures that could be measured.

    Attributes:
        codes: one a row, shape ``[n, m]``.
        network: the network of a row.
        space: what they are of; None where a file names the networks.
        latencies_ms: on other devices, by name, each of shape ``[n]``; NaN where one has no number.
        costs: counted quantities by name, each of shape ``[n]``.
    """

    codes: Floats
    network: Callable[[int], Runnable]
    space: "SearchSpace | None"
    latencies_ms: Mapping[str, Floats]
    costs: Mapping[str, Floats]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Where candidates come from, as the command line says it.

    Attributes:
        file: CSV or Parquet file of architectures; None for random ones of the space.
        space: search space; None where the file names networks.
        networks: the file's column of networks.
        encoding: its columns of choices; all others if empty.
        sources: its columns of latencies on other devices, and names of devices in the store.
        costs: its columns of counted quantities.
    """

    file: str | None
    space: str | None
    networks: str | None
    encoding: Sequence[str]
    sources: Sequence[str]
    costs: Sequence[str]


def candidates_of(offer: Offer, device: "Device", store: "Store | None", *, seed: int) -> Offered:
    """The architectures that could be measured, with what is known of them on other devices.

    Raises:
        UsageError: neither a file nor a space, columns without a file, or encodings that are no codes of the space.
        UnknownNameError: no such space, or no such device in the store.
        TableFileError: the file cannot be read, lacks a column, or has a cell that is no number or network.
        NotCoveredError: a device that is named knows too few of the networks.
    """
    space = None if offer.space is None else space_of(offer.space)
    if offer.file is not None:
        columns = read_columns(offer.file).column_names
        devices = [name for name in offer.sources if name not in columns]
        candidates = listed(offer, offer.file, space, [name for name in offer.sources if name in columns])
        return with_devices(candidates, store, device, devices) if devices else candidates
    if space is None:
        raise UsageError(
            "nothing to choose networks from", hint="name a search space, such as --space fbnet, or give a file"
        )
    if offer.networks or offer.encoding or offer.costs:
        raise UsageError("--networks, --encoding and --costs name columns of a file", hint="give the file")
    return with_devices(drawn(space, seed), store, device, offer.sources)


def drawn(space: "SearchSpace", seed: int) -> Offered:
    """Random architectures of a space, with their MACs and parameters."""
    codes = np.unique(space.sample(_DRAWN, np.random.default_rng(seed)), axis=0)
    counted = space.costs(codes)
    costs = {"macs": counted.macs.astype(np.float64), "params": counted.params.astype(np.float64)}
    return Offered(codes.astype(np.float64), lambda row: space.decode(codes[row]), space, {}, costs)


def listed(offer: Offer, path: str, space: "SearchSpace | None", sources: Sequence[str]) -> Offered:
    """The architectures of a file, one a row; ``sources`` are its columns of latencies, whose ends are the units.

    Raises:
        TableFileError: the file cannot be read, lacks a column, or has a cell that is no number or network.
        UsageError: both a space and a column of networks, or encodings that are no codes of the space.
    """
    table = read_columns(path)
    if space is not None and offer.networks is not None:
        raise UsageError("both a space and a column of networks", hint="give one of the two")
    named = offer.networks or NETWORK_COLUMN
    others = {*sources, *offer.costs, named}
    columns = tuple(offer.encoding) or tuple(name for name in table.column_names if name not in others)
    if not columns:
        raise UsageError(f"{path} has no column of choices", hint="name them with --encoding")
    codes = np.stack([numbers_of(path, table, name) for name in columns], axis=1)
    return Offered(
        codes=codes,
        network=_reader(path, table, named) if space is None else _decoder(space, codes),
        space=space,
        latencies_ms={name: scale_of(path, name) * numbers_of(path, table, name) for name in sources},
        costs={name: numbers_of(path, table, name) for name in offer.costs},
    )


def _decoder(space: "SearchSpace", codes: Floats) -> "Callable[[int], Network]":
    whole = codes.astype(np.int64)
    if not np.array_equal(whole, codes):
        raise UsageError("the encodings are not whole numbers", hint=f"give codes of the space {space.name}")
    space.validate(whole)
    return lambda row: space.decode(whole[row])


def _reader(path: str, table: "pa.Table", column: str) -> Callable[[int], Runnable]:
    names = network_names(path, table, column)
    return lambda row: sources_of([names[row]])[0]


def with_devices(candidates: Offered, store: "Store | None", device: "Device", wanted: Sequence[str]) -> Offered:
    """Candidates with what tables of other devices say of them.

    Args:
        candidates: what to ask for.
        store: holds the tables.
        device: the new one, whose own table is no source.
        wanted: names or digests of sources; all that have numbers for half of the candidates if empty.

    Raises:
        UnknownNameError: the store has no such device.
        NotCoveredError: the table of a wanted one says too little.
    """
    records = [record for record in store.devices() if record.digest != device.fingerprint.digest] if store else []
    known = sorted({record.name for record in records})
    for name in wanted:
        if not any(_is_named(record, name) for record in records):
            raise UnknownNameError("source device", name, known)
    found: dict[str, Floats] = {}
    for record in records:
        asked = any(_is_named(record, name) for name in wanted)
        assert store is not None
        if not asked and (wanted or not _is_alike(record, device) or not store.keys(record, "kernel")):
            continue
        label = _label(record)
        sys.stderr.write(f"asking the table of {label}\n")
        try:
            found[label] = _told(candidates, store.table(record))
        except LutraError as error:
            if asked:
                raise
            sys.stderr.write(f"left out: {label}: {error.message}\n")
    merged = {**candidates.latencies_ms, **found}
    return Offered(candidates.codes, candidates.network, candidates.space, merged, candidates.costs)


def _is_named(record: "DeviceRecord", name: str) -> bool:
    return record.name == name or (len(name) >= 6 and record.digest.startswith(name))


def _is_alike(record: "DeviceRecord", device: "Device") -> bool:
    """Whether numbers of a known device say something of the new one, unasked."""
    kind = record.fingerprint.kind
    return kind != "imported" and (kind == "null") == (device.kind == "null")


def _label(record: "DeviceRecord") -> str:
    held = record.fingerprint
    plural = "s" * (held.threads != 1)
    return f"{record.name} ({held.runtime_name}, {held.precision}, {held.threads} thread{plural}, {record.digest[:6]})"


def _told(candidates: Offered, table: "Table") -> Floats:
    """What a table says of each candidate, in ms; NaN where it does not."""
    space, told = candidates.space, None
    if space is not None and space.chains():
        # Where the runtime is not installed, the table's own fusion rules still take whole networks apart.
        with suppress(MissingDependencyError):
            told = _dense(space, candidates.codes.astype(np.int64), table)
    if told is None:
        told = _one_by_one(candidates, table)
    share = float(np.mean(~np.isnan(told)))
    if share < _LEAST_OF_SOURCE:
        raise NotCoveredError(
            f"the table of {table.name} has numbers for {share:.0%} of the networks",
            (),
            hint="profile more of their kernels there: lutra profile --space, or lutra profile NETWORK...",
        )
    return told


def _dense(space: "SearchSpace", codes: NDArray[np.int64], table: "Table") -> Floats:
    from ..luts.dense import DenseTable
    from ..networks.lowering.blocks import lower_blocks

    of = table.fingerprint
    chains = space.chains()
    lowered = [lower_blocks(c, of.runtime_name, precision=of.precision, threads=of.threads) for c in chains]
    chain, choices = space.chain_of(codes)
    met = choices if len(chains) == 1 else np.concatenate([chain[:, None], choices], axis=1)
    dense = DenseTable(lowered, table, interpolate=True)
    return dense.latencies_ms(met, allow_missing=True).astype(np.float64)


def _one_by_one(candidates: Offered, table: "Table") -> Floats:
    from ..predictors import table_predictor

    predictor = table_predictor(table)
    told = np.full(len(candidates.codes), np.nan)
    for row in range(len(told)):
        try:
            told[row] = predictor.predict_batch([_network(candidates.network(row))])[0]
        except NotCoveredError:
            if row + 1 == _PROBED and np.isnan(told[:_PROBED]).all():
                break
    return told


def _network(source: Runnable) -> "Network":
    subject = subject_of(source)
    return subject[0] if isinstance(subject, tuple) else subject
