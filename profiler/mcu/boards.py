"""Boards as data: one YAML file each, `profiler/mcu/boards/*.yaml` and the user's own.

A file names the core, its clock, flash with wait states and line buffers, RAM, caches, and, where they are known, the
power of the running core and what calibrates latencies. Impossible values are refused with the place in the file.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from ..descriptions import Description, Family, Hardware

BUILT_IN: Final = Path(__file__).parent / "boards"
_ADDRESSES: Final = 1 << 32

Core = Literal["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m7", "rv32imc"]
Address = Annotated[int, Field(ge=0, lt=_ADDRESSES, multiple_of=4)]
_CACHED_CORES: Final = ("cortex-m7", "rv32imc")
_FPU_CORES: Final = ("cortex-m4", "cortex-m33", "cortex-m7")


class Flash(Description):
    """Program memory.

    Attributes:
        base: its first address.
        kib: size.
        wait_states: cycles beyond one that a read of a line takes.
        line_bytes: width of a read.
        instruction_lines, data_lines: lines that are kept, of code and of constants; 0 for only the current one.
        prefetch: the next line is read while one is executed.
        data_extra_cycles: what a read of constants takes beyond ``wait_states``.
    """

    base: Address
    kib: int = Field(ge=1, le=1 << 18)
    wait_states: int = Field(ge=0, le=255)
    line_bytes: int = Field(default=16, ge=4, le=128)
    instruction_lines: int = Field(default=0, ge=0, le=1 << 16)
    data_lines: int = Field(default=0, ge=0, le=1 << 16)
    prefetch: bool = False
    data_extra_cycles: int = Field(default=0, ge=0, le=255)

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if self.line_bytes & (self.line_bytes - 1):
            raise ValueError(f"line_bytes is {self.line_bytes}, which is no power of two")
        return self


class Ram(Description):
    """A region of RAM; ``tcm`` where it is tightly coupled: never cached, never waits."""

    base: Address
    kib: int = Field(ge=1, le=1 << 18)
    tcm: bool = False


class Cache(Description):
    """A cache of the core."""

    bytes: int = Field(ge=256, le=1 << 20)
    ways: int = Field(ge=1, le=16)
    line_bytes: int = Field(default=32, ge=16, le=128)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        sets = self.bytes / self.line_bytes / self.ways
        if sets != int(sets) or int(sets) & (int(sets) - 1):
            raise ValueError(f"{self.bytes} bytes in {self.ways} ways of {self.line_bytes}-byte lines are {sets} sets")
        return self


class Calibration(Description):
    """One factor between simulated and real latencies of a board under one engine.

    Attributes:
        scale: real latency over simulated latency.
        source: what it was fitted on.
    """

    scale: float = Field(gt=0.2, lt=5.0)
    source: str = Field(min_length=1)


class Board(Hardware):
    """A microcontroller.

    Attributes:
        kind: always "board".
        core: instruction set and timing model.
        mhz: clock of the core.
        fpu: single-precision floating point in hardware.
        flash: program memory.
        ram: regions; the stack is in the first, activations are in the largest.
        instruction_cache, data_cache: of the core itself.
        bus_divider: clock of the core over that of the bus behind the caches.
        active_mw: power of the running core in mW; None where it is not known.
        calibration: by engine.
        sources: documents that the numbers are from.
    """

    kind: Literal["board"] = "board"
    core: Core
    mhz: int = Field(ge=1, le=2000)
    fpu: bool = False
    flash: Flash
    ram: list[Ram] = Field(min_length=1, max_length=8)
    instruction_cache: Cache | None = None
    data_cache: Cache | None = None
    bus_divider: int = Field(default=1, ge=1, le=16)
    active_mw: float | None = Field(default=None, gt=0, lt=10_000)
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    sources: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.instruction_cache or self.data_cache) and self.core not in _CACHED_CORES:
            raise ValueError(f"a {self.core} has no caches of its own; describe the flash's lines instead")
        if self.fpu and self.core not in _FPU_CORES:
            raise ValueError(f"a {self.core} has no floating-point unit")
        if self.core != "cortex-m7" and any(region.tcm for region in self.ram):
            raise ValueError(f"a {self.core} has no tightly coupled memory")
        spans = [(self.flash.base, self.flash.kib), *((region.base, region.kib) for region in self.ram)]
        regions = sorted((base, base + 1024 * kib) for base, kib in spans)
        if regions[-1][1] > _ADDRESSES:
            raise ValueError("a region of memory ends beyond 4 GB")
        for (_, end), (base, _) in pairwise(regions):
            if base < end:
                raise ValueError(f"two regions of memory overlap at {base:#010x}")
        return self

    @property
    def ram_bytes(self) -> int:
        """All RAM."""
        return 1024 * sum(region.kib for region in self.ram)

    @property
    def flash_bytes(self) -> int:
        return 1024 * self.flash.kib

    def scale(self, engine: str) -> Calibration | None:
        """What calibrates latencies under an engine; None where nothing does."""
        return self.calibration.get(engine)


BOARDS: Final = Family("board", "board", Board, BUILT_IN, "docs/mcu.md")


def board_of(name: str | os.PathLike[str]) -> Board:
    """The board called ``name``, or the one that the YAML file of that path describes.

    Raises:
        UnknownNameError: no board of that name.
        UsageError: the file cannot be read, or describes no possible board.
    """
    return BOARDS.of(name)


def boards() -> dict[str, Board]:
    """Every board by name: the built-in ones and the user's own, which take precedence.

    Raises:
        UsageError: a file describes no possible board, or its name is not the file's.
    """
    return BOARDS.all()


def read_board(path: str | os.PathLike[str]) -> Board:
    """The board that a YAML file describes.

    Raises:
        UsageError: the file cannot be read, or describes no possible board; names the field.
    """
    return BOARDS.read(path)
