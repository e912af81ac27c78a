"""`DartsCells`: DARTS on the space that it was made for, cells of nodes with an edge from every earlier state."""

from functools import partial
from typing import Final, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from ...networks import TensorType
from ...networks.blocks import DARTS_OPS, DartsEdge
from ...networks.blocks.darts import darts_input, darts_op
from ...networks.errors import NotSupportedError, UsageError
from ..layout import layout_for
from ..spaces import Codes, SearchSpace
from ..spaces.darts import NODES, Cell, DartsSpace
from ._registry import register
from .base import Common
from .darts import CLEARLY, Darts
from .supernet import Mix, MixedNet, module_of

_NONE: Final = len(DARTS_OPS)
_EDGES: Final = tuple((node, source) for node in range(NODES) for source in range(node + 2))
"""Edges of a cell: node, and the state it reads; 0 and 1 are the outputs of the two cells before."""
_SKIP: Final = DARTS_OPS.index("skip_connect")


class _Zero(nn.Module):
    """The operation "none", which only a search has."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class _Cell(nn.Module):
    """A cell with all operations on all edges.

    Args:
        before, last: types of the outputs of the two cells before.
        channels: of each node.
        reduces: edges from the two cells before have stride 2.
    """

    def __init__(self, before: TensorType, last: TensorType, channels: int, reduces: bool) -> None:
        super().__init__()
        halve = before.shape[2] > last.shape[2]
        first = partial(darts_input, channels=channels, halve=halve)
        self.before, state, _ = module_of(first, before, "a cell")
        self.last, _, _ = module_of(partial(darts_input, channels=channels, halve=False), last, "a cell")
        self.edges = nn.ModuleList()
        self.kind = int(reduces)
        inside = state.with_shape(*state.shape[:2], *(side >> reduces for side in state.shape[2:]))
        for _, source in _EDGES:
            stride, incoming = (2, state) if reduces and source < 2 else (1, state if source < 2 else inside)
            ops = [module_of(partial(darts_op, op=op, stride=stride), incoming, "an edge")[0] for op in DARTS_OPS]
            self.edges.append(nn.ModuleList([*ops, _Zero(stride)]))
        self.made = inside.with_shape(inside.shape[0], NODES * channels, *inside.shape[2:])

    def forward(self, before: Tensor, last: Tensor, mix: Mix) -> Tensor:
        states = [self.before(before), self.last(last)]
        for node in range(NODES):
            made = [
                mix(self.kind * len(_EDGES) + number, candidates, states[source])
                for number, ((reader, source), candidates) in enumerate(zip(_EDGES, self.edges, strict=True))
                if reader == node and isinstance(candidates, nn.ModuleList)
            ]
            states.append(torch.stack(made).sum(dim=0))
        return torch.cat(states[2:], dim=1)


class CellSupernet(MixedNet):
    """The stack of cells of a space; all cells of a kind share their choices, none their weights.

    Its places are the edges of the normal cell, then those of the reduction cell; the candidates of each are
    `DARTS_OPS` and "none".

    Args:
        space: what it is made from.
        seed: of the initial weights.
    """

    def __init__(self, space: DartsSpace, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, last, _ = module_of(space.stem, space.image, "the stem")
            before, cells = last, []
            for reduces, channels in space.stack():
                cells.append(_Cell(before, last, channels, reduces))
                before, last = last, cells[-1].made
            self.cells = nn.ModuleList(cells)
            self.head, _, _ = module_of(space.head, last, "the head")
        self.counts = [_NONE + 1] * (2 * len(_EDGES))
        self.identities = [_SKIP] * len(self.counts)
        self.layout = layout_for(self)
        self.to(memory_format=self.layout)  # type: ignore[call-overload]

    def forward(self, images: Tensor, mix: Mix) -> Tensor:
        before = last = self.stem(images.contiguous(memory_format=self.layout))
        for cell in self.cells:
            before, last = last, cell(before, last, mix)
        outputs: Tensor = self.head(last)
        return outputs


@register("darts-cells")
class DartsCells(Darts):
    """DARTS on its own space (section 2 of the paper): an operation is chosen for every edge of two cells.

    What is derived keeps, at each node, the two incoming edges whose best operation other than "none" is most probable,
    with that operation (section 2.4). Operations have learned scales behind their batch norms, as in finished networks.
    The guard looks at the derived normal cell: more than ``most_skips`` of its eight edges that clearly prefer to do
    nothing end the search (DARTS+, arXiv:1909.06035, stops at two).

    Args:
        space: of DARTS' cells; small enough to be trained whole, such as ``DartsSpace(32, channels=16, cells=8)``.
        common: as `GradientSearch`; no latency, which has no gradient for edges.
        order: 1 or 2.
        most_skips: share of the edges of the normal cell, 0 to 1.

    Raises:
        NotSupportedError: another space, or a latency.
        UsageError: as `Darts`.
    """

    def __init__(
        self, space: SearchSpace, *, order: int = 2, most_skips: float = 0.25, **common: Unpack[Common]
    ) -> None:
        if not isinstance(space, DartsSpace):
            raise NotSupportedError(
                f"the space {space.name!r} has no cells of DARTS", hint="use darts-cells with a DartsSpace, or darts"
            )
        if common.get("latency") is not None:
            raise NotSupportedError(
                "the latency of edges that may be left out has no gradient", hint="search without a device, or a chain"
            )
        self._cells = space
        super().__init__(space, order=order, most_skips=most_skips, **common)

    def supernet(self) -> MixedNet:
        return CellSupernet(self._cells, seed=self.seed)

    def path(self, code: Codes) -> list[int]:
        path = np.full((2, len(_EDGES)), _NONE)
        for kind, cell in enumerate(self._cells.cells(code)):
            for node, edges in enumerate(cell):
                for edge in edges:
                    path[kind, _EDGES.index((node, edge.source))] = DARTS_OPS.index(edge.op)
        return [int(choice) for choice in path.ravel()]

    def derive(self, budget_ms: float | None = None, *, used: float = 0.95) -> Codes:
        del used
        if budget_ms is not None:
            raise UsageError(f"a budget of {budget_ms} ms without a device", hint="leave it out")
        probabilities = np.stack(self.probabilities).reshape(2, len(_EDGES), _NONE + 1)
        normal, reduction = (_derived(of_cell) for of_cell in probabilities)
        return self._cells.encode(normal, reduction)

    def collapsed(self) -> str | None:
        normal, _ = self._cells.cells(self.derive())
        edges = [(node, edge) for node, pair in enumerate(normal) for edge in pair if edge.op == "skip_connect"]
        chances = [self.probabilities[_EDGES.index((node, edge.source))][_SKIP] for node, edge in edges]
        skips = sum(chance > CLEARLY / (_NONE + 1) for chance in chances)
        if skips <= self.most_skips * 2 * NODES:
            return None
        return f"{skips} of the {2 * NODES} edges of the normal cell would do nothing"


def _derived(probabilities: np.ndarray) -> Cell:
    """A cell of probabilities, [14 edges, 8 operations]."""
    best = probabilities[:, :_NONE].max(axis=1)
    cell = []
    for node in range(NODES):
        edges = [number for number, (reader, _) in enumerate(_EDGES) if reader == node]
        first, second = sorted(sorted(edges, key=lambda number: -best[number])[:2])
        made = [DartsEdge(_EDGES[n][1], DARTS_OPS[int(probabilities[n, :_NONE].argmax())]) for n in (first, second)]
        cell.append((made[0], made[1]))
    return cell
