"""Least squares with coefficients that may not be negative."""

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


def nonnegative_least_squares(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 that minimises ``|matrix x - target|``, shape ``[p]``.

    The active-set method of Lawson and Hanson, "Solving Least Squares Problems" (1974), section 23.3.

    Args:
        matrix: shape ``[n, p]``.
        target: shape ``[n]``.
    """
    p = matrix.shape[1]
    solution, free = np.zeros(p), np.zeros(p, np.bool_)
    tolerance = _TINY * (1.0 + float(np.abs(matrix.T @ target).max(initial=0.0)))
    for _ in range(3 * p):
        gradient = matrix.T @ (target - matrix @ solution)
        gradient[free] = -np.inf
        if free.all() or gradient.max() <= tolerance:
            break
        free[np.argmax(gradient)] = True
        solution, free = _feasible(matrix, target, solution, free)
    return solution


def _feasible(
    matrix: NDArray[np.float64], target: NDArray[np.float64], solution: NDArray[np.float64], free: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Move to the best solution of the free coefficients, fixing at 0 those that would become negative."""
    while True:
        wanted = np.zeros(len(solution))
        wanted[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
        blocked = free & (wanted <= 0)
        if not blocked.any():
            return wanted, free
        gaps = solution[blocked] - wanted[blocked]
        share = float(np.min(np.where(gaps > 0, solution[blocked] / np.where(gaps > 0, gaps, 1.0), 0.0)))
        solution = solution + share * (wanted - solution)
        free = free & (solution > _TINY)
        solution = np.where(free, solution, 0.0)
