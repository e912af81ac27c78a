"""Which node of one network stands for which of another: an alignment of two networks that were built alike.

Both are cut where a single value is live, so that a residual block is one piece, and pieces are aligned in order, those
that have most in common with each other; then the nodes within each pair of pieces. What has no partner is new.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeVar

import numpy as np

from ....networks import Network, Node
from ._channels import Trace, groups_of, is_depthwise, is_layer

_GAP: Final = 0.1  # what a piece without a partner costs, and a node in one that has a partner
_NAMED_ALIKE: Final = 0.05  # decides among partners that fit equally well
_LAYER, _NORM, _PLAIN = 2.0, 1.0, 0.5  # what a pair is worth
_SAME: Final = 0.5  # more, where the ops are the very same

_T = TypeVar("_T")


def partners(new: Trace, old: Trace) -> dict[str, Node]:
    """The node of the old network that each of the new one may take its weights from, by the name of the latter."""
    pieces, others = _pieces(new.network), _pieces(old.network)

    @cache
    def alike(i: int, j: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        return _aligned(pieces[i], others[j], lambda n, p: _worth(new, old, n, p), _GAP)

    first = _common([_ops(piece) for piece in pieces], [_ops(piece) for piece in others])
    rest = min(len(pieces), len(others)) - first
    last = min(rest, _common([_ops(p) for p in reversed(pieces)], [_ops(p) for p in reversed(others)]))
    middle = (range(first, len(pieces) - last), range(first, len(others) - last))
    _, pairs = _aligned(*middle, lambda i, j: alike(i, j)[0], _GAP)
    matched = [(i, i) for i in range(first)]
    matched += [(first + i, first + j) for i, j in pairs]
    matched += [(len(pieces) - i, len(others) - i) for i in range(1, last + 1)]
    return {pieces[i][k].name: others[j][m] for i, j in matched for k, m in alike(i, j)[1]}


def _pieces(network: Network) -> list[list[Node]]:
    """Nodes in order, cut where a single value is live."""
    last_read = {value: i for i, node in enumerate(network.nodes) for value in node.inputs}
    last_read.update(dict.fromkeys(network.outputs, len(network.nodes)))
    live = {name for name, _ in network.inputs}
    pieces: list[list[Node]] = [[]]
    for i, node in enumerate(network.nodes):
        pieces[-1].append(node)
        live = {value for value in (*live, *node.outputs) if last_read.get(value, -1) > i}
        if len(live) == 1:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _ops(piece: Sequence[Node]) -> list[str]:
    return [node.op.key for node in piece]


def _common(one: Sequence[_T], other: Sequence[_T]) -> int:
    """How many entries both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _worth(new: Trace, old: Trace, node: Node, other: Node) -> float:
    """What it is worth to have them as partners; 0 where they cannot be."""
    if node.op.kind != other.op.kind or new.treatments[node.name] != old.treatments[other.name]:
        return 0.0
    if is_layer(node):
        fitting, worth = _layers_fit(node, other), _LAYER
    elif new.treatments[node.name] == "fixed" and node.op.weights:
        fitting, worth = node.op.weights == other.op.weights, _LAYER
    else:
        fitting, worth = True, _NORM if node.op.weights else _PLAIN
    if not fitting:
        return 0.0
    return worth + _SAME * (node.op == other.op) + _NAMED_ALIKE * (node.name == other.name)


def _layers_fit(node: Node, other: Node) -> bool:
    """Whether a layer can take its weights from another: the same but for channels and the size of its window."""
    if is_depthwise(node) != is_depthwise(other):
        return False
    if node.op.kind == "linear":
        return True
    if not is_depthwise(node) and groups_of(node) != groups_of(other):
        return False
    centred = all((a - b) % 2 == 0 for a, b in zip(node.op["kernel_size"], other.op["kernel_size"], strict=True))
    return centred and all(node.op[name] == other.op[name] for name in ("stride", "dilation"))


def _aligned(
    one: Sequence[_T], other: Sequence[_T], worth: Callable[[_T, _T], float], gap: float
) -> tuple[float, tuple[tuple[int, int], ...]]:
    """The alignment in order that is worth most, and its pairs of indices (Needleman and Wunsch 1970)."""
    worths = np.array([[worth(a, b) for b in other] for a in one]).reshape(len(one), len(other))
    best = np.zeros((len(one) + 1, len(other) + 1))
    best[1:, 0] = -gap * np.arange(1, len(one) + 1)
    best[0, 1:] = -gap * np.arange(1, len(other) + 1)
    for i in range(len(one)):
        for j in range(len(other)):
            skipped = max(best[i, j + 1], best[i + 1, j]) - gap
            paired = best[i, j] + worths[i, j] if worths[i, j] > 0 else -np.inf
            best[i + 1, j + 1] = max(skipped, paired)
    pairs, i, j = [], len(one), len(other)
    while i and j:
        if worths[i - 1, j - 1] > 0 and best[i, j] == best[i - 1, j - 1] + worths[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif best[i, j] == best[i - 1, j] - gap:
            i -= 1
        else:
            j -= 1
    return float(best[-1, -1]), tuple(reversed(pairs))
