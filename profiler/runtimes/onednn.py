"""oneDNN, from its wheel: the library is opened by path and driven through its C interface, primitive by primitive.

A kernel is one primitive with the layouts that lowering chose; weights lie in the layout that the primitive asks for,
a set for each copy. A whole network is the row of its kernels' primitives, with the same layouts.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np

from ...luts.host import runtime_version
from ...networks import Network, TensorType
from ...networks.errors import MissingDependencyError
from ...networks.lowering import Constant, Kernel, OneDnnPlan, plan_onednn, require_supported
from .._native import OneDnnEnvironment, OneDnnLibrary, OneDnnProgram
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime

CHAIN_LENGTH = 101
"""Primitives in the long chain from which the cost of one is taken, as a slope."""

_PACKAGE = "onednn-cpu-gomp"

_Step = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]


@register_runtime
class OneDnnRuntime(Runtime):
    """oneDNN on the CPU in float32, its threads from OpenMP."""

    name = "onednn"
    extra = "onednn"

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        self._library = OneDnnLibrary(str(library_path()))
        self._environment = OneDnnEnvironment(self._library, threads)

    @classmethod
    def info(cls) -> RuntimeInfo:
        version = runtime_version(cls.name)
        note = "Intel's oneDNN, CPU primitives" if version else "not installed: pip install 'lutra[onednn]'"
        return RuntimeInfo(cls.name, cls.kind, bool(version), version, note)

    def describe(self) -> dict[str, str]:
        return {"onednn": self._library.version}

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        require_supported([kernel])
        assembly = _Assembly()
        assembly.add_inputs(kernel.inputs)
        assembly.add(kernel)
        return self._prepared(assembly, tuple(name for name, _ in kernel.outputs), copies, seed)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # primitives run graphs, not files
        plan = plan_onednn(network)
        require_supported(plan.kernels)
        assembly = _Assembly(plan)
        assembly.add_inputs(network.inputs)
        for kernel in plan.kernels:
            assembly.add(kernel)
        return self._prepared(assembly, tuple(map(assembly.read, plan.outputs)), 1, seed)

    def overheads(self) -> Iterator[Overhead]:
        single, long = (self._chain(length) for length in (1, CHAIN_LENGTH))
        yield Overhead("primitive base", "a call with one primitive on 16 numbers", single)
        long = Prepared(long.runnable, CHAIN_LENGTH - 1, long.finite, {})
        yield Overhead("primitive", "one primitive on 16 numbers", long, base="primitive base")
        yield Overhead("run", "one call without primitives", self._chain(1), base="primitive")

    def _chain(self, length: int) -> Prepared:
        """Functions of 16 numbers in a row."""
        type_ = TensorType((1, 16))
        names = [f"x{i}" for i in range(length + 1)]
        tensors = [(name, type_.shape, "plain", "intermediate") for name in names]
        tensors[0], tensors[-1] = (names[0], type_.shape, "plain", "input"), (names[-1], type_.shape, "plain", "output")
        steps: list[_Step] = [("eltwise", (names[i],), (names[i + 1],), {"algorithm": "relu"}) for i in range(length)]
        program = self._environment.program(tensors, steps)
        return Prepared(program, 1, partial(_finite, program, names[-1:]), {})

    def _prepared(self, assembly: "_Assembly", outputs: tuple[str, ...], copies: int, seed: int) -> Prepared:
        program = self._environment.program(assembly.tensors(outputs), assembly.steps, copies=copies, seed=seed)
        for name, constant in assembly.constants.items():
            if constant.values is not None:
                program.set_constant(name, np.asarray(constant.values, np.float32).reshape(constant.type.shape))
        program.run()
        readable = [name for name in outputs if name not in assembly.inputs]
        overheads = {"run": 1} if assembly.is_kernel else {}
        return Prepared(program, copies, partial(_finite, program, readable), overheads, _told(program))


class _Assembly:
    """Tensors and steps of a program, gathered kernel by kernel.

    Attributes:
        steps: primitives, and the views between them.
        inputs: names of the tensors that are given.
        constants: stored tensors by name.
        is_kernel: there is no plan: the program is one kernel.
    """

    def __init__(self, plan: OneDnnPlan | None = None) -> None:
        self.steps: list[_Step] = []
        self.inputs: set[str] = set()
        self.constants: dict[str, Constant] = {}
        self.is_kernel = plan is None
        self._views = plan.views if plan else {}
        self._types: dict[str, TensorType] = {}
        self._layouts: dict[str, str] = {}
        self._framed: set[str] = set()

    def add_inputs(self, inputs: tuple[tuple[str, TensorType], ...]) -> None:
        """Declare tensors that are given from outside, row by row unless a kernel says otherwise."""
        self._types.update(inputs)
        self.inputs.update(name for name, _ in inputs)

    def read(self, name: str) -> str:
        """``name``, once it is there: a view is made when it is first read."""
        if name in self._views and name not in self._types:
            view = self._views[name]
            self.steps.append(("view", (self.read(view.source),), (name,), {}))
            self._types[name], self._layouts[name] = view.type, view.layout
        return name

    def add(self, kernel: Kernel) -> None:
        """Append the primitives of a kernel."""
        for name, _ in kernel.inputs:
            self.read(name)
        self.constants.update(kernel.constants)
        self._types.update(kernel.outputs)
        for node in kernel.nodes:
            attributes = dict(node.attrs)
            layouts = attributes.pop("layouts")
            assert isinstance(layouts, tuple)
            self._layouts.update(zip((*node.inputs, *node.outputs), map(str, layouts), strict=True))
            self.steps.append((node.op, node.inputs, node.outputs, attributes))
            if node.op == "pad":
                self._framed.update(node.outputs)

    def tensors(self, outputs: tuple[str, ...]) -> list[tuple[str, tuple[int, ...], str, str]]:
        """All tensors with their layouts and roles."""
        # The frame of a padded tensor is filled once: nothing else may use its memory.
        kept = self._framed.union(outputs)
        listed = [
            (name, constant.type.shape, self._layouts[name], "constant") for name, constant in self.constants.items()
        ]
        for name, type_ in self._types.items():
            role = "input" if name in self.inputs else "output" if name in kept else "intermediate"
            listed.append((name, type_.shape, self._layouts.get(name, "plain"), role))
        return listed


def _finite(program: OneDnnProgram, outputs: list[str]) -> bool:
    return all(bool(np.isfinite(program.output(name)).all()) for name in outputs)


def _told(program: OneDnnProgram) -> str:
    """The implementations of the program's primitives, each once, the most frequent first."""
    return ", ".join(name for name, _ in Counter(program.implementations).most_common())


def library_path() -> Path:
    """The shared library of the installed package.

    Raises:
        MissingDependencyError: the package is not installed, or holds no such library.
    """
    try:
        listed = files(_PACKAGE) or ()
    except PackageNotFoundError:
        listed = ()
    for path in listed:
        if path.name == "libdnnl.so.3":
            return Path(str(path.locate())).resolve()
    raise MissingDependencyError("oneDNN", "onednn", "timing networks on oneDNN")
