"""Lowering for compiled torch: the kernels that inductor writes, and the operators that it calls between them.

The network is compiled and run once, with every call of its generated code written down; inductor keeps what it has
compiled on disk, so that the next time is quick. A generated kernel is known by its C++ source, which holds all of its
sizes, and can be built from that alone; an operator is known by its arguments (`torch_calls`).
"""

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedOpError
from ..graph import Network
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork, freeze_attrs
from .labels import torch_label
from .torch_calls import CallWriter, strides_text, tensors_in, type_of

if TYPE_CHECKING:
    import torch

RUNTIME = "torch-compile"

DOMAIN = "inductor"
"""Domain of the nodes that stand for a generated kernel."""

_Written = tuple[tuple[str, ...], str]
"""Argument types and C++ source of a generated kernel."""

_MEMORY = frozenset({"empty", "empty_strided", "as_strided", "detach", "alias", "view", "set_"})
"""Operators that only make or reinterpret memory; generated code calls them outside of its kernels."""


def lower_torch_compile(network: Network, threads: int) -> LoweredNetwork:
    """The kernels of ``network`` under ``torch.compile`` with its default settings, in inference mode.

    Args:
        network: what is compiled.
        threads: how many threads the code is generated for.

    Raises:
        MissingDependencyError: torch is not installed.
        UnsupportedDtypeError: torch computes a tensor of a type outside Lutra's vocabulary.
        UnsupportedOpError: inductor cannot compile the network.
    """
    from ..exporters.torch import to_torch

    module: Any = to_torch(network).eval().requires_grad_(False)
    import torch

    stored = {t.untyped_storage().data_ptr(): name for name, t in (*module.named_parameters(), *module.named_buffers())}
    inputs = [torch.zeros(t.shape, dtype=getattr(torch, t.dtype)) for _, t in network.inputs]
    with torch.inference_mode(), _threads(threads):
        compiled, generated = compile_module(module, inputs)
        kernels = _recorded(lambda: compiled(*inputs), generated, stored)
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def compile_module(
    module: "torch.nn.Module", inputs: "Sequence[torch.Tensor]"
) -> tuple[Callable[..., Any], list[ModuleType]]:
    """``module`` compiled for ``inputs``, and the modules of Python that inductor wrote for it.

    All of it is compiled: what torch would run eagerly, because it cannot look into it or has compiled it too often,
    is refused, now and whenever the module is called.

    Raises:
        UnsupportedOpError: torch cannot compile it; with the compiler's own reason.
    """
    import torch
    from torch._inductor.codecache import PyCodeCache

    # Modules of the same class share one cache of compiled code, and a limit of eight.
    torch._dynamo.reset()
    PyCodeCache.cache_clear()
    compiled = torch.compile(module, fullgraph=True)
    with refusals():
        compiled(*inputs)
    return compiled, [module for module in PyCodeCache.modules if hasattr(module, "call")]


@contextmanager
def refusals() -> Iterator[None]:
    """Within, a compiled module is called for the first time; memory that is missing is no refusal.

    Raises:
        UnsupportedOpError: torch cannot compile it; with the compiler's own reason.
    """
    import torch
    from torch._dynamo.exc import FailOnRecompileLimitHit

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, AssertionError, FailOnRecompileLimitHit) as error:
        reason = " ".join(str(error).split())[:300]
        what = {type(error).__name__: 1}
        raise UnsupportedOpError(f"torch.compile refuses the network ({reason}); it", what) from None


def generated_sources(module: ModuleType) -> dict[str, _Written]:
    """Argument types and C++ source of each kernel that inductor wrote into ``module``, by the kernel's name."""
    assert module.__file__ is not None
    found = {}
    for statement in ast.parse(Path(module.__file__).read_text()).body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Attribute(attr="cpp_pybinding"), args=[types, source]),
            ):
                found[name] = (tuple(ast.literal_eval(types)), str(ast.literal_eval(source)))
    return found


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Code is generated for the number of threads that torch has at that moment."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _recorded(run: Callable[[], Any], generated: Sequence[ModuleType], stored: Mapping[int, str]) -> list[Kernel]:
    """The kernels behind the calls that generated code makes in ``run``."""
    from torch.utils._python_dispatch import TorchDispatchMode

    kernels: list[Kernel] = []

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            del types
            result = operator(*args, **(kwargs or {}))
            if operator.__name__.split(".")[0] not in _MEMORY:
                kernels.append(_operator_kernel(operator, args, kwargs or {}, result, stored))
            return result

    recorder, entered = Recorder(), False  # type: ignore[no-untyped-call]

    def enter() -> None:
        # Not before: a compiled function would be compiled anew for the mode.
        nonlocal entered
        if not entered:
            entered = True
            recorder.__enter__()  # type: ignore[no-untyped-call]

    def record(name: str, written: _Written, args: tuple[Any, ...]) -> None:
        kernels.append(_generated_kernel(name, written, args, stored))

    with _wrapped(generated, enter, record):
        run()
        if entered:
            recorder.__exit__(None, None, None)  # type: ignore[no-untyped-call]
    return kernels


@contextmanager
def _wrapped(
    generated: Sequence[ModuleType], enter: Callable[[], None], record: Callable[[str, _Written, tuple[Any, ...]], None]
) -> Iterator[None]:
    """Functions that generated code calls, replaced by ones that tell of it first."""
    saved = [(module, dict(vars(module))) for module in generated]

    def told(function: Any, name: str, written: _Written | None) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            enter()
            if written:
                record(name, written, args)
            return function(*args, **kwargs)

        return call

    for module, functions in saved:
        sources = generated_sources(module)
        for name in (*sources, "assert_size_stride", "empty_strided_cpu"):
            setattr(module, name, told(functions[name], name, sources.get(name)))
    try:
        yield
    finally:
        for module, functions in saved:
            vars(module).update(functions)


def _generated_kernel(
    name: str, written: _Written, args: "tuple[torch.Tensor | int, ...]", stored: Mapping[int, str]
) -> Kernel:
    types, source = written
    tensors = list(tensors_in(list(args)))
    if len(tensors) != len(args):
        raise UnsupportedOpError("Lutra's replay of generated kernels", {f"{name} with sizes as arguments": 1})
    names = _names(tensors, stored)
    only_written = [t.endswith("*") and not t.startswith("const") for t in types]
    in_out = source.partition(")")[0].count("in_out_ptr")
    outputs = [n for i, n in enumerate(names) if only_written[i] and i >= in_out]
    inputs = [n for n in names if n not in outputs]
    fused = re.sub(r"_\d+$", "", name)
    attrs = {
        "argument_types": types,
        "source": source,
        "strides": tuple(strides_text(t) for t, n in zip(tensors, names, strict=True) if n in inputs),
        "output_strides": tuple(strides_text(t) for t, n in zip(tensors, names, strict=True) if n in outputs),
    }
    node = KernelNode(fused, DOMAIN, freeze_attrs(attrs), tuple(inputs), tuple(outputs))
    written_to = [t for t, flag in zip(tensors, only_written, strict=True) if flag]
    return _kernel(node, dict(zip(names, tensors, strict=True)), written_to[-1] if written_to else tensors[-1])


def _operator_kernel(
    operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, stored: Mapping[int, str]
) -> Kernel:
    read = list(tensors_in([list(args), list(kwargs.values())]))
    # A filter is a stored tensor even where an earlier kernel has changed its layout.
    filters: dict[int, str] = {
        t.untyped_storage().data_ptr(): f"w{i}" for i, t in enumerate(tensors_in(list(args[1:])))
    }
    names = _names(read, filters | dict(stored) if operator.__name__.startswith("convolution") else stored)
    writer = CallWriter({id(t): name for t, name in zip(read, names, strict=True)})
    node = writer.node(operator, args, kwargs, result)
    made = list(tensors_in(result))
    tensors = dict(zip(names, read, strict=True)) | dict(zip(node.outputs, made, strict=True))
    return _kernel(node, tensors, made[0] if made else read[-1])


def _names(tensors: "Sequence[torch.Tensor]", stored: Mapping[int, str]) -> list[str]:
    """A name for each tensor: that of the weight it is, or of its position; equal for one and the same tensor."""
    names: dict[int, str] = {}
    for i, tensor in enumerate(tensors):
        weight = stored.get(tensor.untyped_storage().data_ptr())
        names.setdefault(id(tensor), weight if weight and weight not in names.values() else f"t{i}")
    return [names[id(tensor)] for tensor in tensors]


def _kernel(node: KernelNode, tensors: "Mapping[str, torch.Tensor]", shown: "torch.Tensor") -> Kernel:
    types = {name: type_of(tensor) for name, tensor in tensors.items()}
    weights = {name for name in node.inputs if not re.fullmatch(r"t\d+", name)}
    return Kernel(
        runtime=RUNTIME,
        nodes=(node,),
        inputs=tuple((name, types[name]) for name in dict.fromkeys(node.inputs) if name not in weights),
        constants=tuple((name, Constant(types[name])) for name in dict.fromkeys(node.inputs) if name in weights),
        outputs=tuple((name, types[name]) for name in node.outputs),
        macs=_macs(node, [types[name].shape for name in node.inputs], tuple(shown.shape)),
        bytes_moved=sum(types[name].nbytes for name in {*node.inputs, *node.outputs}),
        label=torch_label(node, types, type_of(shown)),
    )


def _macs(node: KernelNode, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Multiply-accumulates of an operator; generated kernels only add and scale."""
    name = node.op.split(".")[0]
    if name == "convolution":
        return math.prod(output) * math.prod(inputs[1][1:])
    if name in ("mm", "bmm"):
        return math.prod(output) * inputs[0][-1]
    if name in ("addmm", "baddbmm"):
        return math.prod(output) * inputs[1][-1]
    if name.startswith("_scaled_dot_product"):
        *batch, queries, features = inputs[0]
        return 2 * math.prod(batch) * queries * inputs[1][-2] * features
    return 0
