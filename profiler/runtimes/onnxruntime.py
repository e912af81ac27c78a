"""ONNX Runtime, from its wheel: the library is opened by path and driven through its C function table.

Kernels are pieces of the graph that its own optimiser writes, run with optimisation off; whole networks run with
everything on. With one thread sessions run in the caller; with more they share one global pool, because the
spinning threads of many private pools would measure each other.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...luts.host import runtime_version
from ...networks import Network, TensorType
from ...networks.errors import MissingDependencyError
from ...networks.exporters import to_onnx, to_onnx_int8
from ...networks.lowering import Kernel
from .._native import OrtEnvironment, OrtLibrary
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime
from ._wheel import library_in
from .contents import Contents
from .onnx_kernels import (
    CHAIN_LENGTH,
    kernel_model,
    relu_chain,
    reshape_chain,
    reshape_nodes,
    shape_chain,
    shape_nodes,
)


@register_runtime
class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"
    precisions = ("float32", "int8")
    extra = "ort"

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        self._library = OrtLibrary(str(library_path()))
        self._environment = OrtEnvironment(self._library, threads)
        self._contents: dict[int, Contents] = {}
        self._finite: dict[tuple[str, int], bool] = {}

    @classmethod
    def info(cls) -> RuntimeInfo:
        version = runtime_version(cls.name)
        note = "Microsoft's ONNX Runtime, CPU" if version else "not installed: pip install 'lutra[ort]'"
        return RuntimeInfo(cls.name, cls.kind, bool(version), version, note)

    def describe(self) -> dict[str, str]:
        return {"onnxruntime": self._library.version}

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        model, feeds = kernel_model(kernel, copies, self._contents_of(seed))
        session = self._environment.session(model, optimize=False, inputs=feeds)
        added = {"shape node": shape_nodes(kernel, copies), "reshape node": reshape_nodes(kernel, copies)}
        return Prepared(session, copies, partial(self._computes_numbers, kernel, seed), {"run": 1} | added)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        rng = np.random.default_rng(seed)
        if model is None:
            write = to_onnx_int8 if self.precision == "int8" else to_onnx
            model = write(network, seed=seed).SerializeToString()
        feeds = {name: _feed(type_, rng) for name, type_ in network.inputs}
        session = self._environment.session(model, optimize=True, inputs=feeds)
        return Prepared(session, 1, session.outputs_finite, {})

    def overheads(self) -> Iterator[Overhead]:
        chains = {
            "node": ("one Relu node on 16 numbers", relu_chain),
            "shape node": ("one Shape node", shape_chain),
            "reshape node": ("one Reshape node", reshape_chain),
        }
        for name, (label, chain) in chains.items():
            single, long = (self._chain(*chain(length)) for length in (1, CHAIN_LENGTH))
            yield Overhead(f"{name} base", f"a call with {label}", single)
            long = Prepared(long.runnable, CHAIN_LENGTH - 1, long.finite, {})
            yield Overhead(name, label, long, base=f"{name} base")
        yield Overhead("run", "one call without nodes", self._chain(*relu_chain(1)), base="node")

    def _chain(self, model: bytes, feeds: dict[str, np.ndarray[Any, Any]]) -> Prepared:
        session = self._environment.session(model, optimize=False, inputs=feeds)
        return Prepared(session, 1, session.outputs_finite, {})

    def _contents_of(self, seed: int) -> Contents:
        return self._contents.setdefault(seed, Contents(seed))

    def _computes_numbers(self, kernel: Kernel, seed: int) -> bool:
        """Whether the kernel's outputs are finite; the timed session keeps nothing of them but their shapes.

        It takes a session of its own, so a kernel that is timed with several numbers of copies is asked once.
        """
        if (kernel.key, seed) not in self._finite:
            model, feeds = kernel_model(kernel, 1, self._contents_of(seed), exposed=True)
            session = self._environment.session(model, optimize=False, inputs=feeds)
            self._finite[kernel.key, seed] = session.outputs_finite()
        return self._finite[kernel.key, seed]


def _feed(type_: TensorType, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    if type_.dtype.startswith("float"):
        return rng.standard_normal(type_.shape, dtype=np.float32).astype(type_.dtype)
    return rng.integers(0, 2, type_.shape).astype(type_.dtype)


def library_path() -> Path:
    """The shared library inside the installed onnxruntime package.

    Raises:
        MissingDependencyError: the package is not installed, or holds no such library.
    """
    found = library_in("onnxruntime", "capi", "libonnxruntime.*")
    if found is None:
        raise MissingDependencyError("onnxruntime", "ort", "timing networks on ONNX Runtime")
    return found
