"""Lowering: how each runtime turns a network into the kernels it really runs.

Lowering measures nothing: predictors use it as well as the profiler. "onnxruntime" asks the installed runtime's own
optimiser, whose answer depends on this machine's instruction set, as do the rules stored for "onednn"; "torch" and
"torch-compile" run the network once and write down what is called; "native", "null", "xnnpack" and "mcu" follow fixed
rules, and so does "cuda".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from ..errors import UnknownNameError, UsageError
from ..graph import Network
from .blocked import plain_name
from .by_rules import Aliases, lower_by_rules
from .cuda import lower_cuda
from .fusion import FusionRule, FusionRules, Known, Probe, probes, rules_by_lowering
from .kernel import Constant, Kernel, KernelNode, LoweredNetwork, require_supported
from .mcu import lower_mcu
from .native import lower_native
from .native_int8 import float_name, weight_scale_name
from .onednn import OneDnnPlan, lower_onednn, plan_onednn
from .onnx_graph import parse
from .onnxruntime import lower_model, lower_onnx, runtime_version
from .quantised import is_quantised
from .sim_cpu import lower_sim_cpu
from .torch_calls import torch_version
from .torch_compile import lower_torch_compile
from .torch_eager import lower_torch
from .torch_gpu import RUNTIMES as TORCH_ON_GPU
from .torch_gpu import lower_torch_gpu
from .xnnpack import lower_xnnpack

PRECISIONS = ("float32", "int8", "tf32", "float16", "bfloat16", "float8")
"""Number formats that networks can be run in. A network in int8 has 8-bit weights and activations wherever the runtime
computes with them; the rest stays float32, on GPUs float16. In "tf32" tensors are float32 and are multiplied with ten
bits of mantissa; this and the 16-bit formats are for GPUs, and "float16" for simulated CPUs. In "float8" (e4m3) linear
layers of GPUs multiply numbers of 8 bits; the rest is float16."""

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

    Where the lowering follows fixed rules and the runtime lacks an op, there is a kernel that says so (`Kernel.lacks`).

    Args:
        network: what is run.
        runtime: who runs it.
        precision: number format it is run in, one of `PRECISIONS`.
        threads: how many threads it may use; only compilers care.

    Raises:
        UnknownNameError: no lowering of that name; see `lowerings`.
        UsageError: the runtime does not run networks in that precision.
        MissingDependencyError: the runtime's own optimiser is needed and not installed.
        UnsupportedOpError: the runtime's own optimiser or compiler refuses an op.
    """
    if runtime not in lowerings():
        raise UnknownNameError("runtime", runtime, lowerings())
    if runtime not in _BY_PRECISION.get(precision, ()):
        able = [name for name, lowerings in _BY_PRECISION.items() if runtime in lowerings]
        raise UsageError(f"runtime {runtime!r} does not run in {precision!r}", hint=f"it runs in {', '.join(able)}")
    threads = threads if runtime in _FOR_THREADS else 0
    return _lower(_Request(network.fingerprint, runtime, precision, threads, _version(runtime), network))


def lower_given(
    network: Network, model: bytes | None, runtime: str, *, precision: str = "float32", threads: int = 1
) -> tuple[LoweredNetwork, bytes | None]:
    """`lower`, of the user's own ONNX file where there is one and the runtime runs such files.

    In int8 a file that is quantised is lowered as it is; of one that is not, the network is.

    Args:
        network: what is run.
        model: the file that it was read from.
        runtime: who runs it.
        precision: number format it is run in.
        threads: how many threads it is run on.

    Returns:
        The kernels, and the file if that is what is run.

    Raises:
        UsageError: the file is quantised, but ``precision`` is not.
        LutraError: as `lower` and `lower_onnx` raise.
    """
    if model is None or runtime != "onnxruntime":
        return lower(network, runtime, precision=precision, threads=threads), None
    parsed = parse(model)
    if precision == "float32" and is_quantised(parsed):
        raise UsageError(f"the ONNX file of {network.name!r} is quantised", hint="give --precision int8")
    if precision != "float32" and not is_quantised(parsed):
        return lower(network, runtime, precision=precision), None
    return lower_model(parsed, network.fingerprint), model


def known_by_lowering(runtime: str) -> Known:
    """How what `lower` shows of a runtime's fusions is known: by its own optimiser's dump, or by our fixed rules."""
    return "dumped" if runtime == "onnxruntime" else "fixed"


def lowerings() -> tuple[str, ...]:
    """Names of the runtimes that networks can be lowered for."""
    return tuple(dict.fromkeys((*_LOWERINGS, *_INT8_LOWERINGS)))


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


def _lower_int8_by_onnxruntime(network: Network) -> LoweredNetwork:
    from ..exporters.onnx_qdq import to_onnx_int8

    return lower_model(to_onnx_int8(network), network.fingerprint)


def _lower_for_null(network: Network) -> LoweredNetwork:
    return lower_native(network, "null")


_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {
    "onnxruntime": _lower_by_onnxruntime,
    "native": lower_native,
    "cuda": lower_cuda,
    "onednn": lower_onednn,
    "sim-cpu": lower_sim_cpu,
    "null": _lower_for_null,
    "torch": lower_torch,
    **{name: partial(lower_torch_gpu, runtime=name, precision="float32") for name in TORCH_ON_GPU},
    "torch-compile": partial(lower_torch_compile, threads=1),
    "xnnpack": lower_xnnpack,
}

_FOR_THREADS: dict[str, Callable[[Network, int], LoweredNetwork]] = {"torch-compile": lower_torch_compile}
"""Lowerings whose answer depends on the number of threads."""

_INT8_LOWERINGS: dict[str, Callable[[Network], LoweredNetwork]] = {
    "onnxruntime": _lower_int8_by_onnxruntime,
    "cuda": partial(lower_cuda, precision="int8"),
    "native": partial(lower_native, precision="int8"),
    "null": _lower_for_null,
    "mcu": lower_mcu,
    "sim-cpu": partial(lower_sim_cpu, precision="int8"),
}


def _on_gpus(precision: str) -> dict[str, Callable[[Network], LoweredNetwork]]:
    """The lowerings of what runs on GPUs, in one of their precisions."""
    torch = {name: partial(lower_torch_gpu, runtime=name, precision=precision) for name in TORCH_ON_GPU}
    return {"cuda": partial(lower_cuda, precision=precision), **torch}


_Lowerings = dict[str, Callable[[Network], LoweredNetwork]]
_BY_PRECISION: dict[str, _Lowerings] = {
    "float32": _LOWERINGS,
    "int8": _INT8_LOWERINGS,
    **{precision: _on_gpus(precision) for precision in ("tf32", "float16", "bfloat16")},
}
_BY_PRECISION["float8"] = {"cuda": partial(lower_cuda, precision="float8")}
_BY_PRECISION["float16"]["sim-cpu"] = partial(lower_sim_cpu, precision="float16")

__all__ = [
    "PRECISIONS",
    "Aliases",
    "Constant",
    "FusionRule",
    "FusionRules",
    "Kernel",
    "KernelNode",
    "LoweredNetwork",
    "OneDnnPlan",
    "Probe",
    "float_name",
    "known_by_lowering",
    "lower",
    "lower_by_rules",
    "lower_cuda",
    "lower_given",
    "lower_mcu",
    "lower_native",
    "lower_onednn",
    "lower_onnx",
    "lower_sim_cpu",
    "lowerings",
    "plain_name",
    "plan_onednn",
    "probes",
    "require_supported",
    "rules_by_lowering",
    "weight_scale_name",
]
