"""Where a lowered graph is cut into kernels: order of execution, single-cut points, and a bound for what has none."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, pairwise

from ..ops import TensorType
from .kernel import Constant, Kernel, KernelNode

MAX_NODES = 40
"""Longest segment that is left whole. A residual block has under 16 nodes, an attention half 20 to 32."""


Live = tuple[int, int]
"""Number and bytes of the activations that are live."""


def execution_order(nodes: Sequence[KernelNode], outputs: Sequence[str]) -> list[KernelNode]:
    """The nodes that ``outputs`` need, each behind its producers.

    The order is that of a depth-first walk from the outputs, inputs first: it depends on the structure alone, not on
    names or on the order given, so that equal graphs come out equal.
    """
    producers = {name: index for index, node in enumerate(nodes) for name in node.outputs if name}
    order: list[KernelNode] = []
    done: set[int] = set()
    stack = [(producers[name], False) for name in reversed(outputs) if name in producers]
    while stack:
        index, expanded = stack.pop()
        if index in done:
            continue
        if expanded:
            done.add(index)
            order.append(nodes[index])
            continue
        stack.append((index, True))
        needed = [producers[name] for name in nodes[index].inputs if name in producers]
        stack.extend((producer, False) for producer in reversed(needed) if producer not in done)
    return order


def live_sets(nodes: Sequence[KernelNode], main_input: str, sizes: Mapping[str, int]) -> list[Live]:
    """How many activations, of how many bytes, are live behind each node: made (or given) and still to be read.

    Of the network's inputs only ``main_input`` counts. Others (masks, positions) may be read everywhere and would
    hold every segment open.
    """
    first = {name: i for i, node in enumerate(nodes) for name in node.outputs if name}
    first[main_input] = 0
    last = {name: i for i, node in enumerate(nodes) for name in node.inputs if name in first}
    change = [[0, 0] for _ in nodes]
    for name, end in last.items():
        for position, sign in ((first[name], 1), (end, -1)):
            change[position][0] += sign
            change[position][1] += sign * sizes[name]
    counts = accumulate(count for count, _ in change)
    nbytes = accumulate(size for _, size in change)
    return list(zip(counts, nbytes, strict=True))


def cut(
    nodes: Sequence[KernelNode],
    main_input: str,
    views: Collection[str],
    sizes: Mapping[str, int],
    max_nodes: int = MAX_NODES,
) -> list[list[KernelNode]]:
    """The nodes, in execution order, cut into maximal single-cut segments.

    A segment ends where one activation is live: what is in it (a residual block, half of a transformer block) can be
    timed by itself and stands in the network just so. Where a segment has over ``max_nodes`` nodes (connections that
    never close: dense blocks, cells that read the two before them) it is cut where the fewest activations are live,
    of the fewest bytes, and its parts likewise until they are short enough; they have several inputs or outputs.

    A segment of nothing but ``views`` (ops that only rename memory) joins the one before it: alone it would be timed
    as a copy. (At the very beginning they join the one behind.)

    Args:
        nodes: in execution order.
        main_input: the network's first input.
        views: op names.
        sizes: bytes of every activation.
        max_nodes: longest segment that is left whole.
    """
    if not nodes:
        return []
    live = live_sets(nodes, main_input, sizes)
    single = [i + 1 for i, (count, _) in enumerate(live) if count <= 1]
    segments: list[list[KernelNode]] = []
    for whole in _split(range(len(nodes)), single):
        for part in _shorten(whole, live, max_nodes):
            segment = [nodes[i] for i in part]
            if segments and any(all(node.op in views for node in side) for side in (segment, segments[-1])):
                segments[-1].extend(segment)
            else:
                segments.append(segment)
    return segments


def _split(span: range, ends: Sequence[int]) -> list[range]:
    """``span`` cut in front of each of ``ends``."""
    borders = [span.start, *(end for end in ends if span.start < end < span.stop), span.stop]
    return [range(start, end) for start, end in pairwise(borders)]


def _shorten(span: range, live: Sequence[Live], max_nodes: int) -> list[range]:
    """``span`` in parts of at most ``max_nodes`` nodes."""
    if len(span) <= max_nodes:
        return [span]
    fewest = min(live[i] for i in span[:-1])
    parts = _split(span, [i + 1 for i in span[:-1] if live[i] == fewest])
    return [shorter for part in parts for shorter in _shorten(part, live, max_nodes)]


def segment_readers(segments: Sequence[Sequence[KernelNode]]) -> dict[str, set[int]]:
    """Which segments read each tensor, by their index."""
    readers: dict[str, set[int]] = {}
    for i, segment in enumerate(segments):
        for node in segment:
            for name in node.inputs:
                readers.setdefault(name, set()).add(i)
    return readers


def segment_kernel(
    runtime: str,
    index: int,
    segment: Sequence[KernelNode],
    readers: Mapping[str, Collection[int]],
    *,
    outputs: Collection[str],
    types: Mapping[str, TensorType],
    constants: Mapping[str, Constant],
    macs: int,
    label: str,
    opset: int = 0,
) -> Kernel:
    """The kernel of a segment: it leaves behind what another segment or the caller of the network reads.

    Args:
        runtime: who lowered it.
        index: the segment's place among all.
        segment: its nodes.
        readers: which segments read each tensor (`segment_readers`).
        outputs: what the network returns.
        types: of all tensors that a segment reads or makes.
        constants: the stored tensors among them.
        macs: multiply-accumulates of the segment.
        label: what people see.
        opset: as of `Kernel`.
    """
    made = [name for node in segment for name in node.outputs if name]
    read = list(dict.fromkeys(name for node in segment for name in node.inputs if name and name not in made))
    left = [name for name in made if name in outputs or set(readers.get(name, ())) - {index}]
    return Kernel(
        runtime=runtime,
        nodes=tuple(segment),
        inputs=tuple((name, types[name]) for name in read if name not in constants),
        constants=tuple((name, constants[name]) for name in read if name in constants),
        outputs=tuple((name, types[name]) for name in left),
        macs=macs,
        bytes_moved=sum(types[name].nbytes for name in (*read, *left)),
        label=label,
        opset=opset,
    )
