"""Which kernels of a GPU run in 8 bits, and where tensors change their type between them.

In "int8" convolutions and linear layers run in int8 where the libraries have that, and what follows them stays in int8
where it only moves, pools, adds or clamps. In "float8" linear layers read e4m3 and leave float16 behind. Everything
else runs in float16. Activations have one scale for all tensors and no zero point, weights one scale of their own, as
the libraries want them; latency does not depend on either.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from ..ops import TensorType
from .kernel import LACKING, AttrValue, Constant, Kernel, KernelNode, freeze_attrs
from .labels import MAX_LENGTH, conversion_label

EIGHT_BITS: Final = {"int8": "int8", "float8": "fp8"}
"""What the products of 8-bit precisions multiply in: their attribute ``math``."""

BETWEEN: Final = "float16"
"""Type of real numbers where nothing runs in 8 bits; its attribute ``math`` is "fp16"."""

_FOLLOWERS = frozenset(
    {"relu", "relu6", "clip", "add", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"}
    | {"concat", "split", "slice", "pad", "channel_shuffle", "upsample", "relayout"}
)
"""Ops that run in int8 where all that they read is in int8 already."""

_ALIGNED: Final = {"int8": 4, "float8": 16}
"""What the lengths of rows must be multiples of (cuBLAS, "cublasLtMatmul() requirements"; cuDNN, int8 convolutions)."""


def converted(name: str, dtype: str) -> str:
    """What the copy of a value in another element type is called."""
    return f"{name}.{dtype}"


def in_eight_bits(
    kernels: Iterable[Kernel],
    roots: Mapping[str, str],
    outputs: Iterable[str],
    precision: str,
    retyped: Callable[[Kernel, str], Kernel],
    runtime: str,
) -> list[Kernel]:
    """The same kernels with 8-bit forms where there are any, and the conversions between them.

    Args:
        kernels: in execution order, one node each, all float32, in the layouts in which they run.
        roots: for every value, the one whose memory it is (views have no kernels).
        outputs: values that are left behind in float16.
        precision: one of `EIGHT_BITS`.
        retyped: gives a kernel all of its real numbers in another type.
        runtime: who runs them.
    """
    types = _Types(roots, precision, retyped, runtime)
    for kernel in kernels:
        types.add(kernel)
    for name in outputs:
        types.leave(name)
    return types.kernels


class _Types:
    """One pass over kernels in execution order."""

    def __init__(
        self, roots: Mapping[str, str], precision: str, retyped: Callable[[Kernel, str], Kernel], runtime: str
    ) -> None:
        self.kernels: list[Kernel] = []
        self._roots, self._precision, self._retyped, self._runtime = roots, precision, retyped, runtime
        self._eight: dict[str, TensorType] = {}  # what is made in int8, with its type
        self._last: set[str] = set()  # images that lie channels last
        self._copies: set[str] = set()

    def add(self, kernel: Kernel) -> None:
        """Append ``kernel`` in the type that suits it, behind the conversions that it needs."""
        node = kernel.nodes[0]
        if dict(node.attrs).get("layout") == "nhwc":
            self._last |= {name for name, _ in kernel.inputs} | set(node.outputs)
        if self._hosts(kernel):
            made = self._in_int8(kernel) if self._precision == "int8" else self._in_float8(kernel)
        elif self._follows(kernel):
            made = self._eight_bit(kernel)
        else:
            made = self._between(kernel)
        self.kernels.append(made)

    def leave(self, name: str) -> None:
        """Make ``name`` in float16, where it is in int8."""
        root = self._roots.get(name, name)
        if root in self._eight:
            self._copy(name, BETWEEN, self._eight[root])

    def _hosts(self, kernel: Kernel) -> bool:
        """Whether the libraries run it in 8 bits."""
        node, inputs, constants = kernel.nodes[0], dict(kernel.inputs), dict(kernel.constants)
        kinds = ("linear", "conv2d") if self._precision == "int8" else ("linear",)
        if node.op not in kinds or node.domain == LACKING or node.inputs[0] not in inputs:
            return False
        if node.inputs[1] not in constants or {type_.dtype for type_ in inputs.values()} != {"float32"}:
            return False
        rows = constants[node.inputs[1]].type.shape[:2]
        groups = dict(node.attrs).get("groups", 1)
        if groups != 1:
            return groups == inputs[node.inputs[0]].shape[1]  # depthwise: our own kernel
        return not any(length % _ALIGNED[self._precision] for length in rows)

    def _follows(self, kernel: Kernel) -> bool:
        able = kernel.nodes[0].op in _FOLLOWERS and not kernel.constants and kernel.nodes[0].domain != LACKING
        return able and bool(kernel.inputs) and all(self._is_eight(name) for name, _ in kernel.inputs)

    def _is_eight(self, name: str) -> bool:
        return self._source(name) in self._eight

    def _source(self, name: str) -> str:
        """Whose memory ``name`` is: that of its copy channels first, where a view looks at that."""
        root = self._roots.get(name, name)
        return f"{root}.nchw" if root != name and f"{root}.nchw" in self._eight else root

    def _in_int8(self, kernel: Kernel) -> Kernel:
        """A convolution or linear layer with all activations in int8; its bias is added in float32."""
        weight = kernel.nodes[0].inputs[1]
        constants = tuple(
            (name, Constant(replace(constant.type, dtype="int8" if name == weight else "float32")))
            for name, constant in kernel.constants
        )
        return self._eight_bit(replace(kernel, constants=constants))

    def _in_float8(self, kernel: Kernel) -> Kernel:
        """A linear layer that reads e4m3 and makes float16."""
        x, weight = kernel.nodes[0].inputs[:2]
        made = self._between(kernel)
        read = {name: type_ for name, type_ in made.inputs if name != made.nodes[0].inputs[0]}
        eight = replace(dict(kernel.inputs)[x], dtype="float8")
        copy = self._copy(made.nodes[0].inputs[0], "float8", replace(eight, dtype=BETWEEN))
        constants = tuple(
            (name, Constant(replace(constant.type, dtype="float8")) if name == weight else constant)
            for name, constant in made.constants
        )
        node = _named(made.nodes[0], {made.nodes[0].inputs[0]: copy}, math="fp8")
        return _told(replace(made, nodes=(node,), inputs=((copy, eight), *read.items()), constants=constants), "F8 ")

    def _eight_bit(self, kernel: Kernel) -> Kernel:
        """``kernel`` with all that it reads and makes in int8."""
        names = {name: self._copy(name, "int8", replace(type_, dtype=BETWEEN)) for name, type_ in kernel.inputs}
        outputs = tuple((name, replace(type_, dtype="int8")) for name, type_ in kernel.outputs)
        self._eight |= dict(outputs)
        math = {"math": EIGHT_BITS["int8"]} if "math" in dict(kernel.nodes[0].attrs) else {}
        inputs = tuple((names[name], replace(type_, dtype="int8")) for name, type_ in kernel.inputs)
        node = _named(kernel.nodes[0], names, **math)
        return _told(replace(kernel, nodes=(node,), inputs=inputs, outputs=outputs), "Q")

    def _between(self, kernel: Kernel) -> Kernel:
        """``kernel`` in float16."""
        names = {
            name: self._copy(name, BETWEEN, replace(type_, dtype="int8")) if self._is_eight(name) else name
            for name, type_ in kernel.inputs
        }
        math = {"math": "fp16"} if "math" in dict(kernel.nodes[0].attrs) else {}
        inputs = tuple((names[name], type_) for name, type_ in kernel.inputs)
        return self._retyped(replace(kernel, nodes=(_named(kernel.nodes[0], names, **math),), inputs=inputs), BETWEEN)

    def _copy(self, name: str, dtype: str, type_: TensorType) -> str:
        """What ``name`` is called in ``dtype``; a kernel converts it from ``type_`` where it is not so already."""
        if (dtype == "int8") == self._is_eight(name) and dtype != "float8":
            return name
        copy = converted(name, dtype)
        if copy in self._copies:
            return copy
        self._copies.add(copy)
        after = replace(type_, dtype=dtype)
        op = "quantise" if dtype in EIGHT_BITS else "dequantise"
        attrs: dict[str, AttrValue] = {"layout": "nhwc"} if self._source(name) in self._last and type_.rank == 4 else {}
        self.kernels.append(
            Kernel(
                runtime=self._runtime,
                nodes=(KernelNode(op, "", freeze_attrs(attrs), (name,), (copy,)),),
                inputs=((name, type_),),
                constants=(),
                outputs=((copy, after),),
                macs=0,
                bytes_moved=type_.nbytes + after.nbytes,
                label=conversion_label(after, op),
            )
        )
        return copy


def _named(node: KernelNode, names: Mapping[str, str], **attrs: AttrValue) -> KernelNode:
    """``node`` reading other names, with some attributes changed."""
    merged: dict[str, AttrValue] = dict(node.attrs) | attrs
    return replace(node, attrs=freeze_attrs(merged), inputs=tuple(names.get(name, name) for name in node.inputs))


def _told(kernel: Kernel, mark: str) -> Kernel:
    """``kernel`` with a label that says its type, and the bytes that it moves."""
    types = [*dict(kernel.inputs).values(), *dict(kernel.outputs).values()]
    types += [constant.type for _, constant in kernel.constants]
    return replace(kernel, label=f"{mark}{kernel.label}"[:MAX_LENGTH], bytes_moved=sum(type_.nbytes for type_ in types))
