"""What the bridge asks of a search space; `lutra.nas.spaces.SearchSpace` has it, the bridge knows no space itself."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..networks import Network
from ..networks.lowering.blocks import BlockSpace


class CodedDecision(Protocol):
    """One column of the codes."""

    @property
    def name(self) -> str: ...

    @property
    def choices(self) -> tuple[str, ...]: ...


class CodedCosts(Protocol):
    """What n architectures cost, integers [n]."""

    @property
    def macs(self) -> npt.NDArray[np.int64]: ...

    @property
    def params(self) -> npt.NDArray[np.int64]: ...


class CodedSpace(Protocol):
    """A family of networks, each written as a row of d small integers, one for each decision."""

    name: str

    @property
    def decisions(self) -> Sequence[CodedDecision]: ...

    def validate(self, codes: npt.ArrayLike) -> npt.NDArray[np.int64]: ...

    def canonical(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]: ...

    def repair(self, codes: npt.ArrayLike) -> npt.NDArray[np.int64]: ...

    def costs(self, codes: npt.ArrayLike) -> CodedCosts: ...

    def chains(self) -> tuple[BlockSpace, ...]: ...

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

    def decode(self, code: npt.ArrayLike) -> Network: ...

    def sample(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]: ...
