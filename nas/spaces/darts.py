"""DARTS' space (arXiv:1806.09055, section 2.1): a normal and a reduction cell of four nodes, stacked.

Node k of a cell (from 1) adds two operations, on two different ones of the k + 1 states before it: C(k + 1, 2) pairs
and 7^2 operations, 1,037,664,180 cells. A network has one of each kind, so there are the square of that, 1.08e18.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.blocks import DARTS_OPS, DartsEdge, conv_norm_act, darts_cell, darts_op
from ...networks.errors import UsageError
from ._registry import one_size, register
from .base import Codes, Decision, SearchSpace
from .costs import Costs

NODES: Final = 4
CELLS: Final = ("normal", "reduction")

Cell = Sequence[tuple[DartsEdge, DartsEdge]]
"""The two edges of each node, in either order."""

_STEM_TIMES: Final = 3  # channels of the stem for each of the first cells'
_PAIRS: Final = tuple(tuple(combinations(range(node + 2), 2)) for node in range(NODES))
_CLASSES: Final = 10
_NORMAL, _OF_INPUT, _OF_NODE = range(3)  # where an edge is: in a normal cell; in a reduction cell, from either

_COVER: Final = ("1410642005136210254042", "3614555216052200161822", "2210112421306145010902", "2214505665522204422912")
"""Architectures in which every operation stands behind and in front of every other that a runtime could fuse it with:
found by greedy choice among 400, and tested on others."""


class DartsSpace(SearchSpace):
    """Codes: for the normal and then the reduction cell, at each node the pair of states and the operation on either.

    The first node has one pair of states and no decision about it: 11 decisions a cell. Operations belong to the
    states of a pair in rising order. Every row of choices is an architecture of its own.

    Args:
        resolution: height and width of the images; 4 divides it.
        channels: of the nodes in the first cells; twice as many behind each reduction.
        cells: how many are stacked; those at one and at two thirds reduce. The paper searches with 16 channels and 8
            cells and evaluates with 36 and 20.

    Attributes:
        image: type of the networks' input.

    Raises:
        UsageError: an image that cannot be halved twice, or fewer than three cells.
    """

    def __init__(self, resolution: int, *, channels: int = 36, cells: int = 20) -> None:
        if resolution % 4 or cells < 3 or channels < 1:
            raise UsageError(
                f"there is no network of DARTS with {cells} cells of {channels} channels for {resolution} pixels",
                hint="use sizes that 4 divides, three or more cells, one or more channels",
            )
        decisions = [decision for cell in CELLS for node in range(NODES) for decision in _decisions(cell, node)]
        super().__init__("darts", decisions)
        self.image = TensorType((1, 3, resolution, resolution))
        self._channels = channels
        self._reduces = [i in (cells // 3, 2 * cells // 3) for i in range(cells)]

    def cells(self, code: npt.ArrayLike) -> tuple[Cell, Cell]:
        """The normal and the reduction cell of one architecture.

        Raises:
            UsageError: not a valid code of one.
        """
        (edges,) = self._edges(self.validate(code)[:1])
        both = [[DartsEdge(source, DARTS_OPS[op]) for source, op in cell.tolist()] for cell in edges]
        normal, reduction = ([(cell[2 * i], cell[2 * i + 1]) for i in range(NODES)] for cell in both)
        return normal, reduction

    def encode(self, normal: Cell, reduction: Cell) -> npt.NDArray[np.int64]:
        """The code of two cells, d numbers: of a genotype that a search derived, or that was published.

        Raises:
            UsageError: a cell that is not in the space.
        """
        code: list[int] = []
        for name, cell in zip(CELLS, (normal, reduction), strict=True):
            if len(cell) != NODES:
                raise UsageError(f"the {name} cell has {len(cell)} nodes", hint=f"give {NODES}")
            for node, edges in enumerate(cell):
                first, second = sorted(edges, key=lambda edge: edge.source)
                pair, ops = (first.source, second.source), (first.op, second.op)
                if pair not in _PAIRS[node] or not set(ops) <= set(DARTS_OPS):
                    raise UsageError(
                        f"no node {node} of a cell applies {' and '.join(ops)} to states {pair[0]} and {pair[1]}",
                        hint=f"use two different states of 0 to {node + 1}, and {', '.join(DARTS_OPS)}",
                    )
                code += [_PAIRS[node].index(pair)] * (node > 0) + [DARTS_OPS.index(op) for op in ops]
        return np.array(code)

    def _edges(self, codes: Codes) -> npt.NDArray[np.int64]:
        """State and operation of each edge: n x 2 cells x 8 edges x 2."""
        edges, column = np.empty((len(codes), len(CELLS), 2 * NODES, 2), np.int64), 0
        for cell in range(len(CELLS)):
            for node, pairs in enumerate(_PAIRS):
                here = edges[:, cell, 2 * node : 2 * node + 2]
                chosen = codes[:, column] if node else np.zeros(len(codes), np.int64)
                column += node > 0
                here[:, :, 0] = np.array(pairs)[chosen]
                here[:, :, 1] = codes[:, column : column + 2]
                column += 2
        return edges

    def _network(self, code: Codes) -> Network:
        cells = self.cells(code)
        b = NetworkBuilder(self.name)
        before = x = self.stem(b, b.input(self.image.shape))
        for i, (reduces, channels) in enumerate(self.stack()):
            with b.scope(f"cells.{i}"):
                before, x = x, darts_cell(b, before, x, cells[reduces], channels, reduction=reduces)
        return b.build(self.head(b, x))

    def stem(self, b: NetworkBuilder, image: str) -> str:
        """What the first two cells read."""
        return conv_norm_act(b, image, _STEM_TIMES * self._channels, 3, activation=None, names=("stem.0", "stem.1", ""))

    def head(self, b: NetworkBuilder, x: str) -> str:
        """What comes behind the last cell: numbers of ten classes."""
        x = b.op("flatten", b.op("global_avg_pool2d", x, name="avgpool"), name="flatten")
        return b.op("linear", x, name="classifier", out_features=_CLASSES)

    def covering(self) -> list[Network]:
        """Four networks with every kernel of the space, where kernels are ops: "native", "onednn", "null"."""
        return [self.decode([int(choice) for choice in code]) for code in _COVER]

    def stack(self) -> list[tuple[bool, int]]:
        """Whether each cell reduces, and its channels."""
        return [(reduces, self._channels << sum(self._reduces[: i + 1])) for i, reduces in enumerate(self._reduces)]

    def costs(self, codes: npt.ArrayLike) -> Costs:
        return self._counted_edges(self.validate(codes)) + self._counted_rest

    @cached_property
    def _counted_rest(self) -> Costs:
        """Those of what is no edge, and in every network: what the first has beside its edges."""
        first = np.zeros((1, len(self.decisions)), np.int64)
        whole, edges = Costs.of_networks([self._network(first)]), self._counted_edges(first)
        return Costs(whole.macs - edges.macs, whole.params - edges.params)

    def _counted_edges(self, codes: Codes) -> Costs:
        edges = self._edges(codes)
        total = Costs(*np.zeros((2, len(codes)), np.int64))
        for cell, of_cell in enumerate(np.moveaxis(edges, 1, 0)):
            for source, op in np.moveaxis(of_cell, (1, 2), (0, 1)):
                kind = np.where(source < 2, _OF_INPUT, _OF_NODE) if cell else np.full(len(codes), _NORMAL)
                total += Costs.by_key(np.stack([kind, op], axis=1), self._counted_op)
        return total

    def _counted_op(self, kind: int, op: int) -> Network:
        """An operation in each of the cells that have it, at one of the three places where edges are."""
        incoming, side = [], self.image.shape[2]
        for reduces, channels in self.stack():
            if reduces == (kind != _NORMAL):
                height = side >> (kind == _OF_NODE)
                incoming.append(TensorType((1, channels, height, height)))
            side >>= reduces
        block = partial(_everywhere, op=DARTS_OPS[op], stride=2 if kind == _OF_INPUT else 1)
        return self._builder.build(block, *incoming).network


@register("darts", 32)
def darts(resolutions: tuple[int, ...]) -> DartsSpace:
    """DARTS' space for CIFAR-10, with 36 channels and 20 cells."""
    return DartsSpace(one_size("darts", resolutions))


def _decisions(cell: str, node: int) -> list[Decision]:
    pairs = Decision(f"states of {cell} node {node}", tuple(f"{a} {b}" for a, b in _PAIRS[node]))
    ops = [Decision(f"{which} operation of {cell} node {node}", DARTS_OPS) for which in ("first", "second")]
    return [pairs, *ops] if node else ops


def _everywhere(b: NetworkBuilder, *values: str, op: str, stride: int) -> str:
    return [darts_op(b, value, op, stride) for value in values][-1]
