"""Where a network finds its weights: in the last cache, or in memory.

Between two uses of the same weight, all other weights of the network pass by, and its activations. A small network
finds its weights still in the last cache; one that is larger than that cache finds none. So kernels whose weights
matter have two rows, one for each case, and a network is predicted from a mix of the two.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .fingerprint import Fingerprint

if TYPE_CHECKING:
    from ..networks.lowering import Kernel

RESIDENT: Final = "resident"
"""Subject kind of the rows of kernels that find their weights in the last cache; others' kind is ``"kernel"``."""

RESIDENT_BYTES: Final = 4 << 20
"""Weights that pass by between two uses of the same copy in such a row: more than a near cache, less than a last."""

CACHE_KEY: Final = "last_level_cache_kib"
"""Name of the last cache's size among a fingerprint's hardware; absent where it is not known."""

_SHARED: Final = 4.0  # a cache is shared with other cores, code and data: a quarter of it is surely one's own


def passing_bytes(kernels: "Iterable[Kernel]") -> int:
    """Bytes that pass by between two uses of the same weight of a network that runs again and again.

    Args:
        kernels: all kernels in execution order: each occurrence has weights of its own.

    Returns:
        All weights, and the most activations that any kernel reads and writes: their memory is used again and again.
    """
    weights = activations = 0
    for kernel in kernels:
        weights += kernel.weight_bytes
        activations = max(activations, kernel.bytes_moved - kernel.weight_bytes)
    return weights + activations


def cold_share(kernels: "Iterable[Kernel]", fingerprint: Fingerprint) -> float:
    """Share of a network's weights that come from memory, in [0, 1].

    0 where what passes by fits a quarter of the last cache, 1 where it does not fit the whole, in between linear in
    its logarithm; 1 where the size of the cache is not known, which is the cautious choice.
    """
    return float(cold_shares(np.asarray(passing_bytes(kernels)), fingerprint))


def cold_shares(passing: NDArray[Any], fingerprint: Fingerprint) -> NDArray[np.float64]:
    """`cold_share` of many networks, from their `passing_bytes`; any shape, which the result has too."""
    cache_kib = dict(fingerprint.hardware).get(CACHE_KEY)
    if not isinstance(cache_kib, int) or cache_kib <= 0:
        return np.ones(passing.shape)
    filled = np.maximum(passing, 1) / (cache_kib * 1024)
    shares: NDArray[np.float64] = np.clip(1 + np.log(filled) / math.log(_SHARED), 0.0, 1.0)
    return shares
