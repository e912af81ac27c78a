"""Lowering for NVIDIA GPUs: what cuBLASLt, cuDNN and our own kernels make one kernel of, and in which layout.

Fusion is that of our own runtime on the CPU: batch norms fold into the layer before them, an activation and a residual
sum join the convolution or linear layer that makes what they read. On tensor cores images lie channels last, as cuDNN
wants them there; in float32 they lie channels first, as torch has them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from ..graph import Network
from ..ops import TensorType, make_op
from .cuda_eight import BETWEEN, EIGHT_BITS, in_eight_bits
from .kernel import LACKING, AttrValue, Constant, Kernel, KernelNode, LoweredNetwork, freeze_attrs
from .labels import reorder_label
from .native import fused_kernels

RUNTIME: Final = "cuda"

CHANNELS_LAST: Final = "nhwc"

MATH: Final = {"float32": "fp32", "tf32": "tf32", "float16": "fp16", "bfloat16": "bf16"}
"""What each precision multiplies in: the attribute ``math`` of convolutions and matrix products."""

PRECISIONS: Final = (*MATH, *EIGHT_BITS)
"""What networks can be run in on a GPU by the libraries and our own kernels."""

_ELEMENT: Final = {"float16": "float16", "bfloat16": "bfloat16", **dict.fromkeys(EIGHT_BITS, BETWEEN)}
_PRODUCTS = frozenset({"conv1d", "conv2d", "linear", "matmul", "sdpa"})
_POINTWISE = frozenset(
    {"relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu", "tanh", "exp", "sqrt"}
    | {"erf", "neg", "abs", "clip"}
)
_BINARY = frozenset({"add", "sub", "mul", "div", "pow"})
_POOLS = frozenset({"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d"})
_REDUCTIONS = frozenset({"mean", "sum", "max"})
_MOVES = frozenset({"concat", "split", "slice", "pad", "channel_shuffle", "upsample"})
_EITHER_LAYOUT = _POINTWISE | _BINARY | _POOLS | _MOVES | {"batch_norm"}
"""Ops that run on images in the layout in which they find them."""

_PLAIN = frozenset(
    {"softmax", "layer_norm", "rms_norm", "group_norm", "transpose", "expand", "embedding", "reshape", "cast"}
)
_OPS = _PRODUCTS | _EITHER_LAYOUT | _PLAIN | _REDUCTIONS


def lower_cuda(network: Network, precision: str = "float32") -> LoweredNetwork:
    """The kernels that run on a GPU for ``network``, one `KernelNode` each.

    A node is as in `lower_native`; besides, products have an attribute ``math`` (`MATH`), and ops on images that lie
    channels last an attribute ``layout`` = "nhwc" (shapes stay N x C x H x W). A node "relayout" changes the layout to
    its attribute ``layout``. Padding that differs from side to side is a kernel of its own, since cuDNN has none such.

    Args:
        network: what is run.
        precision: one of `PRECISIONS`. In float16 and bfloat16 all tensors of real numbers are of that type; what runs
            in 8 bits is told in `cuda_eight`.
    """
    kernels, roots, outputs = fused_kernels(network, RUNTIME)
    kernels = [_with_math(lacking or kernel, precision) for kernel in kernels for lacking in (_lacking(kernel),)]
    kernels = [part for kernel in kernels for part in _padded(kernel)]
    if precision != "float32":
        images = {name: type_ for name, type_ in network.inputs if type_.rank == 4}
        kernels = _channels_last(kernels, roots, images, outputs)
    if precision in EIGHT_BITS:
        kernels = in_eight_bits(kernels, roots, outputs, precision, retyped, RUNTIME)
    elif precision in _ELEMENT:
        kernels = [retyped(kernel, _ELEMENT[precision]) for kernel in kernels]
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def element_type(precision: str) -> str:
    """Element type of real numbers in a precision: "float32" for "tf32", which is a way of multiplying them.

    In 8 bits it is that of what is read and left behind.
    """
    return _ELEMENT.get(precision, "float32")


def _lacking(kernel: Kernel) -> Kernel | None:
    """A kernel that says what is missing to run ``kernel``; None where nothing is."""
    reason = _lack(kernel)
    if not reason:
        return None
    node = kernel.nodes[0]
    return replace(
        kernel, nodes=(KernelNode(node.op, LACKING, freeze_attrs({"reason": reason}), node.inputs, node.outputs),)
    )


def _lack(kernel: Kernel) -> str:
    node = kernel.nodes[0]
    attrs, types = dict(node.attrs), [type_ for _, type_ in kernel.inputs]
    if node.op not in _OPS:
        return f"{node.op} on a GPU"
    if node.op in ("matmul", "sdpa"):
        leading = {type_.shape[:-2] for type_ in (*types[: 2 if node.op == "matmul" else 3], kernel.outputs[0][1])}
        if len(leading) > 1:
            return f"{node.op} whose leading axes broadcast"
    if node.op in _REDUCTIONS and types:
        axes = sorted(axis % types[0].rank for axis in _integers(attrs["axes"]))
        if axes != list(range(axes[0], axes[-1] + 1)):
            return f"{node.op} over axes that are not neighbours"
    if node.op == "cast" and attrs["to"] not in ("float32", "float16", "bfloat16"):
        return f"cast to {attrs['to']}"
    if node.op in _POINTWISE | _BINARY and any(not type_.dtype.startswith(("float", "bfloat")) for type_ in types):
        return f"{node.op} on whole numbers"
    return ""


def _with_math(kernel: Kernel, precision: str) -> Kernel:
    node = kernel.nodes[0]
    if node.op not in _PRODUCTS or node.domain == LACKING:
        return kernel
    attrs = dict(node.attrs) | {"math": (MATH | EIGHT_BITS)[precision]}
    return replace(kernel, nodes=(replace(node, attrs=freeze_attrs(attrs)),))


def _padded(kernel: Kernel) -> tuple[Kernel, ...]:
    """``kernel``, behind one that pads its image where the padding differs from side to side."""
    node = kernel.nodes[0]
    attrs = dict(node.attrs)
    pads = _integers(attrs.get("padding", ()))
    half = len(pads) // 2
    x = node.inputs[0]
    image = dict(kernel.inputs).get(x)
    if node.op not in ("conv1d", "conv2d") or node.domain == LACKING or pads[:half] == pads[half:] or image is None:
        return (kernel,)
    pad = make_op("pad", image, pads=(0, 0, *pads[:half], 0, 0, *pads[half:]))
    name, padded = f"{x}.padded.{node.outputs[0]}", pad.outputs[0]
    before = Kernel(
        runtime=kernel.runtime,
        nodes=(KernelNode("pad", "", pad.attrs, (x,), (name,)),),
        inputs=((x, image),),
        constants=(),
        outputs=((name, padded),),
        macs=0,
        bytes_moved=image.nbytes + padded.nbytes,
        label=f"pad {'x'.join(map(str, image.shape))}",
    )
    after = replace(
        kernel,
        nodes=(
            replace(
                node,
                attrs=freeze_attrs(attrs | {"padding": (0,) * len(pads)}),
                inputs=(name, *node.inputs[1:]),
            ),
        ),
        inputs=tuple((name, padded) if read == x else (read, type_) for read, type_ in kernel.inputs),
        bytes_moved=kernel.bytes_moved + padded.nbytes - image.nbytes,
    )
    return before, after


def retyped(kernel: Kernel, dtype: str) -> Kernel:
    """``kernel`` with all real numbers of another type."""

    def of(type_: TensorType) -> TensorType:
        return TensorType(type_.shape, dtype) if type_.dtype == "float32" else type_

    inputs = tuple((name, of(type_)) for name, type_ in kernel.inputs)
    constants = tuple((name, Constant(of(constant.type), constant.values)) for name, constant in kernel.constants)
    outputs = tuple((name, of(type_)) for name, type_ in kernel.outputs)
    types = [*dict(inputs).values(), *(c.type for _, c in constants), *dict(outputs).values()]
    return replace(
        kernel,
        inputs=inputs,
        constants=constants,
        outputs=outputs,
        bytes_moved=sum(type_.nbytes for type_ in types),
    )


def _channels_last(
    kernels: Iterable[Kernel], roots: Mapping[str, str], images: Mapping[str, TensorType], outputs: Iterable[str]
) -> list[Kernel]:
    """The same kernels with layouts chosen, and the changes of layout between them.

    Args:
        kernels: in execution order, one node each, all channels first.
        roots: for every value, the one whose memory it is.
        images: inputs of the network that are given channels last.
        outputs: values that are left behind channels first.
    """
    layouts = _Layouts(roots, images)
    for kernel in kernels:
        layouts.add(kernel)
    for name in outputs:
        layouts.plain(name)
    return layouts.kernels


class _Layouts:
    """One pass over kernels in execution order."""

    def __init__(self, roots: Mapping[str, str], images: Mapping[str, TensorType]) -> None:
        self.kernels: list[Kernel] = []
        self._roots = roots
        self._last = dict(images)
        self._copies: set[str] = set()

    def add(self, kernel: Kernel) -> None:
        """Append ``kernel`` in the layout that suits it, behind the changes of layout that it needs."""
        if self._runs_last(kernel):
            self._append(kernel, {name: self._as_last(name, type_) for name, type_ in kernel.inputs}, CHANNELS_LAST)
            self._last |= dict(kernel.outputs)
        else:
            self._append(kernel, {name: self.plain(name) for name, _ in kernel.inputs}, "")

    def plain(self, name: str) -> str:
        """What ``name`` is called where it is read channels first."""
        root = self._roots.get(name, name)
        type_ = self._last.get(root)
        if type_ is None or _same_memory(type_):
            return name
        copy = f"{root}.nchw"
        self._relayout(root, copy, type_, "nchw")
        return copy if name == root else name

    def _as_last(self, name: str, type_: TensorType) -> str:
        if type_.rank != 4 or self._last.get(name) == type_:
            return name
        plain = self.plain(name)
        if _same_memory(type_):
            return plain
        copy = f"{plain}.nhwc.{'x'.join(map(str, type_.shape))}"
        self._relayout(plain, copy, type_, CHANNELS_LAST)
        return copy

    def _relayout(self, source: str, copy: str, type_: TensorType, layout: str) -> None:
        if copy in self._copies:
            return
        self._copies.add(copy)
        self.kernels.append(
            Kernel(
                runtime=RUNTIME,
                nodes=(KernelNode("relayout", "", (("layout", layout),), (source,), (copy,)),),
                inputs=((source, type_),),
                constants=(),
                outputs=((copy, type_),),
                macs=0,
                bytes_moved=2 * type_.nbytes,
                label=reorder_label(type_, layout),
            )
        )

    def _append(self, kernel: Kernel, renames: Mapping[str, str], layout: str) -> None:
        node = kernel.nodes[0]
        attrs: dict[str, AttrValue] = dict(node.attrs) | ({"layout": layout} if layout else {})
        names = tuple(renames.get(name, name) for name in node.inputs)
        self.kernels.append(
            replace(
                kernel,
                nodes=(replace(node, attrs=freeze_attrs(attrs), inputs=names),),
                inputs=tuple((renames[name], type_) for name, type_ in kernel.inputs),
            )
        )

    def _runs_last(self, kernel: Kernel) -> bool:
        node, inputs = kernel.nodes[0], dict(kernel.inputs)
        if node.domain == LACKING:
            return False
        if node.op == "conv2d":
            return node.inputs[0] in inputs
        types = [*inputs.values(), *(type_ for _, type_ in kernel.outputs)]
        kept = node.op in _EITHER_LAYOUT or (node.op in _REDUCTIONS and dict(node.attrs)["axes"] in ((2, 3), (-2, -1)))
        able = kept and all(type_.rank == 4 for type_ in types)
        # What a stored tensor is read with is plain: it is laid out with its reader only for products and norms.
        stored = any(constant.type.rank > 1 for _, constant in kernel.constants)
        return able and not stored and any(self._last.get(name) == type_ for name, type_ in kernel.inputs)


def _same_memory(type_: TensorType) -> bool:
    """Whether both layouts put the elements in the same places."""
    return type_.rank != 4 or type_.shape[1] == 1 or type_.shape[2:] == (1, 1)


def _integers(value: object) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple) else ()
