"""Fronts, crowding and hypervolume against their definitions."""

import itertools
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lutra.nas import crowding, front_ranks, hypervolume, non_dominated
from lutra.networks.errors import UsageError

# Few different numbers, so that points meet in some losses, or in all.
POINTS = st.integers(1, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(0, 24), st.just(m)), elements=st.integers(0, 5).map(float))
)


def dominates(a, b):
    return (a <= b).all() and (a < b).any()


@given(POINTS)
def test_what_is_not_dominated(losses):
    assert non_dominated(losses).tolist() == [not any(dominates(b, a) for b in losses) for a in losses]


@given(POINTS)
def test_fronts_are_what_is_left_without_those_before(losses):
    ranks = front_ranks(losses)
    for i, loss in enumerate(losses):
        above = [ranks[j] for j, other in enumerate(losses) if dominates(other, loss)]
        assert ranks[i] == max(above, default=-1) + 1


@given(POINTS)
def test_the_hypervolume_is_the_number_of_cells_below_the_reference(losses):
    reference = np.full(losses.shape[1], 4.0)
    corners = itertools.product(range(4), repeat=losses.shape[1])
    cells = sum(any((loss <= corner).all() for loss in losses) for corner in corners)
    assert hypervolume(losses, reference) == pytest.approx(cells)


def test_the_hypervolume_agrees_with_pymoo():
    indicators = pytest.importorskip("pymoo.indicators.hv")
    rng = np.random.default_rng(0)
    for m in (2, 3, 4):
        losses, reference = rng.random((60, m)), np.full(m, 0.9)
        assert hypervolume(losses, reference) == pytest.approx(indicators.HV(ref_point=reference)(losses))


def test_crowding_is_by_hand():
    losses = np.array([[0.0, 4.0], [1.0, 2.0], [2.0, 1.0], [4.0, 0.0]])
    assert crowding(losses).tolist() == [inf, 2 / 4 + 3 / 4, 3 / 4 + 2 / 4, inf]
    assert crowding(np.ones((3, 1))).tolist() == [inf, 0, inf]
    assert crowding(np.empty((0, 2))).shape == (0,)


def test_failed_points_come_last():
    losses = np.array([[1.0, nan], [2.0, 2.0], [1.0, 1.0]])
    assert non_dominated(losses).tolist() == [False, False, True]
    assert front_ranks(losses).tolist() == [2, 1, 0]
    assert hypervolume(losses, np.array([3.0, 3.0])) == 4
    assert non_dominated(np.full((2, 2), nan)).tolist() == [False, False]


@pytest.mark.parametrize("reference", [[1.0], [1.0, inf], [nan, 1.0]])
def test_a_reference_that_makes_no_sense(reference):
    with pytest.raises(UsageError, match="give 2 finite numbers"):
        hypervolume(np.ones((1, 2)), np.array(reference))


def test_many_points_take_no_time():
    losses = np.random.default_rng(1).random((20_000, 3))
    assert 50 < non_dominated(losses).sum() < 1000
