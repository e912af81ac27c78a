"""Engines: how the layers of a network are called, which depthwise kernel they use, and by what rules they take memory.

Both built-in engines run Lutra's own kernels. "lean" stands for compilers that generate straight code with depthwise
convolutions in place, as TinyEngine does; "tflm-like" for an interpreter that walks a description of the network, as
TensorFlow Lite for Microcontrollers does. A user's own ELF file is an engine too (`engine_of_file`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ...networks.errors import UnknownNameError, UsageError
from ...networks.lowering import mcu_memory
from ...networks.lowering.mcu_memory import MemoryRules


@dataclass(frozen=True)
class Engine:
    """One way of running a network.

    Attributes:
        name: what to ask for.
        note: what it is.
        specialised: it has kernels of their own for the first layer, for 3x3 windows and for depthwise in place.
        layer_cycles: what calling a layer costs beside its kernel, in cycles.
        run_cycles: what an inference costs beside its layers, in cycles.
        memory: what it takes of memory.
        elf: a user's own program; None for the firmware that comes with Lutra.
    """

    name: str
    note: str
    specialised: bool
    layer_cycles: int
    run_cycles: int
    memory: MemoryRules
    elf: bytes | None = None


LEAN: Final = Engine(
    name="lean",
    note="generated code, depthwise convolutions in place (as TinyEngine)",
    specialised=True,
    layer_cycles=60,  # our estimate: a call with its argument block of 32 words
    run_cycles=0,
    memory=mcu_memory.LEAN,
)

TFLM_LIKE: Final = Engine(
    name="tflm-like",
    note="interpreter, every layer with memory of its own (as TensorFlow Lite for Microcontrollers)",
    specialised=False,
    layer_cycles=495,  # MicroNAS: an invocation of one op takes 474 to 511 cycles more than the op on an STM32F446
    run_cycles=0,
    memory=mcu_memory.TFLM_LIKE,
)

_OWN: Final = replace(mcu_memory.TFLM_LIKE, ram_bytes=0, layer_ram_bytes=0, channel_bytes=12, layer_flash_bytes=0)

DEFAULT: Final = LEAN.name
"""The engine of a board when none is asked for."""

ENGINES: Final[Mapping[str, Engine]] = {engine.name: engine for engine in (LEAN, TFLM_LIKE)}


def engine_of(name: str) -> Engine:
    """The engine called ``name``; the path of an ELF file means the program in it.

    Raises:
        UnknownNameError: no such engine.
        UsageError: the file cannot be read.
    """
    if name.endswith(".elf"):
        return engine_of_file(Path(name))
    if name not in ENGINES:
        raise UnknownNameError("engine", name, (*ENGINES, "a path of an .elf file"))
    return ENGINES[name]


def engine_of_file(path: Path) -> Engine:
    """A user's own program, built for the board's core, with the entries that docs/mcu.md describes.

    Its own RAM is not known, nor how it lays out its constants: memory is counted with bias, multiplier and shift of
    each channel, and the file's size as its code.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of an ELF file") from error
    return Engine(
        name=path.stem,
        note="your own program",
        specialised=True,
        layer_cycles=0,
        run_cycles=0,
        memory=replace(_OWN, engine=path.stem, code_bytes=len(content)),
        elf=content,
    )
