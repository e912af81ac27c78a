"""Memory of many architectures at once on a microcontroller: tables of blocks instead of a plan for each network.

At the border of two blocks a single tensor is live, so that the arena of a network is the largest of its blocks'
arenas, and what it takes of flash is their sum. The numbers are those that `lutra.networks.lowering.mcu_memory` plans
for the decoded networks, to the byte.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...networks import Network
from ...networks.errors import NotSupportedError, UnsupportedOpError
from ...networks.lowering import Kernel, lower_mcu
from ...networks.lowering.blocks import BlockSpace
from ...networks.lowering.mcu import CLAMPS, channels_of, table_bytes_of, weights_of
from ...networks.lowering.mcu_memory import MemoryRules, peak_arena, plan_memory
from .costs import BlockBuilder, BuiltBlock, Counts, built_blocks, chosen_by_position, side_by_side

_JOINS = CLAMPS | {"batch_norm"}
"""Ops that a layer takes in; a block that begins with one is no block of its own."""


@dataclass(frozen=True)
class Memory:
    """What architectures take of a microcontroller's memory as int8 networks.

    Attributes:
        sram_bytes: the arena of activations, buffers and what the engine itself takes, n.
        flash_bytes: weights, what belongs to channels, and code, n.
    """

    sram_bytes: Counts
    flash_bytes: Counts

    def fits(self, sram_bytes: int, flash_bytes: int) -> npt.NDArray[np.bool_]:
        """Which architectures fit into so much, n."""
        return (self.sram_bytes <= sram_bytes) & (self.flash_bytes <= flash_bytes)


class ChainMemory:
    """What every block of a space's chains takes.

    Args:
        chains: c chains with the same candidates at each of p positions.
        rules: the engine's.
        builder: builds the blocks.

    Raises:
        NotSupportedError: a block begins with an op that joins the layer before it.
        UnsupportedOpError: a block has ops that no int8 layer computes.
    """

    def __init__(self, chains: Sequence[BlockSpace], rules: MemoryRules, builder: BlockBuilder) -> None:
        self._rules = rules
        built = [built_blocks(chain, builder) for chain in chains]
        for _, *behind_stems in built:
            for block in (block for candidates in behind_stems for block in candidates):
                _refuse_joining(block)
        distinct = {id(block): block for blocks in built for candidates in blocks for block in candidates}
        needed = {key: _needed(block, rules) for key, block in distinct.items()}
        numbers = [[np.array([needed[id(b)] for b in candidates]).T for candidates in blocks] for blocks in built]
        self._tables = side_by_side(numbers)

    def of(self, chain: npt.NDArray[np.int64], choices: npt.NDArray[np.int64]) -> Memory:
        """That of architectures by their chain, n, and their choices at its positions, n x p."""
        arena, shared, first, flash, ram = np.zeros((5, len(chain)), np.int64)
        for table, chosen in chosen_by_position(self._tables, chain, choices):
            np.maximum(arena, table[0].take(chosen), out=arena)
            np.maximum(shared, table[1].take(chosen), out=shared)
            first = np.where(first == 0, table[2].take(chosen), first)
            flash += table[3].take(chosen)
            ram += table[4].take(chosen)
        return Memory(arena + shared + first + ram + self._rules.ram_bytes, flash + self._rules.code_bytes)


def memory_of(networks: Sequence[Network], rules: MemoryRules) -> Memory:
    """What whole networks take.

    Raises:
        UnsupportedOpError: a network has ops that no int8 layer computes.
    """
    plans = []
    for network in networks:
        lowered = lower_mcu(network)
        _require_int8(lowered.kernels)
        plans.append(plan_memory(lowered, rules))
    sram_bytes = np.array([plan.sram_bytes for plan in plans], np.int64)
    return Memory(sram_bytes, np.array([plan.flash_bytes for plan in plans], np.int64))


def _needed(block: BuiltBlock, rules: MemoryRules) -> tuple[int, int, int, int, int]:
    """Bytes of the arena, of the buffer that layers share, of the first weights, of flash, and of layers' RAM."""
    kernels = lower_mcu(block.network).kernels
    _require_int8(kernels)
    layers = len(kernels)
    flash = sum(weights_of(k) + table_bytes_of(k) + rules.channel_bytes * channels_of(k) for k in kernels)
    return (
        peak_arena(kernels, inplace_depthwise=rules.inplace_depthwise).bytes,
        rules.shared_bytes(kernels),
        rules.first_bytes(kernels),
        flash + layers * rules.layer_flash_bytes,
        layers * rules.layer_ram_bytes,
    )


def _require_int8(kernels: Iterable[Kernel]) -> None:
    lacks: Counter[str] = Counter()
    for kernel in kernels:
        lacks.update(kernel.lacks)
    if lacks:
        raise UnsupportedOpError(
            "a microcontroller", lacks, hint="choose a space of plain convolutions, such as tinynas-w0.5"
        )


def _refuse_joining(block: BuiltBlock) -> None:
    (incoming,) = (name for name, _ in block.network.inputs)
    joins = [node.op.kind for node in block.network if node.op.kind in _JOINS and incoming in node.inputs]
    if joins:
        raise NotSupportedError(
            f"a block begins with an op that joins the layer before it: {joins[0]}",
            hint="let the block before end with that op",
        )
