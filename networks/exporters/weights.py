"""Random weights for networks that have none: quick to draw, and kind to the numbers that flow through."""

import math
import zlib
from typing import Any

import numpy as np

from ..ops import Op

Array = np.ndarray[Any, Any]

_POOL = 1_048_573
"""Numbers that are really drawn. Prime, so that no row length divides it and rows of a matrix differ."""

_NORMS = ("batch_norm", "layer_norm", "group_norm", "rms_norm")


class WeightSource:
    """Draws the tensors of ops by name, the same for the same seed whatever is asked for before.

    Numbers come from one pool of normal deviates, each tensor starting at its own place: drawing 86 M numbers takes
    a second, copying them a tenth of that, and latency does not depend on their independence.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool: Array | None = None

    def draw(self, op: Op, name: str, key: str) -> Array:
        """Tensor ``name`` of ``op`` in float32; ``key`` is its name in the network.

        Scales of norms are 1 and shifts 0, running variances 1, all other weights normal with variance 1 / fan-in.
        """
        shape = op.weights[name] if name in op.weights else op.buffers[name]
        if name == "running_var" or (op.kind in _NORMS and name == "weight"):
            return np.ones(shape, np.float32)
        if name in op.buffers or op.kind in _NORMS:
            return np.zeros(shape, np.float32)
        values = self._normal(math.prod(shape), key)
        values *= np.float32(_fan_in(op) ** -0.5)
        return values.reshape(shape)

    def _normal(self, count: int, key: str) -> Array:
        if self._pool is None:
            self._pool = np.random.default_rng(self._seed).standard_normal(_POOL, dtype=np.float32)
        result = np.empty(count, np.float32)
        start, done = zlib.crc32(key.encode()) % _POOL, 0
        while done < count:
            part = self._pool[start : start + count - done]
            result[done : done + part.size] = part
            start, done = 0, done + part.size
        return result


def _fan_in(op: Op) -> int:
    """How many products are summed into one output of ``op``."""
    if op.kind in ("parameter", "embedding"):  # nothing is summed; small numbers, as embeddings are initialised
        return 50
    if op.kind == "conv_transpose2d":
        return max(1, op.macs // op.outputs[0].numel)
    return math.prod(op.weights["weight"][1:])
