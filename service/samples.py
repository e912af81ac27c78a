"""Measured latencies from a file of samples, or from a table's own networks: what `lutra fit` learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..luts.exchange.units import NS_PER
from ..networks.errors import TableFileError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..luts import Table
    from ..networks import Network
    from ..predictors import Inputs

NETWORK_COLUMN: Final = "network"
LATENCY_COLUMN: Final = "latency_ms"
_FILE_ENDINGS: Final = (".onnx", ".json")


@dataclass(frozen=True)
class Measured:
    """Samples as `LatencyPredictor.fit` takes them.

    Attributes:
        inputs: networks, or encodings.
        latencies_ms: their latencies, shape ``[n]``.
        encoding: names of the encodings' columns; empty for networks.
    """

    inputs: "Inputs"
    latencies_ms: NDArray[np.float64]
    encoding: tuple[str, ...]


def read_samples(
    path: str, *, latency: str | None = None, networks: str | None = None, encoding: Sequence[str] = ()
) -> Measured:
    """The samples of a CSV or Parquet file with a header, one sample a row.

    Args:
        path: the file; a name that ends in ``.parquet`` is Parquet, any other CSV.
        latency: column of latencies, ``latency_ms`` if omitted. The end of its name is the unit: _ns, _us, _ms or _s.
        networks: column of networks (names of the zoo, or files, relative to this file); ``network`` if omitted and
            there.
        encoding: columns of numbers; if there is no column of networks, all others.

    Raises:
        TableFileError: the file cannot be read, lacks a column, or has a cell that is none of these.
        UsageError: both networks and encodings are asked for.
    """
    table = read_columns(path)
    latency = latency or LATENCY_COLUMN
    scale = scale_of(path, latency)
    latencies_ms = scale * numbers_of(path, table, latency)
    if networks is not None and encoding:
        raise UsageError("both a column of networks and encodings", hint="give one of the two")
    if networks is None and not encoding and NETWORK_COLUMN in table.column_names:
        networks = NETWORK_COLUMN
    if networks is not None:
        return Measured(network_names(path, table, networks), latencies_ms, ())
    columns = tuple(encoding) or tuple(name for name in table.column_names if name != latency)
    if not columns:
        raise TableFileError(path, "no column beside the latencies", hint="add one of networks, or encodings")
    return Measured(np.stack([numbers_of(path, table, c) for c in columns], axis=1), latencies_ms, columns)


def table_samples(table: "Table") -> Measured:
    """The networks of the zoo that were measured whole beside a table's kernels.

    Raises:
        UsageError: there are none.
    """
    from ..networks import zoo

    networks: list[Network] = []
    latencies_ms: list[float] = []
    for row in table.rows("network"):
        try:
            network = zoo.build(row.label)
        except UnknownNameError:
            continue
        if row.status != "failed" and network.fingerprint == row.subject_key:
            networks.append(network)
            latencies_ms.append(row.latency_ns / 1e6)
    if not networks:
        raise UsageError(
            f"the table of {table.name} has no whole networks of the zoo", hint="give a file of samples to learn from"
        )
    return Measured(networks, np.array(latencies_ms), ())


def read_columns(path: str) -> "pa.Table":
    """A CSV or Parquet file with a header; raises `TableFileError` for anything else."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        return parquet.read_table(path) if path.endswith(".parquet") else csv.read_csv(path)
    except OSError as error:
        raise TableFileError(path, f"cannot be read ({error.strerror or error})", hint="check the path") from None
    except pa.ArrowException as error:
        raise TableFileError(
            path, f"cannot be read: {error}", hint="give a CSV or Parquet file with a header"
        ) from None


def plain_columns(path: str) -> dict[str, list[float] | list[str]]:
    """The columns of a CSV or Parquet file with a header, as a request holds them: all of numbers, or all of text.

    Raises:
        TableFileError: the file cannot be read, or a column has a gap, no finite number, or something else.
    """
    import pyarrow as pa

    table = read_columns(path)
    found: dict[str, list[float] | list[str]] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            _require_no_gaps(path, table, name)
            found[name] = column.to_pylist()
            continue
        numbers = numbers_of(path, table, name)
        if not np.isfinite(numbers).all():
            row = int(np.argmin(np.isfinite(numbers)))
            raise TableFileError(
                path, f"{numbers[row]} is no number", row=1 + row, column=name, hint="leave out such rows"
            )
        found[name] = numbers.tolist()
    return found


def scale_of(path: str, latency: str) -> float:
    """What brings a column's numbers to ms."""
    _, said, unit = latency.rpartition("_")
    if said and unit in NS_PER:
        return NS_PER[unit] / NS_PER["ms"]
    raise TableFileError(
        path, "the name does not say the unit", column=latency, hint="let it end in _ms, _us, _ns or _s"
    )


def _column(path: str, table: "pa.Table", name: str) -> Any:
    if name not in table.column_names:
        listed = ", ".join(table.column_names[:12])
        raise TableFileError(path, "there is no such column", column=name, hint=f"there are: {listed}")
    return table[name]


def numbers_of(path: str, table: "pa.Table", name: str) -> NDArray[np.float64]:
    """A column of numbers without gaps; raises `TableFileError` for anything else."""
    import pyarrow as pa

    column = _column(path, table, name)
    _require_no_gaps(path, table, name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise TableFileError(path, f"holds {column.type}, not numbers", column=name, hint="name the columns to use")
    return np.asarray(column.to_numpy(), np.float64)


def _require_no_gaps(path: str, table: "pa.Table", name: str) -> None:
    if table[name].null_count:
        row = 1 + int(np.argmax(np.asarray(table[name].is_null())))
        raise TableFileError(path, "the cell is empty", row=row, column=name, hint="leave out such rows")


def network_names(path: str, table: "pa.Table", column: str) -> list[str]:
    """A column of networks: names of the zoo, or paths of files, which may be relative to this file.

    Raises:
        TableFileError: there is no such column, or a cell is no name.
    """
    return [_source(path, column, row, name) for row, name in enumerate(_column(path, table, column).to_pylist(), 1)]


def _source(path: str, column: str, row: int, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise TableFileError(
            path,
            f"{name!r} is not the name of a network",
            row=row,
            column=column,
            hint="name the column that holds them",
        )
    beside = Path(path).parent / name
    return str(beside) if name.endswith(_FILE_ENDINGS) and beside.exists() else name
