"""Modules as the timing core wants them: one node of a network again and again, or a whole network.

A node runs in the same loop, and through the same kind of module, as it does in a network, so that the time of Python
and of torch's dispatcher is in it.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import nn

from ...networks import Network, TensorType
from ...networks.exporters import to_torch
from ...networks.exporters._graph_module import Step, run_steps
from ...networks.exporters.weights import WeightSource
from ...networks.lowering import Kernel
from ...networks.lowering.torch_calls import tensors_in
from ...networks.lowering.torch_eager import op_of
from ...networks.ops import Op
from ...networks.ops._torch import dtype_of
from .._native import CallableRunnable
from ._base import Prepared
from .torch_tensors import Activations


def replayed(kernel: Kernel, copies: int, seed: int, activations: Activations) -> Prepared:
    """One call of ``kernel`` a sample, going round ``copies`` modules with weights of their own."""
    inputs, rewrite = activations.stand_ins(kernel)
    op, node, source = op_of(kernel), kernel.nodes[0], WeightSource(seed)
    reads = tuple(name for name in node.inputs if name in inputs)
    turns = [(Step(_module(op, source, str(copy)), reads, node.outputs),) for copy in range(copies)]
    turn = turns[0]
    following = cycle(turns)

    def before() -> None:
        nonlocal turn
        turn = next(following)
        rewrite()

    def run() -> None:
        run_steps(turn, dict(inputs))

    def finite() -> bool:
        before()
        values: dict[str, Any] = dict(inputs)
        run_steps(turn, values)
        return all_finite([values[name] for name in node.outputs])

    return Prepared(CallableRunnable(run, before), 1, finite, {"call": 1})


def whole(module: Callable[..., Any], network: Network, activations: Activations) -> Prepared:
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
    module: Any = to_torch(network).eval().requires_grad_(False)
    source = WeightSource(seed)
    for node, step in zip(network, module.steps, strict=True):
        if not node.weights_from:
            _load(step.module, node.op, source, node.name)
    assert isinstance(module, nn.Module)
    return module


def _module(op: Op, source: WeightSource, key: str) -> nn.Module:
    module = op.spec.module(op).eval().requires_grad_(False)
    if op.dtype in ("float16", "bfloat16"):
        module.to(dtype_of(op.dtype))
    _load(module, op, source, key)
    return module


def _load(module: nn.Module, op: Op, source: WeightSource, key: str) -> None:
    state = module.state_dict()
    for name in op.weights:
        state[name].copy_(torch.from_numpy(source.draw(op, name, f"{key}.{name}")))


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
