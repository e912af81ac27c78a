"""Orders of axes in memory: a tensor's logical axes, outermost first.

A network's tensors are written N x C x H x W; a runtime that keeps channels last stores the axes in the order
(0, 2, 3, 1). Turning axes then costs nothing until someone needs them in another order.
"""

import math
from collections.abc import Sequence

Order = tuple[int, ...]
Shape = tuple[int, ...]

CHANNELS_LAST: Order = (0, 2, 3, 1)


def plain(rank: int) -> Order:
    """Row-major: axes as they are written."""
    return tuple(range(rank))


def stored_shape(shape: Shape, order: Order) -> Shape:
    """Sizes in memory of a tensor of a logical shape."""
    return tuple(shape[axis] for axis in order)


def same_memory(shape: Shape, a: Order, b: Order) -> bool:
    """Whether the elements lie alike under both orders: axes of size 1 may be anywhere."""
    return [axis for axis in a if shape[axis] > 1] == [axis for axis in b if shape[axis] > 1]


def turned(order: Order, perm: Sequence[int]) -> Order:
    """Order of the same memory after the logical axes are permuted: new axis i is old axis ``perm[i]``."""
    return tuple(list(perm).index(axis) for axis in order)


def moved_last(order: Order, axis: int) -> Order:
    """The order with ``axis`` innermost and the others as they are."""
    return (*(other for other in order if other != axis), axis)


def reshaped(shape: Shape, order: Order, new: Shape) -> Order | None:
    """Order in which the same memory holds a tensor of the logical shape ``new``; None if no order does.

    Axes are matched in groups of equal products: each group must lie together, in its own order. Joining H and W of
    channels that come last is possible, joining C and H is not.
    """
    groups = _groups(shape, new)
    position = {axis: i for i, axis in enumerate(axis for axis in order if shape[axis] > 1)}
    spans: list[tuple[int, list[int]]] = []
    for old_axes, new_axes in groups:
        places = [position[axis] for axis in old_axes]
        if places != list(range(places[0], places[0] + len(places))):
            return None
        spans.append((places[0], new_axes))
    units = [axis for axis, size in enumerate(new) if size == 1]
    return (*units, *(axis for _, axes in sorted(spans) for axis in axes))


def _groups(shape: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The shortest runs of axes on both sides with equal products, axes of size 1 left out."""
    old_axes = [axis for axis, size in enumerate(shape) if size > 1]
    new_axes = [axis for axis, size in enumerate(new) if size > 1]
    groups: list[tuple[list[int], list[int]]] = []
    while old_axes:
        left, right = [old_axes.pop(0)], [new_axes.pop(0)]
        while (a := math.prod(shape[i] for i in left)) != (b := math.prod(new[i] for i in right)):
            if a < b:
                left.append(old_axes.pop(0))
            else:
                right.append(new_axes.pop(0))
        groups.append((left, right))
    return groups
