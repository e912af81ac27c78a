"""`grown`: neighbours that can begin with what their parents compute, for searches whose children inherit weights."""

import numpy as np

from ..accuracy.inherit.heir import kinship
from ..spaces import Codes, SearchSpace
from .sampling import ONE_DECISION

_TRIED = 64  # neighbours of a parent that are looked at


def grown(space: SearchSpace, codes: Codes, rng: np.random.Generator) -> Codes:
    """A neighbour of each of n architectures that has more parameters and can begin with the same function, n x d.

    It differs in one decision: a wider layer, a larger window, one more block (Net2Net, arXiv:1511.05641; what counts
    is `lutra.nas.accuracy.inherit.kinship`). An architecture of which none such was found has a mutant in its place.

    Args:
        space: of the codes.
        codes: valid ones, n x d.
        rng: of what is tried.
    """
    found = [_grown(space, code[None], rng) for code in codes]
    return np.concatenate(found) if found else codes


def _grown(space: SearchSpace, code: Codes, rng: np.random.Generator) -> Codes:
    neighbours = _neighbours(space, code)
    neighbours = rng.permutation(neighbours)[:_TRIED]
    if len(neighbours):
        parent = space.decode(code[0])
        larger = space.costs(neighbours).params > parent.params
        for neighbour in neighbours[larger]:
            if kinship(space.decode(neighbour), parent).same:
                return np.array([neighbour], np.int64)
    return space.mutate(code, rng, ONE_DECISION)


def _neighbours(space: SearchSpace, code: Codes) -> Codes:
    """All architectures that differ in one choice, canonical, each once, without the architecture itself."""
    counts = [len(decision.choices) for decision in space.decisions]
    changes = [(column, choice) for column, count in enumerate(counts) for choice in range(count)]
    rows = np.repeat(code, len(changes), axis=0)
    rows[np.arange(len(changes)), [column for column, _ in changes]] = [choice for _, choice in changes]
    others: Codes = np.unique(space.canonical(rows[space.allowed(rows)]), axis=0)
    return others[np.flatnonzero((others != space.canonical(code)).any(axis=1))]
