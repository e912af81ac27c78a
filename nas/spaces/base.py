"""`SearchSpace`: a family of networks, each written as a row of small integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...networks import Network
from ...networks.errors import UsageError
from ...networks.lowering.blocks import BlockSpace
from ...networks.lowering.mcu_memory import MemoryRules
from .costs import BlockBuilder, ChainCosts, Costs
from .memory import ChainMemory, Memory, memory_of

Codes: TypeAlias = npt.NDArray[np.int64]
"""Architectures, n x d: row i is one architecture, column j its choice in decision j, from 0."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_CHUNK = 8192  # architectures that are sampled at once; they stay in the cache


@dataclass(frozen=True)
class Decision:
    """One column of the codes.

    Attributes:
        name: what is decided.
        choices: what can be chosen, in the order of its numbers.
        when: where an architecture does not always use it: the column of the decision that tells, and the least of its
            choices with which this one is used; that decision itself is always used.
    """

    name: str
    choices: tuple[str, ...]
    when: tuple[int, int] | None = None


class SearchSpace:
    """A family of networks with a fixed list of decisions.

    A subclass says what its networks are: by `chains` and `chain_of` where blocks choose alone (`ChainSpace` does),
    else by `_network`, with `covering` for what their kernels are.

    Where some decisions are not used by an architecture (blocks of a stage that is shallower), several codes stand
    for one network; `canonical` picks the one in which they are 0, and whatever makes codes here makes canonical ones.

    Where decisions depend on each other, not every row of choices is an architecture: a space says which are
    (`allowed`), and how to come from others to one (`repair`). Whatever makes codes here makes allowed ones.

    Args:
        name: under which the space and its networks go.
        decisions: of every architecture.

    Raises:
        UsageError: no decision at all, or one without a choice.
    """

    def __init__(self, name: str, decisions: Sequence[Decision]) -> None:
        if not decisions or not all(decision.choices for decision in decisions):
            raise UsageError(f"space {name!r} has a decision without a choice", hint="give each position its choices")
        self.name = name
        self.decisions = tuple(decisions)
        self._counts = np.array([len(decision.choices) for decision in decisions])
        self._equal = {count: np.flatnonzero(self._counts == count) for count in sorted({*self._counts.tolist()})}
        self._when = [(column, *decision.when) for column, decision in enumerate(decisions) if decision.when]
        self._chain_costs: ChainCosts | None = None
        self._chain_memory: dict[MemoryRules, ChainMemory] = {}
        self._builder = BlockBuilder()

    @property
    def size(self) -> int:
        """Number of architectures, exactly: of different canonical codes."""
        total = 1
        for column, decision in enumerate(self.decisions):
            if decision.when is None:
                depending = [(least, int(self._counts[c])) for c, of, least in self._when if of == column]
                total *= sum(
                    prod(count for least, count in depending if least <= choice)
                    for choice in range(len(decision.choices))
                )
        return total

    def chains(self) -> tuple[BlockSpace, ...]:
        """The space as chains of blocks, one for each size of image; empty where blocks do not choose alone."""
        return ()

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where architectures are in `chains`.

        Args:
            codes: n x d.

        Returns:
            The index of each one's chain, n; and its choices at the p positions of that chain, n x p.

        Raises:
            UsageError: not valid codes; or the space has no chains.
        """
        self.validate(codes)
        raise UsageError(f"the space {self.name!r} is no chain of blocks", hint="decode its architectures")

    def covering(self) -> list[Network]:
        """Networks whose kernels stand for the space's, where it is no chain; empty where `chains` says it all."""
        return []

    def decode(self, code: npt.ArrayLike) -> Network:
        """The network of one architecture of d numbers.

        Raises:
            UsageError: not a valid code.
        """
        row = self.validate(code)
        if len(row) != 1:
            raise UsageError(f"{len(row)} architectures are no code of one", hint="decode them one by one")
        network = self._network(self.canonical(row))
        return Network(self.label(row[0]), network.inputs, network.nodes, network.outputs)

    def _network(self, code: Codes) -> Network:
        """The network of a valid, canonical code, 1 x d."""
        chain, choices = self.chain_of(code)
        return self.chains()[int(chain[0])].network([int(choice) for choice in choices[0]])

    def costs(self, codes: npt.ArrayLike) -> Costs:
        """MACs and parameters of architectures: n x d codes to n numbers each, those that their networks have.

        Where the space is a chain these are sums over a table of its blocks, which is made when it is first needed.
        Other spaces have tables of their own, or decode each architecture.

        Raises:
            UsageError: not valid codes.
        """
        if not self.chains():
            return Costs.of_networks([self.decode(code) for code in self.validate(codes)])
        return self.chain_costs(*self.chain_of(codes))

    def chain_costs(self, chain: npt.NDArray[np.int64], choices: npt.NDArray[np.int64]) -> Costs:
        """MACs and parameters by what `chain_of` gives: n chains, and n x p choices at their positions."""
        if self._chain_costs is None:
            self._chain_costs = ChainCosts(self.chains(), self._builder)
        return self._chain_costs.of(chain, choices)

    def memory(self, codes: npt.ArrayLike, rules: MemoryRules) -> Memory:
        """What architectures take of a microcontroller's memory: n x d codes to n numbers each, as their networks do.

        As `costs`, quick where the space is a chain; else each architecture is decoded and planned.

        Args:
            codes: n x d.
            rules: those of an engine: `lutra.networks.lowering.mcu_memory.LEAN`, ``TFLM_LIKE``, or one's own.

        Raises:
            UsageError: not valid codes.
            UnsupportedOpError: networks have ops that no int8 layer computes.
        """
        if not self.chains():
            return memory_of([self.decode(code) for code in self.validate(codes)], rules)
        return self.chain_memory(*self.chain_of(codes), rules)

    def chain_memory(self, chain: npt.NDArray[np.int64], choices: npt.NDArray[np.int64], rules: MemoryRules) -> Memory:
        """What is taken of memory, by what `chain_of` gives: n chains, and n x p choices at their positions."""
        if rules not in self._chain_memory:
            self._chain_memory[rules] = ChainMemory(self.chains(), rules, self._builder)
        return self._chain_memory[rules].of(chain, choices)

    def label(self, code: npt.ArrayLike) -> str:
        """Name of the network of one architecture: the space's, and a digit (0-9, a-z) for each decision."""
        row = self.canonical(self.validate(code))[0].tolist()
        short = max(self._counts) <= len(_DIGITS)
        return f"{self.name}/" + ("".join(_DIGITS[c] for c in row) if short else ".".join(map(str, row)))

    def validate(self, codes: npt.ArrayLike) -> Codes:
        """A copy of ``codes``, n x d (or d, for one), as numbers of 64 bits.

        Raises:
            UsageError: not whole numbers, not d of them, one outside its decision, or choices that do not go together.
        """
        choices = self._choices(codes)
        refused = np.flatnonzero(~self.allowed(choices))
        if len(refused):
            raise UsageError(
                f"{choices[refused[0]].tolist()} is no architecture of the space {self.name!r}",
                hint="its choices do not go together; use sample, mutate and crossover, or repair",
            )
        return choices

    def allowed(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which rows of choices, n x d, are architectures: n; all of them unless a space says otherwise."""
        return np.ones(len(codes), bool)

    def repair(self, codes: npt.ArrayLike) -> Codes:
        """Valid, canonical codes for any n rows of choices: those that are no architecture become one.

        Raises:
            UsageError: not whole numbers, not d of them, or one outside its decision.
        """
        return self.canonical(self._repaired(self._choices(codes)))

    def _repaired(self, codes: Codes) -> Codes:
        """Allowed rows for any rows of choices; those that are allowed stay as they are."""
        return codes

    def _choices(self, codes: npt.ArrayLike) -> Codes:
        """A copy of ``codes``, n x d, each number a choice of its decision; the errors of `repair`."""
        try:
            given = np.atleast_2d(np.asarray(codes))
        except ValueError:  # rows of different lengths
            raise self._misfit("codes are not a table of numbers") from None
        if given.ndim != 2 or given.shape[1] != len(self.decisions):
            raise self._misfit(f"codes have the shape {given.shape}")
        if given.dtype.kind not in "iu":
            raise self._misfit(f"codes are {given.dtype}, not whole numbers")
        # The least and the largest of each column are found several times as quickly as each number is compared.
        if len(given) and ((given.min(axis=0) < 0) | (given.max(axis=0) >= self._counts)).any():
            row, column = np.argwhere((given < 0) | (given >= self._counts))[0]
            decision = self.decisions[column]
            raise UsageError(
                f"{given[row, column]} is no choice of {decision.name!r} in the space {self.name!r}",
                hint=f"it has {len(decision.choices)}, from 0: {', '.join(decision.choices)}",
            )
        return given.astype(np.int64)

    def _misfit(self, what: str) -> UsageError:
        wanted = len(self.decisions)
        return UsageError(f"{what}; the space {self.name!r} has {wanted} decisions", hint=f"give n x {wanted} integers")

    def used(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which decisions valid codes use, n x d."""
        result = np.ones(codes.shape, bool, order="F")
        for column, of, least in self._when:
            result[:, column] = codes[:, of] >= least
        return result

    def canonical(self, codes: Codes) -> Codes:
        """Valid codes of the same networks, equal where the networks are the same."""
        return np.where(self.used(codes), codes, 0) if self._when else codes

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """``n`` random architectures, every choice of a decision equally likely unless a space says otherwise.

        Raises:
            UsageError: ``n`` is negative.
        """
        if n < 0:
            raise UsageError(f"cannot sample {n} architectures", hint="give 0 or more")
        return self._samples(n, rng)

    def _samples(self, n: int, rng: np.random.Generator) -> Codes:
        """``n`` random architectures, canonical."""
        codes = np.empty((n, len(self.decisions)), np.int64, order="F")
        for start in range(0, n, _CHUNK):
            rows = codes[start : start + _CHUNK]
            # By column and in few bits: drawing and writing is what takes the time.
            columns = np.empty(rows.shape[::-1], np.min_scalar_type(self._counts.max() - 1))
            for count, where in self._equal.items():
                columns[where] = rng.integers(0, count, (len(where), len(rows)), columns.dtype)
            for column, of, least in self._when:
                columns[column] *= columns[of] >= least
            rows[:] = columns.T
        return codes

    def mutate(self, codes: npt.ArrayLike, rng: np.random.Generator, rate: float = 0.1) -> Codes:
        """Neighbours of architectures, n x d: each decision takes another of its choices with probability ``rate``.

        At least one decision changes wherever one has a second choice; where it is one that the architecture does
        not use, the network stays the same.

        Raises:
            UsageError: not valid codes, or a rate outside 0 .. 1.
        """
        if not 0 <= rate <= 1:
            raise UsageError(f"{rate} is no mutation rate", hint="give a number from 0 to 1")
        parents = self.validate(codes)
        changed = rng.random(parents.shape) < rate
        open_ = np.flatnonzero(self._counts > 1)
        if len(open_):
            forced = open_[rng.integers(0, len(open_), len(parents))]
            changed[np.arange(len(parents)), forced] |= ~changed[:, open_].any(axis=1)
        return self.repair(self._mutants(parents, changed, rng))

    def _mutants(self, parents: Codes, changed: npt.NDArray[np.bool_], rng: np.random.Generator) -> Codes:
        """Parents with another choice wherever ``changed`` is set, n x d."""
        # Another choice: 1 to count - 1 steps on, around the end.
        steps = rng.integers(1, np.maximum(self._counts, 2), parents.shape)
        return np.where(changed, (parents + steps) % self._counts, parents)

    def crossover(self, first: npt.ArrayLike, second: npt.ArrayLike, rng: np.random.Generator) -> Codes:
        """Children of pairs of architectures, n x d each: every decision is that of either parent.

        Raises:
            UsageError: not valid codes, or not as many of one as of the other.
        """
        one, other = self.validate(first), self.validate(second)
        if one.shape != other.shape:
            raise UsageError(f"{len(one)} and {len(other)} architectures are no pairs", hint="give as many of each")
        return self.repair(self._children(one, other, rng))

    def _children(self, one: Codes, other: Codes, rng: np.random.Generator) -> Codes:
        """Rows whose every number is that of either parent, n x d."""
        return np.where(rng.random(one.shape) < 0.5, one, other)
