"""The entry convention: lays the operands of an op out in a machine's memory and calls the firmware's function.

An engine is an ELF file that exports ``int32_t lutra_<kind>(const struct lutra_op *)`` for each kind that it has;
csrc/mcu/firmware/lutra_op.h declares the block, docs/mcu-engine.md explains it. Weights and the numbers of channels
lie in flash; the block, activations and scratch in RAM, in that order.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np

from ...networks.errors import NotSupportedError, UnsupportedOpError
from .geometry import KINDS, Geometry
from .operands import Int8, Operands

POINTERS: Final = ("input", "input2", "weights", "bias", "multiplier", "shift", "output", "scratch")
SHAPES: Final = (
    *("in_h", "in_w", "in_c", "out_h", "out_w", "out_c"),
    *("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "groups"),
)
SCALES: Final = (
    *("input_offset", "output_offset", "activation_min", "activation_max"),
    *("input2_offset", "input_multiplier", "input_shift", "input2_multiplier", "input2_shift"),
    *("output_multiplier", "output_shift"),
)
FIELDS: Final = (*POINTERS, *SHAPES, *SCALES)
"""Words of `struct lutra_op`, in order."""

STACK_BYTES: Final = 2048
"""Kept free below the stack pointer; the shipped kernels use less than 1 KB of it."""

IN_PLACE: Final = frozenset({"depthwise_chw"})
"""Kinds whose output is laid over their input."""

_ALIGNMENT: Final = 32  # a cache line of a Cortex-M7
_IN_FLASH: Final = ("weights", "bias", "multiplier", "shift")


class Machine(Protocol):
    """What is needed of `lutra.profiler._native.mcu.Machine`."""

    @property
    def symbols(self) -> Mapping[str, int]: ...

    def write(self, address: int, data: bytes, /) -> None: ...

    def read(self, address: int, count: int, /) -> bytes: ...

    def call(self, symbol: str, /, *args: int, cycle_limit: int) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Region:
    """Free memory: ``size`` bytes from ``base`` on."""

    base: int
    size: int


@dataclass(frozen=True)
class MemoryMap:
    """Where operands may lie.

    Attributes:
        flash: the part that the engine's code leaves free.
        ram: regions in the order in which they are filled; the stack is not in them.
    """

    flash: Region
    ram: tuple[Region, ...]

    @staticmethod
    def behind(code_end: int, flash: Region, ram: Sequence[Region]) -> "MemoryMap":
        """The map of a board whose flash holds code up to ``code_end``; the stack is at the end of the first RAM."""
        start = _align(code_end)
        first, *others = ram
        return MemoryMap(
            Region(start, max(0, flash.base + flash.size - start)),
            (Region(first.base, max(0, first.size - STACK_BYTES)), *others),
        )


@dataclass(frozen=True)
class Placed:
    """An op in memory, ready to be called.

    Attributes:
        symbol: the function to call, with the address of the block as its argument.
        writes: (address, bytes) of the block and of everything that it points at.
        block: address of the block.
        output: address of the output.
    """

    symbol: str
    writes: tuple[tuple[int, bytes], ...]
    block: int
    output: int


@dataclass(frozen=True)
class Run:
    """One call of an op.

    Attributes:
        report: what the machine counted: cycles, instructions, stalls by cause.
        output: [out_h, out_w, out_c]; of a concat only the channels that its input fills.
    """

    report: Mapping[str, Any]
    output: Int8


def supported_kinds(symbols: Mapping[str, int]) -> frozenset[str]:
    """The kinds of op that an engine has, by the functions that it exports."""
    return frozenset(kind for kind in KINDS if f"lutra_{kind}" in symbols)


def place(op: Geometry, operands: Operands, memory: MemoryMap) -> Placed:
    """Addresses for everything that an op needs.

    Raises:
        NotSupportedError: it does not fit into the memory; says by how much.
    """
    flash, ram = _Allocator("flash", (memory.flash,)), _Allocator("RAM", memory.ram)
    block = ram.take(4 * len(FIELDS))
    stored = {name: np.ascontiguousarray(getattr(operands, name)).tobytes() for name in ("input", "input2", *_IN_FLASH)}
    addresses = {
        name: (flash if name in _IN_FLASH else ram).take(len(data)) if data else 0 for name, data in stored.items()
    }
    addresses["output"] = addresses["input"] if op.kind in IN_PLACE else ram.take(op.output_bytes)
    addresses["scratch"] = ram.take(op.scratch_bytes) if op.scratch_bytes else 0
    words = addresses | asdict(op) | asdict(operands.scaling)
    packed = struct.pack(f"<{len(FIELDS)}I", *(words[name] & 0xFFFFFFFF for name in FIELDS))
    data = tuple((addresses[name], data) for name, data in stored.items() if data)
    return Placed(f"lutra_{op.kind}", ((block, packed), *data), block, addresses["output"])


def run(machine: Machine, op: Geometry, operands: Operands, memory: MemoryMap, *, cycle_limit: int) -> Run:
    """Places an op, calls it and reads its output.

    Raises:
        UnsupportedOpError: the engine does not export the kind.
        NotSupportedError: the op does not fit into the memory, or the engine refuses its shapes.
    """
    placed = place(op, operands, memory)
    if placed.symbol not in machine.symbols:
        raise UnsupportedOpError("this engine", {op.kind: 1}, hint=f"export {placed.symbol} or use another engine")
    for address, data in placed.writes:
        machine.write(address, data)
    report = machine.call(placed.symbol, placed.block, cycle_limit=cycle_limit)
    if report["r0"] != 0:
        raise NotSupportedError(f"{placed.symbol} refused {op} (it returned {report['r0']})")
    output = np.frombuffer(machine.read(placed.output, op.output_bytes), np.int8)
    filled = op.in_c if op.kind == "concat" else op.out_c
    return Run(report, output.reshape(op.out_h, op.out_w, op.out_c)[:, :, :filled])


def _align(address: int) -> int:
    return -(-address // _ALIGNMENT) * _ALIGNMENT


class _Allocator:
    """Hands out memory of some regions, the first that has room, from its start."""

    def __init__(self, what: str, regions: Sequence[Region]) -> None:
        self._what = what
        self._free = [(_align(region.base), region.base + region.size) for region in regions]

    def take(self, count: int) -> int:
        """The address of ``count`` bytes, at the start of a cache line."""
        for index, (start, end) in enumerate(self._free):
            if start + count <= end:
                self._free[index] = (_align(start + count), end)
                return start
        largest = max((end - start for start, end in self._free), default=0)
        raise NotSupportedError(
            f"an operand of {count} bytes does not fit into {self._what}: {largest} bytes are free, "
            f"{count - max(0, largest)} too few"
        )
