"""What stored tensors hold: random numbers that are drawn once and handed out in pieces.

Drawing the weights of every copy of every kernel anew would take longer than timing the kernel. Contents only have to
differ from copy to copy, because a library may share what it derives from equal tensors.
"""

from functools import cached_property
from typing import Any

import numpy as np

from ...networks.errors import UsageError

Array = np.ndarray[Any, Any]

LENGTH = 1_000_003
"""Numbers in a ring; a prime, so that steps along it come back to no place before they were everywhere."""

_STEP = 7_919


class Contents:
    """Rings of random numbers, read from a place of its own for each piece.

    Args:
        seed: equal seeds give equal numbers.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def normal(self, count: int, piece: int) -> Array:
        """``count`` float32 of mean 0 and variance 1, shape ``[count]``.

        Args:
            count: how many; beyond `LENGTH` they repeat.
            piece: in [0, `LENGTH`): no two pieces begin at one place.

        Raises:
            UsageError: there is no such piece.
        """
        return _turned(self._normal, count, piece)

    def uniform(self, count: int, piece: int) -> Array:
        """``count`` float64, uniform in [0, 1), no two of them equal; otherwise as `normal`."""
        return _turned(self._uniform, count, piece)

    def bytes(self, count: int, piece: int) -> Array:
        """``count`` uint8 of all values; otherwise as `normal`."""
        return _turned(self._bytes, count, piece)

    @cached_property
    def _normal(self) -> Array:
        return np.random.default_rng((self._seed, 0)).standard_normal(LENGTH, dtype=np.float32)

    @cached_property
    def _uniform(self) -> Array:
        return np.random.default_rng((self._seed, 1)).random(LENGTH)

    @cached_property
    def _bytes(self) -> Array:
        return np.random.default_rng((self._seed, 2)).integers(0, 256, LENGTH, np.uint8)


def _turned(ring: Array, count: int, piece: int) -> Array:
    """``count`` numbers of a ring from the piece's place on; a view where they are in one row."""
    if not 0 <= piece < LENGTH:
        raise UsageError(f"there is no piece {piece} of random numbers", hint=f"give 0 to {LENGTH - 1}")
    start = piece * _STEP % LENGTH
    if start + count <= LENGTH:
        return ring[start : start + count]
    turns, rest = divmod(count - (LENGTH - start), LENGTH)
    return np.concatenate((ring[start:], *[ring] * turns, ring[:rest]))
