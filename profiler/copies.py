"""How many copies of a kernel one sample runs.

In a network a kernel finds its weights where the whole model left them: mostly out of the near caches. One kernel
run again and again would find them there, and look up to four times faster than it is. So a sample runs several
copies with distinct weights, enough of them to turn over `ROTATED_BYTES`; activations stay shared and warm, as the
previous kernel leaves them in a network.

The number follows from the kernel alone. Were it chosen by timing the kernel first, two campaigns would choose
differently in different moments, and disagree by what the caches make of it: a tenth and more.
"""

import psutil

from ..luts.residency import RESIDENT_BYTES
from ..networks.errors import MeasurementError
from ..networks.lowering import Kernel

ROTATED_BYTES = 64 << 20
"""Weights that pass by between two uses of the same copy."""

_FEWEST, _MOST, _MOST_WITHOUT_WEIGHTS = 4, 64, 8
_SMALL_WEIGHTS_BYTES = 2048
_LONGEST_SAMPLE_NS = 8_000_000
_MEMORY_BYTES = 1 << 30
_MACS_PER_NS, _BYTES_PER_NS = 32, 8  # of a middling core: the roofline behind `typical_run_ns`


def copies_of(kernel: Kernel) -> int:
    """Copies of ``kernel`` in one sample."""
    return choose_copies(kernel.weight_bytes, typical_run_ns(kernel.macs, kernel.bytes_moved))


def resident_copies_of(kernel: Kernel) -> int:
    """Copies of ``kernel`` in a sample that finds its weights in the last cache, but not in a nearer one."""
    return max(1, min(RESIDENT_BYTES // max(kernel.weight_bytes, 1), _MOST))


def has_resident_row(kernel: Kernel) -> bool:
    """Whether where the weights are makes a difference that a second row can tell.

    Not where they are so small, or its runs so long, that the ordinary copies stay in the last cache as well, nor
    where one copy alone is too large for it.
    """
    return kernel.weight_bytes <= RESIDENT_BYTES < kernel.weight_bytes * copies_of(kernel)


def require_memory(kernel: Kernel, copies: int) -> None:
    """Refuse a kernel whose copies do not fit, before anything is allocated.

    Building a model and packing its weights hold them up to three times over.

    Raises:
        MeasurementError: it needs more memory than is free.
    """
    activations = sum(type_.nbytes for _, type_ in (*kernel.inputs, *kernel.outputs))
    needed, free = 3 * copies * kernel.weight_bytes + activations, psutil.virtual_memory().available
    if needed > free:
        raise MeasurementError(
            f"{kernel.label} needs {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free",
            hint="close programs, or lower the resolution or batch size",
        )


def typical_run_ns(macs: int, bytes_moved: int) -> int:
    """What a kernel takes on a middling core, from its costs: good enough to bound the length of a sample."""
    return max(macs // _MACS_PER_NS, bytes_moved // _BYTES_PER_NS)


def choose_copies(weight_bytes: int, run_ns: int) -> int:
    """Copies for a kernel with so many bytes of weights that takes about ``run_ns`` once.

    At least 4 where memory allows, at most 64; fewer for kernels so long that a sample would pass 8 ms (their
    weights are large, or their arithmetic hides the difference).
    """
    most = _MOST if weight_bytes > _SMALL_WEIGHTS_BYTES else _MOST_WITHOUT_WEIGHTS
    wanted = -(-ROTATED_BYTES // max(weight_bytes, 1))
    in_time = max(_FEWEST, _LONGEST_SAMPLE_NS // max(run_ns, 1))
    in_memory = max(1, _MEMORY_BYTES // max(weight_bytes, 1))
    return max(1, min(max(wanted, _FEWEST), most, in_time, in_memory))
