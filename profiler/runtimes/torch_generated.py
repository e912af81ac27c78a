"""Replays of compiled torch's kernels, made of what generated code does around each of them.

A kernel that inductor generated is built again from its source, which the compiler's own cache makes quick where
the network was compiled before.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch._C._dynamo import guards
from torch._inductor.codecache import CppPythonBindingsCodeCache

from ...networks import Network, NetworkBuilder
from ...networks.lowering import Kernel
from ...networks.lowering.torch_calls import arguments_of, operator_of, strides_of
from ...networks.lowering.torch_compile import DOMAIN, compile_module
from .._native import CallableRunnable
from ._base import Prepared
from .torch_replay import all_finite, loaded_module, whole
from .torch_tensors import Activations, contiguous, draw

empty_strided: Callable[..., torch.Tensor] = vars(guards)["_empty_strided_cpu"]
assert_size_stride: Callable[..., None] = vars(guards)["assert_size_stride"]
"""Functions that generated code calls; torch declares no types for them."""

_Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]


def replayed(kernel: Kernel, copies: int, seed: int, activations: Activations) -> Prepared:
    """One call of ``kernel`` a sample, going round ``copies`` sets of its stored tensors."""
    inputs, rewrite = activations.stand_ins(kernel)
    make = _generated_call if kernel.nodes[0].domain == DOMAIN else _operator_call
    turns = [make(kernel, inputs | stored) for stored in _constants(kernel, copies, seed)]
    turn = turns[0]
    following = cycle(turns)

    def before() -> None:
        nonlocal turn
        turn = next(following)
        rewrite()

    def run() -> None:
        turn()

    def finite() -> bool:
        before()
        return all_finite(turn())

    return Prepared(CallableRunnable(run, before), 1, finite, {"call": 1})


def compiled_network(network: Network, seed: int, activations: Activations) -> Prepared:
    """The whole network as ``torch.compile`` makes it with its default settings.

    Raises:
        UnsupportedOpError: torch cannot compile it.
    """
    module = loaded_module(network, seed)
    inputs = [torch.zeros(t.shape, dtype=getattr(torch, t.dtype)) for _, t in network.inputs]
    with torch.inference_mode():
        compiled, _ = compile_module(module, inputs)
    return whole(compiled, network, activations)


def empty_call() -> Prepared:
    """A replay without a kernel: what is in every sample besides the kernel."""
    turn: Callable[[], None] = lambda: None  # noqa: E731  # as light as a function gets
    return Prepared(CallableRunnable(lambda: turn()), 1, lambda: True, {})


def single_relu() -> Prepared:
    """A compiled network that does next to nothing."""
    b = NetworkBuilder("relu")
    return compiled_network(b.build(b.op("relu", b.input((1, 16)))), 0, Activations(seed=0))


def _generated_call(kernel: Kernel, tensors: dict[str, torch.Tensor]) -> Callable[[], Any]:
    """A call of a generated kernel: checks of its weights, buffers for what it makes, the kernel itself."""
    node = kernel.nodes[0]
    attrs: dict[str, Any] = dict(node.attrs)
    function = CppPythonBindingsCodeCache.load_pybinding(list(attrs["argument_types"]), attrs["source"])
    read = [tensors[name] for name in node.inputs]
    checks = _checks(kernel, tensors)
    layouts = [_layout(kernel, name, text) for name, text in zip(node.outputs, attrs["output_strides"], strict=True)]

    def call() -> list[torch.Tensor]:
        for check in checks:
            assert_size_stride(*check)
        made = [empty_strided(*layout) for layout in layouts]
        function(*read, *made)
        return made or read

    return call


def _operator_call(kernel: Kernel, tensors: dict[str, torch.Tensor]) -> Callable[[], Any]:
    """A call of an operator: checks of its weights, the operator, a check of what it made."""
    node = kernel.nodes[0]
    operator = operator_of(node)
    args, kwargs = arguments_of(node, [tensors[name] for name in node.inputs])
    checks = _checks(kernel, tensors)

    def call() -> Any:
        for check in checks:
            assert_size_stride(*check)
        return operator(*args, **kwargs)

    return call


def _checks(kernel: Kernel, tensors: dict[str, torch.Tensor]) -> list[tuple[Any, ...]]:
    """Arguments of the checks that generated code makes of weights, once each."""
    weights = (tensors[name] for name, _ in kernel.constants)
    return [(tensor, tuple(tensor.shape), tensor.stride(), "input") for tensor in weights]


def _layout(kernel: Kernel, name: str, strides: str) -> _Layout:
    type_ = dict(kernel.outputs)[name]
    chosen = tuple(map(int, strides.split(","))) if strides else contiguous(type_.shape)
    return type_.shape, chosen, getattr(torch, type_.dtype)


def _constants(kernel: Kernel, copies: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """``copies`` sets of the stored tensors of ``kernel``, with distinct contents."""
    generator, node = torch.Generator().manual_seed(seed), kernel.nodes[0]
    strides = dict(zip(node.inputs, strides_of(node), strict=True))
    return [
        {name: draw(constant.type, strides[name], generator) for name, constant in kernel.constants}
        for _ in range(copies)
    ]
