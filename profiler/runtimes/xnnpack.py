"""XNNPACK, from ExecuTorch's wheel: its library is opened by path and driven through its subgraph interface.

Kernels are segments of the graph that `lutra.networks.lowering` writes, run as XNNPACK runs a network; whole networks
are all of that graph at once. With one thread operators run in the caller; with more they share one pool.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...luts.host import runtime_version
from ...networks import Network, TensorType
from ...networks.errors import MissingDependencyError
from ...networks.lowering import Constant, Kernel, KernelNode, lower, require_supported
from .._native import XnnEnvironment, XnnLibrary, XnnSession, isa_name
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime
from ._wheel import library_in

Array = np.ndarray[Any, Any]

CHAIN_LENGTH = 101
"""Nodes in the long chain from which the cost of one node is taken, as a slope."""

_HELD = 3
"""Copies whose outputs are left alone while the next are computed, as for ONNX Runtime."""

_POSITIVE = {"square_root": 0, "reciprocal_square_root": 0, "divide": 1}
"""Inputs that must be well above zero for the output to be finite."""


@register_runtime
class XnnpackRuntime(Runtime):
    """XNNPACK on the CPU, float32, images with channels last."""

    name = "xnnpack"
    extra = "xnnpack"

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        self._library = XnnLibrary(str(library_path()))
        self._environment = XnnEnvironment(self._library, threads)

    @classmethod
    def info(cls) -> RuntimeInfo:
        version = runtime_version(cls.name)
        note = "Google's XNNPACK, from ExecuTorch, CPU" if version else "not installed: pip install 'lutra[xnnpack]'"
        return RuntimeInfo(cls.name, cls.kind, bool(version), version, note)

    def describe(self) -> dict[str, str]:
        versions = {"executorch": runtime_version(self.name), "xnnpack isa": isa_name()}
        return versions | ({"xnnpack build": self._library.build} if self._library.build else {})

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        return Prepared(*self._prepared((kernel,), copies, seed), {"run": 1})

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # XNNPACK runs graphs, not files
        return Prepared(*self._prepared(lower(network, self.name).kernels, 1, seed), {})

    def overheads(self) -> Iterator[Overhead]:
        single, long = self._chain(1), self._chain(CHAIN_LENGTH)
        yield Overhead("node base", "a call with one clamp on 16 numbers", Prepared(*single, {}))
        slope = Prepared(long[0], CHAIN_LENGTH - 1, long[2], {})
        yield Overhead("node", "one clamp on 16 numbers", slope, base="node base")
        yield Overhead("run", "one call without nodes", Prepared(*self._chain(1), {}), base="node")

    def _prepared(self, kernels: Sequence[Kernel], copies: int, seed: int) -> tuple[XnnSession, int, Any]:
        require_supported(kernels)
        session = _Assembly(kernels, np.random.default_rng(seed)).session(self._environment, copies)
        return session, copies, session.outputs_finite

    def _chain(self, length: int) -> tuple[XnnSession, int, Any]:
        """So many clamps, one behind the other."""
        names = ["x", *(f"y{i}" for i in range(length))]
        roles = ["input", *["internal"] * (length - 1), "output"]
        values = [(name, (16,), role) for name, role in zip(names, roles, strict=True)]
        nodes = [("clamp", (a,), (b,), {"output_min": 0.0}) for a, b in pairwise(names)]
        session = self._environment.session(values, nodes, contents={"x": np.ones(16, np.float32)})
        return session, 1, session.outputs_finite


class _Assembly:
    """Kernels joined to one graph, of which a session can hold copies.

    Copies have weights of their own, with distinct content, and read the same inputs. Their outputs take turns with a
    few places, because in a network an output goes where other tensors were, not where it was a moment ago.
    """

    def __init__(self, kernels: Sequence[Kernel], rng: np.random.Generator) -> None:
        self._nodes = [node for kernel in kernels for node in kernel.nodes]
        made = {name: _shape(node) for node in self._nodes for name in node.outputs}
        self._constants = {name: constant for kernel in kernels for name, constant in kernel.constants}
        self._inputs = {name: type_ for kernel in kernels for name, type_ in kernel.inputs if name not in made}
        read = {name for node in self._nodes for name in node.inputs}
        self._outputs = {name: t for kernel in kernels for name, t in kernel.outputs if name not in read}
        self._internal = {name: shape for name, shape in made.items() if name not in self._outputs}
        positive = set(_positive(self._nodes))
        self._feeds = {name: _feed(type_, name in positive, rng) for name, type_ in self._inputs.items()}
        self._weights = {name: _draw(constant, rng) for name, constant in self._constants.items()}

    def session(self, environment: XnnEnvironment, copies: int) -> XnnSession:
        values = [(name, type_.shape, "input") for name, type_ in self._inputs.items()]
        contents: dict[str, Array] = dict(self._feeds)
        nodes: list[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]] = []
        memory: dict[str, str] = {}
        for copy in range(copies):
            for name, weight in self._weights.items():
                values.append((f"{name}#{copy}", weight.shape, "constant"))
                # A rolled tensor has other contents, without drawing it again.
                decides = self._constants[name].values is not None
                contents[f"{name}#{copy}"] = weight if decides else np.roll(weight, copy)
            values += [(f"{name}#{copy}", shape, "internal") for name, shape in self._internal.items()]
            values += [(f"{name}#{copy}", type_.shape, "output") for name, type_ in self._outputs.items()]
            memory.update({f"{name}#{copy}": f"{name}#{copy % (_HELD + 1)}" for name in self._outputs})
            nodes += [self._copied(node, copy) for node in self._nodes]
        return environment.session(values, nodes, contents=contents, memory_of_outputs=memory)

    def _copied(self, node: KernelNode, copy: int) -> tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any]]:
        inputs = tuple(name if name in self._inputs else f"{name}#{copy}" for name in node.inputs)
        return node.op, inputs, tuple(f"{name}#{copy}" for name in node.outputs), dict(node.attrs)


def _shape(node: KernelNode) -> tuple[int, ...]:
    """Shape of each output, which the lowering writes down."""
    shape = dict(node.attrs)["shape"]
    assert isinstance(shape, tuple)
    return tuple(int(size) for size in shape)


def _positive(nodes: Iterable[KernelNode]) -> Iterator[str]:
    for node in nodes:
        if node.op in _POSITIVE:
            yield node.inputs[_POSITIVE[node.op]]


def _feed(type_: TensorType, positive: bool, rng: np.random.Generator) -> Array:
    values = rng.standard_normal(type_.shape, dtype=np.float32)
    return np.abs(values) + np.float32(0.5) if positive else values


def _draw(constant: Constant, rng: np.random.Generator) -> Array:
    """A constant's own values, or random ones: filters keep the variance of their input, vectors are positive."""
    shape = constant.type.shape
    if constant.values is not None:
        return np.asarray(constant.values, np.float32).reshape(shape)
    if constant.type.rank < 2:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    summed = math.prod(shape[1:3]) if shape[0] == 1 else math.prod(shape[1:])
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(summed**-0.5)


def library_path() -> Path:
    """The shared library inside the installed executorch package.

    Raises:
        MissingDependencyError: the package is not installed, or holds no such library.
    """
    found = library_in("executorch", "lib", "libexecutorch_backend_xnnpack.*")
    if found is None:
        raise MissingDependencyError("executorch", "xnnpack", "timing networks on XNNPACK")
    return found
