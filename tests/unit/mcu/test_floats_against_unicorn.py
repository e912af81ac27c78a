"""Single-precision arithmetic gives the same bits and flags as in unicorn."""

import random
import struct
from collections.abc import Callable

import pytest

from lutra.profiler import _native

from .emulator import FLASH_BASE, RAM_BASE, Emulator, board

FLOATS = RAM_BASE + 0x100
REGISTERS = 32
RESULT_BYTES = 4 * REGISTERS + 4  # s0-s31, flags

# Three operands each: VMLA, VMLS, VNMLS, VNMLA, VMUL, VNMUL, VADD, VSUB, VDIV, VFNMS, VFNMA, VFMA, VFMS.
TERNARY = (0xEE000A00, 0xEE000A40, 0xEE100A00, 0xEE100A40, 0xEE200A00, 0xEE200A40, 0xEE300A00, 0xEE300A40)
TERNARY += (0xEE800A00, 0xEE900A00, 0xEE900A40, 0xEEA00A00, 0xEEA00A40)
# VMOV, VABS, VNEG, VSQRT, VCVT from unsigned and signed, VCVTR and VCVT to unsigned and signed.
UNARY = (0xEEB00A40, 0xEEB00AC0, 0xEEB10A40, 0xEEB10AC0, 0xEEB80A40, 0xEEB80AC0)
UNARY += (0xEEBC0A40, 0xEEBC0AC0, 0xEEBD0A40, 0xEEBD0AC0)
# FPv5: VRINTA, VRINTN, VRINTP, VRINTM, VRINTR, VRINTZ, VCVTA to unsigned, VCVTM to signed.
UNARY_V5 = (0xFEB80A40, 0xFEB90A40, 0xFEBA0A40, 0xFEBB0A40, 0xEEB60A40, 0xEEB60AC0, 0xFEBC0A40, 0xFEBF0AC0)
# VSELEQ, VSELVS, VSELGE, VSELGT, VMAXNM, VMINNM.
TERNARY_V5 = (0xFE000A00, 0xFE100A00, 0xFE200A00, 0xFE300A00, 0xFE800A00, 0xFE800A40)
COMPARE = 0xEEB40A40
COMPARE_ZERO = 0xEEB50A40
FLAGS_TO_CORE = 0xEEF1FA10
# MOVS r2, #0; MSR APSR_nzcvqg, r2; VMSR FPSCR, r2; VLDMIA r0!, {s0-s31}
ENTER = (0x2200, 0xF382, 0x8C00, 0xEEE1, 0x2A10, 0xECB0, 0x0A20)
LEAVE = (0xEC80, 0x0A20, 0xF3EF, 0x8100, 0xF8C0, 0x1080, 0x4770)  # VSTMIA r0; MRS r1, APSR; STR r1, [r0, #128]; BX lr


def _result(word: int, register: int) -> int:
    return word | (register >> 1) << 12 | (register & 1) << 22


def _first(word: int, register: int) -> int:
    return word | (register >> 1) << 16 | (register & 1) << 7


def _second(word: int, register: int) -> int:
    return word | register >> 1 | (register & 1) << 5


def random_instruction(rng: random.Random, v5: bool) -> list[int]:
    """Results go to s16-s31 and operands come from s0-s15, so that values stay in range."""
    result, first, second = rng.randrange(16, 32), rng.randrange(16), rng.randrange(16)
    kind = rng.random()
    if kind < 0.5:
        word = _first(rng.choice(TERNARY + (TERNARY_V5 if v5 else ())), first)
    elif kind < 0.8:
        word = rng.choice(UNARY + (UNARY_V5 if v5 else ()))
    elif kind < 0.9:
        word = COMPARE
    else:
        return [_result(COMPARE_ZERO, first) >> 16, _result(COMPARE_ZERO, first) & 0xFFFF, 0xEEF1, 0xFA10]
    word = _second(_result(word, result), second)
    return [word >> 16, word & 0xFFFF, FLAGS_TO_CORE >> 16, FLAGS_TO_CORE & 0xFFFF]


def _random_floats(rng: random.Random) -> bytes:
    values = [rng.choice((0.0, -0.0, 1.0, -1.5, 0.5, 2.5, 3e9, -3e9, 1e-40)) for _ in range(4)]
    values += [rng.uniform(-1, 1) * 2.0 ** rng.randrange(-8, 34) for _ in range(REGISTERS - 4)]
    rng.shuffle(values)
    return struct.pack(f"<{REGISTERS}f", *values)


def _comparable(result: bytes) -> list[int | str]:
    """NaN is NaN: which of them a core makes is not of interest."""
    *registers, flags = struct.unpack(f"<{REGISTERS + 1}I", result)
    return [*("NaN" if word & 0x7FFFFFFF > 0x7F800000 else word for word in registers), flags >> 28]


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_floats_agree(elf: Callable[..., bytes], core: str) -> None:
    rng = random.Random(5)
    programs = []
    for _ in range(300):
        body = [h for _ in range(12) for h in random_instruction(rng, v5=core == "cortex-m33")]
        programs.append([*ENTER, *body, *LEAVE])
    code = b"".join(struct.pack(f"<{len(p)}H", *p) for p in programs)
    machine, emulator = _native.mcu.Machine(elf(code), board(core)), Emulator(code, core)
    start = FLASH_BASE
    for program in programs:
        floats = _random_floats(rng)
        for memory in (machine, emulator):
            memory.write(FLOATS, floats)
        machine.call(start, FLOATS, cycle_limit=10_000)
        emulator.call(start, FLOATS)
        ours, theirs = (_comparable(m.read(FLOATS + 4 * REGISTERS, RESULT_BYTES)) for m in (machine, emulator))
        assert ours == theirs, f"{' '.join(f'{h:04x}' for h in program)} on {floats.hex()}"
        start += 2 * len(program)
