"""Random RV32IMC code that runs in a straight line or forward, and never leaves the memory that it is given.

x2 and x8 point into that memory and are never written; every other register holds anything. Jumps go forward over one
instruction, so that a block of code ends whatever its values are.
"""

import random
import struct
from collections.abc import Callable

POINTERS = (2, 8)
_REACH = 1500  # bytes around a pointer that 32-bit loads and stores touch
_OTHERS = [register for register in range(32) if register not in POINTERS]
_POPULAR = list(range(9, 16))  # of x8 to x15, which compressed instructions name

Random = random.Random


def _word(bits: int) -> bytes:
    return struct.pack("<I", bits & 0xFFFFFFFF)


def _half(bits: int) -> bytes:
    return struct.pack("<H", bits)


def _field(value: int, high: int, low: int) -> int:
    return value >> low & (1 << (high - low + 1)) - 1


def _r_type(funct7: int, rs2: int, rs1: int, funct3: int, rd: int) -> bytes:
    return _word(funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33)


def _i_type(immediate: int, rs1: int, funct3: int, rd: int, opcode: int) -> bytes:
    return _word((immediate & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode)


def load_word(rd: int, offset: int, base: int) -> bytes:
    """lw rd, offset(base)."""
    return _i_type(offset, base, 2, rd, 0x03)


def store_word(source: int, offset: int, base: int) -> bytes:
    """sw source, offset(base)."""
    return _store(2, source, offset, base)


def _store(funct3: int, source: int, offset: int, base: int) -> bytes:
    return _word(
        _field(offset, 11, 5) << 25 | source << 20 | base << 15 | funct3 << 12 | _field(offset, 4, 0) << 7 | 0x23
    )


def _any(r: Random) -> int:
    return r.randrange(32)


def _registers(r: Random) -> bytes:
    funct7 = r.choice((0x00, 0x01, 0x01, 0x20))
    funct3 = r.choice((0, 5)) if funct7 == 0x20 else r.randrange(8)
    return _r_type(funct7, _any(r), _any(r), funct3, r.choice(_OTHERS))


def _constants(r: Random) -> bytes:
    funct3 = r.randrange(8)
    immediate = r.randrange(-2048, 2048)
    if funct3 in (1, 5):
        immediate = r.randrange(32) | (r.choice((0, 0x400)) if funct3 == 5 else 0)
    return _i_type(immediate, _any(r), funct3, r.choice(_OTHERS), 0x13)


def _upper(r: Random) -> bytes:
    return _word(r.getrandbits(20) << 12 | r.choice(_OTHERS) << 7 | r.choice((0x17, 0x37)))


def _loads(r: Random) -> bytes:
    return _i_type(r.randrange(-_REACH, _REACH), r.choice(POINTERS), r.choice((0, 1, 2, 4, 5)), r.choice(_OTHERS), 0x03)


def _stores(r: Random) -> bytes:
    return _store(r.randrange(3), _any(r), r.randrange(-_REACH, _REACH), r.choice(POINTERS))


def _compressed_arithmetic(r: Random) -> bytes:
    bits = r.getrandbits(16)
    rd = r.choice(_OTHERS)
    popular = r.choice(_POPULAR)
    kind = r.randrange(8)
    if kind == 0:  # c.addi, c.li
        return _half(bits & 0x107C | r.choice((0x0001, 0x4001)) | rd << 7)
    if kind == 1:  # c.lui
        return _half(bits & 0x1078 | 0x0004 | 0x6001 | rd << 7)
    if kind == 2:  # c.srli, c.srai
        return _half(bits & 0x047C | 0x8001 | popular - 8 << 7)
    if kind == 3:  # c.andi
        return _half(bits & 0x107C | 0x8801 | popular - 8 << 7)
    if kind == 4:  # c.sub, c.xor, c.or, c.and
        return _half(bits & 0x007C | 0x8C01 | popular - 8 << 7)
    if kind == 5:  # c.slli
        return _half(bits & 0x007C | 0x0002 | rd << 7)
    if kind == 6:  # c.mv, c.add
        return _half(r.choice((0x8002, 0x9002)) | rd << 7 | r.randrange(1, 32) << 2)
    return _half(bits & 0x1FE0 | 0x0020 | popular - 8 << 2)  # c.addi4spn


def _compressed_memory(r: Random) -> bytes:
    bits = r.getrandbits(16)
    kind = r.randrange(4)
    if kind == 0:  # c.lw from x8
        return _half(bits & 0x1C60 | 0x4000 | r.choice(_POPULAR) - 8 << 2)
    if kind == 1:  # c.sw to x8
        return _half(bits & 0x1C7C | 0xC000)
    if kind == 2:  # c.lwsp
        return _half(bits & 0x107C | 0x4002 | r.choice(_OTHERS[1:]) << 7)
    return _half(bits & 0x1FFC | 0xC002)  # c.swsp


def _branch(r: Random) -> bytes:
    over = _plain(r)
    offset = 4 + len(over)
    low = _field(offset, 4, 1) << 8 | _field(offset, 11, 11) << 7
    high = _field(offset, 12, 12) << 31 | _field(offset, 10, 5) << 25
    return _word(high | _any(r) << 20 | _any(r) << 15 | r.choice((0, 1, 4, 5, 6, 7)) << 12 | low | 0x63) + over


def _jump(r: Random) -> bytes:
    over = _plain(r)
    return _word((4 + len(over)) << 20 | r.choice(_OTHERS) << 7 | 0x6F) + over


def _indirect_jump(r: Random) -> bytes:
    """auipc rt, 0; jalr rd, over(rt) - with an odd distance now and then, whose lowest bit is cleared."""
    over, through = _plain(r), r.choice(_OTHERS[1:])
    distance = 8 + len(over) + r.randrange(2)
    return _word(through << 7 | 0x17) + _i_type(distance, through, 0, r.choice(_OTHERS), 0x67) + over


def _compressed_jump(r: Random) -> bytes:
    over = _plain(r)
    offset = 2 + len(over)
    if r.randrange(2):  # c.j, c.jal
        return _half(r.choice((0xA001, 0x2001)) | _field(offset, 3, 1) << 3) + over
    branch = r.choice((0xC001, 0xE001)) | r.choice(_POPULAR) - 8 << 7
    return _half(branch | _field(offset, 2, 1) << 3 | _field(offset, 4, 3) << 10) + over


_PLAIN: list[Callable[[Random], bytes]] = [
    _registers, _registers, _constants, _upper, _loads, _stores, _compressed_arithmetic, _compressed_memory,
]  # fmt: skip
_ALL = [*_PLAIN, _branch, _jump, _indirect_jump, _compressed_jump]


def _plain(r: Random) -> bytes:
    return r.choice(_PLAIN)(r)


def block(r: Random, size: int) -> bytes:
    """Code of exactly `size` bytes, a multiple of 2; the last few bytes are c.nop."""
    code = b""
    while len(code) < size - 16:
        code += r.choice(_ALL)(r)
    return code + _half(0x0001) * ((size - len(code)) // 2)


def values(r: Random, count: int) -> list[int]:
    """Register contents: anything, with a liking for what is special."""
    special = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x8000)
    return [r.choice(special) if r.randrange(3) == 0 else r.getrandbits(32) for _ in range(count)]
