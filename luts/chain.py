"""A search space as decisions that meet states: what a choice is lowered to, and what it leaves to the next.

The state between two blocks is the layout of the one tensor there; with several spaces of the same decisions (one for
each input size) it is also which of them was chosen, by a first decision.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError

if TYPE_CHECKING:
    from ..networks.lowering import Kernel
    from ..networks.lowering.blocks import Layout, LoweredBlock, LoweredSpace

Kernels: TypeAlias = "tuple[Kernel, ...]"
Met: TypeAlias = tuple[int, int]
"""A state and the choice made in it."""


@dataclass(frozen=True)
class StateCosts:
    """What choices cost in the states in which they are met, whatever the numbers are of.

    Letters: K decisions, S states, C the most choices of one.

    Attributes:
        fixed: what every network has besides.
        costs: float64 [K, S, C]; NaN for what no network meets, and for a choice without a number.
        behind: the state that a choice leaves, integers [K, S, C]; 0 for what no network meets. All begin in state 0.
        ends: what is added for the state at the end, float64 [S].
    """

    fixed: float
    costs: NDArray[np.float64]
    behind: NDArray[np.int64]
    ends: NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Spaces as decisions.

    Attributes:
        choices: how many choices each decision has.
        states: how many states there are; every network begins in state 0.
        start: kernels that all networks begin with.
        steps: by decision, and by state and choice as far as some network meets them: the kernels, and the state
            behind.
        ends: kernels at the end, by the state that is left.
    """

    choices: tuple[int, ...]
    states: int
    start: Kernels
    steps: tuple[Mapping[Met, tuple[Kernels, int]], ...]
    ends: Mapping[int, Kernels]

    @classmethod
    def of(cls, spaces: "Sequence[LoweredSpace]") -> Self:
        """The decisions of one space; of several, with a first decision for the space.

        Raises:
            UsageError: no space, or one with other decisions than the first.
        """
        if not spaces:
            raise UsageError("there is no space", hint="give a lowered space")
        choices = tuple(len(candidates) for candidates in spaces[0].positions)
        for number, space in enumerate(spaces):
            if tuple(len(candidates) for candidates in space.positions) != choices:
                raise UsageError(
                    f"space {number} has other decisions than the first",
                    hint="make one dense table for each space, or give spaces that differ in their input alone",
                )
        return cls._of_one(spaces[0], choices) if len(spaces) == 1 else cls._of_several(spaces, choices)

    @classmethod
    def _of_one(cls, space: "LoweredSpace", choices: tuple[int, ...]) -> Self:
        states = _numbered(space, 0)
        steps = tuple(_step(candidates, states) for candidates in space.positions)
        return cls(choices, len(states), space.stem.kernels, steps, _ends(space, states))

    @classmethod
    def _of_several(cls, spaces: "Sequence[LoweredSpace]", choices: tuple[int, ...]) -> Self:
        numbered, count = [], 1
        for space in spaces:
            numbered.append(_numbered(space, count))
            count += len(numbered[-1])
        parts = list(zip(spaces, numbered, strict=True))
        stems = {
            (0, number): (space.stem.kernels, states[space.stem.layout]) for number, (space, states) in enumerate(parts)
        }
        steps = tuple(
            {met: made for space, states in parts for met, made in _step(space.positions[position], states).items()}
            for position in range(len(choices))
        )
        ends = {state: kernels for space, states in parts for state, kernels in _ends(space, states).items()}
        return cls((len(spaces), *choices), count, (), (stems, *steps), ends)

    @property
    def plain(self) -> bool:
        """Whether a choice costs the same whatever was chosen before it."""
        return self.states == 1

    def kernels(self, code: Sequence[int]) -> Iterator["Kernel"]:
        """The kernels of one encoded network, in execution order."""
        state = 0
        yield from self.start
        for step, choice in zip(self.steps, code, strict=True):
            kernels, state = step[state, int(choice)]
            yield from kernels
        yield from self.ends[state]

    @property
    def distinct(self) -> dict[str, "Kernel"]:
        """Every kernel that some network needs, by key."""
        blocks = [self.start, *(kernels for step in self.steps for kernels, _ in step.values()), *self.ends.values()]
        return {kernel.key: kernel for kernels in blocks for kernel in kernels}

    def transitions(self) -> NDArray[np.uint16]:
        """The state behind each choice, [decisions, states, most choices]; 0 for what no network meets."""
        behind = np.zeros((len(self.choices), self.states, max(self.choices, default=1)), np.uint16)
        for position, step in enumerate(self.steps):
            for met, (_, state) in step.items():
                behind[position, *met] = state
        return behind


def _numbered(space: "LoweredSpace", first: int) -> dict[str, int]:
    """Numbers from ``first`` on for the layouts in which blocks of the space are met, the stem's first."""
    layouts: list[str] = [space.stem.layout]
    layouts += [layout for candidates in space.positions for by in candidates for layout in by]
    return {layout: first + number for number, layout in enumerate(dict.fromkeys([*layouts, *space.head]))}


def _step(
    candidates: "Sequence[Mapping[Layout, LoweredBlock]]", states: Mapping[str, int]
) -> dict[Met, tuple[Kernels, int]]:
    return {
        (states[layout], choice): (block.kernels, states[block.layout])
        for choice, by in enumerate(candidates)
        for layout, block in by.items()
    }


def _ends(space: "LoweredSpace", states: Mapping[str, int]) -> dict[int, Kernels]:
    return {states[layout]: block.kernels for layout, block in space.head.items()}
