"""Lowering for eager torch: the operators that it dispatches for each node of a network.

Torch itself is asked: the module runs once, on this machine, and every operator that is dispatched is written down.
One node of the network is one kernel, because eager torch fuses nothing across nodes; its operators with their
arguments and the strides of its inputs tell kernels apart. A node that dispatches nothing has no kernel.
"""

from typing import TYPE_CHECKING, Any

from ..graph import Network, Node
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork
from .labels import native_label
from .torch_calls import CallWriter, type_of

if TYPE_CHECKING:
    import torch
    from torch import nn

RUNTIME = "torch"


def lower_torch(network: Network) -> LoweredNetwork:
    """The kernels of eager torch for ``network`` in inference mode, one per node that dispatches anything.

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
            kernel, made = _dispatched(node, step.module, [values[name] for name in step.reads])
            values.update(zip(step.writes, made, strict=True))
            for name in step.dead:
                del values[name]
            kernels += [kernel] if kernel.nodes else []
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def _dispatched(node: Node, module: "nn.Module", inputs: "list[torch.Tensor]") -> "tuple[Kernel, list[torch.Tensor]]":
    """The kernel of one node, and the values that it makes."""
    owner = node.weights_from or node.name
    stored = {f"{owner}.{name}": t for name, t in (*module.named_parameters(), *module.named_buffers())}
    # A value that is read twice goes by its first name.
    given = dict(reversed(list(zip(node.inputs, inputs, strict=True))))
    writer = CallWriter({id(t): name for name, t in (stored | given).items()})
    result, nodes = _recorded(module, inputs, writer)
    made = list(result) if len(node.outputs) > 1 else [result]
    used = {name for call in nodes for name in call.inputs}
    return Kernel(
        runtime=RUNTIME,
        nodes=tuple(nodes),
        inputs=tuple((name, type_of(t)) for name, t in given.items() if name in used),
        constants=tuple((name, _constant(t)) for name, t in stored.items() if name in used),
        outputs=tuple((writer.name(t), type_of(t)) for t in made),
        macs=node.op.macs,
        bytes_moved=node.op.bytes_moved,
        label=native_label(node.op, ()),
    ), made


def _recorded(module: "nn.Module", inputs: "list[torch.Tensor]", writer: CallWriter) -> tuple[Any, list[KernelNode]]:
    """What ``module`` returns, and the calls that it makes on the way."""
    from torch.utils._python_dispatch import TorchDispatchMode

    nodes: list[KernelNode] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            del types
            result = operator(*args, **(kwargs or {}))
            nodes.append(writer.node(operator, args, kwargs or {}, result))
            return result

    with Recorder():
        return module(*inputs), nodes


def _constant(tensor: "torch.Tensor") -> Constant:
    """A stored tensor; the values of whole numbers are kept, because they are shapes and indices."""
    if tensor.is_floating_point():
        return Constant(type_of(tensor))
    return Constant(type_of(tensor), tuple(tensor.flatten().tolist()))
