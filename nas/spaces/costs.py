"""MACs and parameters of many architectures at once: sums over tables of blocks, without decoding them.

Every number is the one that the decoded network has, to the last digit: blocks are built and counted alone, and what a
network counts is the sum over its ops.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
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
    """Costs of every block of a space's chains.

    Args:
        chains: c chains with the same candidates at each of p positions.
        builder: builds the blocks.
    """

    def __init__(self, chains: Sequence[BlockSpace], builder: BlockBuilder) -> None:
        built = [built_blocks(chain, builder) for chain in chains]
        counted = [
            [np.array([[block.network.macs, block.network.params] for block in candidates]).T for candidates in blocks]
            for blocks in built
        ]
        self._tables = side_by_side(counted)

    def of(self, chain: npt.NDArray[np.int64], choices: npt.NDArray[np.int64]) -> Costs:
        """Those of architectures by their chain, n, and their choices at its positions, n x p."""
        totals = np.zeros((2, len(chain)), np.int64)
        for table, chosen in chosen_by_position(self._tables, chain, choices):
            for total, quantity in zip(totals, table, strict=True):
                total += quantity.take(chosen)
        return Costs(*totals)


def side_by_side(numbers: Sequence[Sequence[npt.NDArray[np.int64]]]) -> list[npt.NDArray[np.int64]]:
    """One table a position, of all chains: k numbers of each candidate, k x (c m), chain behind chain.

    Args:
        numbers: by chain and position, k x m; positions begin with the stem and end with the head, of one candidate.
    """
    return [np.concatenate(of_chains, axis=1) for of_chains in zip(*numbers, strict=True)]


def chosen_by_position(
    tables: Sequence[npt.NDArray[np.int64]], chain: npt.NDArray[np.int64], choices: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Each table of `side_by_side`, and the columns of it that architectures choose, n.

    Columns of choices are read one by one, which is several times as quick where each lies in one piece.
    """
    stem, *positions, head = tables
    chains = stem.shape[1]
    yield stem, chain
    for table, chosen in zip(positions, np.asfortranarray(choices).T, strict=True):
        yield table, chosen + chain * (table.shape[1] // chains)
    yield head, chain


def built_blocks(chain: BlockSpace, builder: BlockBuilder) -> list[tuple[BuiltBlock, ...]]:
    """The blocks of a chain alone, each on what its position is handed: stem, candidates by position, head."""
    border, built = chain.input, []
    for candidates in ((chain.stem,), *chain.positions, (chain.head,)):
        built.append(tuple(builder.build(block, border) for block in candidates))
        border = built[-1][0].made  # candidates of a position make one type
    return built


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
