"""The ELF images of the shipped int8 kernels, and the few fields of an ELF file that placing them needs.

The shipped images are position-independent: everything moves with the flash of the board. The simulator's loader
checks a file in full; here only what is read is checked.
"""

import struct
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from ...networks.errors import CorruptModelError, NotSupportedError, UnknownNameError

CORES: Final = ("m0plus", "m3", "m4", "m33", "m7", "rv32imc")
"""Cores with an image; "cortex-m4" and "m4" are the same."""

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT: Final = struct.Struct("<8I")
_SECTION: Final = struct.Struct("<10I")
_SYMBOL: Final = struct.Struct("<3IBBH")
_LOADED: Final = 1
_SYMBOL_TABLE: Final = 2
_UNDEFINED: Final = 0
_ABSOLUTE: Final = 0xFFF1


@dataclass(frozen=True)
class _Header:
    """Where an ELF file has its tables."""

    segments_at: int
    sections_at: int
    segments: int
    sections: int

    @staticmethod
    def of(elf: bytes) -> "_Header":
        try:
            fields = _HEADER.unpack_from(elf)
        except struct.error:
            raise CorruptModelError("an ELF file of fewer than 52 bytes") from None
        if not fields[0].startswith(b"\x7fELF\x01\x01"):
            raise CorruptModelError("not a 32-bit little-endian ELF file")
        return _Header(fields[5], fields[6], fields[10], fields[12])

    def segment_offsets(self) -> range:
        return range(self.segments_at, self.segments_at + self.segments * _SEGMENT.size, _SEGMENT.size)

    def section_offsets(self) -> range:
        return range(self.sections_at, self.sections_at + self.sections * _SECTION.size, _SECTION.size)


def extent(elf: bytes) -> tuple[int, int]:
    """The first and the one-past-last flash address that an ELF file loads.

    Raises:
        CorruptModelError: it is no ELF file, truncated, or loads nothing.
        NotSupportedError: it has variables in RAM, which only start-up code would set.
    """
    try:
        segments = [_SEGMENT.unpack_from(elf, at) for at in _Header.of(elf).segment_offsets()]
    except struct.error:
        raise CorruptModelError("an ELF file that ends within its program headers") from None
    loaded = []
    for kind, _, virtual, physical, file_bytes, memory_bytes, *_ in segments:
        if kind != _LOADED or not memory_bytes:
            continue
        if virtual != physical or memory_bytes != file_bytes:
            raise NotSupportedError(
                f"the ELF file has {memory_bytes} bytes of variables at {virtual:#010x}",
                hint="kernels keep no state: no start-up code is run; use constants, the stack and op->scratch",
            )
        loaded.append((physical, physical + file_bytes))
    if not loaded:
        raise CorruptModelError("an ELF file that loads nothing")
    return min(start for start, _ in loaded), max(end for _, end in loaded)


def moved(elf: bytes, base: int) -> bytes:
    """A position-independent image with its code at ``base``."""
    distance = base - extent(elf)[0]
    header, image = _Header.of(elf), bytearray(elf)
    _add(image, 24, distance)  # the entry point
    for at in header.segment_offsets():
        if _SEGMENT.unpack_from(image, at)[0] == _LOADED:
            _add(image, at + 8, distance)
            _add(image, at + 12, distance)
    for at in header.section_offsets():
        _, kind, flags, _, offset, size, *_ = _SECTION.unpack_from(image, at)
        if flags & 2:  # occupies memory
            _add(image, at + 12, distance)
        if kind == _SYMBOL_TABLE:
            _move_symbols(image, offset, size, distance)
    return bytes(image)


def _move_symbols(image: bytearray, offset: int, size: int, distance: int) -> None:
    for at in range(offset, offset + size, _SYMBOL.size):
        if _SYMBOL.unpack_from(image, at)[5] not in (_UNDEFINED, _ABSOLUTE):
            _add(image, at + 4, distance)


def _add(image: bytearray, at: int, distance: int) -> None:
    (value,) = struct.unpack_from("<I", image, at)
    struct.pack_into("<I", image, at, (value + distance) & 0xFFFFFFFF)


@cache
def shipped_image(core: str) -> bytes:
    """The image of Lutra's own kernels for a core, linked to 0x08000000 (`moved` places it elsewhere).

    Raises:
        UnknownNameError: there is none for this core.
    """
    name = core.removeprefix("cortex-")
    if name not in CORES:
        raise UnknownNameError("microcontroller core", core, CORES)
    return (files(__package__) / "firmware" / f"{name}.elf").read_bytes()
