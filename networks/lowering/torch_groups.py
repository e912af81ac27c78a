"""Which nodes torch.compile may make one kernel of on a GPU, by rule.

Inductor hands convolutions and matrix products to libraries and writes everything between two of them itself, fusing
what one node makes and another reads. A group is what it is given at once; how many kernels it makes of that is its
own matter, and is timed as it is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from ..ops import spec_of
from .kernel import Kernel
from .labels import MAX_LENGTH

LIBRARY_OPS: Final = frozenset({"conv1d", "conv2d", "conv_transpose2d", "linear", "matmul", "sdpa"})
"""Ops that compiled torch calls a library for."""


def grouped(kernels: Sequence[Kernel], outputs: Collection[str]) -> list[Kernel]:
    """``kernels`` with connected nodes between two library calls in one kernel; what only looks at memory is left out.

    Args:
        kernels: one node each, in execution order.
        outputs: values that the network leaves behind.
    """
    readers = _reads(kernels) + Counter(outputs)
    made: list[Kernel] = []
    run: list[Kernel] = []
    for kernel in kernels:
        if kernel.nodes[0].op in LIBRARY_OPS:
            made += [*_fused(run, readers), kernel]
            run = []
        else:
            run.append(kernel)
    return [*made, *_fused(run, readers)]


def _reads(kernels: Iterable[Kernel]) -> Counter[str]:
    """How many kernels read each value."""
    return Counter(name for kernel in kernels for name, _ in kernel.inputs)


def _fused(run: Iterable[Kernel], readers: Counter[str]) -> list[Kernel]:
    """The connected parts of a run of kernels without a library call, in execution order."""
    parts: list[list[Kernel]] = []
    for kernel in run:
        reads = {name for name, _ in kernel.inputs}
        joined = [part for part in parts if any(name in reads for member in part for name, _ in member.outputs)]
        parts = [part for part in parts if part not in joined]
        parts.append([member for part in joined for member in part] + [kernel])
    return [_merged(part, readers) for part in parts if not all(spec_of(k.nodes[0].op).is_view for k in part)]


def _merged(part: Sequence[Kernel], readers: Counter[str]) -> Kernel:
    """One kernel of connected ones.

    Args:
        part: in execution order.
        readers: how many read each value; one that only ``part`` reads stays within.
    """
    if len(part) == 1:
        return part[0]
    made = {name: type_ for kernel in part for name, type_ in kernel.outputs}
    inputs = {name: type_ for kernel in part for name, type_ in kernel.inputs if name not in made}
    constants = {name: constant for kernel in part for name, constant in kernel.constants}
    within = _reads(part)
    outputs = {name: type_ for name, type_ in made.items() if readers[name] > within[name]}
    types = [*inputs.values(), *(constant.type for constant in constants.values()), *outputs.values()]
    return replace(
        part[0],
        nodes=tuple(node for kernel in part for node in kernel.nodes),
        inputs=tuple(inputs.items()),
        constants=tuple(constants.items()),
        outputs=tuple(outputs.items()),
        macs=sum(kernel.macs for kernel in part),
        bytes_moved=sum(type_.nbytes for type_ in types),
        label=" + ".join(kernel.label if i == 0 else kernel.nodes[0].op for i, kernel in enumerate(part))[:MAX_LENGTH],
    )
