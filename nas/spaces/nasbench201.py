"""NAS-Bench-201's topology space (arXiv:2001.00326, section 2): six edges of a cell, five operations each, 5^6 cells.

A cell's edges meet in sums, so they do not choose alone, and the space is no chain. A few networks cover it instead,
on runtimes whose kernels are single ops and what is fused into them; see `NasBench201Space.covering`.
"""

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, zoo
from ...networks.blocks import NASBENCH201_OPS
from ...networks.blocks.cells import NASBENCH201_EDGES, nasbench201_string
from ._registry import one_size, register
from .base import Codes, Decision, SearchSpace
from .costs import Costs

_COVER: Final = (
    *("033432", "030022", "210423", "111214", "243002", "222432", "100443", "144422"),
    *("111023", "213332", "121021", "331344", "412213", "013233", "040021"),
)
"""Cells in which every operation stands behind and in front of every other that a runtime could fuse it with: found by
greedy choice among 900, and tested on others."""


class NasBench201Space(SearchSpace):
    """Codes: the operation of each edge, in the order in which architecture strings have them.

    Args:
        resolution: height and width of the images.
        channels: of the first group of cells; the benchmark's by default.
        repeats: cells in a group; the benchmark's by default.
    """

    def __init__(self, resolution: int, *, channels: int = 16, repeats: int = 5) -> None:
        edges = [Decision(f"edge {target}<-{source}", NASBENCH201_OPS) for target, source in NASBENCH201_EDGES]
        super().__init__("nasbench201", edges)
        self._sizes = {"resolution": resolution, "channels": channels, "repeats": repeats}

    def _network(self, code: Codes) -> Network:
        arch = nasbench201_string([NASBENCH201_OPS[choice] for choice in code[0]])
        return zoo.build(f"nasbench201/{arch}", **self._sizes)

    def costs(self, codes: npt.ArrayLike) -> Costs:
        given = self.validate(codes)
        macs, params = (of[0] + (of - of[0])[given].sum(axis=1) for of in (self._alone.macs, self._alone.params))
        return Costs(macs, params)

    @cached_property
    def _alone(self) -> Costs:
        """Those of cells with one operation on one edge, by operation, the first of which is none.

        What an edge adds does not depend on the others: a convolution of nothing is kept, and counted, too.
        """
        return Costs.of_networks([self._network(np.array([[op, *[0] * 5]])) for op in range(len(NASBENCH201_OPS))])

    def covering(self) -> list[Network]:
        """Fifteen networks with every kernel of the space, where kernels are ops: "native", "onednn", "null".

        ONNX Runtime and XNNPACK make one kernel of a whole cell, so nearly every cell has kernels of its own there.
        """
        return [self.decode([int(choice) for choice in cell]) for cell in _COVER]


@register("nasbench201", 32)
def nasbench201(resolutions: tuple[int, ...]) -> NasBench201Space:
    """NAS-Bench-201's topology space, with ten classes as for CIFAR-10."""
    return NasBench201Space(one_size("nasbench201", resolutions))
