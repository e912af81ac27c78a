"""The torch module behind `to_torch`. Imported only when one is really built."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import ShapeError
from ..graph import Network, Node
from ..ops._torch import dtype_of


class Step(NamedTuple):
    """One node's turn.

    Attributes:
        module: what computes it.
        reads: names of the values it takes.
        writes: names of the values it makes.
        dead: names of the values that nobody reads any more afterwards.
    """

    module: nn.Module
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    dead: tuple[str, ...] = ()


def run_steps(steps: Sequence[Step], values: dict[str, Any]) -> None:
    """Runs ``steps`` in order, from and to ``values``."""
    for step in steps:
        result = step.module(*(values[name] for name in step.reads))
        values.update(zip(step.writes, result if len(step.writes) > 1 else (result,), strict=True))
        for name in step.dead:  # lets the memory go as soon as nobody reads it any more
            del values[name]


class GraphModule(nn.Module):
    """Runs the nodes of a network in order, each by the reference module of its op.

    Attributes:
        network: what it computes.
        steps: its nodes' turns, in the order of the network's nodes.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        modules: dict[str, nn.Module] = {}
        for node in network.nodes:
            modules[node.name] = _module_of(node, network, modules)
        # Parents first: a node may be called "head" and another one "head.norm".
        for name in sorted(modules, key=lambda name: name.count(".")):
            _place(self, name, modules[name])
        last_read = {value: i for i, node in enumerate(network.nodes) for value in node.inputs}
        dead: list[tuple[str, ...]] = [() for _ in network.nodes]
        for value, step in last_read.items():
            if value not in network.outputs:
                dead[step] = (*dead[step], value)
        self.steps = tuple(
            Step(modules[node.name], node.inputs, node.outputs, names)
            for node, names in zip(network.nodes, dead, strict=True)
        )

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Outputs of the network for its inputs, given by position."""
        if len(inputs) != len(self.network.inputs):
            raise ShapeError(f"{self.network.name} takes {len(self.network.inputs)} inputs, not {len(inputs)}")
        values: dict[str, Any] = dict(zip((name for name, _ in self.network.inputs), inputs, strict=True))
        run_steps(self.steps, values)
        results = tuple(values[name] for name in self.network.outputs)
        return results[0] if len(results) == 1 else results


def _module_of(node: Node, network: Network, modules: dict[str, nn.Module]) -> nn.Module:
    """The node's module, with the parameters of the node that it shares weights with."""
    if not node.weights_from:
        return _fresh(node)
    owner = next(n for n in network.nodes if n.name == node.weights_from)
    if owner.op == node.op:
        return modules[owner.name]
    module = _fresh(node)
    module._parameters.update(modules[owner.name]._parameters)
    module._buffers.update(modules[owner.name]._buffers)
    return module


def _fresh(node: Node) -> nn.Module:
    _ = node.op.attributes  # computed once under a lock, which torch.compile cannot look into
    module = node.op.spec.module(node.op)
    if node.op.dtype in ("float16", "bfloat16"):
        module.to(dtype_of(node.op.dtype))
    return module


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Registers ``module`` under a dotted name, making containers on the way.

    Goes past `add_module`, which refuses names of methods such as "type"; nothing here looks modules up by attribute.
    """
    *path, last = name.split(".")
    parent = root
    for part in path:
        if part not in parent._modules:
            parent._modules[part] = nn.Module()
        child = parent._modules[part]
        assert child is not None
        parent = child
    parent._modules[last] = module
