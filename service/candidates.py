"""Candidates for measuring on a new device: encodings, with what other devices took for them and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from .samples import numbers_of, read_columns, scale_of

if TYPE_CHECKING:
    from ..predictors import DevicePrior


@dataclass(frozen=True)
class Candidates:
    """Architectures of a search space.

    Attributes:
        codes: one architecture a row, shape ``[n, m]``.
        encoding: names of the m columns.
        prior: what the sources and costs say of a new device.
    """

    codes: NDArray[np.float64]
    encoding: tuple[str, ...]
    prior: "DevicePrior"


def read_candidates(
    path: str, *, encoding: Sequence[str] = (), sources: Sequence[str] = (), costs: Sequence[str] = ()
) -> Candidates:
    """The candidates of a CSV or Parquet file with a header, one architecture a row.

    Args:
        path: the file.
        encoding: columns of choices; all that are neither sources nor costs if omitted.
        sources: columns of latencies on other devices; the ends of their names are the units.
        costs: columns of counted quantities.

    Raises:
        TableFileError: the file cannot be read, lacks a column, or has a cell that is no number.
        UsageError: no column is left for the encoding, or the numbers make no sense.
    """
    from ..predictors import DevicePrior

    table = read_columns(path)
    columns = tuple(encoding) or tuple(name for name in table.column_names if name not in {*sources, *costs})
    if not columns:
        raise UsageError(f"{path} has no column of choices", hint="name them with --encoding")
    codes = np.stack([numbers_of(path, table, name) for name in columns], axis=1)
    prior = DevicePrior.learn(
        codes,
        {name: scale_of(path, name) * numbers_of(path, table, name) for name in sources},
        {name: numbers_of(path, table, name) for name in costs},
    )
    return Candidates(codes, columns, prior)
