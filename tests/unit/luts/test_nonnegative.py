"""Least squares without negative coefficients."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lutra.luts.nonnegative import nonnegative_least_squares


def best_of_all_subsets(matrix: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """The least residual over all choices of which coefficients are not 0."""
    p = matrix.shape[1]
    best = float(np.linalg.norm(target))
    for count in range(1, p + 1):
        for chosen in combinations(range(p), count):
            x = np.linalg.lstsq(matrix[:, chosen], target, rcond=None)[0]
            if (x >= 0).all():
                best = min(best, float(np.linalg.norm(matrix[:, chosen] @ x - target)))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 4))
def test_it_is_as_good_as_the_best_subset(seed: int, n: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(n, p)), rng.normal(size=n)
    solution = nonnegative_least_squares(matrix, target)
    assert (solution >= 0).all()
    assert np.linalg.norm(matrix @ solution - target) <= best_of_all_subsets(matrix, target) + 1e-8


def test_known_coefficients_come_back() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.uniform(size=(30, 4))
    wanted = np.array([2.0, 0.0, 0.5, 3.0])
    assert np.allclose(nonnegative_least_squares(matrix, matrix @ wanted), wanted)


def test_columns_of_zeros_and_equal_columns_are_taken() -> None:
    column = np.arange(1.0, 6.0)
    matrix = np.column_stack([np.zeros(5), column, column])
    solution = nonnegative_least_squares(matrix, 2 * column)
    assert np.allclose(matrix @ solution, 2 * column)
    assert (solution >= 0).all()
