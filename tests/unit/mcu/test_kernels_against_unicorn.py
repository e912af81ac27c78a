"""The shipped kernels leave the same memory in the simulator as in unicorn: whole runs, loops and all."""

import struct

import numpy as np
import pytest

from lutra.profiler import _native
from lutra.profiler.mcu import entry, geometry, image, operands

from .emulator import FLASH_BASE, FLASH_BYTES, RAM_BASE, RAM_BYTES, Emulator, board

CORES = {"cortex-m0plus": "m0plus", "cortex-m3": "m3", "cortex-m4": "m4", "cortex-m33": "m33", "cortex-m7": "m7"}
LAYERS = {
    "first convolution": geometry.convolution("conv2d_first", (9, 8, 3), 6, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    "convolution": geometry.convolution("conv2d", (7, 6, 10), 5, kernel_size=(5, 3), stride=(2, 1)),
    "3x3": geometry.convolution("conv2d_3x3", (6, 7, 12), 7, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    "pointwise": geometry.convolution("pointwise", (5, 6, 20), 11),
    "depthwise": geometry.convolution("depthwise", (8, 7, 9), 9, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    "fully connected": geometry.fully_connected(77, 13),
    "average": geometry.pool("avg_pool", (6, 6, 7), kernel_size=(2, 2), stride=(2, 2)),
    "maximum": geometry.pool("max_pool", (6, 6, 7), kernel_size=(2, 2), stride=(2, 2)),
    "mean": geometry.global_reduction("mean", (5, 5, 9)),
    "sum": geometry.elementwise("add", (5, 4, 9)),
    "softmax": geometry.elementwise("softmax", (1, 1, 17)),
    "table": geometry.elementwise("table", (4, 4, 5)),
    "shuffle": geometry.channel_shuffle((4, 3, 12), 3),
}


def _code(elf: bytes) -> bytes:
    """The loaded bytes of an image of one segment, which starts at the base of flash."""
    (table,) = struct.unpack_from("<I", elf, 28)
    _, offset, address, _, count, *_ = struct.unpack_from("<8I", elf, table)
    assert address == FLASH_BASE
    return elf[offset : offset + count]


@pytest.mark.parametrize("core", list(CORES))
def test_kernels_leave_the_same_memory(core: str) -> None:
    elf = image.shipped_image(CORES[core])
    machine, emulator = _native.mcu.Machine(elf, board(core)), Emulator(_code(elf), core)
    flash, ram = entry.Region(FLASH_BASE, FLASH_BYTES), entry.Region(RAM_BASE, RAM_BYTES)
    memory = entry.MemoryMap.behind(image.extent(elf)[1], flash, [ram])
    used = RAM_BYTES - entry.STACK_BYTES  # the stack holds return addresses, which differ
    for name, layer in LAYERS.items():
        placed = entry.place(layer, operands.random_operands(layer, np.random.default_rng(3)), memory)
        for simulated in (machine, emulator):
            for address, data in placed.writes:
                simulated.write(address, data)
        report = machine.call(placed.symbol, placed.block, cycle_limit=10_000_000)
        assert report["r0"] == emulator.call(machine.symbols[placed.symbol], placed.block) == 0, name
        assert machine.read(RAM_BASE, used) == emulator.read(RAM_BASE, used), name
