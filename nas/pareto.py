"""Trade-offs between several losses: what is dominated, fronts, crowding, and the hypervolume of what was found.

All losses are to be made small. Letters: n points, m losses.
"""

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError

Floats = NDArray[np.float64]


def non_dominated(losses: Floats) -> NDArray[np.bool_]:
    """Which points no other is better than: as good in all losses and better in one. Of equal points all are kept.

    Args:
        losses: float64 [n, m]; a row with NaN never counts.

    Returns:
        [n].
    """
    kept = np.zeros(len(losses), np.bool_)
    rows = np.flatnonzero(~np.isnan(losses).any(axis=1))
    if not len(rows):
        return kept
    distinct, which = np.unique(losses[rows], axis=0, return_inverse=True)
    on_front = _staircase(distinct) if losses.shape[1] == 2 else _sieve(distinct)
    kept[rows] = on_front[which.ravel()]
    return kept


def _staircase(points: Floats) -> NDArray[np.bool_]:
    """`non_dominated` of different points [n, 2] in ascending order: each must go below all before it."""
    below = np.concatenate([[np.inf], np.minimum.accumulate(points[:, 1])[:-1]])
    on_front: NDArray[np.bool_] = points[:, 1] < below
    return on_front


def _sieve(points: Floats) -> NDArray[np.bool_]:
    """`non_dominated` of different points in ascending order, in which none is dominated by a later one."""
    on_front = np.ones(len(points), np.bool_)
    for i in range(len(points)):
        if on_front[i]:
            on_front[i + 1 :] &= (points[i + 1 :] < points[i]).any(axis=1)
    return on_front


def front_ranks(losses: Floats) -> NDArray[np.int64]:
    """The front of each point: 0 where it is not dominated, 1 where it is not once those are gone, and so on; [n].

    Fast non-dominated sorting (Deb et al. 2002, doi:10.1109/4235.996017, section III-A). Points with NaN come behind
    all others.
    """
    ranks = np.full(len(losses), -1, np.int64)
    left = np.flatnonzero(~np.isnan(losses).any(axis=1))
    rank = 0
    while len(left):
        front = non_dominated(losses[left])
        ranks[left[front]] = rank
        left = left[~front]
        rank += 1
    ranks[ranks < 0] = rank
    return ranks


def crowding(losses: Floats) -> Floats:
    """How far the neighbours of each point of one front are apart, summed over losses, each by its range; [n].

    Infinite at both ends of a loss (Deb et al. 2002, section III-B).
    """
    n, m = losses.shape
    distance = np.zeros(n)
    for j in range(m):
        order = np.argsort(losses[:, j], kind="stable")
        sorted_ = losses[order, j]
        extent = sorted_[-1] - sorted_[0] if n else 0.0
        distance[order[:1]] = distance[order[-1:]] = np.inf
        if extent > 0:
            distance[order[1:-1]] += (sorted_[2:] - sorted_[:-2]) / extent
    return distance


def hypervolume(losses: Floats, reference: Floats) -> float:
    """The volume between points and a reference that they dominate, exactly; what lies beyond the reference adds none.

    In two dimensions by sorting, in more by slices along the last loss (Zitzler and Thiele 1999,
    doi:10.1109/4235.797969, define it).

    Args:
        losses: float64 [n, m]; rows with NaN are left out.
        reference: float64 [m].

    Raises:
        UsageError: the reference has not m finite numbers.
    """
    reference = np.asarray(reference, np.float64)
    if reference.shape != (losses.shape[1],) or not np.isfinite(reference).all():
        raise UsageError(
            f"the reference {reference.tolist()} of a hypervolume in {losses.shape[1]} losses",
            hint=f"give {losses.shape[1]} finite numbers",
        )
    inside = losses[(losses < reference).all(axis=1)]
    return _volume(inside[non_dominated(inside)], reference)


def _volume(front: Floats, reference: Floats) -> float:
    """`hypervolume` of points that all lie within the reference and do not dominate each other."""
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front.min())
    front = front[np.argsort(front[:, -1], kind="stable")]
    ends = np.append(front[1:, -1], reference[-1])
    if front.shape[1] == 2:
        # The points come with rising second loss, so each is the best so far in the first.
        return float(((reference[0] - front[:, 0]) * (ends - front[:, 1])).sum())
    total = 0.0
    for i, depth in enumerate(ends - front[:, -1]):
        if depth > 0:
            total += depth * hypervolume(front[: i + 1, :-1], reference[:-1])
    return total
