"""Lowering: how each runtime turns a network into the kernels it really runs.

Lowering measures nothing: predictors use it as well as the profiler. "onnxruntime" asks the installed runtime's own
optimiser, whose answer depends on this machine's instruction set, as do the rules stored for "onednn"; "torch" runs
the network once and writes down what is dispatched; "native", "null" and "xnnpack" follow fixed rules.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from ..errors import UnknownNameError, UsageError
from ..graph import Network
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork
from .native import lower_native
from .onednn import OneDnnPlan, lower_onednn, plan_onednn
from .onnxruntime import lower_model, lower_onnx, runtime_version
from .torch_calls import torch_version
from .torch_compile import lower_torch_compile
from .torch_eager import lower_torch
from .xnnpack import lower_xnnpack

PRECISIONS = ("float32", "int8")
"""Number formats that networks can be run in. A network in int8 has 8-bit weights and activations wherever the runtime
computes with them; the rest stays float32."""

CACHE_SIZE = 256
"""Lowered networks that are kept; they hold no weights."""


@dataclass(frozen=True)
class _Request:
    """What a lowering depends on; the network itself is told apart by its fingerprint."""

    fingerprint: str
    runtime: str
    precision: str
    threads: int
    version: str
    network: Network = field(compare=False)


def lower(network: Network, runtime: str, *, precision: str = "float32", threads: int = 1) -> LoweredNetwork:
    """The kernels that ``runtime`` runs for ``network``, in execution order. Repeated calls are answered from memory.

    Args:
        network: what is run.
        runtime: who runs it.
        precision: number format it is run in, one of `PRECISIONS`.
        threads: how many threads it may use; only compilers care.

    Raises:
        UnknownNameError: no lowering of that name; see `lowerings`.
        UsageError: the runtime does not run networks in that precision.
        MissingDependencyError: the runtime's own optimiser is needed and not installed.
        UnsupportedOpError: the runtime lacks an op.
    """
    if runtime not in _LOWERINGS:
        raise UnknownNameError("runtime", runtime, _LOWERINGS)
    if runtime not in _BY_PRECISION.get(precision, ()):
        able = [name for name, lowerings in _BY_PRECISION.items() if runtime in lowerings]
        raise UsageError(f"runtime {runtime!r} does not run in {precision!r}", hint=f"it runs in {', '.join(able)}")
    threads = threads if runtime in _FOR_THREADS else 0
    return _lower(_Request(network.fingerprint, runtime, precision, threads, _version(runtime), network))


def lowerings() -> tuple[str, ...]:
    """Names of the runtimes that networks can be lowered for."""
    return tuple(_LOWERINGS)


def _version(runtime: str) -> str:
    """Version of what lowers, where that is a library."""
    if runtime == "onnxruntime":
        return runtime_version()
    return torch_version() if runtime.startswith("torch") else ""


@lru_cache(maxsize=CACHE_SIZE)
def _lower(request: _Request) -> LoweredNetwork:
    if request.runtime in _FOR_THREADS:
        return _FOR_THREADS[request.runtime](request.network, request.threads)
    return _BY_PRECISION[request.precision][request.runtime](request.network)


def _lower_by_onnxruntime(network: Network) -> LoweredNetwork:
    from ..exporters.onnx import to_onnx

    return lower_model(to_onnx(network), network.fingerprint)


def _lower_for_null(network: Network) -> LoweredNetwork:
    return lower_native(network, "null")


_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {
    "onnxruntime": _lower_by_onnxruntime,
    "native": lower_native,
    "onednn": lower_onednn,
    "null": _lower_for_null,
    "torch": lower_torch,
    "torch-compile": partial(lower_torch_compile, threads=1),
    "xnnpack": lower_xnnpack,
}

_FOR_THREADS: dict[str, Callable[[Network, int], LoweredNetwork]] = {"torch-compile": lower_torch_compile}
"""Lowerings whose answer depends on the number of threads."""

_INT8_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {"null": _lower_for_null}

_BY_PRECISION = dict(zip(PRECISIONS, (_LOWERINGS, _INT8_LOWERINGS), strict=True))

__all__ = [
    "PRECISIONS",
    "Constant",
    "Kernel",
    "KernelNode",
    "LoweredNetwork",
    "OneDnnPlan",
    "lower",
    "lower_native",
    "lower_onednn",
    "lower_onnx",
    "lowerings",
    "plan_onednn",
]
