"""Random programs give the same registers, flags and memory as in unicorn, an independent emulator.

A program is a body of random instructions between a prologue that loads all registers and flags from a context in RAM
and an epilogue that stores them. Registers have roles, so that whatever the body does stays defined: r10 points into
the data area (any alignment), r11 as well (aligned), r9 is a small index; all others are free.
"""

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from lutra.profiler import _native

from .emulator import FLASH_BASE, RAM_BASE, Emulator, board

CONTEXT = RAM_BASE + 0x100
CONTEXT_WORDS = 14  # r0-r12, APSR
RESULT = CONTEXT + 4 * CONTEXT_WORDS
DATA, DATA_BYTES = RAM_BASE + 0x1000, 0x10000

FREE = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12)
LOW = tuple(range(8))
BODY_PIECES = 40
CONTEXTS = 12

# Encodings as bit strings. d, e: results; n, m, a, t: operands; j: a result that must differ from d; lower case x: any
# bit; s: any single bit. D, N, M, T are low registers.
DATA_PROCESSING = """
11101010000snnnn0xxxddddxxxxmmmm 11101010001snnnn0xxxddddxxxxmmmm 11101010010snnnn0xxxddddxxxxmmmm
11101010010s11110xxxddddxxxxmmmm 11101010011snnnn0xxxddddxxxxmmmm 11101010011s11110xxxddddxxxxmmmm
11101010100snnnn0xxxddddxxxxmmmm 11101011000snnnn0xxxddddxxxxmmmm 11101011010snnnn0xxxddddxxxxmmmm
11101011011snnnn0xxxddddxxxxmmmm 11101011101snnnn0xxxddddxxxxmmmm 11101011110snnnn0xxxddddxxxxmmmm
111010100001nnnn0xxx1111xxxxmmmm 111010101001nnnn0xxx1111xxxxmmmm 111010110001nnnn0xxx1111xxxxmmmm
111010111011nnnn0xxx1111xxxxmmmm
11110x00000snnnn0xxxddddxxxxxxxx 11110x00001snnnn0xxxddddxxxxxxxx 11110x00010snnnn0xxxddddxxxxxxxx
11110x00010s11110xxxddddxxxxxxxx 11110x00011snnnn0xxxddddxxxxxxxx 11110x00011s11110xxxddddxxxxxxxx
11110x00100snnnn0xxxddddxxxxxxxx 11110x01000snnnn0xxxddddxxxxxxxx 11110x01010snnnn0xxxddddxxxxxxxx
11110x01011snnnn0xxxddddxxxxxxxx 11110x01101snnnn0xxxddddxxxxxxxx 11110x01110snnnn0xxxddddxxxxxxxx
11110x000001nnnn0xxx1111xxxxxxxx 11110x001001nnnn0xxx1111xxxxxxxx 11110x010001nnnn0xxx1111xxxxxxxx
11110x011011nnnn0xxx1111xxxxxxxx
11110x100000nnnn0xxxddddxxxxxxxx 11110x1010101111 0xxxddddxxxxxxxx 11110x101010nnnn0xxxddddxxxxxxxx
11110x100100xxxx0xxxddddxxxxxxxx 11110x101100xxxx0xxxddddxxxxxxxx
11111010000snnnn1111dddd0000mmmm 11111010001snnnn1111dddd0000mmmm 11111010010snnnn1111dddd0000mmmm
11111010011snnnn1111dddd0000mmmm
111110101001mmmm1111dddd1000mmmm 111110101001mmmm1111dddd1001mmmm 111110101001mmmm1111dddd1010mmmm
111110101001mmmm1111dddd1011mmmm 111110101011mmmm1111dddd1000mmmm
"""
DSP = """
111010101100nnnn0xxxddddxxs0mmmm
1111001100x0nnnn0xxxddddxx0xxxxx 1111001110x0nnnn0xxxddddxx0xxxxx 111100110010nnnn0000dddd0000xxxx
111100111010nnnn0000dddd0000xxxx
111110100000nnnn1111dddd10xxmmmm 1111101000001111 1111dddd10xxmmmm 111110100001nnnn1111dddd10xxmmmm
1111101000011111 1111dddd10xxmmmm 111110100010nnnn1111dddd10xxmmmm 1111101000101111 1111dddd10xxmmmm
111110100011nnnn1111dddd10xxmmmm 1111101000111111 1111dddd10xxmmmm 111110100100nnnn1111dddd10xxmmmm
1111101001001111 1111dddd10xxmmmm 111110100101nnnn1111dddd10xxmmmm 1111101001011111 1111dddd10xxmmmm
111110101000nnnn1111dddd0s00mmmm 111110101000nnnn1111dddd0s01mmmm 111110101000nnnn1111dddd0s10mmmm
111110101001nnnn1111dddd0s00mmmm 111110101001nnnn1111dddd0s01mmmm 111110101001nnnn1111dddd0s10mmmm
111110101010nnnn1111dddd0s00mmmm 111110101010nnnn1111dddd0s01mmmm 111110101010nnnn1111dddd0s10mmmm
111110101100nnnn1111dddd0s00mmmm 111110101100nnnn1111dddd0s01mmmm 111110101100nnnn1111dddd0s10mmmm
111110101101nnnn1111dddd0s00mmmm 111110101101nnnn1111dddd0s01mmmm 111110101101nnnn1111dddd0s10mmmm
111110101110nnnn1111dddd0s00mmmm 111110101110nnnn1111dddd0s01mmmm 111110101110nnnn1111dddd0s10mmmm
111110101000nnnn1111dddd10xxmmmm 111110101010nnnn1111dddd1000mmmm
"""
MULTIPLY = """
111110110000nnnn1111dddd0000mmmm 111110110000nnnnaaaadddd0000mmmm 111110110000nnnnaaaadddd0001mmmm
111110110001nnnnaaaadddd00xxmmmm 111110110001nnnn1111dddd00xxmmmm 111110110010nnnnaaaadddd000smmmm
111110110010nnnn1111dddd000smmmm 111110110011nnnnaaaadddd000smmmm 111110110011nnnn1111dddd000smmmm
111110110100nnnnaaaadddd000smmmm 111110110100nnnn1111dddd000smmmm 111110110101nnnnaaaadddd000smmmm
111110110101nnnn1111dddd000smmmm 111110110110nnnnaaaadddd000smmmm 111110110111nnnnaaaadddd0000mmmm
111110110111nnnn1111dddd0000mmmm
111110111000nnnnjjjjdddd0000mmmm 111110111010nnnnjjjjdddd0000mmmm 111110111100nnnnjjjjdddd0000mmmm
111110111100nnnnjjjjdddd10xxmmmm 111110111100nnnnjjjjdddd110smmmm 111110111101nnnnjjjjdddd110smmmm
111110111110nnnnjjjjdddd0000mmmm 111110111110nnnnjjjjdddd0110mmmm
111110111001nnnn1111dddd1111mmmm 111110111011nnnn1111dddd1111mmmm
"""
SHORT = """
000xxxxxxxMMMDDD 00011xxMMMNNNDDD 001xxDDDxxxxxxxx 010000xxxxMMMDDD 1011001000MMMDDD 1011001001MMMDDD
1011001010MMMDDD 1011001011MMMDDD 1011101000MMMDDD 1011101001MMMDDD 1011101011MMMDDD 10100DDDxxxxxxxx
01000110hmmmmhhh 01000100hmmmmhhh 01000101hmmmmhhh
"""
# Loads and stores: base r10 (any alignment) or r11 (aligned), index r9.
MEMORY = """
1111100010001010tttt000000xxxxxx 1111100010101010tttt000000xxxxxx 1111100011001010tttt000000xxxxxx
1111100010011010dddd000000xxxxxx 1111100010111010dddd000000xxxxxx 1111100011011010dddd000000xxxxxx
1111100110011010dddd000000xxxxxx 1111100110111010dddd000000xxxxxx
1111100000001010tttt000000xx1001 1111100000101010tttt000000xx1001 1111100001001010tttt000000xx1001
1111100000011010dddd000000xx1001 1111100000111010dddd000000xx1001 1111100001011010dddd000000xx1001
1111100100011010dddd000000xx1001 1111100100111010dddd000000xx1001
1111100000001010tttt11x1xxxxxxxx 1111100000101010tttt11x1xxxxxxxx 1111100001001010tttt11x1xxxxxxxx
1111100000001010tttt10x1xxxxxxxx 1111100001001010tttt10x1xxxxxxxx 1111100001001010tttt1100xxxxxxxx
1111100000011010dddd11x1xxxxxxxx 1111100000111010dddd11x1xxxxxxxx 1111100001011010dddd11x1xxxxxxxx
1111100000011010dddd10x1xxxxxxxx 1111100001011010dddd10x1xxxxxxxx 1111100100111010dddd1100xxxxxxxx
1111100001011111dddd0000xxxxxx00 1111100011011111dddd0000xxxxxx00 1111100010011111dddd0000xxxxxxxx
1111100100111111dddd0000xxxxxxxx
1110100101001011ttttaaaaxxxxxxxx 1110100111101011ttttaaaaxxxxxxxx 1110100011101011ttttaaaaxxxxxxxx
1110100101011011jjjjddddxxxxxxxx 1110100111111011jjjjddddxxxxxxxx 1110100001111011jjjjddddxxxxxxxx
1110100010x0101100010000xxxxxxx1 1110100100x0101100010000xxxxxxx1
1110100010x1101100010000xxxxxxx1 1110100100x1101100010000xxxxxxx1
10010DDD00000xxx 10011DDD00000xxx
"""


def _patterns(text: str) -> list[str]:
    joined = "".join(text.split())
    patterns = []
    while joined:
        wide = joined[:5] in ("11101", "11110", "11111")
        length = 32 if wide else 16
        patterns.append(joined[:length])
        joined = joined[length:]
    return patterns


@dataclass(frozen=True)
class Form:
    """An encoding whose letters are filled in at random."""

    pattern: str

    def draw(self, rng: random.Random) -> int:
        while True:
            word = self._fill(rng)
            if _defined(word, len(self.pattern) == 32):
                return word

    def _fill(self, rng: random.Random) -> int:
        result = rng.choice(FREE)
        values = {letter: rng.choice(FREE) for letter in "nmat"} | {letter: rng.choice(LOW) for letter in "DNMT"}
        values |= {"d": result, "j": rng.choice([r for r in FREE if r != result]), "h": rng.choice(FREE)}
        left = {letter: self.pattern.count(letter) for letter in values}
        width = {letter: 3 if letter in "DNMT" else 4 for letter in values}
        word = 0
        for letter in self.pattern:
            if letter in "01":
                bit = int(letter)
            elif letter in values:
                left[letter] -= 1
                bit = values[letter] >> (left[letter] % width[letter]) & 1
            else:
                bit = rng.getrandbits(1)
            word = word << 1 | bit
        return word


def _defined(word: int, wide: bool) -> bool:
    """Leaves out encodings in the space of a pattern that are undefined, unpredictable, or a branch."""
    if not wide:
        is_move_without_shift = word & 0xFFC0 == 0  # not in IT blocks
        return not is_move_without_shift
    if word & 0xFFD08020 in (0xF3400000, 0xF3C00000):  # the fields of SBFX and UBFX end at bit 31
        return (word >> 12 & 7) * 4 + (word >> 6 & 3) + (word & 31) <= 31
    has_wide_halves = word & 0xFF70F0D0 == 0xF3200010  # SSAT16 and USAT16 have four bits of width
    return not has_wide_halves


POOLS = {
    "data": [Form(p) for p in _patterns(DATA_PROCESSING)],
    "dsp": [Form(p) for p in _patterns(DSP)],
    "multiply": [Form(p) for p in _patterns(MULTIPLY)],
    "short": [Form(p) for p in _patterns(SHORT)],
    "memory": [Form(p) for p in _patterns(MEMORY)],
}
WEIGHTS = {"data": 5, "dsp": 4, "multiply": 3, "short": 4, "memory": 5}


def _halfwords(word: int, wide: bool) -> list[int]:
    return [word >> 16, word & 0xFFFF] if wide else [word]


def simple(rng: random.Random) -> list[int]:
    """One instruction that does not branch."""
    pool = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    form = rng.choice(POOLS[pool])
    return _halfwords(form.draw(rng), len(form.pattern) == 32)


def bit_field_insert(rng: random.Random) -> list[int]:
    low = rng.randrange(32)
    high = rng.randrange(low, 32)
    source = rng.choice((*FREE, 15))
    return [0xF360 | source, (low >> 2) << 12 | rng.choice(FREE) << 8 | (low & 3) << 6 | high]


def _some(rng: random.Random, most: int) -> list[int]:
    return [halfword for _ in range(rng.randint(1, most)) for halfword in simple(rng)]


def forward_branch(rng: random.Random) -> list[int]:
    """A conditional branch, narrow or wide, over some instructions; or CBZ, CBNZ."""
    skipped = _some(rng, 4)
    condition = rng.randrange(14)
    kind = rng.randrange(4)
    if kind == 0:
        return [0xD000 | condition << 8 | (len(skipped) - 1), *skipped]
    if kind == 1:
        return [0xF000 | condition << 6, 0x8000 | len(skipped), *skipped]
    if kind == 2:
        return [0xB100 | rng.getrandbits(1) << 11 | (len(skipped) - 1) << 3 | rng.choice(LOW), *skipped]
    return [0xF000, 0x9000 | 1 << 13 | 1 << 11 | len(skipped), *skipped]


def it_block(rng: random.Random) -> list[int]:
    """IT, ITE, ITTEE and so on, before as many instructions; the last may be a branch."""
    count = rng.randint(1, 4)
    first = rng.randrange(14)
    else_bits = [rng.getrandbits(1) for _ in range(count - 1)]
    mask = 0
    for flips in else_bits:
        mask = mask << 1 | ((first & 1) ^ flips)
    mask = (mask << 1 | 1) << (4 - count)
    code = [0xBF00 | first << 4 | mask]
    for _ in range(count - 1):
        code += simple(rng)
    if rng.random() < 0.3:
        skipped = _some(rng, 3)
        return [*code, 0xE000 | (len(skipped) - 1), *skipped]
    return code + simple(rng)


def table_branch(rng: random.Random) -> list[int]:
    """TBB or TBH over a table of four, by r9 (0 to 3)."""
    targets = [simple(rng) for _ in range(4)]
    halfword_table = rng.getrandbits(1)
    table_halfwords = 4 if halfword_table else 2
    offsets, at = [], table_halfwords
    for target in targets:
        offsets.append(at)
        at += len(target)
    table = offsets if halfword_table else [offsets[0] | offsets[1] << 8, offsets[2] | offsets[3] << 8]
    return [0xE8DF, 0xF000 | halfword_table << 4 | 9, *table, *(h for target in targets for h in target)]


def call_and_return(rng: random.Random) -> list[int]:
    """BL over a leaf, into it, and on behind it."""
    leaf = [*_some(rng, 3), 0x4770]  # BX lr
    return [0xF000, 0xF801, 0xE000 | (len(leaf) - 1), *leaf]


def stack_pair(rng: random.Random) -> list[int]:
    pushed, popped = rng.sample(LOW, 3), rng.sample(LOW, 3)
    return [0xB400 | sum(1 << r for r in pushed), *simple(rng), 0xBC00 | sum(1 << r for r in popped)]


def low_base_access(rng: random.Random) -> list[int]:
    """The narrow loads and stores, whose base is a low register: a copy of r10 or r11 in r6."""
    target = rng.choice(LOW)
    immediate = rng.getrandbits(5)
    kind = rng.randrange(3)
    if kind == 0:  # immediate offsets: STR ... LDRH
        opcode = rng.choice((0x6000, 0x6800, 0x7000, 0x7800, 0x8000, 0x8800))
        return [0x4656, opcode | immediate << 6 | 6 << 3 | target]
    if kind == 1:  # register offsets, by r9 in r5
        return [0x4656, 0x464D, 0x5000 | rng.randrange(8) << 9 | 5 << 6 | 6 << 3 | target]
    return [0x465E, 0xC000 | rng.getrandbits(1) << 11 | 6 << 8 | (rng.getrandbits(6) | 1)]


PIECES: list[tuple[Callable[[random.Random], list[int]], int]] = [
    (simple, 20),
    (bit_field_insert, 1),
    (forward_branch, 3),
    (it_block, 3),
    (table_branch, 1),
    (call_and_return, 1),
    (stack_pair, 1),
    (low_base_access, 3),
]

PROLOGUE = [
    *(0xE92D, 0x4FF1),  # PUSH {r0, r4-r11, lr}
    0xB088,  # SUB sp, #32
    0x6B41,  # LDR r1, [r0, #52]
    *(0xF381, 0x8C00),  # MSR APSR_nzcvqg, r1
    *(0xE890, 0x1FFF),  # LDM r0, {r0-r12}
]
EPILOGUE = [
    *(0xF84D, 0x0D04),  # STR r0, [sp, #-4]!
    0x9809,  # LDR r0, [sp, #36]
    *(0xF200, 0x0038),  # ADDW r0, r0, #56
    *(0xE8A0, 0x1FFE),  # STMIA r0!, {r1-r12}
    *(0xF3EF, 0x8100),  # MRS r1, APSR
    0xC002,  # STMIA r0!, {r1}
    0x9900,  # LDR r1, [sp]
    0x6001,  # STR r1, [r0]
    0xB00A,  # ADD sp, #40
    *(0xE8BD, 0x8FF0),  # POP {r4-r11, pc}
]


def random_program(rng: random.Random) -> list[int]:
    makers, weights = zip(*PIECES, strict=True)
    body = [h for maker in rng.choices(makers, weights, k=BODY_PIECES) for h in maker(rng)]
    return [*PROLOGUE, *body, *EPILOGUE]


def random_context(rng: random.Random) -> bytes:
    corners = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x8000, 0x7FFF, 0xFF, 0x80, 0x00800080, 0x7FFF8000)
    words = [rng.choice(corners) if rng.random() < 0.25 else rng.getrandbits(32) for _ in range(13)]
    words = [word & 31 if rng.random() < 0.15 else word for word in words]
    words[9] = rng.randrange(4)
    words[10] = DATA + DATA_BYTES // 2 + rng.randrange(64)
    words[11] = DATA + DATA_BYTES // 2 + 4 * rng.randrange(16)
    flags = rng.getrandbits(5) << 27 | rng.getrandbits(4) << 16
    return struct.pack("<14I", *words, flags)


def _link(programs: Sequence[Sequence[int]]) -> tuple[bytes, list[int]]:
    """The programs one behind another, with room in front of the first for literals below its pc."""
    room = 128
    halfwords = [0xBF00] * room
    starts = []
    for program in programs:
        starts.append(FLASH_BASE + 2 * len(halfwords))
        halfwords += program
    return struct.pack(f"<{len(halfwords)}H", *halfwords) + bytes(256), starts


def compare(elf: Callable[..., bytes], seed: int, programs: int) -> int:
    """Runs random programs, each on several contexts, in both; returns how many instructions were executed."""
    rng = random.Random(seed)
    sources = [random_program(rng) for _ in range(programs)]
    code, starts = _link(sources)
    machine = _native.mcu.Machine(elf(code), board("cortex-m4"))
    emulator = Emulator(code)
    data = rng.randbytes(DATA_BYTES)
    for memory in (machine, emulator):
        memory.write(DATA, data)
    executed = 0
    for index, start in enumerate(starts):
        for _ in range(CONTEXTS):
            context = random_context(rng)
            for memory in (machine, emulator):
                memory.write(CONTEXT, context)
            report = machine.call(start, CONTEXT, cycle_limit=100_000)
            emulator.call(start, CONTEXT)
            executed += report["instructions"]
            results = [struct.unpack("<14I", memory.read(RESULT, 56)) for memory in (machine, emulator)]
            if results[0] != results[1]:
                pytest.fail(_explain(seed, index, start, sources[index], context, results))
        assert machine.read(DATA, DATA_BYTES) == emulator.read(DATA, DATA_BYTES), f"memory, seed {seed} program {index}"
    return executed


def _explain(
    seed: int, index: int, start: int, source: Sequence[int], context: bytes, results: Sequence[Sequence[int]]
) -> str:
    names = [*(f"r{i}" for i in range(1, 13)), "apsr", "r0"]
    differing = {
        name: (hex(ours), hex(theirs))
        for name, ours, theirs in zip(names, results[0], results[1], strict=True)
        if ours != theirs
    }
    code = " ".join(f"{halfword:04x}" for halfword in source)
    return f"seed {seed}, program {index} at {start:#x}: {differing}\ncontext {context.hex()}\ncode {code}"


def test_random_programs_agree(elf: Callable[..., bytes]) -> None:
    assert compare(elf, seed=1, programs=150) > 100_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_millions_of_random_instructions_agree(elf: Callable[..., bytes], seed: int) -> None:
    assert compare(elf, seed, programs=700) > 500_000
