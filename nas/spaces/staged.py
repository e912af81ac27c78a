"""`StagedSpace`: stages whose number of blocks is chosen, blocks that each choose alone (Once-for-All, TinyNAS)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...networks.lowering.blocks import Block, BlockSpace
from ._mobile import nothing
from .base import Codes, Decision, SearchSpace


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
        elastic = [(s, of) for s, of in enumerate(depths) if len(of) > 1]
        chosen = [Decision(f"depth of stage {s}", tuple(map(str, of))) for s, of in elastic]
        chosen += [
            Decision(f"block {i} of stage {s}", tuple(blocks)) for s, of in enumerate(depths) for i in range(of[-1])
        ]
        super().__init__(name, image + chosen)
        self._chains = tuple(chains)
        self._depths = tuple(tuple(of) for of in depths)
        self._first_depth = len(image)
        self._first_block = len(image) + len(elastic)
        self._left_out = len(blocks)

    @property
    def size(self) -> int:
        networks = len(self._chains)
        for depths in self._depths:
            networks *= sum(self._left_out**depth for depth in depths)
        return networks

    def chains(self) -> tuple[BlockSpace, ...]:
        return self._chains

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        given = self.validate(codes)
        chain = given[:, 0] if self._first_depth else np.zeros(len(given), np.int64)
        return chain, np.where(self._used(given), given[:, self._first_block :], self._left_out)

    def canonical(self, codes: Codes) -> Codes:
        blocks = np.where(self._used(codes), codes[:, self._first_block :], 0)
        return np.concatenate([codes[:, : self._first_block], blocks], axis=1)

    def _used(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which of the blocks at full depth are there, n x blocks."""
        column, used = self._first_depth, []
        for depths in self._depths:
            depth = np.full(len(codes), depths[0])
            if len(depths) > 1:
                depth = np.array(depths)[codes[:, column]]
                column += 1
            used.append(np.arange(depths[-1]) < depth[:, None])
        return np.concatenate(used, axis=1)


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
