"""How many copies of a kernel one sample runs.

In a network a kernel finds its weights where the whole model left them: mostly out of the near caches. One kernel
run again and again would find them there, and look up to four times faster than it is. So a sample runs several
copies with distinct weights, enough of them to turn over `ROTATED_BYTES`; activations stay shared and warm, as the
previous kernel leaves them in a network.

The number follows from the kernel alone. Were it chosen by timing the kernel first, two campaigns would choose
differently in different moments, and disagree by what the caches make of it: a tenth and more.
"""

from dataclasses import dataclass

import psutil

from ..luts.residency import RESIDENT_BYTES
from ..networks.errors import MeasurementError
from ..networks.lowering import Kernel

ROTATED_BYTES = 64 << 20
"""Weights that pass by between two uses of the same copy, on a processor."""

_FEWEST, _MOST_WITHOUT_WEIGHTS = 4, 8
_SMALL_WEIGHTS_BYTES = 2048
_LONGEST_SAMPLE_NS = 8_000_000


@dataclass(frozen=True)
class Rotation:
    """How copies of weights take turns on one kind of hardware.

    Attributes:
        rotated_bytes: weights that pass by between two uses of the same copy.
        most: copies at most.
        memory_bytes: of the copies together, at most.
        macs_per_ns: of middling hardware: with ``bytes_per_ns`` the roofline that bounds the length of a sample.
        bytes_per_ns: likewise.
        group_bytes: of what is timed against each other, at most.
    """

    rotated_bytes: int
    most: int
    memory_bytes: int
    macs_per_ns: int
    bytes_per_ns: int
    group_bytes: int


HOST_ROTATION = Rotation(ROTATED_BYTES, 64, 1 << 30, 32, 8, 2 << 30)
"""On a processor: a core takes 32 MACs and 8 bytes in a nanosecond."""


def copies_of(kernel: Kernel, rotation: Rotation = HOST_ROTATION) -> int:
    """Copies of ``kernel`` in one sample."""
    run_ns = max(kernel.macs // rotation.macs_per_ns, kernel.bytes_moved // rotation.bytes_per_ns)
    return choose_copies(kernel.weight_bytes, run_ns, rotation)


def resident_copies_of(kernel: Kernel, rotation: Rotation = HOST_ROTATION) -> int:
    """Copies of ``kernel`` in a sample that finds its weights in the last cache, but not in a nearer one."""
    return max(1, min(RESIDENT_BYTES // max(kernel.weight_bytes, 1), rotation.most))


def has_resident_row(kernel: Kernel, rotation: Rotation = HOST_ROTATION) -> bool:
    """Whether where the weights are makes a difference that a second row can tell.

    Not where they are so small, or its runs so long, that the ordinary copies stay in the last cache as well, nor
    where one copy alone is too large for it.
    """
    return kernel.weight_bytes <= RESIDENT_BYTES < kernel.weight_bytes * copies_of(kernel, rotation)


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
    return max(macs // HOST_ROTATION.macs_per_ns, bytes_moved // HOST_ROTATION.bytes_per_ns)


def choose_copies(weight_bytes: int, run_ns: int, rotation: Rotation = HOST_ROTATION) -> int:
    """Copies for a kernel with so many bytes of weights that takes about ``run_ns`` once.

    At least 4 where memory allows, at most ``rotation.most``; fewer for kernels so long that a sample would pass 8 ms
    (their weights are large, or their arithmetic hides the difference).
    """
    most = rotation.most if weight_bytes > _SMALL_WEIGHTS_BYTES else _MOST_WITHOUT_WEIGHTS
    wanted = -(-rotation.rotated_bytes // max(weight_bytes, 1))
    in_time = max(_FEWEST, _LONGEST_SAMPLE_NS // max(run_ns, 1))
    in_memory = max(1, rotation.memory_bytes // max(weight_bytes, 1))
    return max(1, min(max(wanted, _FEWEST), most, in_time, in_memory))
