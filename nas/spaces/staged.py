"""`StagedSpace`: stages whose number of blocks is chosen, blocks that each choose alone (Once-for-All, TinyNAS)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...networks.lowering.blocks import Block, BlockSpace
from ._mobile import nothing
from .base import Decision, SearchSpace


class StagedSpace(SearchSpace):
    """Codes: the size of the image if there are several, depths of the stages that have a choice, all blocks.

    Blocks are written down at full depth. A stage uses its first ones; the choices of those it does not use are 0 in
    canonical codes.

    Args:
        name: of the space.
        resolutions: heights and widths of images, one for each of the chains.
        chains: with one candidate for each of ``blocks`` at every position, and `nothing` behind them where a stage
            can be too shallow for the position; `positions` makes such.
        depths: of each stage, the numbers of blocks it may have, rising.
        blocks: what the candidates are called.

    Attributes:
        depth_columns: columns of the codes that hold depths.
        block_columns: those that hold blocks, one for each position of the chains.
    """

    def __init__(
        self,
        name: str,
        resolutions: Sequence[int],
        chains: Sequence[BlockSpace],
        depths: Sequence[Sequence[int]],
        blocks: Sequence[str],
    ) -> None:
        image = [Decision("resolution", tuple(map(str, resolutions)))] if len(resolutions) > 1 else []
        elastic = [s for s, of in enumerate(depths) if len(of) > 1]
        chosen = [Decision(f"depth of stage {s}", tuple(map(str, depths[s]))) for s in elastic]
        for s, of in enumerate(depths):
            for i in range(of[-1]):
                least = sum(depth <= i for depth in of)  # the first depth that has the block
                when = (len(image) + elastic.index(s), least) if least else None
                chosen.append(Decision(f"block {i} of stage {s}", tuple(blocks), when))
        super().__init__(name, image + chosen)
        self._chains = tuple(chains)
        self.depth_columns = range(len(image), len(image) + len(elastic))
        self.block_columns = range(self.depth_columns.stop, len(self.decisions))
        self._left_out = len(blocks)

    def chains(self) -> tuple[BlockSpace, ...]:
        return self._chains

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        given = self.validate(codes)
        chain = given[:, 0] if len(self._chains) > 1 else np.zeros(len(given), np.int64)
        blocks = np.where(self.used(given), given, self._left_out)[:, self.block_columns.start :]
        return chain, blocks


def positions(depths: Sequence[Sequence[int]], blocks: Sequence[Sequence[Sequence[Block]]]) -> list[list[Block]]:
    """Candidates by position, for the chains of a `StagedSpace`.

    Args:
        depths: of each stage, as there.
        blocks: by stage and block within it, its candidates.
    """
    return [
        [*candidates, nothing] if i >= of[0] else [*candidates]
        for of, stage in zip(depths, blocks, strict=True)
        for i, candidates in enumerate(stage)
    ]
