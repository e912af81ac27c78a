"""Paths through a trellis of resolutions: counted, enumerated, sampled and crossed over, and the likeliest one.

A path begins at level 0 and goes, at each of T steps, one level up or down or stays, within L levels (Auto-DeepLab,
arXiv:1901.02985, section 3.2). It is written as the T levels behind the steps.
"""

import numpy as np
import numpy.typing as npt

from ...networks.errors import UsageError
from .base import Codes

MOST_STEPS = 39
"""Longer paths may be more than 64 bits can count, three ways a step."""

_MOVES = (-1, 0, 1)


class Trellis:
    """All paths of T steps over L levels.

    Args:
        levels: L.
        steps: T.

    Raises:
        UsageError: fewer than two levels or one step, or more than `MOST_STEPS` of either.
    """

    def __init__(self, levels: int, steps: int) -> None:
        if not (2 <= levels <= MOST_STEPS and 1 <= steps <= MOST_STEPS):
            raise UsageError(
                f"there is no trellis of {levels} levels and {steps} steps",
                hint=f"use 2 to {MOST_STEPS} levels and 1 to {MOST_STEPS} steps",
            )
        self.levels, self.steps = levels, steps
        # ways[t, l]: paths from level l behind step t to the end, with a border of zeros on both sides of the levels.
        self._ways = np.zeros((steps + 1, levels + 2), np.int64)
        self._ways[steps, 1:-1] = 1
        for step in range(steps - 1, -1, -1):
            behind = self._ways[step + 1]
            self._ways[step, 1:-1] = behind[:-2] + behind[1:-1] + behind[2:]

    @property
    def size(self) -> int:
        """Number of paths."""
        return int(self._ways[0, 1])

    def reachable(self, step: int) -> int:
        """How many levels, from 0, a path can be at behind step ``step`` (from 0)."""
        return min(step + 2, self.levels)

    def allowed(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which rows of levels, n x T, are paths."""
        return np.asarray((np.abs(np.diff(codes, axis=1, prepend=0)) <= 1).all(axis=1))

    def repaired(self, codes: Codes) -> Codes:
        """Paths near any rows of levels: each level is drawn to its neighbourhood of the one before."""
        paths = codes.copy()
        for step in range(self.steps):
            before = paths[:, step - 1] if step else np.zeros(len(codes), np.int64)
            paths[:, step] = np.clip(codes[:, step], before - 1, before + 1)
        return paths

    def numbered(self, numbers: npt.NDArray[np.int64]) -> Codes:
        """The paths with these numbers, 0 to `size` - 1, in lexicographic order: n to n x T."""
        rows = np.arange(len(numbers))
        rest, level = numbers.copy(), np.zeros(len(numbers), np.int64)
        paths = np.empty((len(numbers), self.steps), np.int64)
        for step in range(self.steps):
            ways = self._ways[step + 1][level[:, None] + np.arange(len(_MOVES))]  # by move; the border is one wide
            upto = ways.cumsum(axis=1)
            move = (rest[:, None] >= upto).sum(axis=1)
            rest -= upto[rows, move] - ways[rows, move]
            level = paths[:, step] = level + move - 1
        return paths

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """``n`` paths, every one equally likely, n x T."""
        return self.numbered(rng.integers(0, self.size, n))

    def paths(self) -> Codes:
        """All paths in lexicographic order, `size` x T."""
        return self.numbered(np.arange(self.size))

    def mutants(self, parents: Codes, changed: npt.NDArray[np.bool_], rng: np.random.Generator) -> Codes:
        """Paths that leave their parents wherever ``changed`` is set, and otherwise come back as soon as they can."""
        paths = np.empty_like(parents)
        before = np.zeros(len(parents), np.int64)
        for step in range(self.steps):
            near = np.clip(parents[:, step], before - 1, before + 1)
            options = before[:, None] + np.array(_MOVES)
            other = (options >= 0) & (options < self.levels) & (options != near[:, None])
            drawn = np.where(other, rng.random(options.shape), -1).argmax(axis=1)
            before = np.where(changed[:, step], options[np.arange(len(options)), drawn], near)
            paths[:, step] = before
        return paths

    def children(self, one: Codes, other: Codes, rng: np.random.Generator) -> Codes:
        """Paths whose every level is that of either parent, each such way of crossing over equally likely, n x T."""
        pair = np.stack([one, other])
        ways = np.ones((2, len(one)))  # of going on from either parent's level
        going_on = [ways]
        for step in range(self.steps - 1, 0, -1):
            meets = np.abs(pair[:, None, :, step - 1] - pair[None, :, :, step]) <= 1  # from, to, n
            ways = (meets * ways).sum(axis=1)
            going_on.append(ways)
        before, paths = np.zeros(len(one), np.int64), np.empty_like(one)
        for step, ways in enumerate(reversed(going_on)):
            weights = ways * (np.abs(pair[:, :, step] - before) <= 1)
            second = rng.random(len(one)) * weights.sum(axis=0) >= weights[0]
            before = paths[:, step] = np.where(second, other[:, step], one[:, step])
        return paths

    def likeliest(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The path with the largest product of probabilities, found by Viterbi's algorithm (section 4.3): T levels.

        Args:
            probabilities: T x L x 3, of going from a level to the one before it (the finer one), of staying, and of
                going to the next, at each step; those of arrows that leave the trellis do not matter.

        Raises:
            UsageError: another shape, a number that is no probability, or no path of a probability above 0.
        """
        given = np.asarray(probabilities, np.float64)
        if given.shape != (self.steps, self.levels, len(_MOVES)):
            raise UsageError(
                f"probabilities have the shape {given.shape}",
                hint=f"give steps x levels x (finer, same, coarser): {self.steps} x {self.levels} x 3",
            )
        if not ((given >= 0) & (given <= 1)).all():
            raise UsageError("probabilities are not all from 0 to 1", hint="apply a softmax over a node's arrows")
        with np.errstate(divide="ignore"):
            logs = np.log(given)
        best = np.where(np.arange(self.levels) == 0, 0.0, -np.inf)
        came_by = []
        for step in range(self.steps):
            leaving = np.full((len(_MOVES), self.levels + 2), -np.inf)  # by move, into a level with a border
            for i, move in enumerate(_MOVES):
                leaving[i, 1 + move : 1 + move + self.levels] = best + logs[step, :, i]
            came_by.append(leaving[:, 1:-1].argmax(axis=0))
            best = leaving[:, 1:-1].max(axis=0)
        if not np.isfinite(best).any():
            raise UsageError("no path has a probability above 0", hint="leave at least one way through the trellis")
        path = [int(best.argmax())]
        for moves in reversed(came_by[1:]):
            path.append(path[-1] - _MOVES[moves[path[-1]]])
        return np.array(path[::-1])
