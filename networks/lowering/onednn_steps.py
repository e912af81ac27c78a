"""`Steps`: the tensors of a network in the layouts in which oneDNN has them, and the primitives that make them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph import Network
from ..ops import TensorType
from .kernel import Constant, Kernel, KernelNode, freeze_attrs
from .labels import MAX_LENGTH, native_label
from .onednn_fusion import Fused, Fusion, bias_type
from .onednn_layouts import BLOCKS, Layout, fills
from .onednn_primitives import Attrs, activation_attrs

RUNTIME = "onednn"


@dataclass(frozen=True)
class View:
    """A tensor that is another one's memory, read in another shape or layout."""

    source: str
    type: TensorType
    layout: Layout


@dataclass(frozen=True)
class Tensor:
    """A tensor as one primitive reads or makes it."""

    name: str
    type: TensorType
    layout: Layout = "plain"
    constant: Constant | None = None


class Steps:
    """What a lowering has so far: kernels in execution order, and where each value of the network is.

    Args:
        network: pruned.

    Attributes:
        kernels: one primitive each.
        views: by name, tensors that kernels read and that no kernel makes.
    """

    def __init__(self, network: Network) -> None:
        self.fusion = Fusion(network)
        self.kernels: list[Kernel] = []
        self.views: dict[str, View] = {}
        self._root = dict(self.fusion.root)
        self._versions: dict[str, dict[Layout, Tensor]] = {}
        for name, type_ in network.inputs:
            self.made(Tensor(name, type_))

    # --- tensors and their layouts ---

    def made(self, tensor: Tensor) -> None:
        """Say that a kernel, or the caller, has made a tensor."""
        self._versions[tensor.name] = {tensor.layout: tensor}

    def take_for(self, value: str, made: Tensor) -> None:
        """Say that a tensor is what ``value``, and whatever is a view of it, is from now on."""
        self._root |= {other: made.name for other, root in self._root.items() if root == value}

    def layout(self, value: str, type_: TensorType) -> Layout:
        """The layout in which ``value`` is there already, as its reader may take it."""
        versions = self._versions.get(self._root[value])
        if versions is None:
            return "plain"
        first = next(iter(versions.values()))
        return first.layout if first.type == type_ else "plain"

    def common_layout(self, values: Sequence[str], types: Sequence[TensorType]) -> Layout:
        """The first layout among ``values`` that is not plain."""
        layouts = (self.layout(value, type_) for value, type_ in zip(values, types, strict=True))
        return next((layout for layout in layouts if layout != "plain"), "plain")

    def read(self, value: str, type_: TensorType, layout: Layout) -> Tensor:
        """``value`` in ``layout``: as it is, as a view, or reordered."""
        if value in self.fusion.constants:
            return Tensor(value, type_, layout, self.fusion.constants[value])
        root = self._root[value]
        versions = self._versions[root]
        first = next(iter(versions.values()))
        if first.type != type_:
            rows = self._version(root, "plain")
            return rows if rows.type == type_ else self._view(f"{rows.name} as {type_}", rows, type_, "plain")
        return self._version(root, layout)

    def _version(self, root: str, layout: Layout) -> Tensor:
        versions = self._versions[root]
        if layout not in versions:
            first = next(iter(versions.values()))
            name = f"{root} in {layout}"
            if _same_memory(first, layout):
                versions[layout] = self._view(name, first, first.type, layout)
            else:
                versions[layout] = Tensor(name, first.type, layout)
                self.emit("reorder", [first], versions[layout], {}, _reorder_label(first, layout))
        return versions[layout]

    def _view(self, name: str, source: Tensor, type_: TensorType, layout: Layout) -> Tensor:
        self.views[name] = View(source.name, type_, layout)
        return Tensor(name, type_, layout)

    # --- kernels ---

    def emit(
        self, primitive: str, inputs: Sequence[Tensor], made: Tensor, attrs: Attrs, label: str, macs: int = 0
    ) -> None:
        """Append a kernel of one primitive that makes a tensor."""
        layouts = (*(tensor.layout for tensor in inputs), made.layout)
        names = tuple(tensor.name for tensor in inputs)
        node = KernelNode(primitive, "", freeze_attrs(attrs | {"layouts": layouts}), names, (made.name,))
        self.append(node, inputs, [made], label, macs)

    def append(self, node: KernelNode, inputs: Sequence[Tensor], made: Sequence[Tensor], label: str, macs: int) -> None:
        """Append a kernel of one node."""
        distinct = {tensor.name: tensor for tensor in inputs}
        kernel = Kernel(
            runtime=RUNTIME,
            nodes=(node,),
            inputs=tuple((t.name, t.type) for t in distinct.values() if t.constant is None),
            constants=tuple((t.name, t.constant) for t in distinct.values() if t.constant is not None),
            outputs=tuple((t.name, t.type) for t in made),
            macs=macs,
            bytes_moved=sum(t.type.nbytes for t in (*distinct.values(), *made)),
            label=label,
        )
        self.kernels.append(kernel)

    def step(
        self, entry: Fused, primitive: str, inputs: Sequence[Tensor], attrs: Attrs, layout: Layout = "plain"
    ) -> None:
        """A kernel that makes the (one) output of ``entry``."""
        made = Tensor(entry.outputs[0], entry.op.outputs[0], layout)
        if entry.activation is not None:
            attrs = attrs | activation_attrs(entry.activation)
        self.emit(primitive, inputs, made, attrs, native_label(entry.op, entry.told), entry.op.macs)
        self.made(made)

    def inputs(self, entry: Fused, layout: Layout = "plain") -> list[Tensor]:
        """What an op reads, in a layout."""
        reads = zip(entry.node.inputs, entry.op.inputs, strict=True)
        return [self.read(value, type_, layout) for value, type_ in reads]

    def weights(self, entry: Fused) -> list[Tensor]:
        """The stored tensors of an op, with the bias that a folded batch norm leaves."""
        op, owner = entry.op, entry.node.weights_from or entry.node.name
        types = {name: TensorType(shape, op.dtype) for name, shape in (op.weights | op.buffers).items()}
        if entry.bias:
            types["bias"] = bias_type(op)
        return [Tensor(f"{owner}.{name}", type_, constant=Constant(type_)) for name, type_ in types.items()]


def _same_memory(tensor: Tensor, layout: Layout) -> bool:
    """Whether the tensor's elements lie in the same order in ``layout``: where there is one pixel, or one channel."""
    channels, pixels = tensor.type.shape[1], tensor.type.numel // (tensor.type.shape[0] * tensor.type.shape[1])
    if not fills(tensor.layout, channels) or not fills(layout, channels):
        return False
    blocked = tensor.layout in BLOCKS or layout in BLOCKS
    return pixels == 1 or (channels == 1 and not blocked)


def _reorder_label(tensor: Tensor, layout: Layout) -> str:
    size = "x".join(map(str, tensor.type.shape))
    return f"reorder {tensor.layout} to {layout} @{size}"[:MAX_LENGTH]
