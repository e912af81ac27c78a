"""NVIDIA GPUs through cuBLASLt, cuDNN and our own kernels, timed as CUDA graphs.

The libraries are opened at run time, wherever they are (`lutra.profiler.nvidia`); our kernels are compiled by NVRTC for
the GPU that is there. Time is the GPU's own, between two events on its stream; what the host spends on a launch stands
in the rows' conditions as ``dispatch_ns``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ...networks import Network, TensorType
from ...networks.errors import NotSupportedError
from ...networks.lowering import Constant, Kernel, lower, require_supported
from ...networks.lowering.cuda import PRECISIONS, element_type
from ...networks.lowering.cuda_eight import converted
from .._native import Clock, Runnable, gpu
from ..copies import Rotation
from ..nvidia.discovery import EXTRA, gpu_report, require_precision
from ..nvidia.libraries import cudnn_parts
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime

CHAIN_LENGTH = 201
"""Kernels in the long graph from which the cost of a node is taken, as a slope."""

ROTATION = Rotation(
    rotated_bytes=400 << 20,  # three times the largest second-level cache that there is (B200: 126 MB)
    most=512,
    memory_bytes=2 << 30,
    macs_per_ns=20_000,
    bytes_per_ns=1_000,
    group_bytes=4 << 30,
)
"""How copies of weights take turns on a GPU."""

_Tensor = tuple[str, tuple[int, ...], str, str]
_Step = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]


@register_runtime
class CudaRuntime(Runtime):
    """An NVIDIA GPU: cuBLASLt for products, cuDNN for convolutions, our own kernels for the rest."""

    name = "cuda"
    device = "cuda"
    extra = EXTRA
    precisions = PRECISIONS
    max_threads = 1
    rotation = ROTATION
    silence_timeout_s = 300.0  # libraries of half a gigabyte are read, kernels are compiled

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        report = gpu_report()
        if report.device is None or not (report.ahead or report.libraries["nvrtc"].found):
            problems = "; ".join(report.problems)
            raise NotSupportedError(f"no GPU can be profiled here: {problems}", hint="see lutra doctor")
        require_precision(report, precision)
        found = report.libraries
        self._driver = gpu.Driver(found["driver"].places)
        compiler = None if report.ahead else gpu.Compiler(found["nvrtc"].places, found["builtins"].places)
        self._gpu = gpu.Gpu(self._driver, compiler, report.device["index"])
        blas, blas_missing = _opened(gpu.Blas, self._gpu, found["cublaslt"].places)
        dnn, dnn_missing = _opened(gpu.Dnn, self._gpu, found["cudnn"].places, cudnn_parts(found["cudnn"]))
        self._versions = {
            "cuda driver": f"{self._driver.cuda_version}",
            "kernels": self._gpu.compiler,
            "cublaslt": str(blas.version) if blas else "missing",
            "cudnn": str(dnn.version) if dnn else "missing",
        }
        self._environment = gpu.Environment(self._gpu, blas, blas_missing, dnn, dnn_missing)

    @classmethod
    def info(cls) -> RuntimeInfo:
        report = gpu_report()
        kernels = f"nvcc {gpu.ahead_compiler()}, ahead of time" if report.ahead else "NVRTC"
        found = f"{report.name}, driver for CUDA {report.driver}, our kernels compiled by {kernels}"
        note = found if report.usable else "; ".join(report.problems)
        return RuntimeInfo(cls.name, cls.kind, report.usable, report.driver if report.usable else "", note)

    @classmethod
    def device_version(cls) -> str:
        """Versions of the libraries that are loaded, and of nvcc where that compiled our own kernels."""
        report = gpu_report()
        found, kernels = report.libraries, f", nvcc {gpu.ahead_compiler()}" if report.ahead else ""
        blas = gpu.library_version("cuBLASLt", found["cublaslt"].places, "cublasLtGetVersion")
        dnn = gpu.library_version("cuDNN", found["cudnn"].places, "cudnnGetVersion")
        return f"cublaslt {blas}, cudnn {dnn}{kernels}"

    @property
    def clock(self) -> Clock:  # type: ignore[override]  # one of its own for each GPU
        """The GPU's time within samples, the machine's between them."""
        return self._environment.clock

    def describe(self) -> dict[str, str]:
        return dict(self._versions)

    def require_memory(self, kernel: Kernel, copies: int) -> None:
        """Nothing: what is too large for the GPU is told when it is allocated there."""

    def references(self) -> tuple[Runnable, Runnable]:
        """Arithmetic on registers and a stream through memory, on the GPU."""
        make = partial(gpu.ReferenceRunnable, self._environment)
        return make(memory=False), make(memory=True)

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        require_supported([kernel])
        assembly = _Assembly(dict(kernel.inputs))
        assembly.add(kernel)
        program = self._program(assembly, tuple(dict(kernel.outputs)), copies, seed)
        return self._prepared(program, tuple(dict(kernel.outputs)), {"run": 1}, repeats=0)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # a GPU runs graphs, not files
        program, outputs = self.program_of(network, seed)
        return self._prepared(program, outputs, {}, repeats=1)

    def program_of(self, network: Network, seed: int = 0) -> tuple[gpu.Program, tuple[str, ...]]:
        """The whole network as one program, with random weights, and what its outputs are called in it."""
        assembly = _Assembly(dict(_typed(network.inputs, self.precision)))
        kernels = lower(network, self.name, precision=self.precision).kernels
        require_supported(kernels)
        sources = {node.name: node.inputs[0] for node in network if node.inputs}
        for kernel in kernels:
            for name, type_ in kernel.inputs:
                assembly.alias(name, type_, sources)
            assembly.add(kernel)
        types = dict(_typed(((name, network.types[name]) for name in network.outputs), self.precision))
        outputs = tuple(assembly.result(name, types[name], sources) for name in network.outputs)
        return self._program(assembly, outputs, 1, seed), outputs

    def overheads(self) -> Iterator[Overhead]:
        yield Overhead("node base", "a graph of one kernel that does nothing", self._chain(1))
        long = self._chain(CHAIN_LENGTH)
        slope = Prepared(long.runnable, CHAIN_LENGTH - 1, long.finite, {}, observed=long.observed)
        yield Overhead("node", "one node of a graph", slope, base="node base")
        yield Overhead("run", "one launch of a graph without nodes", self._chain(1), base="node")

    def _prepared(
        self, program: gpu.Program, outputs: tuple[str, ...], overheads: dict[str, int], *, repeats: int
    ) -> Prepared:
        graph = gpu.GraphRunnable(self._environment, program, repeats=repeats)
        return Prepared(
            graph,
            graph.executions,
            partial(_finite, program, outputs),
            overheads,
            _told(program),
            observed=graph.observed,
            cold=partial(self._cold, program, outputs),
        )

    def _cold(self, program: gpu.Program, outputs: tuple[str, ...]) -> Prepared:
        """One execution on flushed caches, behind a kernel that holds the stream until all of it is there."""
        once = gpu.ColdRunnable(self._environment, program)
        return Prepared(once, 1, partial(_finite, program, outputs), {}, _told(program), observed=once.observed)

    def _chain(self, length: int) -> Prepared:
        """Kernels that do nothing, in one graph."""
        chain = gpu.EmptyRunnable(self._environment, length)
        return Prepared(chain, 1, lambda: True, {}, observed=chain.observed)

    def _program(self, assembly: "_Assembly", outputs: tuple[str, ...], copies: int, seed: int) -> gpu.Program:
        program = self._environment.program(assembly.tensors(outputs), assembly.steps, copies=copies, seed=seed)
        for name, constant in assembly.constants.items():
            if constant.values is not None and constant.type.dtype != "int64":
                values = np.asarray(constant.values, np.float32).reshape(constant.type.shape)
                program.set_constant(name, values)
        program.run()
        return program


class _Assembly:
    """Tensors and steps of a program, gathered kernel by kernel."""

    def __init__(self, inputs: dict[str, TensorType]) -> None:
        self.steps: list[_Step] = []
        self.constants: dict[str, Constant] = {}
        self._inputs = inputs
        self._made = dict(inputs)
        self._renamed: dict[tuple[str, TensorType], str] = {}

    def alias(self, name: str, type_: TensorType, sources: dict[str, str]) -> str:
        """The tensor called ``name`` in the shape its reader wants; views have no kernel: made here.

        Args:
            name: a value of the network, or a copy of one in another layout.
            type_: what its reader expects.
            sources: first input of every node, to find what a view looks at.
        """
        root = name
        while root not in self._made:
            root = sources[root]
        # A view of an image that lies channels last looks at its copy that lies channels first.
        if root != name and f"{root}.nchw" in self._made:
            root = f"{root}.nchw"
        if self._made[root] == type_:
            self._renamed[name, type_] = root
        elif (name, type_) not in self._renamed:
            viewed = f"{name} as {type_}"
            self.steps.append(("reshape", (root,), (viewed,), {}))
            self._made[viewed] = type_
            self._renamed[name, type_] = viewed
        return self._renamed[name, type_]

    def result(self, name: str, type_: TensorType, sources: dict[str, str]) -> str:
        """The tensor that an output of the network is left behind in: the copy in its type, where there is one."""
        copy = converted(name, type_.dtype)
        return copy if self._made.get(copy) == type_ else self.alias(name, type_, sources)

    def add(self, kernel: Kernel) -> None:
        """Append the steps of a kernel."""
        types = dict(kernel.inputs)
        self.constants.update(kernel.constants)
        for node in kernel.nodes:
            names = tuple(self._renamed.get((n, types[n]), n) if n in types else n for n in node.inputs)
            self.steps.append((node.op, names, node.outputs, dict(node.attrs)))
            self._made.update(kernel.outputs)

    def tensors(self, outputs: tuple[str, ...]) -> list[_Tensor]:
        """All tensors with their element types and roles."""
        listed = [(name, c.type.shape, c.type.dtype, "constant") for name, c in self.constants.items()]
        for name, type_ in self._made.items():
            role = "input" if name in self._inputs else "output" if name in outputs else "intermediate"
            listed.append((name, type_.shape, type_.dtype, role))
        return listed


def _opened(make: Any, *arguments: Any) -> tuple[Any, str]:
    """A library, or None and why it is missing: what does not need it runs without."""
    try:
        return make(*arguments), ""
    except RuntimeError as error:
        return None, str(error)


def _typed(named: Iterable[tuple[str, TensorType]], precision: str) -> Iterator[tuple[str, TensorType]]:
    """Tensors of a network in the element type of a precision."""
    real = element_type(precision)
    for name, type_ in named:
        yield name, TensorType(type_.shape, real) if type_.dtype == "float32" else type_


def _finite(program: gpu.Program, outputs: tuple[str, ...]) -> bool:
    return all(bool(np.isfinite(program.content(name)).all()) for name in outputs)


def _told(program: gpu.Program) -> str:
    """What runs the program's steps, each once, the most frequent first."""
    return ", ".join(name for name, _ in Counter(program.implementations).most_common(8))
