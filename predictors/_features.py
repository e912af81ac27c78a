"""Fixed numbers of numbers for inputs: encodings spread out by choice, and the ops of a network pooled by kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..networks import Network
from ._batch import Batch
from ._domain import Domain

POOLED = 3
"""Numbers for each op kind: how many ops, millions of MACs, megabytes read and written."""


def one_hot(rows: NDArray[np.float64], domain: Domain, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
    """Encodings with each choice as a column of its own, shape ``[n, f]``, of the type ``dtype``.

    Columns of choices become one column of 0 and 1 for each choice that was seen (all 0 for another); columns of other
    numbers stay as they are.
    """
    assert domain.values is not None
    spread = np.zeros((len(rows), amounts_width(domain)), dtype)
    numbers, place = np.arange(len(rows)), 0
    for column, known in zip(rows.T, domain.values, strict=True):
        if known is None:
            spread[:, place] = column
            place += 1
            continue
        choices = np.array(known, np.float64)
        index = np.minimum(np.searchsorted(choices, column), len(choices) - 1)
        spread[numbers, place + index] = choices[index] == column
        place += len(choices)
    return spread


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


def regressor_inputs(batch: Batch, domain: Domain) -> NDArray[np.float32]:
    """`amounts`, and what a regressor that is not linear wants besides, shape ``[n, f]``.

    For networks that is the logarithms of ``1 +`` each amount and of their sums over all kinds; for encodings the
    numbers themselves, and the logarithms of columns that are no choices and all positive.
    """
    if batch.networks is not None:
        table = pooled(batch.networks, domain.kinds)
        totals = table.reshape(len(table), -1, POOLED).sum(axis=1)
        return np.concatenate([table, np.log1p(table), np.log1p(totals)], axis=1, dtype=np.float32)
    rows = batch.encodings
    assert rows is not None
    assert domain.values is not None
    positive = (domain.low > 0) & np.array([known is None for known in domain.values])
    logs = np.log(np.maximum(rows[:, positive], 1e-3 * domain.low[positive]))
    return np.concatenate([one_hot(rows, domain, np.float32), rows, logs], axis=1, dtype=np.float32)


def regressor_start(domain: Domain) -> int:
    """From which number of `regressor_inputs` on a regressor is to see them: for networks, logarithms only."""
    return POOLED * len(domain.kinds)
