"""What a table's rows say of single ops: the latency of each kernel, at the op that it ends with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..luts import Table
from ..luts.compose import compose
from ..networks import Network
from ..networks.errors import NotCoveredError
from ..networks.lowering import Kernel
from ._lowering import Lowerer


def op_times_ns(network: Network, table: Table, lowerer: Lowerer) -> NDArray[np.float64]:
    """Latency of the kernels that end with each op, shape ``[v]`` for v ops, in ns; the sum is that of all kernels.

    Args:
        network: whose ops.
        table: the rows of one device.
        lowerer: takes networks apart for the table's runtime.

    Raises:
        NotCoveredError: the table has no number for some kernels, interpolated ones included.
        LutraError: the network cannot be lowered, as `Lowerer` raises.
    """
    _, lowered = lowerer(network, table)
    answers = compose(table, lowered.kernels, interpolate=True)
    if answers.missing:
        labels = [lowered.distinct[key].label for key in answers.missing]
        raise NotCoveredError(
            f"the table of {table.name} says nothing of {len(labels)} kernels of {network.name}",
            labels,
            hint="profile the network on the device, or leave out the table",
        )
    times_ns = np.zeros(len(network.nodes))
    for place, answer in zip(last_ops(network, lowered.kernels), answers.kernels, strict=True):
        times_ns[place] += answer.latency_ns or 0.0
    return times_ns


def last_ops(network: Network, kernels: Sequence[Kernel]) -> list[int]:
    """The op that each kernel ends with, as its place among the network's ops.

    A kernel that makes a value of the network ends with the op that makes it. Where the runtime has renamed its values,
    it ends where the ops behind the kernel before it have as many MACs together as it has.
    """
    makers = {value: place for place, node in enumerate(network.nodes) for value in node.outputs}
    macs = np.cumsum([node.op.macs for node in network.nodes])
    places, reached, done = [], 0, 0
    for kernel in kernels:
        done += kernel.macs
        made = [makers[value] for node in kernel.nodes for value in node.outputs if value in makers]
        if made:
            reached = max(made)
        elif kernel.macs:
            reached = min(int(np.searchsorted(macs, done)), len(macs) - 1)
        places.append(reached)
    return places
