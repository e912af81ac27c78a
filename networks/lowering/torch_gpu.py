"""Lowering for torch on an NVIDIA GPU: the nodes that eager torch dispatches, in the precision that is asked for.

Torch calls the same operators for a node whatever the device, so it is asked on the processor, in float32. What
torch.compile fuses is grouped by rule (`torch_groups`): the compiler itself says nothing without a GPU.
"""

from dataclasses import replace

from ..graph import Network
from .cuda import MATH, element_type, retyped
from .kernel import Kernel, LoweredNetwork, freeze_attrs
from .torch_eager import lower_torch
from .torch_groups import grouped

EAGER = "torch-cuda"
GRAPH = "torch-cudagraph"
COMPILED = "torch-cuda-compile"

RUNTIMES = (EAGER, GRAPH, COMPILED)
"""The ways in which torch runs a network on a GPU."""


def lower_torch_gpu(network: Network, runtime: str, precision: str) -> LoweredNetwork:
    """The kernels of torch on a GPU, with nodes as in `lower_torch`; their attribute ``math`` is that of `MATH`.

    Args:
        network: what is run.
        runtime: `EAGER`, where operators are launched one by one; `GRAPH`, where they are captured in a CUDA graph; or
            `COMPILED`, where what torch.compile makes is, and a kernel has all nodes that the compiler may fuse.
        precision: one of `MATH`.

    Raises:
        MissingDependencyError: torch is not installed.
        UnsupportedDtypeError: torch computes a tensor of a type outside Lutra's vocabulary.
    """
    kernels = [_on_gpu(kernel, runtime, precision) for kernel in lower_torch(network).kernels]
    if runtime == COMPILED:
        kernels = grouped(kernels, network.outputs)
    return LoweredNetwork(runtime, network.fingerprint, tuple(kernels))


def _on_gpu(kernel: Kernel, runtime: str, precision: str) -> Kernel:
    node = kernel.nodes[0]
    attrs = freeze_attrs(dict(node.attrs) | {"math": MATH[precision]})
    named = replace(kernel, runtime=runtime, nodes=(replace(node, attrs=attrs),))
    dtype = element_type(precision)
    return named if dtype == "float32" else retyped(named, dtype)
