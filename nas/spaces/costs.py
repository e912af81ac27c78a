"""MACs and parameters of many architectures at once: sums over tables of blocks, without decoding them.

Every number is the one that the decoded network has, to the last digit: blocks are built and counted alone, and what a
network counts is the sum over its ops.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.lowering.blocks import BlockSpace

Counts = npt.NDArray[np.int64]
"""Whole numbers, one an architecture."""


@dataclass(frozen=True)
class Costs:
    """What architectures cost.

    Attributes:
        macs: multiply-accumulates, n.
        params: trained numbers, n.
    """

    macs: Counts
    params: Counts

    @classmethod
    def of_networks(cls, networks: Sequence[Network]) -> "Costs":
        """Those of networks."""
        return cls(_counts(network.macs for network in networks), _counts(network.params for network in networks))

    @classmethod
    def by_key(cls, keys: npt.NDArray[np.int64], network: Callable[..., Network]) -> "Costs":
        """Those of parts that follow from k numbers: each different row is built and counted once.

        Args:
            keys: n x k, from 0.
            network: the part of k numbers.
        """
        counts = keys.max(axis=0, initial=0) + 1
        flat = np.ravel_multi_index(tuple(keys.T), tuple(counts))
        table = np.zeros((2, counts.prod()), np.int64)
        for found in np.unique(flat):
            part = network(*(int(number) for number in np.unravel_index(found, tuple(counts))))
            table[:, found] = part.macs, part.params
        return cls(*table[:, flat])

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(self.macs + other.macs, self.params + other.params)


@dataclass(frozen=True)
class BuiltBlock:
    """A block on its own.

    Attributes:
        network: the block as a network of its input.
        made: type of what it makes.
    """

    network: Network
    made: TensorType


class BlockBuilder:
    """Builds blocks alone; those that are equal (the same function, arguments and inputs) are built once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, BuiltBlock] = {}

    def build(self, block: Callable[..., str], *incoming: TensorType) -> BuiltBlock:
        """``block(builder, value, ...)`` on values of the given types."""
        key = (_identity(block), incoming)
        if key not in self._known:
            b = NetworkBuilder("block")
            made = block(b, *(b.input(type_.shape, type_.dtype) for type_ in incoming))
            self._known[key] = BuiltBlock(b.build(made), b.type_of(made))
        return self._known[key]


class ChainCosts:
    """Costs of every block of a chain.

    Args:
        chain: the chain.
        builder: builds the blocks; share it between chains that share blocks.
    """

    def __init__(self, chain: BlockSpace, builder: BlockBuilder) -> None:
        blocks = built_blocks(chain, builder)
        ends = [blocks.stem.network, blocks.head.network]
        self._ends = np.array([sum(n.macs for n in ends), sum(n.params for n in ends)])
        widest = max(map(len, blocks.positions))
        self._table = np.zeros((2, len(blocks.positions), widest), np.int64)
        for position, candidates in enumerate(blocks.positions):
            for choice, block in enumerate(candidates):
                self._table[:, position, choice] = block.network.macs, block.network.params

    def of(self, choices: npt.NDArray[np.int64]) -> Costs:
        """Those of architectures by their choices at the p positions, n x p."""
        totals = np.tile(self._ends[:, None], len(choices))
        for position, chosen in enumerate(choices.T):
            totals += self._table[:, position, chosen]
        return Costs(*totals)


@dataclass(frozen=True)
class BuiltChain:
    """Every block of a chain, built alone.

    Attributes:
        stem, head: its ends.
        positions: candidates by position.
    """

    stem: BuiltBlock
    positions: tuple[tuple[BuiltBlock, ...], ...]
    head: BuiltBlock


def built_blocks(chain: BlockSpace, builder: BlockBuilder) -> BuiltChain:
    """The blocks of ``chain``, each on what its position is handed; candidates of a position make one type."""
    stem = builder.build(chain.stem, chain.input)
    border, positions = stem.made, []
    for candidates in chain.positions:
        positions.append(tuple(builder.build(block, border) for block in candidates))
        border = positions[-1][0].made
    return BuiltChain(stem, tuple(positions), builder.build(chain.head, border))


def _identity(block: Callable[..., str]) -> Hashable:
    """What equal blocks have in common; one that is no partial function of things with a hash equals itself alone."""
    given: tuple[Any, ...] = (block,)
    if isinstance(block, partial):
        given = (block.func, block.args, tuple(sorted(block.keywords.items())))
    try:
        hash(given)
    except TypeError:
        return id(block)
    return given


def _counts(numbers: Iterable[int]) -> Counts:
    return np.fromiter(numbers, np.int64)
