"""The most probable architecture that uses a budget: a knapsack over the positions, by dynamic programming."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...nas_bridge import LatencyOracle
from ...networks.errors import InfeasibleError
from ..spaces import Codes

Floats = NDArray[np.float64]

_CELLS: Final = 20_000
_DRAWS: Final = 4096
_ASKED: Final = 64  # architectures at once
_ROUNDING: Final = 1e-9  # of sums of the same numbers in another order


def most_probable(
    log_probabilities: Sequence[Floats],
    costs_ms: Sequence[Floats],
    budget_ms: float,
    *,
    fixed_ms: float,
    space: str,
    least_ms: float = -np.inf,
) -> Codes:
    """The code with the largest product of probabilities among those that take ``least_ms`` to ``budget_ms``.

    Where no code takes that, the most probable one within the budget. What choices cost beyond the cheapest of their
    position is counted in cells of 1/20,000 of what the budget leaves, rounded up: no answer is above the budget, and
    none is less probable than any code that keeps ``p`` cells away from both bounds, of p positions.

    Args:
        log_probabilities: of the choices at each of p positions.
        costs_ms: of the same choices; NaN for one that must not be chosen.
        budget_ms: what an architecture may take.
        fixed_ms: what every architecture takes besides its choices.
        space: its name, for the error.
        least_ms: what it is to take, if any can.

    Returns:
        int64 [p].

    Raises:
        InfeasibleError: no architecture is within the budget.
    """
    cheapest = [float(np.nanmin(position)) if not np.isnan(position).all() else np.inf for position in costs_ms]
    least = sum(cheapest) + fixed_ms
    left = budget_ms - least
    if not left >= -_ROUNDING * abs(budget_ms):
        raise InfeasibleError("latency_ms", budget_ms, least, space=space)
    unit = max(left, _ROUNDING * abs(budget_ms)) / _CELLS
    cells = [
        np.ceil((np.where(np.isnan(costs), np.inf, costs) - low) / unit - _ROUNDING)
        for costs, low in zip(costs_ms, cheapest, strict=True)
    ]
    best, taken = _filled(log_probabilities, cells)
    first = int(np.clip(np.ceil((least_ms - least) / unit) + len(cells), 0, _CELLS)) if np.isfinite(least_ms) else 0
    if np.isneginf(best[first:]).all():
        first = 0
    return _followed(first + int(np.argmax(best[first:])), taken, cells)


def _filled(scores: Sequence[Floats], cells: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    """The best score of the codes that take each number of cells, and its choice at each position, [p, cells + 1]."""
    best = np.full(_CELLS + 1, -np.inf)
    best[0] = 0.0
    taken = np.zeros((len(scores), _CELLS + 1), np.int64)
    for position, (gains, widths) in enumerate(zip(scores, cells, strict=True)):
        following = np.full(_CELLS + 1, -np.inf)
        for choice, (gain, width) in enumerate(zip(gains, widths, strict=True)):
            if width > _CELLS:
                continue
            start = int(width)
            candidate = best[: _CELLS + 1 - start] + gain
            better = candidate > following[start:]
            following[start:][better] = candidate[better]
            taken[position, start:][better] = choice
        best = following
    return best, taken


def _followed(cell: int, taken: NDArray[np.int64], cells: Sequence[Floats]) -> Codes:
    """The choices that lead to a number of cells."""
    code = np.empty(len(cells), np.int64)
    for position in reversed(range(len(cells))):
        code[position] = taken[position, cell]
        cell -= int(cells[position][code[position]])
    return code


def drawn_within(
    log_probabilities: Sequence[Floats],
    oracle: LatencyOracle,
    budget_ms: float,
    *,
    least_ms: float,
    seed: int,
    space: str,
) -> Codes:
    """The most probable of random architectures that take ``least_ms`` to ``budget_ms``; latencies need be no sums.

    4,096 are drawn by the probabilities, and the most probable asked about first; where none takes as much, the answer
    is the most probable within the budget.

    Args:
        log_probabilities, budget_ms, least_ms, space: as `most_probable`.
        oracle: knows the latencies.
        seed: of the draws.

    Raises:
        InfeasibleError: none of them is within the budget.
    """
    rng = np.random.default_rng(seed)
    likeliest = np.array([[int(np.argmax(position)) for position in log_probabilities]], np.int64)
    columns = [rng.choice(len(position), _DRAWS, p=np.exp(position)) for position in log_probabilities]
    codes = np.unique(np.concatenate([likeliest, np.stack(columns, axis=1)]), axis=0)
    scores = np.sum([logs[column] for logs, column in zip(log_probabilities, codes.T, strict=True)], axis=0)
    codes, least = codes[np.argsort(-scores, kind="stable")], np.inf
    found: Codes | None = None
    for start in range(0, len(codes), _ASKED):
        some = codes[start : start + _ASKED]
        latencies = oracle.latencies_ms(some)
        within = latencies <= budget_ms
        used = np.flatnonzero(within & (latencies >= least_ms))
        if len(used):
            best: Codes = some[used[0]]
            return best
        found = some[np.argmax(within)] if found is None and within.any() else found
        least = min(least, float(latencies.min()))
    if found is None:
        raise InfeasibleError("latency_ms", budget_ms, least, space=space)
    return found
