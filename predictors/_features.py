"""Fixed numbers of numbers for inputs: encodings spread out by choice, and the ops of a network pooled by kind."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ._batch import Batch
from ._domain import Domain

POOLED = 3
"""Numbers for each op kind: how many ops, millions of MACs, megabytes read and written."""


def one_hot(rows: NDArray[np.float64], domain: Domain) -> NDArray[np.float64]:
    """Encodings with each choice as a column of its own, shape ``[n, f]``.

    Columns of choices become one column of 0 and 1 for each choice that was seen (all 0 for another); columns of other
    numbers stay as they are.
    """
    assert domain.values is not None
    parts = []
    for column, known in zip(rows.T, domain.values, strict=True):
        parts.append(column[:, None] if known is None else (column[:, None] == np.array(known)).astype(np.float64))
    return np.concatenate(parts, axis=1)


def pooled(networks: Sequence[Network], kinds: Sequence[str]) -> NDArray[np.float64]:
    """`POOLED` numbers for each op kind, shape ``[n, 3 k]``; ops of other kinds are left out."""
    places = {kind: number for number, kind in enumerate(kinds)}
    table = np.zeros((len(networks), len(kinds), POOLED))
    for row, network in zip(table, networks, strict=True):
        for node in network:
            place = places.get(node.op.kind)
            if place is not None:
                row[place] += (1.0, node.op.macs / 1e6, node.op.bytes_moved / 1e6)
    return table.reshape(len(networks), -1)


def amounts(batch: Batch, domain: Domain) -> NDArray[np.float64]:
    """What a latency is a sum over, shape ``[n, f]``: `pooled` for networks, `one_hot` for encodings."""
    if batch.networks is not None:
        return pooled(batch.networks, domain.kinds)
    assert batch.encodings is not None
    return one_hot(batch.encodings, domain)


def amounts_width(domain: Domain) -> int:
    """How many numbers `amounts` gives."""
    if domain.values is None:
        return POOLED * len(domain.kinds)
    return sum(1 if known is None else len(known) for known in domain.values)


def standard_numbers(batch: Batch, domain: Domain) -> NDArray[np.float64]:
    """Inputs of a regressor that is not linear, shape ``[n, f]``.

    For networks the logarithms of ``1 +`` each of `pooled` and of their sums over all kinds; for encodings `one_hot`,
    the numbers themselves, and the logarithms of those columns whose numbers are all positive.
    """
    if batch.networks is not None:
        table = pooled(batch.networks, domain.kinds)
        totals = table.reshape(len(table), -1, POOLED).sum(axis=1)
        return np.asarray(np.log1p(np.concatenate([table, totals], axis=1)), np.float64)
    rows = batch.encodings
    assert rows is not None
    positive = domain.low > 0
    logs = np.log(np.maximum(rows[:, positive], np.where(positive, domain.low, 1.0)[positive] * 1e-3))
    return np.asarray(np.concatenate([one_hot(rows, domain), rows, logs], axis=1), np.float64)
