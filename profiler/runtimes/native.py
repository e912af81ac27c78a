"""Our own kernels (``csrc/cpu``): portable, vectorised, and there on any machine, so that none is without a table."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ...luts.host import KERNEL_CODE_VERSION
from ...networks import Network, TensorType
from ...networks.errors import UsageError
from ...networks.lowering import Constant, Kernel, float_name, lower, plain_name, weight_scale_name
from .._native import CpuProgram, available_isas, isa_name
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime

_Tensor = tuple[str, tuple[int, ...], str, str]
_Step = tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]


@register_runtime
class NativeRuntime(Runtime):
    """One thread, batch norm folded, activations and residual sums fused, images in blocks of channels.

    Args:
        threads: one.
        precision: number format that networks are run in.
        isa: instruction set of the kernels, the best that the machine has if None.

    Raises:
        UsageError: it does not run in that precision, or the machine lacks that instruction set.
    """

    name = "native"
    precisions = ("float32", "int8")
    max_threads = 1

    def __init__(self, threads: int, precision: str = "float32", isa: str | None = None) -> None:
        super().__init__(threads, precision)
        if isa is not None and isa not in available_isas():
            raise UsageError(f"no kernels for {isa!r} on this machine", hint=f"it runs {', '.join(available_isas())}")
        self._isa = isa or isa_name()

    @classmethod
    def info(cls) -> RuntimeInfo:
        return RuntimeInfo(cls.name, cls.kind, True, str(KERNEL_CODE_VERSION), "Lutra's own kernels")

    def describe(self) -> dict[str, str]:
        return {"native": str(KERNEL_CODE_VERSION), "native isa": self._isa}

    def overheads(self) -> Iterator[Overhead]:
        tensors = [("x", (1,), "float32", "input"), ("y", (1,), "float32", "output")]
        program = CpuProgram(tensors, [("relu", ("x",), ("y",), {})], isa=self._isa)
        yield Overhead(
            "run", "one call, on a single number", Prepared(program, 1, partial(_finite, program, ["y"]), {})
        )

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        assembly = _Assembly(dict(kernel.inputs), self._isa)
        assembly.add(kernel)
        return assembly.prepared(tuple(dict(kernel.outputs)), copies, seed)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # our kernels run graphs, not files
        assembly = _Assembly(dict(network.inputs), self._isa)
        sources = {node.name: node.inputs[0] for node in network if node.inputs}
        for kernel in lower(network, self.name, precision=self.precision).kernels:
            for name, type_ in kernel.inputs:
                assembly.alias(name, type_, sources)
            assembly.add(kernel)
        outputs = tuple(assembly.alias(name, network.types[name], sources) for name in network.outputs)
        return assembly.prepared(outputs, 1, seed)


class _Assembly:
    """Tensors and steps of a program, gathered kernel by kernel."""

    def __init__(self, inputs: dict[str, TensorType], isa: str) -> None:
        self._inputs = inputs
        self._isa = isa
        self._constants: dict[str, Constant] = {}
        self._made: dict[str, TensorType] = dict(inputs)
        self._steps: list[_Step] = []
        self._renamed: dict[tuple[str, TensorType], str] = {}

    def alias(self, name: str, type_: TensorType, sources: dict[str, str]) -> str:
        """The tensor called ``name`` in the shape and layout its reader wants; views have no kernel: made here.

        Args:
            name: a value of the network.
            type_: what its reader expects.
            sources: first input of every node, to find what a view looks at.
        """
        root = name
        while root not in self._made:
            root = sources[root]
        root = self._form(root, type_)
        if self._made[root] == type_:
            self._renamed[name, type_] = root
        elif (name, type_) not in self._renamed:
            viewed = f"{name} as {type_}"
            self._steps.append(("reshape", (root,), (viewed,), {"shape": type_.shape}))
            self._made[viewed] = type_
            self._renamed[name, type_] = viewed
        return self._renamed[name, type_]

    def _form(self, root: str, type_: TensorType) -> str:
        """Which form of a value has this type, or at least its elements in their plain order."""
        names = (form for name in (root, float_name(root)) for form in (name, plain_name(name)))
        forms = [name for name in names if name in self._made and self._made[name].dtype == type_.dtype]
        return next((name for name in forms if self._made[name] == type_), forms[-1])

    def add(self, kernel: Kernel) -> None:
        """Append the step of a kernel."""
        types = dict(kernel.inputs)
        self._constants.update(kernel.constants)
        for node in kernel.nodes:
            names = tuple(self._renamed.get((n, types[n]), n) if n in types else n for n in node.inputs)
            # That the last input is a residual tells kernels apart; the program sees it from the shapes.
            attributes = {name: value for name, value in node.attrs if name != "residual"}
            self._steps.append((node.op, names, node.outputs, attributes))
            self._made.update(kernel.outputs)

    def prepared(self, outputs: tuple[str, ...], copies: int, seed: int) -> Prepared:
        """The program, its constants filled where their values matter."""
        tensors: list[_Tensor] = [(n, c.type.shape, c.type.dtype, "constant") for n, c in self._constants.items()]
        for name, type_ in self._made.items():
            role = "input" if name in self._inputs else "output" if name in outputs else "intermediate"
            tensors.append((name, type_.shape, type_.dtype, role))
        program = CpuProgram(tensors, self._steps, copies=copies, seed=seed, isa=self._isa)
        for name, constant in self._constants.items():
            if constant.values is not None:
                values = np.asarray(constant.values, constant.type.dtype).reshape(constant.type.shape)
                program.set_constant(name, values)
            elif constant.type.dtype == "int8":
                program.set_constant(weight_scale_name(name), _weight_scales(constant.type, seed))
        program.run()
        readable = [name for name in outputs if name not in self._inputs]
        return Prepared(program, copies, partial(_finite, program, readable), {})


def _weight_scales(type_: TensorType, seed: int) -> np.ndarray[Any, Any]:
    """Scales of random 8-bit weights (outputs x inputs x window) that keep activations in their range."""
    deviation = 127 / math.sqrt(3) * math.sqrt(math.prod(type_.shape[1:]))
    return (np.random.default_rng(seed).uniform(0.5, 1.5, type_.shape[0]) / deviation).astype(np.float32)


def _finite(program: CpuProgram, outputs: list[str]) -> bool:
    return all(bool(np.isfinite(program.output(name)).all()) for name in outputs)
