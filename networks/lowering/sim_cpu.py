"""Lowering for simulated CPUs: what any good runtime makes one kernel of, in no layout in particular."""

from dataclasses import replace
from typing import Final

from ..graph import Network
from ..ops import TensorType
from .kernel import Constant, Kernel, LoweredNetwork
from .native import fused_kernels

RUNTIME: Final = "sim-cpu"

ELEMENTS: Final = {"float32": "float32", "float16": "float16", "int8": "int8"}
"""Element type of real numbers by precision."""


def lower_sim_cpu(network: Network, precision: str = "float32") -> LoweredNetwork:
    """The kernels of ``network`` with batch norms folded, activations and residual sums fused, one `KernelNode` each.

    A node is as in `lower_native`, and every image is N x C x H x W: the model of the device stands for a runtime that
    lays tensors out as suits it. In int8 and float16 all tensors of real numbers but biases are of that type.
    """
    kernels, _, _ = fused_kernels(network, RUNTIME)
    element = ELEMENTS[precision]
    if element != "float32":
        kernels = [_retyped(kernel, element) for kernel in kernels]
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def _retyped(kernel: Kernel, dtype: str) -> Kernel:
    def of(type_: TensorType) -> TensorType:
        return TensorType(type_.shape, dtype) if type_.dtype == "float32" else type_

    inputs = tuple((name, of(type_)) for name, type_ in kernel.inputs)
    constants = tuple(
        (name, constant if constant.type.rank < 2 else Constant(of(constant.type), constant.values))
        for name, constant in kernel.constants
    )
    outputs = tuple((name, of(type_)) for name, type_ in kernel.outputs)
    types = [*dict(inputs).values(), *(constant.type for _, constant in constants), *dict(outputs).values()]
    return replace(
        kernel,
        inputs=inputs,
        constants=constants,
        outputs=outputs,
        bytes_moved=sum(type_.nbytes for type_ in types),
    )
