"""A linker for the tests: wraps code in the smallest ELF file that the simulator loads."""

import struct
from collections.abc import Callable, Mapping, Sequence

import pytest

FLASH_BASE = 0x08000000
RAM_BASE = 0x20000000

ElfBuilder = Callable[..., bytes]


ARM_ATTRIBUTES = 0x70000003


def _attributes(cpu_arch: int) -> bytes:
    """Build attributes of one number: Tag_CPU_arch."""
    tags = bytes([6, cpu_arch])
    file_tags = struct.pack("<BI", 1, 5 + len(tags)) + tags
    vendor = b"aeabi\0" + file_tags
    return b"A" + struct.pack("<I", 4 + len(vendor)) + vendor


def _sections(symbols: Mapping[str, int], cpu_arch: int, offset: int) -> tuple[bytes, bytes]:
    """Symbols, their names and build attributes, which start at `offset`; and the headers of these sections."""
    names = b"\0"
    table = bytes(16)
    for name, address in symbols.items():
        table += struct.pack("<IIIBBH", len(names), address, 0, 0x12, 0, 1)  # a global function in section 1
        names += name.encode() + b"\0"
    attributes = _attributes(cpu_arch)
    headers = bytes(40) * 2
    headers += struct.pack("<10I", 0, 2, 0, 0, offset, len(table), 3, 1, 4, 16)
    headers += struct.pack("<10I", 0, 3, 0, 0, offset + len(table), len(names), 0, 0, 1, 0)
    at = offset + len(table) + len(names)
    headers += struct.pack("<10I", 0, ARM_ATTRIBUTES, 0, 0, at, len(attributes), 0, 0, 1, 0)
    return table + names + attributes, headers


def build_elf(
    code: bytes,
    symbols: Mapping[str, int] | None = None,
    *,
    base: int = FLASH_BASE,
    machine: int = 40,
    kind: int = 2,
    cpu_arch: int = 11,
) -> bytes:
    """An executable with one segment of code at `base`; by default for ARMv6-M, which all Cortex-M run."""
    header_bytes, segment_bytes, section_bytes = 52, 32, 40
    code_offset = header_bytes + segment_bytes
    tables, headers = _sections(symbols or {}, cpu_arch, code_offset + len(code))
    headers_offset = code_offset + len(code) + len(tables)
    counts = (header_bytes, segment_bytes, 1, section_bytes, len(headers) // section_bytes, 0)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIII6H", kind, machine, 1, base, header_bytes, headers_offset, 0, *counts)
    segment = struct.pack("<8I", 1, code_offset, base, base, len(code), len(code), 5, 4)
    return header + segment + code + tables + headers


def assemble(halfwords: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(halfwords)}H", *halfwords)


@pytest.fixture(scope="session")
def elf() -> ElfBuilder:
    """`build_elf`, which takes code as bytes."""
    return build_elf


@pytest.fixture(scope="session")
def assembled() -> Callable[[Sequence[int]], bytes]:
    return assemble
