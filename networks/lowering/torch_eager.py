"""Lowering for eager torch: one kernel per node of a network that dispatches anything.

Eager torch fuses nothing across nodes; what it dispatches for one is decided by the node's own module, the element
types and the strides of its inputs. Torch itself is asked: the module runs once, on this machine.
"""

from typing import TYPE_CHECKING, Any

from ..graph import Network, Node
from ..ops import Op, TensorType, make_op
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork, freeze_attrs
from .labels import native_label
from .torch_calls import strides_text, type_of

if TYPE_CHECKING:
    import torch
    from torch import nn

RUNTIME = "torch"

DOMAIN = "torch.nn"
"""Domain of nodes that stand for one module of the catalogue."""

_OWN_ATTRS = frozenset({"dispatches", "math", "strides"})


def lower_torch(network: Network) -> LoweredNetwork:
    """The kernels of eager torch for ``network`` in inference mode, one `KernelNode` each.

    A node's ``op`` and ``attrs`` are the catalogue's; its inputs are the op's inputs and then its stored tensors.
    Beyond the catalogue's, ``dispatches`` names the operators that torch calls, and ``strides`` has one text per input
    of the op (see `strides_text`).

    Raises:
        MissingDependencyError: torch is not installed.
        UnsupportedDtypeError: torch computes a tensor of a type outside Lutra's vocabulary.
    """
    from ..exporters.torch import to_torch

    module: Any = to_torch(network).eval()
    import torch

    values = {name: torch.zeros(t.shape, dtype=getattr(torch, t.dtype)) for name, t in network.inputs}
    kernels: list[Kernel] = []
    with torch.inference_mode():
        for node, step in zip(network, module.steps, strict=True):
            inputs = [values[name] for name in step.reads]
            dispatches, result = _recorded(step.module, inputs)
            if dispatches:
                kernels.append(_kernel(node, inputs, dispatches))
            values.update(zip(step.writes, result if len(step.writes) > 1 else (result,), strict=True))
            for name in step.dead:
                del values[name]
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def op_of(kernel: Kernel) -> Op:
    """The catalogue's op behind a kernel of eager torch, on inputs as they are written in the kernel."""
    return ops_of(kernel)[0]


def ops_of(kernel: Kernel) -> list[Op]:
    """The catalogue's op behind each node of a kernel."""
    types = dict(kernel.inputs)
    ops = []
    for node in kernel.nodes:
        attrs = {name: value for name, value in node.attrs if name not in _OWN_ATTRS}
        ops.append(make_op(node.op, *(types[name] for name in node.inputs if name in types), **attrs))
        types.update(zip(node.outputs, ops[-1].outputs, strict=True))
    return ops


def _kernel(node: Node, inputs: "list[torch.Tensor]", dispatches: tuple[str, ...]) -> Kernel:
    op, owner = node.op, node.weights_from or node.name
    stored = {f"{owner}.{name}": TensorType(shape, op.dtype) for name, shape in (op.weights | op.buffers).items()}
    attrs = dict(op.attrs) | {"dispatches": dispatches, "strides": tuple(map(strides_text, inputs))}
    return Kernel(
        runtime=RUNTIME,
        nodes=(KernelNode(op.kind, DOMAIN, freeze_attrs(attrs), (*node.inputs, *stored), node.outputs),),
        inputs=tuple({name: type_of(tensor) for name, tensor in zip(node.inputs, inputs, strict=True)}.items()),
        constants=tuple((name, Constant(type_)) for name, type_ in stored.items()),
        outputs=tuple(zip(node.outputs, op.outputs, strict=True)),
        macs=op.macs,
        bytes_moved=op.bytes_moved,
        label=native_label(op, ()),
    )


def _recorded(module: "nn.Module", inputs: "list[torch.Tensor]") -> tuple[tuple[str, ...], Any]:
    """Names of the operators that ``module`` calls, and what it returns."""
    from torch.utils._python_dispatch import TorchDispatchMode

    called: list[str] = []

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            del types
            called.append(str(operator))
            return operator(*args, **(kwargs or {}))

    with Recorder():  # type: ignore[no-untyped-call]
        result = module(*inputs)
    return tuple(called), result
