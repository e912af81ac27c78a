"""Replays of torch's operators as the timing core wants them.

A replay runs in the same loop, and through the same kind of module, as the node of a network does, so that the time
of Python and of torch's dispatcher is in it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ...networks import Network, TensorType
from ...networks.exporters import to_torch
from ...networks.exporters._graph_module import Step, run_steps
from ...networks.exporters.weights import WeightSource
from ...networks.lowering import Kernel, KernelNode
from ...networks.lowering.torch_calls import arguments_of, operator_of, tensors_in
from .._native import CallableRunnable
from ._base import Prepared
from .torch_tensors import Activations, draw_constants, stand_ins


def replayed(kernel: Kernel, copies: int, seed: int, activations: Activations) -> Prepared:
    """One call of ``kernel`` a sample, going round ``copies`` sets of weights."""
    inputs, rewrite = stand_ins(kernel, activations)
    replay = Replay(kernel, [inputs | stored for stored in draw_constants(kernel, copies, seed)])
    steps = (Step(replay, tuple(inputs), tuple(name for name, _ in kernel.outputs)),)

    def before() -> None:
        replay.turn()
        rewrite()

    def run() -> None:
        run_steps(steps, dict(inputs))

    def finite() -> bool:
        before()
        values: dict[str, Any] = dict(inputs)
        run_steps(steps, values)
        return all_finite(list(values.values()))

    return Prepared(CallableRunnable(run, before), 1, finite, {"call": 1})


def whole(module: nn.Module, network: Network, activations: Activations) -> Prepared:
    """One call of ``module`` a sample, as a user makes it."""
    slots = [activations.stand_in(i, type_, None) for i, (_, type_) in enumerate(network.inputs)]
    inputs = tuple(tensor for tensor, _ in slots)

    def before() -> None:
        for _, write in slots:
            write()

    def run() -> None:
        module(*inputs)

    def finite() -> bool:
        before()
        return all_finite(module(*inputs))

    return Prepared(CallableRunnable(run, before), 1, finite, {})


def loaded_module(network: Network, seed: int) -> nn.Module:
    """``network`` as a module in inference mode, with weights that keep activations from vanishing."""
    module = to_torch(network).eval().requires_grad_(False)
    state, source = module.state_dict(), WeightSource(seed)
    for node in network:
        for name in () if node.weights_from else node.op.weights:
            key = f"{node.name}.{name}"
            state[key].copy_(torch.from_numpy(source.draw(node.op, name, key)))
    return module


def empty_call() -> Prepared:
    """A replay without a kernel: what is in every sample besides the kernel."""
    values = {"x": torch.zeros(1)}
    return Prepared(CallableRunnable(lambda: run_steps((), dict(values))), 1, lambda: True, {})


def empty_network() -> Prepared:
    """A module that hands its input on."""
    network = Network("empty", (("x", TensorType((1,))),), (), ("x",))
    module, x = to_torch(network).eval(), torch.zeros(1)
    return Prepared(CallableRunnable(lambda: module(x)), 1, lambda: True, {})


def all_finite(result: Any) -> bool:
    """Whether all numbers in a tensor, or in nested lists and tuples of tensors, are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors_in(result))


class Replay(nn.Module):
    """Makes the calls of a kernel.

    Args:
        kernel: what to call.
        sets: tensors by name, one dictionary for each set of weights.
    """

    def __init__(self, kernel: Kernel, sets: Sequence[dict[str, torch.Tensor]]) -> None:
        super().__init__()
        self._sets = [[_Call(node, tensors) for node in kernel.nodes] for tensors in sets]
        self._at = 0
        self._calls = self._sets[0]
        outputs = tuple(name for name, _ in kernel.outputs)
        self._picked = None if outputs == kernel.nodes[-1].outputs else outputs

    def turn(self) -> None:
        """Go on to the next set of weights."""
        self._at = (self._at + 1) % len(self._sets)
        self._calls = self._sets[self._at]

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The kernel's output, or a sequence where there are several, for the inputs that it was built with."""
        del inputs
        if len(self._calls) == 1 and self._picked is None:
            call = self._calls[0]
            return call.operator(*call.args, **call.kwargs)
        made: dict[str, Any] = {}
        for call in self._calls:
            result = call.run(made)
        if self._picked is None:
            return result
        picked = tuple(made[name] for name in self._picked)
        return picked if len(picked) > 1 else picked[0]


class _Call:
    """One call of an operator: its arguments, and the holes in them for what earlier calls make."""

    def __init__(self, node: KernelNode, tensors: dict[str, torch.Tensor]) -> None:
        self.operator = operator_of(node)
        given = [tensors.get(name, name) for name in node.inputs]
        self.args, self.kwargs = arguments_of(node, given)
        self._outputs = node.outputs
        holes = {name for name in node.inputs if name not in tensors}
        self._holes = [*_holes(self.args, holes), *_holes(self.kwargs, holes)]

    def run(self, made: dict[str, Any]) -> Any:
        for container, key, name in self._holes:
            container[key] = made[name]
        result = self.operator(*self.args, **self.kwargs)
        for container, key, _ in self._holes:  # lets the memory go
            container[key] = None
        made.update(zip(self._outputs, tensors_in(result), strict=True))
        return result


def _holes(container: Any, names: set[str]) -> list[tuple[Any, Any, str]]:
    """Where in nested lists and dictionaries one of ``names`` stands: the innermost container, the key, the name."""
    if not isinstance(container, list | dict):
        return []
    found: list[tuple[Any, Any, str]] = []
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, str) and value in names:
            found.append((container, key, value))
        found += _holes(value, names)
    return found
