"""Lowering for oneDNN: how a user of the library runs a graph, primitive by primitive.

Batch norms are folded, activations and residual sums are post-ops (`onednn_fusion`). Convolutions run in the layouts
that they prefer (`onednn_layouts`); what follows stays in the layout until an op needs its elements row by row. Where
two layouts meet there is a reorder, which is a kernel of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..graph import Network, prune
from ..ops import TensorType, make_op
from .kernel import Kernel, LoweredNetwork, lacking_node
from .labels import native_label
from .onednn_fusion import Fused
from .onednn_layouts import BLOCKS, Isa, Layout, convolution_layouts, fills, host_isa
from .onednn_primitives import (
    BINARY,
    COMMUTES,
    POOLS,
    REDUCTIONS,
    Attrs,
    Eltwise,
    activation_attrs,
    eltwise,
    eltwise_by_number,
    lacking,
    pooling_attrs,
    resampling_attrs,
    window_attrs,
)
from .onednn_steps import RUNTIME, Steps, Tensor, View


@dataclass(frozen=True)
class OneDnnPlan:
    """A network as oneDNN runs it.

    Attributes:
        kernels: one primitive each, in execution order. A node's attribute ``layouts`` has a layout for each of its
            inputs, then outputs.
        views: by name, tensors that kernels read and that no kernel makes.
        outputs: what the network returns, row by row.
    """

    kernels: tuple[Kernel, ...]
    views: dict[str, View]
    outputs: tuple[str, ...]


def lower_onednn(network: Network) -> LoweredNetwork:
    """The primitives that oneDNN runs for ``network`` on this machine's instruction set.

    An op that oneDNN has no primitives for is a kernel that says so (`Kernel.lacks`).
    """
    return LoweredNetwork(RUNTIME, network.fingerprint, plan_onednn(network).kernels)


def plan_onednn(network: Network, isa: Isa | None = None) -> OneDnnPlan:
    """`lower_onednn` with all that is needed to run the network whole.

    Args:
        network: the graph.
        isa: lower for this instruction set instead of the machine's own.
    """
    return _Lowerer(prune(network), isa or host_isa()).run()


class _Lowerer:
    """One pass over what fusion left."""

    def __init__(self, network: Network, isa: Isa) -> None:
        self._network, self._isa = network, isa
        self._steps = Steps(network)
        self._fusion = self._steps.fusion
        self._last_reads = self._fusion.last_reads()

    def run(self) -> OneDnnPlan:
        for index, entry in enumerate(self._fusion.fused):
            if reason := self._lacking(entry):
                self._lack(entry, reason)
            else:
                self._handler(entry.op.kind)(entry, index)
        types = self._network.types
        outputs = tuple(self._steps.read(value, types[value], "plain").name for value in self._network.outputs)
        return OneDnnPlan(tuple(self._steps.kernels), self._steps.views, outputs)

    def _handler(self, kind: str) -> Callable[[Fused, int], None]:
        if kind in POOLS:
            return self._pooling
        if kind in REDUCTIONS:
            return self._reduction
        if kind in BINARY or kind == "pow":
            return self._binary
        handlers: dict[str, Callable[[Fused, int], None]] = {
            "conv1d": self._convolution,
            "conv2d": self._convolution,
            "conv_transpose2d": self._convolution,
            "linear": self._linear,
            "matmul": self._matmul,
            "sdpa": self._sdpa,
            "batch_norm": self._batch_norm,
            "layer_norm": self._layer_norm,
            "softmax": self._softmax,
            "concat": self._concat,
            "split": self._split,
            "slice": self._slice,
            "pad": self._pad,
            "transpose": self._transpose,
            "channel_shuffle": self._shuffle,
            "upsample": self._resampling,
        }
        return handlers.get(kind, self._eltwise)

    def _lacking(self, entry: Fused) -> str:
        """What oneDNN lacks to compute ``entry``, in words; "" if nothing."""
        by_tensor = entry.op.kind == "pow" and self._by_number(entry) is None
        return "pow by a tensor" if by_tensor else lacking(entry.op)

    def _lack(self, entry: Fused, reason: str) -> None:
        """A kernel for an op without a primitive: it reads what is there and leaves its outputs row by row."""
        reads = zip(entry.node.inputs, entry.op.inputs, strict=True)
        inputs = [self._steps.read(value, type_, self._steps.layout(value, type_)) for value, type_ in reads]
        made = [Tensor(name, type_) for name, type_ in zip(entry.outputs, entry.op.outputs, strict=True)]
        node = lacking_node(entry.op, reason, [tensor.name for tensor in inputs], entry.outputs)
        self._steps.append(node, inputs, made, native_label(entry.op, entry.told), entry.op.macs)
        for tensor in made:
            self._steps.made(tensor)

    # --- products ---

    def _convolution(self, entry: Fused, index: int) -> None:
        attrs = window_attrs(entry.op)
        if entry.op.kind == "conv_transpose2d":
            self._product(entry, index, "deconvolution", attrs, "plain", "plain")
        else:
            self._product(entry, index, "convolution", attrs, *convolution_layouts(entry.op, self._isa))

    def _linear(self, entry: Fused, index: int) -> None:
        self._product(entry, index, "inner_product", {}, "plain", "plain")

    def _product(self, entry: Fused, index: int, primitive: str, attrs: Attrs, src: Layout, dst: Layout) -> None:
        """A primitive with weights, and perhaps a residual."""
        inputs = [*self._steps.inputs(entry, src), *self._steps.weights(entry)]
        if entry.residual:
            attrs = attrs | {"residual": "sum" if self._is_last_read(entry, index) else "binary"}
            inputs.append(self._steps.read(entry.residual, entry.op.outputs[0], dst))
        bias = entry.bias or bool(entry.op["bias"])
        self._steps.step(entry, primitive, inputs, attrs | ({"bias": 1} if bias else {}), dst)

    def _is_last_read(self, entry: Fused, index: int) -> bool:
        """Whether nobody needs the residual any more, so that the sum may be written over it."""
        roots = self._fusion.root
        root = roots[entry.residual]
        elsewhere = {roots[value] for value in (*entry.node.inputs, *self._network.outputs)}
        elsewhere |= {name for name, _ in self._network.inputs}
        return self._last_reads[root] == index and root not in elsewhere

    def _matmul(self, entry: Fused, index: int) -> None:
        del index
        self._steps.step(entry, "matmul", self._steps.inputs(entry), {})

    def _sdpa(self, entry: Fused, index: int) -> None:
        """Scaled scores, the mask, softmax, and the product with the values."""
        del index
        op, name = entry.op, entry.node.name
        query, key, value, *mask = self._steps.inputs(entry)
        type_ = TensorType((*op.outputs[0].shape[:-1], key.type.shape[-2]), op.dtype)
        scores, weights = Tensor(f"{name}.scores", type_), Tensor(f"{name}.weights", type_)
        scale = float(op["scale"]) or query.type.shape[-1] ** -0.5
        label = f"sdpa %s @{'x'.join(map(str, type_.shape))}"
        macs = type_.numel * query.type.shape[-1]
        attrs: Attrs = {"transposed": 1, "scale": scale}
        self._steps.emit("matmul", [query, key], scores, attrs, label % f"scores {query.type.shape[-1]}", macs)
        if mask:
            # Not as a post-op of the product: oneDNN 3.2 has only its reference code for one that is broadcast.
            masked = Tensor(f"{name}.masked", type_)
            self._steps.emit("binary", [scores, *mask], masked, {"algorithm": "add"}, label % "mask")
            scores = masked
        self._steps.emit("softmax", [scores], weights, {"axis": type_.rank - 1}, label % "softmax")
        made = Tensor(entry.outputs[0], op.outputs[0])
        depth = value.type.shape[-1]
        self._steps.emit("matmul", [weights, value], made, {}, label % f"product {depth}", op.macs - macs)
        self._steps.made(made)

    # --- functions of elements, pairs, rows and windows ---

    def _own_layout(self, entry: Fused) -> Layout:
        return self._steps.layout(entry.node.inputs[0], entry.op.inputs[0])

    def _eltwise(self, entry: Fused, index: int) -> None:
        del index
        function, layout = eltwise(entry.op), self._own_layout(entry)
        assert function is not None  # `lacking` has looked
        self._steps.step(
            entry, "eltwise", self._steps.inputs(entry, layout), activation_attrs(function, "algorithm"), layout
        )

    def _binary(self, entry: Fused, index: int) -> None:
        del index
        op, values = entry.op, entry.node.inputs
        function = self._by_number(entry)
        if function is not None:
            layout = self._own_layout(entry)
            x = self._steps.read(values[0], op.inputs[0], layout)
            self._steps.step(entry, "eltwise", [x], activation_attrs(function, "algorithm"), layout)
            return
        same_rank = len({type_.rank for type_ in op.inputs}) == 1
        layout = self._steps.common_layout(values, op.inputs) if same_rank else "plain"
        inputs = self._steps.inputs(entry, layout)
        if op.kind in COMMUTES and inputs[0].type != op.outputs[0]:
            inputs.reverse()  # the first one is the larger
        self._steps.step(entry, "binary", inputs, {"algorithm": op.kind}, layout)

    def _by_number(self, entry: Fused) -> Eltwise | None:
        """The element-wise function that an op of two tensors is where the second is one known number."""
        op, second = entry.op, self._fusion.constants.get(entry.node.inputs[1])
        if second is None or second.type.numel != 1 or not second.values:
            return None
        function = eltwise_by_number(op, float(second.values[0]))
        return function if entry.activation is None and op.outputs[0] == op.inputs[0] else None

    def _batch_norm(self, entry: Fused, index: int) -> None:
        del index
        layout = self._own_layout(entry)
        inputs = [*self._steps.inputs(entry, layout), *self._steps.weights(entry)]
        attrs: Attrs = {"epsilon": float(entry.op["eps"]), "affine": int(entry.op["affine"])}
        self._steps.step(entry, "batch_normalization", inputs, attrs, layout)

    def _layer_norm(self, entry: Fused, index: int) -> None:
        del index
        inputs = [*self._steps.inputs(entry), *self._steps.weights(entry)]
        attrs: Attrs = {"epsilon": float(entry.op["eps"]), "affine": int(entry.op["affine"])}
        self._steps.step(entry, "layer_normalization", inputs, attrs)

    def _softmax(self, entry: Fused, index: int) -> None:
        del index
        self._steps.step(
            entry, "softmax", self._steps.inputs(entry), {"axis": entry.op["axis"] % entry.op.inputs[0].rank}
        )

    def _pooling(self, entry: Fused, index: int) -> None:
        del index
        attrs, layout = pooling_attrs(entry.op), self._own_layout(entry)
        assert attrs is not None  # `lacking` has looked
        self._steps.step(entry, "pooling", self._steps.inputs(entry, layout), attrs, layout)

    def _reduction(self, entry: Fused, index: int) -> None:
        del index
        op, type_ = entry.op, entry.op.inputs[0]
        axes = tuple(sorted(axis % type_.rank for axis in op["axes"]))
        if op.kind == "mean" and type_.rank == 4 and axes == (2, 3):
            self._global_pooling(entry)
        else:
            self._steps.step(entry, "reduction", self._steps.inputs(entry), {"algorithm": op.kind, "axes": axes})

    def _global_pooling(self, entry: Fused) -> None:
        """A mean over the image is a pooling, which need not leave the layout; axes that go are a view."""
        layout = self._own_layout(entry)
        pool = make_op("global_avg_pool2d", entry.op.inputs[0])
        made = Tensor(f"{entry.outputs[0]} pooled", pool.outputs[0], layout)
        attrs = pooling_attrs(pool)
        assert attrs is not None
        self._steps.emit("pooling", self._steps.inputs(entry, layout), made, attrs, native_label(pool, ()))
        self._steps.made(made)
        self._steps.take_for(entry.outputs[0], made)

    # --- movement ---

    def _concat(self, entry: Fused, index: int) -> None:
        del index
        op = entry.op
        axis = op["axis"] % op.inputs[0].rank
        layout = self._steps.common_layout(entry.node.inputs, op.inputs)
        if axis == 1 and not all(fills(layout, type_.shape[1]) for type_ in op.inputs):
            layout = "plain"
        self._steps.step(entry, "concat", self._steps.inputs(entry, layout), {"axis": axis}, layout)

    def _split(self, entry: Fused, index: int) -> None:
        del index
        op = entry.op
        axis, start = op["axis"] % op.inputs[0].rank, 0
        layout = self._own_layout(entry)
        if axis == 1 and not all(fills(layout, size) for size in op["sizes"]):
            layout = "plain"
        (x,) = self._steps.inputs(entry, layout)
        for name, type_ in zip(entry.outputs, op.outputs, strict=True):
            made = Tensor(name, type_, layout)
            attrs: Attrs = {"axis": axis, "start": start}
            self._steps.emit("slice", [x], made, attrs, native_label(op, ()))
            self._steps.made(made)
            start += type_.shape[axis]

    def _slice(self, entry: Fused, index: int) -> None:
        del index
        op = entry.op
        axis, layout = op["axis"] % op.inputs[0].rank, self._own_layout(entry)
        attrs: Attrs = {"axis": axis, "start": op["start"]}
        if op["step"] > 1:
            attrs, layout = attrs | {"step": op["step"]}, "plain"
        elif axis == 1 and layout in BLOCKS:
            layout = "plain"
        self._steps.step(entry, "slice", self._steps.inputs(entry, layout), attrs, layout)

    def _pad(self, entry: Fused, index: int) -> None:
        del index
        op, layout = entry.op, self._own_layout(entry)
        rank = op.inputs[0].rank
        if layout in BLOCKS:
            layout = "plain"
        self._steps.step(entry, "pad", self._steps.inputs(entry, layout), {"pads_begin": op["pads"][:rank]}, layout)

    def _transpose(self, entry: Fused, index: int) -> None:
        del index
        self._steps.step(entry, "transpose", self._steps.inputs(entry), {"perm": entry.op["perm"]})

    def _shuffle(self, entry: Fused, index: int) -> None:
        del index
        op, layout = entry.op, self._own_layout(entry)
        attrs: Attrs = {"axis": 1, "group_size": op.inputs[0].shape[1] // op["groups"]}
        self._steps.step(entry, "shuffle", self._steps.inputs(entry, layout), attrs, layout)

    def _resampling(self, entry: Fused, index: int) -> None:
        del index
        attrs, layout = resampling_attrs(entry.op), self._own_layout(entry)
        assert attrs is not None  # `lacking` has looked
        self._steps.step(entry, "resampling", self._steps.inputs(entry, layout), attrs, layout)


__all__ = ["RUNTIME", "OneDnnPlan", "View", "lower_onednn", "plan_onednn"]
