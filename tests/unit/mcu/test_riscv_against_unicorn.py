"""The RISC-V simulator beside unicorn: the same random code on both leaves the same registers and memory."""

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from lutra.profiler import _native

from . import riscv_programs as programs

unicorn = pytest.importorskip("unicorn", reason="the emulator to compare with: pip install unicorn")

CODE, CODE_BYTES = 0x42000000, 4096
DATA, DATA_BYTES = 0x3FC80000, 8192
IMAGE, IMAGE_BYTES = 0, 4096  # x1 to x31 before and after, where x0 reaches them
RETURN = 128  # the return address, behind them
BOARD: dict[str, Any] = {
    "core": "rv32imc",
    "flash": {"base": CODE, "size": CODE_BYTES},
    "ram": [{"base": DATA, "size": DATA_BYTES}, {"base": IMAGE, "size": IMAGE_BYTES}],
}
PROLOGUE = programs.store_word(1, RETURN, 0) + b"".join(programs.load_word(x, 4 * x, 0) for x in range(1, 32))
EPILOGUE = b"".join(programs.store_word(x, 4 * x, 0) for x in range(1, 32)) + programs.load_word(1, RETURN, 0)
RET = b"\x82\x80"
BLOCK_BYTES = CODE_BYTES - len(PROLOGUE) - len(EPILOGUE) - len(RET)
LIMIT = 100_000


@pytest.fixture
def machine(elf: Callable[..., bytes]) -> Any:
    return _native.mcu.Machine(elf(bytes(CODE_BYTES), base=CODE, machine=243), BOARD)


class Oracle:
    """unicorn with the same memory."""

    def __init__(self) -> None:
        self._uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        for base, size in ((CODE, CODE_BYTES), (DATA, DATA_BYTES), (IMAGE, IMAGE_BYTES)):
            self._uc.mem_map(base, size)

    def legal(self, bits: int) -> bool:
        """Whether the compressed instruction is one; what it then does to memory does not matter."""
        self._uc.ctl_flush_tb()
        self._uc.mem_write(CODE, struct.pack("<H", bits) + RET)
        try:
            self._uc.emu_start(CODE, CODE + 2, count=1)
        except unicorn.UcError as error:
            return error.errno not in (unicorn.UC_ERR_EXCEPTION, unicorn.UC_ERR_INSN_INVALID)
        return True

    def run(self, code: bytes, image: bytes, data: bytes) -> tuple[bytes, bytes]:
        """The register image and the data after `code`."""
        self._uc.ctl_flush_tb()
        for base, content in ((CODE, code), (IMAGE, image), (DATA, data)):
            self._uc.mem_write(base, content)
        self._uc.emu_start(CODE, CODE + len(code) - len(RET))
        return bytes(self._uc.mem_read(IMAGE, RETURN)), bytes(self._uc.mem_read(DATA, DATA_BYTES))


def ours(machine: Any, code: bytes, image: bytes, data: bytes) -> tuple[bytes, bytes]:
    for base, content in ((CODE, code), (IMAGE, image), (DATA, data)):
        machine.write(base, content)
    machine.call(CODE, cycle_limit=LIMIT)
    return machine.read(IMAGE, RETURN), machine.read(DATA, DATA_BYTES)


def legal(machine: Any, bits: int) -> bool:
    machine.write(CODE, struct.pack("<H", bits) + RET)
    try:
        machine.call(CODE, cycle_limit=LIMIT)
    except _native.mcu.Trap as trap:
        return bool(trap.kind != "undefined_instruction" or trap.pc != CODE)
    return True


def same_on_both(machine: Any, seed: int, blocks: int) -> None:
    r = random.Random(seed)
    oracle = Oracle()
    for number in range(blocks):
        code = PROLOGUE + programs.block(r, BLOCK_BYTES) + EPILOGUE + RET
        registers = programs.values(r, 32)
        registers[0] = 0
        for pointer in programs.POINTERS:
            registers[pointer] = DATA + DATA_BYTES // 2 + r.randrange(-64, 64)
        image, data = struct.pack("<32I", *registers), r.randbytes(DATA_BYTES)
        expected, found = oracle.run(code, image, data), ours(machine, code, image, data)
        assert found[0] == expected[0], f"registers differ after block {number} of seed {seed}"
        assert found[1] == expected[1], f"memory differs after block {number} of seed {seed}"


def test_random_code_does_the_same_as_on_unicorn(machine: Any) -> None:
    same_on_both(machine, seed=1, blocks=300)  # about 300,000 instructions


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_millions_of_random_instructions_do_the_same_as_on_unicorn(machine: Any, seed: int) -> None:
    same_on_both(machine, seed, blocks=1000)


def comparable(bits: int) -> bool:
    """Whether a compressed encoding means the same to unicorn's core, which has floating point and accepts some of
    what RV32 reserves: shifts by more than 31, operations of RV64, the fifth of quadrant 0. Its breakpoint is an
    exception like that of an illegal instruction.
    """
    quadrant, funct3, high = bits & 3, bits >> 13, bits >> 12 & 1
    if quadrant == 3 or bits == 0x9002 or (quadrant, funct3) == (0, 4):
        return False
    if quadrant in (0, 2) and funct3 % 2 == 1:
        return False
    return not (high and (quadrant, funct3) in ((2, 0), (1, 4)))


def test_every_compressed_encoding_is_legal_where_it_is_on_unicorn(machine: Any) -> None:
    oracle = Oracle()
    tried = [bits for bits in range(0x10000) if comparable(bits)]
    assert len(tried) > 20_000
    assert [hex(bits) for bits in tried if legal(machine, bits) != oracle.legal(bits)] == []
