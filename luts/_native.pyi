"""Compiled queries (built from csrc/luts). Wrapped by `dense` and `query`; not a public interface.

Letters: P positions, C choices in a row of costs, S states, n architectures or keys. Errors: `ValueError` and
`TypeError` for arguments, `IndexError` for a choice that its position does not have (names both).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

def available_isas() -> list[str]:
    """Instruction sets that this machine can run, slowest first."""

# --- architectures --------------------------------------------------------------------------------------------

class DenseCosts:
    """What each choice at each position costs."""

    def __init__(
        self,
        costs: NDArray[Any],
        limits: NDArray[Any],
        *,
        reduce: Literal["sum", "max"] = "sum",
        isa: str | None = None,
    ) -> None:
        """`costs` is float32 [P, C], NaN where it is not known; `limits` uint32 [P]: choices of each position."""
    def evaluate(self, codes: NDArray[Any], *, start: float = 0.0, threads: int = 1) -> NDArray[np.float32]:
        """One number for each of n architectures.

        `codes` are any integers [n, P] in any order in memory; nothing is copied, and bytes with each position's
        choices beside each other (Fortran order) are the fastest. The GIL is released.
        """

class StateWalk:
    """Writes choices together with the states in which they are met."""

    def __init__(self, transitions: NDArray[Any], limits: NDArray[Any], *, start: int) -> None:
        """`transitions` are uint16 [P, S, C]: the state behind a choice met in a state; all begin in `start`."""
    def expand(self, codes: NDArray[Any], *, threads: int = 1) -> NDArray[np.uint16]:
        """[n, P + 1] in Fortran order: state * C + choice at each position, and the state at the end."""

def reference_evaluate(
    costs: NDArray[Any], codes: NDArray[Any], *, start: float = 0.0, reduce: Literal["sum", "max"] = "sum"
) -> NDArray[np.float32]:
    """What `DenseCosts.evaluate` gives, computed naively."""

# --- rows by key ----------------------------------------------------------------------------------------------

def pack_keys(keys: Sequence[str]) -> NDArray[np.uint8]:
    """Keys of 32 hex digits as bytes [n, 16]."""

class QueryIndex:
    """Rows by key: an open-addressing hash table."""

    def __init__(
        self, keys: NDArray[Any], latency_ns: NDArray[Any], rel_halfwidth: NDArray[Any], flags: NDArray[Any]
    ) -> None:
        """`keys` are uint8 [n, 16]; the others [n], float64, float32 and uint16."""
    def get(self, key: str, /) -> float | None:
        """Latency in ns."""
    def row(self, key: str, /) -> tuple[float, float, int] | None:
        """Latency in ns, relative half-width, flags."""
    def lookup(
        self, keys: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.uint16], NDArray[np.bool_]]:
        """Latencies, half-widths, flags and whether there is a row, [n] each; NaN, NaN and 0 where there is none."""
    def sums(self, keys: NDArray[Any], offsets: NDArray[Any]) -> NDArray[np.float64]:
        """Sum of latencies over each run of keys; NaN where one has no row."""
    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """Memory that the rows take."""
