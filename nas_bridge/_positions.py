"""What stands at each position of the chains of a space, and which of its decisions say so.

A space says how codes become choices at positions (`CodedSpace.chain_of`), for whole architectures. Sums over
positions, expectations and least sums need to know more: which few decisions each position depends on. That is found by
changing one decision at a time, and checked on other architectures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import NotSupportedError
from ..networks.lowering.blocks import BlockSpace
from .space import CodedSpace

Integers = NDArray[np.int64]

_BASES: Final = 64  # architectures whose decisions are changed one at a time
_CHECKS: Final = 2048
_MOST: Final = 1 << 20  # combinations of the decisions that one position may depend on


@dataclass(frozen=True)
class Position:
    """One position.

    Attributes:
        decisions: those that say what stands there, ascending.
        choices: what does, by their choices: an integer for each combination, one axis a decision.
    """

    decisions: tuple[int, ...]
    choices: Integers


def counts_of(space: CodedSpace) -> tuple[int, ...]:
    """How many choices each decision has, [P]."""
    return tuple(len(decision.choices) for decision in space.decisions)


def canonical_one(space: CodedSpace, code: Integers) -> Integers:
    """The canonical code, [P], of the same network."""
    one: Integers = space.canonical(code[None])[0]
    return one


def chains_of(space: CodedSpace) -> tuple[BlockSpace, ...]:
    """The space's chains.

    Raises:
        NotSupportedError: it has none.
    """
    if not space.chains():
        raise NotSupportedError(
            f"the space {space.name!r} is no chain of blocks, so no latency is a sum over its decisions",
            hint="use a predictor, a table of known latencies, or a function",
        )
    return space.chains()


def positions_of(space: CodedSpace) -> tuple[Position, ...]:
    """The positions of a space's chains; in front of them, where there are several chains, which chain it is.

    Raises:
        NotSupportedError: the space has no chains, or a position depends on more than can be told apart.
    """
    chains_of(space)
    rng = np.random.default_rng(0)
    bases = space.sample(_BASES, rng)
    positions = [_position(space, bases[0], k, found) for k, found in enumerate(_dependences(space, bases))]
    codes = space.sample(_CHECKS, rng)
    for number, (position, column) in enumerate(zip(positions, _standing(space, codes).T, strict=True)):
        if (position.choices[tuple(codes[:, list(position.decisions)].T)] != column).any():
            raise NotSupportedError(
                f"position {number} of the space {space.name!r} depends on more decisions than were found",
                hint="let chain_of take each position's choice from a few decisions",
            )
    return tuple(positions)


def _standing(space: CodedSpace, codes: Integers) -> Integers:
    """What stands at each position of n architectures, [n, K]; in front of it the chain, where there are several."""
    chain, choices = space.chain_of(codes)
    return choices if len(space.chains()) == 1 else np.column_stack([chain, choices])


def _dependences(space: CodedSpace, bases: Integers) -> list[list[int]]:
    """For each position the decisions of which one alone changed what stands there."""
    before, counts = _standing(space, bases), counts_of(space)
    depends = np.zeros((before.shape[1], len(counts)), np.bool_)
    for decision, count in enumerate(counts):
        changed = np.repeat(bases, count, axis=0)
        changed[:, decision] = np.tile(np.arange(count), len(bases))
        depends[:, decision] = (_standing(space, changed) != np.repeat(before, count, axis=0)).any(axis=0)
    return [np.flatnonzero(row).tolist() for row in depends]


def _position(space: CodedSpace, base: Integers, number: int, decisions: list[int]) -> Position:
    counts = [counts_of(space)[decision] for decision in decisions]
    codes = combinations(base, decisions, counts)
    return Position(tuple(decisions), _standing(space, codes)[:, number].reshape(counts))


def combinations(base: Integers, decisions: Iterable[int], counts: list[int]) -> Integers:
    """``base``, [P], with every combination of the choices of some decisions, the last changing fastest.

    Raises:
        NotSupportedError: there are too many.
    """
    total = int(np.prod(counts, dtype=np.float64))
    if total > _MOST:
        raise NotSupportedError(f"a position depends on {total} combinations of choices", hint=f"at most {_MOST}")
    codes = np.repeat(base[None], total, axis=0)
    codes[:, list(decisions)] = np.indices(counts).reshape(len(counts), -1).T
    return codes
