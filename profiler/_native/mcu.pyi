"""Simulated microcontrollers (`csrc/mcu`)."""

from collections.abc import Mapping
from typing import Any

Buffer = bytes | bytearray | memoryview

class Trap(RuntimeError):  # noqa: N818 - what processors call it
    """A program did what its core cannot do, or was stopped.

    Attributes:
        kind: what happened.
        pc: address of the instruction.
        address: that it accessed, where it did.
    """

    kind: str
    pc: int
    address: int

class ElfError(ValueError):
    """A file that is no program for the board."""

class Machine:
    """A board with a program in its memory.

    Args:
        elf: the program.
        board: core, memory and caches (`lutra.profiler.mcu.simulator`).

    Raises:
        ElfError: the file is corrupt, for another core, or does not fit.
        ValueError: a board that cannot exist.
    """

    def __init__(self, elf: Buffer, board: Mapping[str, Any]) -> None: ...
    @property
    def symbols(self) -> dict[str, int]: ...
    def write(self, address: int, data: Buffer, /) -> None: ...
    def read(self, address: int, count: int) -> bytes: ...
    def call(self, function: int | str, *arguments: int, cycle_limit: int) -> dict[str, Any]:
        """Run a function to its return, with cold caches. Other threads run meanwhile.

        Raises:
            Trap: the program was stopped.
        """
