"""Orders of axes in memory, against numpy's own transposes and reshapes."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.lowering.layouts import moved_last, plain, reshaped, same_memory, stored_shape, turned

sizes = st.lists(st.sampled_from([1, 1, 2, 3, 4]), min_size=1, max_size=5).map(tuple)


def memory(x: np.ndarray, order: tuple[int, ...]) -> list[int]:
    return x.transpose(order).ravel().tolist()


@st.composite
def placed(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw(sizes)
    return shape, tuple(draw(st.permutations(range(len(shape)))))


@st.composite
def reshapes(draw: st.DrawFn, numel: int) -> tuple[int, ...]:
    """A shape with so many elements: its prime factors in some order, neighbours joined, with ones in between."""
    factors = draw(st.permutations([1, 1, *(p for p in (2, 3) for _ in range(multiplicity(numel, p)))]))
    ends = draw(st.sets(st.integers(1, len(factors) - 1)))
    return tuple(math.prod(factors[a:b]) for a, b in pairwise([0, *sorted(ends), len(factors)]))


def multiplicity(number: int, prime: int) -> int:
    return next(k for k in range(number + 1) if number % prime ** (k + 1))


@given(placed(), st.data())
def test_a_reshape_that_keeps_memory_means_the_same(given_: tuple, data: st.DataObject) -> None:
    shape, order = given_
    new = data.draw(reshapes(math.prod(shape)))
    x = np.arange(math.prod(shape)).reshape(shape)
    new_order = reshaped(shape, order, new)
    if new_order is None:
        assert order != plain(len(shape))
    else:
        assert memory(x.reshape(new), new_order) == memory(x, order)


@given(placed())
def test_row_major_memory_takes_any_shape(given_: tuple) -> None:
    shape, _ = given_
    flat = reshaped(shape, plain(len(shape)), (math.prod(shape),))
    assert flat == (0,)


@given(placed(), st.data())
def test_turning_axes_leaves_memory_as_it_is(given_: tuple, data: st.DataObject) -> None:
    shape, order = given_
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.arange(math.prod(shape)).reshape(shape)
    assert memory(x.transpose(perm), turned(order, perm)) == memory(x, order)
    assert stored_shape(x.transpose(perm).shape, turned(order, perm)) == stored_shape(shape, order)


@given(placed(), st.data())
def test_orders_with_the_same_memory_are_told(given_: tuple, data: st.DataObject) -> None:
    shape, order = given_
    other = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.arange(math.prod(shape)).reshape(shape)
    assert same_memory(shape, order, other) == (memory(x, order) == memory(x, other))


def test_channels_last_joins_its_image_but_not_channels_and_rows() -> None:
    order = (0, 2, 3, 1)
    assert reshaped((2, 6, 4, 4), order, (2, 6, 16)) == (0, 2, 1)
    assert reshaped((2, 6, 4, 4), order, (2, 24, 4)) is None
    assert reshaped((2, 6, 4, 4), order, (2, 3, 2, 4, 4)) == (0, 3, 4, 1, 2)
    assert reshaped((2, 6, 1, 1), order, (2, 6)) == (0, 1)
    assert moved_last(order, 2) == (0, 3, 1, 2)
