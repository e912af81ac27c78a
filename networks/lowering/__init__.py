"""Lowering: how each runtime turns a network into the kernels it really runs.

Lowering measures nothing: predictors use it as well as the profiler. "onnxruntime" asks the installed runtime's own
optimiser, whose answer depends on this machine's instruction set; "native" and "null" follow fixed rules.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from ..errors import UnknownNameError, UsageError
from ..graph import Network
from .blocked import plain_name
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork
from .native import lower_native
from .onnxruntime import lower_model, lower_onnx, runtime_version

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
    version: str
    network: Network = field(compare=False)


def lower(network: Network, runtime: str, *, precision: str = "float32") -> LoweredNetwork:
    """The kernels that ``runtime`` runs for ``network``, in execution order. Repeated calls are answered from memory.

    Args:
        network: what is run.
        runtime: who runs it.
        precision: number format it is run in, one of `PRECISIONS`.

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
    version = runtime_version() if runtime == "onnxruntime" else ""
    return _lower(_Request(network.fingerprint, runtime, precision, version, network))


def lowerings() -> tuple[str, ...]:
    """Names of the runtimes that networks can be lowered for."""
    return tuple(_LOWERINGS)


@lru_cache(maxsize=CACHE_SIZE)
def _lower(request: _Request) -> LoweredNetwork:
    return _BY_PRECISION[request.precision][request.runtime](request.network)


def _lower_by_onnxruntime(network: Network) -> LoweredNetwork:
    from ..exporters.onnx import to_onnx

    return lower_model(to_onnx(network), network.fingerprint)


def _lower_for_null(network: Network) -> LoweredNetwork:
    return lower_native(network, "null")


_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {
    "onnxruntime": _lower_by_onnxruntime,
    "native": lower_native,
    "null": _lower_for_null,
}

_INT8_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {"null": _lower_for_null}

_BY_PRECISION = dict(zip(PRECISIONS, (_LOWERINGS, _INT8_LOWERINGS), strict=True))

__all__ = [
    "PRECISIONS",
    "Constant",
    "Kernel",
    "KernelNode",
    "LoweredNetwork",
    "lower",
    "lower_native",
    "lower_onnx",
    "lowerings",
    "plain_name",
]
