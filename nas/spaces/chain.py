"""`ChainSpace`: a stem, at each position one of several blocks, a head; all that a user's own space needs to be."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...networks.errors import UsageError
from ...networks.lowering.blocks import BlockSpace
from .base import Decision, SearchSpace


class ChainSpace(SearchSpace):
    """Architectures that choose a block at each position of a chain, and the size of the image where there are several.

    A code is the choices at the positions; in front of them stands the index of the image's size if there is more
    than one.

    Args:
        name: of the space.
        chains: one for each size of image, with as many candidates at each position.
        choices: what candidates are called, position by position; numbers if omitted.

    Raises:
        UsageError: no chain, chains that do not agree, names that do not fit.
    """

    def __init__(self, name: str, chains: Sequence[BlockSpace], choices: Sequence[Sequence[str]] | None = None) -> None:
        counts = {tuple(len(position) for position in chain.positions) for chain in chains}
        if len(counts) != 1:
            raise UsageError(
                f"space {name!r} has chains of {len(counts)} forms", hint="give each chain the same positions"
            )
        (count,) = counts
        named = [tuple(map(str, range(n))) for n in count] if choices is None else [tuple(c) for c in choices]
        if tuple(map(len, named)) != count:
            raise UsageError(f"the names of space {name!r} do not fit its positions", hint="give each candidate one")
        sizes = tuple("x".join(map(str, chain.input.shape)) for chain in chains)
        image = [Decision("input", sizes)] if len(chains) > 1 else []
        super().__init__(name, image + [Decision(f"position {i}", position) for i, position in enumerate(named)])
        self._chains = tuple(chains)

    def chains(self) -> tuple[BlockSpace, ...]:
        return self._chains

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        given = self.validate(codes)
        if len(self._chains) == 1:
            return np.zeros(len(given), np.int64), given
        return given[:, 0], given[:, 1:]
