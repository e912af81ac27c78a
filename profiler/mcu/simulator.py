"""`McuSimulator`: cycles of int8 layers on a board, by running the machine code of the engine's kernels.

Each layer runs once, on random numbers, with cold caches, its weights in flash and its activations in the largest RAM
of the board; the stack is in the first. What does not fit the board's memory is simulated all the same, in memory that
is as large as it takes: `lutra.networks.lowering.mcu_memory` says what fits.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from ...luts import Fingerprint
from ...luts.table import CALIBRATION_DOCUMENT
from ...networks.errors import MeasurementError, UsageError
from ...networks.lowering import Kernel
from ...networks.lowering.mcu import RUNTIME
from .._native import mcu
from ..simulation import SimulatedKernel, Simulator
from . import entry
from .boards import Board, Cache
from .engines import Engine
from .geometry import Geometry
from .image import extent, moved, shipped_image
from .operands import random_operands
from .operations import operations_of

MODEL_VERSION: Final = 1
"""Raised whenever a change to the timing models or to how layers are placed makes older rows incomparable."""

CYCLE_LIMIT: Final = 20_000_000_000
"""Cycles after which a layer is taken to loop for ever; a thousand times what the largest layers of the zoo take."""

_ISSUE: Final = "issue"  # the machine's name for the cycles that are no stalls
_SLACK_BYTES: Final = 4096  # of alignment and of the block of arguments
_UNCALIBRATED_ERROR, _CALIBRATED_ERROR = 0.20, 0.08
_CYCLES_PER_MAC: Final = 3.0
_CYCLES_PER_S: Final = 5e7  # of host time


class McuSimulator(Simulator):
    """A board under an engine.

    Args:
        board: the hardware.
        engine: the program on it.

    Raises:
        UsageError: the engine's program is corrupt, is built for another core, or does not fit the board.
    """

    def __init__(self, board: Board, engine: Engine) -> None:
        self.board, self.engine = board, engine
        self._elf = moved(shipped_image(board.core), board.flash.base) if engine.elf is None else engine.elf
        _, self._code_end = extent(self._elf)
        symbols = self._machine(0, 0).symbols
        self._kinds = entry.supported_kinds(symbols)
        if not self._kinds:
            raise UsageError(
                f"engine {engine.name!r} exports no lutra_<kind>", hint="docs/mcu.md describes what a program exports"
            )

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of layers that the engine's program computes."""
        return self._kinds

    @cached_property
    def firmware_hash(self) -> str:
        """SHA-256 of the program: rows of one never answer for another."""
        return hashlib.sha256(self._elf).hexdigest()

    @cached_property
    def fingerprint(self) -> Fingerprint:
        left_out = {"kind", "name", "note", "core", "mhz", "active_mw", "calibration", "sources"}
        board = self.board.model_dump(exclude=left_out)
        return Fingerprint.of(
            "simulated",
            hardware={
                "model": self.board.name,
                "architecture": self.board.core,
                "mhz": self.board.mhz,
                **{name: value if isinstance(value, int) else repr(value) for name, value in board.items()},
            },
            runtime={"name": RUNTIME, "version": self.firmware_hash[:16], "engine": self.engine.name},
            settings={"precision": "int8", "threads": 1, "layer_cycles": self.engine.layer_cycles},
            code={"model": MODEL_VERSION},
        )

    @property
    def versions(self) -> dict[str, str]:
        return {"firmware": self.firmware_hash[:16], "timing model": str(MODEL_VERSION)}

    @property
    def documents(self) -> Mapping[str, Mapping[str, Any]]:
        """What scales latencies to the board's real ones, and how far they are then taken to be off."""
        known = self.board.scale(self.engine.name)
        if known is None:
            return {CALIBRATION_DOCUMENT: {"scale": 1.0, "source": "", "error": _UNCALIBRATED_ERROR}}
        return {CALIBRATION_DOCUMENT: {"scale": known.scale, "source": known.source, "error": _CALIBRATED_ERROR}}

    def simulate(self, kernel: Kernel) -> SimulatedKernel:
        """Run a layer once.

        Raises:
            UnsupportedOpError: the engine's program has no kind for it.
            ShapeError: no kind takes its shapes.
            MeasurementError: the program failed: it did something undefined, or did not come to an end.
        """
        counted = _Counted()
        for index, operation in enumerate(operations_of(kernel, self.engine, self._kinds)):
            counted.add(self._run(operation, seed=int(kernel.key[:8], 16) + index))
        cycles = counted.cycles + self.engine.layer_cycles
        stalls = counted.stalls | {"call": self.engine.layer_cycles}
        details = {"instructions": counted.instructions, "stalls": stalls, "entries": counted.entries}
        return SimulatedKernel.of_cycles(cycles, self.board.mhz, details)

    def run_overhead(self) -> SimulatedKernel:
        return SimulatedKernel.of_cycles(self.engine.run_cycles, self.board.mhz, {"instructions": 0, "stalls": {}})

    def estimate_s(self, kernel: Kernel) -> float:
        return _CYCLES_PER_MAC * (kernel.macs + kernel.bytes_moved) / _CYCLES_PER_S

    def _run(self, operation: Geometry, seed: int) -> Mapping[str, Any]:
        operands = random_operands(operation, np.random.default_rng(seed))
        activations = 2 * operation.input_bytes + operation.output_bytes + operation.scratch_bytes
        stored = operation.weight_count + 12 * operation.out_c + 1024
        machine = self._machine(activations, stored)
        try:
            found = entry.run(machine, operation, operands, self._memory(activations, stored), cycle_limit=CYCLE_LIMIT)
        except mcu.Trap as trap:
            raise MeasurementError(
                f"{self.engine.name}: lutra_{operation.kind} failed on {self.board.core}: {trap}",
                hint="the program does something that its core cannot do, or does not come to an end",
            ) from trap
        return {**found.report, "entry": operation.kind}

    def _machine(self, activations: int, stored: int) -> "mcu.Machine":
        """A fresh machine with memory for so many bytes of activations and constants."""
        try:
            return mcu.Machine(self._elf, self._description(activations, stored))
        except ValueError as error:
            raise UsageError(
                f"engine {self.engine.name!r} cannot run on {self.board.name}: {error}",
                hint=f"build it for {self.board.core}, for flash at {self.board.flash.base:#010x}",
            ) from error

    def _description(self, activations: int, stored: int) -> dict[str, Any]:
        """The board as the simulator takes it."""
        board, flash = self.board, self.board.flash
        regions = self._regions(activations)
        return {
            "core": board.core,
            "fpu": board.fpu,
            "flash": {
                "base": flash.base,
                "size": self._flash_bytes(stored),
                "wait_states": flash.wait_states,
                "line_bytes": flash.line_bytes,
                "i_lines": flash.instruction_lines,
                "d_lines": flash.data_lines,
                "prefetch": flash.prefetch,
                "d_extra": flash.data_extra_cycles,
            },
            "ram": [{"base": r.region.base, "size": r.region.size, "tcm": r.tcm} for r in regions],
            "icache": _cache(board.instruction_cache),
            "dcache": _cache(board.data_cache),
            "bus_divider": board.bus_divider,
        }

    def _flash_bytes(self, stored: int) -> int:
        needed = self._code_end - self.board.flash.base + stored + _SLACK_BYTES
        return max(self.board.flash_bytes, _whole_kib(needed))

    def _regions(self, activations: int) -> "list[_RamRegion]":
        """The board's RAM, the largest region as large as it takes."""
        largest = self._largest
        needed = _whole_kib(activations + _SLACK_BYTES + entry.STACK_BYTES)
        return [
            _RamRegion(entry.Region(ram.base, max(1024 * ram.kib, needed if index == largest else 0)), ram.tcm)
            for index, ram in enumerate(self.board.ram)
        ]

    @property
    def _largest(self) -> int:
        sizes = [ram.kib for ram in self.board.ram]
        return sizes.index(max(sizes))

    def _memory(self, activations: int, stored: int) -> entry.MemoryMap:
        """Where the operands of a layer may lie."""
        flash = entry.Region(self.board.flash.base, self._flash_bytes(stored))
        regions = [r.region for r in self._regions(activations)]
        placed = entry.MemoryMap.behind(self._code_end, flash, regions)
        return entry.MemoryMap(placed.flash, (placed.ram[self._largest],))


@dataclass(frozen=True)
class _RamRegion:
    region: entry.Region
    tcm: bool


class _Counted:
    """What the calls of a layer took together."""

    def __init__(self) -> None:
        self.cycles = self.instructions = 0
        self.stalls: dict[str, int] = {}
        self.entries: list[str] = []

    def add(self, report: Mapping[str, Any]) -> None:
        self.cycles += int(report["cycles"])
        self.instructions += int(report["instructions"])
        for cause, cycles in report["stalls"].items():
            if cause == _ISSUE:
                continue
            self.stalls[cause] = self.stalls.get(cause, 0) + int(cycles)
        self.entries.append(f"lutra_{report['entry']}")


def _cache(cache: Cache | None) -> dict[str, int]:
    return {"bytes": 0, "ways": 1, "line_bytes": 32} if cache is None else cache.model_dump()


def _whole_kib(count: int) -> int:
    return -(-count // 1024) * 1024
