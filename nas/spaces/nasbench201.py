"""NAS-Bench-201's topology space (arXiv:2001.00326, section 2): six edges of a cell, five operations each, 5^6 cells.

A cell's edges meet in sums, so they do not choose alone, and the space is no chain. A few networks cover it instead,
on runtimes whose kernels are single ops and what is fused into them; see `NasBench201Space.covering`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, zoo
from ...networks.blocks import NASBENCH201_OPS
from ...networks.blocks.cells import NASBENCH201_EDGES, nasbench201_string
from ...networks.errors import UsageError
from ...networks.lowering.blocks import BlockSpace
from ._registry import register
from .base import Codes, Decision, SearchSpace

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
    """

    def __init__(self, resolution: int) -> None:
        edges = [Decision(f"edge {target}<-{source}", NASBENCH201_OPS) for target, source in NASBENCH201_EDGES]
        super().__init__("nasbench201", edges)
        self._resolution = resolution

    def chains(self) -> tuple[BlockSpace, ...]:
        return ()

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        self.validate(codes)
        raise UsageError("the space 'nasbench201' is no chain of blocks", hint="decode its architectures")

    def _network(self, code: Codes) -> Network:
        arch = nasbench201_string([NASBENCH201_OPS[choice] for choice in code[0]])
        return zoo.build(f"nasbench201/{arch}", resolution=self._resolution)

    def covering(self) -> list[Network]:
        """Fifteen networks with every kernel of the space, where kernels are ops: "native", "onednn", "null".

        ONNX Runtime and XNNPACK make one kernel of a whole cell, so nearly every cell has kernels of its own there.
        """
        return [self.decode([int(choice) for choice in cell]) for cell in _COVER]


@register("nasbench201", 32)
def nasbench201(resolutions: tuple[int, ...]) -> NasBench201Space:
    """NAS-Bench-201's topology space, with ten classes as for CIFAR-10."""
    if len(resolutions) != 1:
        raise UsageError("nasbench201 takes images of one size", hint="write nasbench201@32")
    return NasBench201Space(resolutions[0])
