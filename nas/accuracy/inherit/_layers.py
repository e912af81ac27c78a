"""A layer that takes the weights of another with other channels, or another window."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....networks import Node
from ._channels import Ints


def around(count: int, of: int) -> Ints:
    """``count`` of so many channels: all in order, again and again; the first where there are fewer.

    It follows from the two numbers alone, so that values that are added to each other agree.
    """
    return np.arange(count) % of


def is_whole(channels: Ints, of: int) -> bool:
    """Whether these are all of so many channels, in order."""
    return np.array_equal(channels, np.arange(of))


def mixed(weight: NDArray[Any], groups: int, reads: Ints, width: int) -> NDArray[Any]:
    """Weights for a layer that reads other channels: each that is there m times with 1/m of its weight.

    Args:
        weight: o x i/g x window, for the o channels that the layer makes already.
        groups: g of them.
        reads: which of the i old channels each new one is, [i'], group by group.
        width: i.

    Returns:
        o x i'/g x window.
    """
    each = width // groups
    rows = weight.reshape(groups, len(weight) // groups, each, -1)
    columns = reads.reshape(groups, -1)
    share = 1 / np.bincount(reads, minlength=width)[columns]
    parts = np.stack([rows[g][:, columns[g] - g * each] for g in range(groups)])
    made = (parts * share[:, None, :, None]).astype(weight.dtype)
    return made.reshape(len(weight), columns.shape[1], *weight.shape[2:])


def centred(weight: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The weights in the middle of a larger window, zeros around them; or the middle of them in a smaller one."""
    for axis, size in enumerate(shape[2:], start=2):
        more = size - weight.shape[axis]
        if more > 0:
            pads = [(0, 0)] * weight.ndim
            pads[axis] = (more // 2, more // 2)
            weight = np.pad(weight, pads)
        elif more < 0:
            weight = weight.take(range(-more // 2, -more // 2 + size), axis)
    return weight


def window_grows(node: Node, partner: Node) -> bool:
    """Whether a layer sees what its partner sees, and perhaps more around it."""
    if node.op.kind == "linear":
        return True
    sizes = zip(node.op["kernel_size"], partner.op["kernel_size"], strict=True)
    wider = [(new - old) // 2 * step for (new, old), step in zip(sizes, node.op["dilation"], strict=True)]
    pads = zip(node.op["padding"], partner.op["padding"], wider * 2, strict=True)
    return min(wider) >= 0 and all(new - old == more for new, old, more in pads)


def in_line(node: Node) -> bool:
    """Whether a layer makes as many positions as it reads, each with itself in the middle of the window."""
    if node.op.kind == "linear":
        return True
    sizes, steps = node.op["kernel_size"], node.op["dilation"]
    pads = [(size - 1) // 2 * step for size, step in zip(sizes, steps, strict=True)]
    odd = all(size % 2 for size in sizes) and set(node.op["stride"]) == {1}
    return odd and tuple(node.op["padding"]) == (*pads, *pads)
