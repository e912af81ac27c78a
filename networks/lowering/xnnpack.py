"""Lowering for XNNPACK by fixed rules: channels last throughout, batch norms folded, clamps fused, nothing reordered.

The runtime has an optimiser, but of what a network with folded batch norms holds it only joins clamps with the
operator before them, which is done here; its kernels are therefore known without it.
"""

from collections.abc import Collection

from ..graph import Network, Node, prune
from ..ops import Op
from .kernel import Kernel, KernelNode, LoweredNetwork
from .layouts import CHANNELS_LAST, plain
from .native import FOLDS_BATCH_NORM, changes_nothing, stored_outputs
from .segments import cut, execution_order, segment_kernel, segment_readers
from .xnnpack_emit import Fused
from .xnnpack_graph import XnnGraph
from .xnnpack_label import xnnpack_label
from .xnnpack_pointwise import BINARY, CLAMPS
from .xnnpack_rules import IMAGE_OPS, lacking, write

RUNTIME = "xnnpack"

CLAMPED = frozenset({"conv2d", "conv_transpose2d", "linear", "max_pool2d", "avg_pool2d", *BINARY})
"""Ops whose operators take bounds of the output along."""

VIEWS = frozenset({"static_reshape"})
"""Operators that leave memory as it is, inside of a network."""


def lower_xnnpack(network: Network) -> LoweredNetwork:
    """The kernels that XNNPACK runs for ``network``.

    A kernel is a single-cut segment of XNNPACK's graph. Its nodes' ``op`` is the name behind ``xnn_define_``, their
    attributes are that function's arguments; tensors are in memory order, images with channels last. Inputs of the
    network that convolutions or pooling read are taken as N x H x W x C, which is how XNNPACK's users feed it, and
    its outputs are left in the order in which they come. Kernels with ops that XNNPACK has no operators for say so
    (`Kernel.lacks`).
    """
    network = prune(network)
    graph = write_network(network)
    outputs = tuple(dict.fromkeys(graph.stored(value).name for value in network.outputs))
    nodes = execution_order(graph.nodes, outputs)
    sizes = {name: type_.nbytes for name, type_ in graph.types.items()}
    segments = cut(nodes, network.inputs[0][0], VIEWS, sizes)
    readers = segment_readers(segments)
    kernels = (_kernel(i, segment, graph, readers, outputs) for i, segment in enumerate(segments))
    return LoweredNetwork(RUNTIME, network.fingerprint, tuple(kernels))


def write_network(network: Network) -> XnnGraph:
    """XNNPACK's graph of a network; ops that it lacks are in it by name."""
    graph, readers = XnnGraph(), network.consumers()
    for value, type_ in network.inputs:
        image = type_.rank == 4 and any(node.op.kind in IMAGE_OPS for node in readers[value])
        graph.input(value, type_, CHANNELS_LAST if image else plain(type_.rank))
    absorbed: set[str] = set()
    for node in network:
        if node.name in absorbed:
            continue
        if all(graph.is_constant(value) for value in node.inputs):
            for value, constant in stored_outputs(node).items():
                graph.keep(value, constant)
        elif changes_nothing(node.op):
            graph.place(node.name, graph.stored(node.inputs[0]))
        elif reason := lacking(node.op):
            graph.lack(node, reason)
        else:
            fused, taken = _fuse(node, network, readers)
            absorbed.update(taken)
            write(graph, fused)
    return graph


def _fuse(node: Node, network: Network, readers: dict[str, list[Node]]) -> tuple[Fused, list[str]]:
    """The node with the batch norm and the clamp that follow it, and the names of these."""
    if len(node.outputs) > 1:
        return Fused(node, ""), []
    output, bias = node.outputs[0], False
    taken: list[str] = []
    while (reader := _sole_reader(output, network, readers)) is not None:
        if reader.op.kind == "batch_norm" and _folds(node.op):
            bias = True
        elif reader.op.kind in CLAMPS and node.op.kind in CLAMPED:
            clamp = CLAMPS[reader.op.kind](reader.op)
            return Fused(node, reader.name, bias, clamp), [*taken, reader.name]
        else:
            break
        output = reader.name
        taken.append(reader.name)
    return Fused(node, output, bias), taken


def _folds(op: Op) -> bool:
    # Axis 1 is the channel of a convolution, but the token of a linear layer over sequences.
    return op.kind in FOLDS_BATCH_NORM and (op.kind != "linear" or op.inputs[0].rank == 2)


def _sole_reader(value: str, network: Network, readers: dict[str, list[Node]]) -> Node | None:
    found = readers[value]
    return found[0] if len(found) == 1 and value not in network.outputs else None


def _kernel(
    index: int, segment: list[KernelNode], graph: XnnGraph, readers: dict[str, set[int]], outputs: Collection[str]
) -> Kernel:
    """The kernel of segment ``index``."""
    return segment_kernel(
        RUNTIME,
        index,
        segment,
        readers,
        outputs=outputs,
        types=graph.types,
        constants=graph.constants,
        macs=sum(graph.macs[node.outputs[0]] for node in segment),
        label=xnnpack_label(segment, graph.types),
    )
