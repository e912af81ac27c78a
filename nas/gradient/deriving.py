"""The most probable architecture within a budget: exact, by dynamic programming over the positions."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...networks.errors import InfeasibleError
from ..spaces import Codes

Floats = NDArray[np.float64]

_BISECTIONS: Final = 60
_ROUNDING: Final = 1e-9  # of sums of the same numbers in another order


def most_probable(
    log_probabilities: Sequence[Floats], costs_ms: Sequence[Floats], budget_ms: float, *, fixed_ms: float, space: str
) -> Codes:
    """The code with the largest product of probabilities among those whose latency is at most ``budget_ms``.

    States are partial architectures, (cost so far, log probability so far); of two at one position, one that costs no
    less and is no more probable is dropped (Nemhauser and Ullmann, Management Science 15(9), 1969), and so is one that
    cannot become better than the best that Lagrangian relaxation found (its bound: Fisher, Management Science 27(1),
    1981). What remains holds the optimum, with no rounding of costs.

    Args:
        log_probabilities: of the choices at each of p positions.
        costs_ms: of the same choices; NaN for one that must not be chosen.
        budget_ms: what an architecture may take.
        fixed_ms: what every architecture takes besides its choices.
        space: its name, for the error.

    Returns:
        int64 [p].

    Raises:
        InfeasibleError: no architecture is within the budget.
    """
    known = [np.flatnonzero(~np.isnan(position)) for position in costs_ms]
    scores = [position[index] for position, index in zip(log_probabilities, known, strict=True)]
    prices = [position[index] for position, index in zip(costs_ms, known, strict=True)]
    least = sum(float(position.min(initial=np.inf)) for position in prices)
    budget = budget_ms - fixed_ms
    if not least <= budget + _ROUNDING * abs(budget_ms):
        raise InfeasibleError("latency_ms", budget_ms, least + fixed_ms, space=space)
    budget = max(budget, least)
    multiplier, best = _relaxed(scores, prices, budget)
    code = _searched(scores, prices, budget, multiplier, best)
    return np.array([index[choice] for index, choice in zip(known, code, strict=True)], np.int64)


def _chosen(scores: Sequence[Floats], prices: Sequence[Floats], multiplier: float) -> Codes:
    """The best choice at each position alone, where a unit of cost takes ``multiplier`` off the score."""
    return np.array([int(np.argmax(s - multiplier * c)) for s, c in zip(scores, prices, strict=True)], np.int64)


def _total(values: Sequence[Floats], code: Codes) -> float:
    return float(sum(position[choice] for position, choice in zip(values, code, strict=True)))


def _relaxed(scores: Sequence[Floats], prices: Sequence[Floats], budget: float) -> tuple[float, Codes]:
    """The smallest multiplier whose best code is within the budget, and that code."""
    low, high = 0.0, 1.0
    if _total(prices, code := _chosen(scores, prices, 0.0)) <= budget:
        return 0.0, code
    cheapest = np.array([int(np.argmin(position)) for position in prices], np.int64)
    best = cheapest
    for _ in range(_BISECTIONS):  # doubled until it is dear enough, then halved
        if _total(prices, code := _chosen(scores, prices, high)) <= budget:
            best = code
            break
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _total(prices, code := _chosen(scores, prices, middle)) <= budget:
            high, best = middle, code
        else:
            low = middle
    return high, best


def _searched(
    scores: Sequence[Floats], prices: Sequence[Floats], budget: float, multiplier: float, best: Codes
) -> Codes:
    """The optimum, from a good code and a multiplier whose bound is tight."""
    count = len(scores)
    cheapest_rest = np.append(np.cumsum([position.min() for position in prices[::-1]])[::-1], 0.0)
    net = [(s - multiplier * c).max() for s, c in zip(scores, prices, strict=True)]
    best_rest = np.append(np.cumsum(net[::-1])[::-1], 0.0)
    least_score = _total(scores, best)
    slack = _ROUNDING * max(abs(budget), abs(least_score), 1.0)
    cost, score = np.zeros(1), np.zeros(1)
    history: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for number in range(count):
        parents = np.repeat(np.arange(len(cost)), len(scores[number]))
        choices = np.tile(np.arange(len(scores[number])), len(cost))
        new_cost = (cost[:, None] + prices[number]).ravel()
        new_score = (score[:, None] + scores[number]).ravel()
        bound = new_score + best_rest[number + 1] + multiplier * (budget - new_cost)
        alive = (new_cost + cheapest_rest[number + 1] <= budget + slack) & (bound >= least_score - slack)
        index = np.flatnonzero(alive)
        index = index[np.lexsort((-new_score[index], new_cost[index]))]
        front = new_score[index] > np.maximum.accumulate(np.append(-np.inf, new_score[index]))[:-1]
        index = index[front]
        history.append((parents[index], choices[index]))
        cost, score = new_cost[index], new_score[index]
    state = int(np.argmax(score))  # the good code's states stay within the slack, so there is one
    code = np.empty(count, np.int64)
    for number in reversed(range(count)):
        parents, choices = history[number]
        code[number], state = choices[state], int(parents[state])
    return code
