"""Where our own kernels keep images in blocks of channels (N x C/8 x H x W x 8), and where they change the layout.

Convolutions run in blocks: there channels fill the vectors whatever the image's width, and neither strides nor padding
cost anything. What only passes images on (pooling, activations, sums, channels side by side) follows the layout it
finds. Everything else reads and writes plain N x C x H x W. Each change of layout is a kernel of its own, as in ONNX
Runtime's NCHWc transformer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..ops import TensorType
from .kernel import AttrValue, Kernel, KernelNode, freeze_attrs
from .labels import reorder_label

BLOCK = 8
"""Channels side by side; the same on every machine, so that a table's kernels are the same too."""

LAYOUT = "nchw8c"

MOST_PLAIN_CHANNELS = 4
"""Convolutions over so few channels read a plain image: in blocks it would be mostly padding."""

_POOLS = frozenset({"max_pool2d", "avg_pool2d", "global_avg_pool2d"})
_POINTWISE = frozenset(
    {"relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh", "clip", "leaky_relu"}
    | {"quantise", "dequantise"}
)
_BINARY = frozenset({"add", "sub", "mul"})  # a quotient of two padding channels would not be finite
_CHANNELWISE = frozenset({"concat", "split"})


def plain_name(value: str) -> str:
    """The plain copy of a value that is made in blocks."""
    return f"{value}.nchw"


def blocked_type(type_: TensorType) -> TensorType:
    """N x C x H x W in blocks: N x ceil(C / 8) x H x W x 8."""
    batch, channels, height, width = type_.shape
    return TensorType((batch, -(-channels // BLOCK), height, width, BLOCK), type_.dtype)


def in_blocks(
    kernels: Iterable[Kernel], roots: Mapping[str, str], outputs: Iterable[str], runtime: str
) -> tuple[Kernel, ...]:
    """The same kernels with layouts chosen, and the changes of layout between them.

    Args:
        kernels: in execution order, one node each, all plain.
        roots: for every value, the one whose memory it is (views have no kernels).
        outputs: values that must be left behind plain.
        runtime: who runs them.
    """
    layouts = _Layouts(roots, runtime)
    for kernel in kernels:
        layouts.add(kernel)
    for name in outputs:
        layouts.plain(name)
    return tuple(layouts.kernels)


class _Layouts:
    """One pass over kernels in execution order."""

    def __init__(self, roots: Mapping[str, str], runtime: str) -> None:
        self.kernels: list[Kernel] = []
        self._roots = roots
        self._runtime = runtime
        self._blocked: dict[str, TensorType] = {}  # what is made in blocks, with its plain type
        self._copies: set[str] = set()

    def add(self, kernel: Kernel) -> None:
        """Append ``kernel`` in the layout that suits it, behind the changes of layout that it needs."""
        node = kernel.nodes[0]
        if node.op == "conv2d":
            self._add_convolution(kernel)
        elif self._follows(kernel):
            self._add_blocked(kernel, {})
        else:
            self.kernels.append(_renamed(kernel, {name: (self.plain(name), type_) for name, type_ in kernel.inputs}))

    def plain(self, name: str) -> str:
        """What ``name`` is called where it is read plain; changes the layout where that takes a kernel."""
        root = self._roots.get(name, name)
        type_ = self._blocked.get(root)
        if type_ is None or _same_memory(type_):
            return name
        copy = plain_name(root)
        self._reorder(root, copy, type_, to_blocks=False)
        return copy if name == root else name

    def _in_blocks(self, name: str, type_: TensorType) -> tuple[str, TensorType]:
        blocked = blocked_type(type_)
        root = self._roots.get(name, name)
        if self._blocked.get(name) == type_ or (root not in self._blocked and _same_memory(type_)):
            return name, blocked
        plain = self.plain(name)
        # One tensor may be read as images of different shapes.
        copy = f"{plain}.{LAYOUT}.{'x'.join(map(str, type_.shape))}"
        self._reorder(plain, copy, type_, to_blocks=True)
        return copy, blocked

    def _reorder(self, source: str, copy: str, type_: TensorType, to_blocks: bool) -> None:
        if copy in self._copies:
            return
        self._copies.add(copy)
        blocked = blocked_type(type_)
        before, after = (type_, blocked) if to_blocks else (blocked, type_)
        attrs = {"channels": type_.shape[1], "layout": LAYOUT if to_blocks else "nchw"}
        self.kernels.append(
            Kernel(
                runtime=self._runtime,
                nodes=(KernelNode("reorder", "", freeze_attrs(attrs), (source,), (copy,)),),
                inputs=((source, before),),
                constants=(),
                outputs=((copy, after),),
                macs=0,
                bytes_moved=before.nbytes + after.nbytes,
                label=reorder_label(type_, str(attrs["layout"])),
            )
        )

    def _add_convolution(self, kernel: Kernel) -> None:
        inputs, attrs = dict(kernel.inputs), dict(kernel.nodes[0].attrs)
        x = kernel.nodes[0].inputs[0]
        weight = dict(kernel.constants)[kernel.nodes[0].inputs[1]].type.shape
        able = x in inputs and _has_blocked_form(inputs[x], weight[0], _number(attrs["groups"]))
        if not able:
            self.kernels.append(_renamed(kernel, {name: (self.plain(name), type_) for name, type_ in kernel.inputs}))
            return
        image = inputs[x].shape[1] <= MOST_PLAIN_CHANNELS and attrs["groups"] == 1 and x not in self._blocked
        self._add_blocked(kernel, {"layout": LAYOUT}, keep_plain=x if image else None)

    def _add_blocked(self, kernel: Kernel, attrs: Mapping[str, Any], keep_plain: str | None = None) -> None:
        """Append ``kernel`` in blocks, with ``attrs`` changed; ``keep_plain`` names an input that stays as it is."""
        renames = {
            name: (name, type_) if name == keep_plain else self._in_blocks(name, type_) for name, type_ in kernel.inputs
        }
        node = kernel.nodes[0]
        op, changed = node.op, dict(attrs)
        if op == "adaptive_avg_pool2d":
            op, changed["output_size"] = "global_avg_pool2d", None
        if op == "split":
            changed["sizes"] = tuple(type_.shape[1] // BLOCK for _, type_ in kernel.outputs)
        merged = {name: value for name, value in (dict(node.attrs) | changed).items() if value is not None}
        renamed = _renamed(
            kernel, renames, KernelNode(op, node.domain, freeze_attrs(merged), node.inputs, node.outputs)
        )
        outputs = tuple((name, blocked_type(type_)) for name, type_ in kernel.outputs)
        self.kernels.append(replace(renamed, outputs=outputs))
        self._blocked |= dict(kernel.outputs)

    def _follows(self, kernel: Kernel) -> bool:
        """Whether an op that runs in either layout finds its images in blocks."""
        node, inputs = kernel.nodes[0], dict(kernel.inputs)
        types = [*inputs.values(), *(type_ for _, type_ in kernel.outputs)]
        if set(node.inputs) != set(inputs) or any(type_.rank != 4 for type_ in types):
            return False
        return any(self._blocked.get(name) == type_ for name, type_ in kernel.inputs) and _runs_in_blocks(node, types)


def _runs_in_blocks(node: KernelNode, types: list[TensorType]) -> bool:
    """Whether our kernels have a blocked form of an op on images of these types."""
    attrs = dict(node.attrs)
    if node.op in _POOLS | _POINTWISE:
        return True
    if node.op == "adaptive_avg_pool2d":
        return types[-1].shape[2:] == (1, 1)
    if node.op in _BINARY:
        return len({type_.shape[1] for type_ in types}) == 1
    return node.op in _CHANNELWISE and attrs["axis"] in (1, -3) and all(t.shape[1] % BLOCK == 0 for t in types)


def _has_blocked_form(x: TensorType, out_channels: int, groups: int) -> bool:
    """The same rule as ``has_blocked_form`` in csrc/cpu/kernels/blocked_conv2d.cpp; in 8 bits there is no other."""
    if groups == 1 or x.dtype == "uint8":
        return True
    in_channels = x.shape[1]
    if groups == in_channels:
        return out_channels == in_channels
    return in_channels // groups % BLOCK == 0 and out_channels // groups % BLOCK == 0


def _same_memory(type_: TensorType) -> bool:
    """Whether both layouts put the elements in the same places."""
    return type_.rank == 4 and type_.shape[2:] == (1, 1) and type_.shape[1] % BLOCK == 0


def _renamed(kernel: Kernel, renames: Mapping[str, tuple[str, TensorType]], node: KernelNode | None = None) -> Kernel:
    """``kernel`` with other inputs in the place of its own, and perhaps another node."""
    node = node or kernel.nodes[0]
    names = tuple(renames[name][0] if name in renames else name for name in node.inputs)
    return replace(kernel, nodes=(replace(node, inputs=names),), inputs=tuple(renames.values()))


def _number(value: AttrValue) -> int:
    return value if isinstance(value, int) else 1
