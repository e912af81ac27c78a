"""The binding of the simulator: what it takes, what it gives, and how it refuses."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.profiler import _native

mcu = _native.mcu

FLASH, RAM = 0x08000000, 0x20000000
RETURN = 0x4770  # BX lr
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m7")
Builder = Callable[..., bytes]
Assembler = Callable[..., bytes]


def board(core: str = "cortex-m4", **changes: Any) -> dict[str, Any]:
    return {
        "core": core,
        "flash": {"base": FLASH, "size": 1 << 16},
        "ram": [{"base": RAM, "size": 1 << 14}],
    } | changes


@pytest.fixture
def adder(elf: Builder, assembled: Assembler) -> bytes:
    """`add(a, b)`, and `spin()` that never returns."""
    return elf(assembled([0x1840, RETURN, 0xE7FE]), {"add": FLASH | 1, "spin": FLASH + 5})


def test_calls_by_name_and_by_address(adder: bytes) -> None:
    machine = mcu.Machine(adder, board())
    assert machine.symbols == {"add": FLASH | 1, "spin": FLASH + 5}
    report = machine.call("add", 40, 2, cycle_limit=100)
    assert report["r0"] == 42
    assert report["instructions"] == 2
    assert report["cycles"] == sum(report["stalls"].values()) == 4
    assert set(report["stalls"]) == {"issue", "fetch", "data", "branch", "interlock", "multicycle"}
    assert machine.call(FLASH, 1, 2, cycle_limit=100)["r0"] == 3


def test_memory_is_read_and_written(adder: bytes) -> None:
    machine = mcu.Machine(adder, board())
    machine.write(RAM, bytearray(b"lutra"))
    machine.write(FLASH + 0x1000, b"weights")
    assert machine.read(RAM, 6) == b"lutra\0"
    assert machine.read(FLASH + 0x1000, 7) == b"weights"
    with pytest.raises(IndexError, match="outside the board's flash and RAM"):
        machine.read(0x40000000, 4)


def test_traps_carry_what_happened(elf: Builder, assembled: Assembler) -> None:
    machine = mcu.Machine(elf(assembled([0xBF00, 0x6001, RETURN])), board())  # STR r1, [r0]
    with pytest.raises(mcu.Trap, match="hits flash") as caught:
        machine.call(FLASH, FLASH + 0x40, cycle_limit=100)
    trap: Any = caught.value
    assert (trap.kind, trap.pc, trap.address) == ("store_to_flash", FLASH + 2, FLASH + 0x40)


def test_endless_loops_end_at_the_cycle_limit(adder: bytes) -> None:
    with pytest.raises(mcu.Trap, match="loop for ever") as caught:
        mcu.Machine(adder, board()).call("spin", cycle_limit=10_000)
    trap: Any = caught.value
    assert trap.kind == "cycle_limit"


def test_arguments_are_words(adder: bytes) -> None:
    machine = mcu.Machine(adder, board())
    with pytest.raises(TypeError, match="not -1"):
        machine.call("add", -1, 2, cycle_limit=100)
    with pytest.raises(ValueError, match="at most 4 arguments"):
        machine.call("add", 1, 2, 3, 4, 5, cycle_limit=100)


def test_missing_symbols_are_named(adder: bytes) -> None:
    with pytest.raises(KeyError, match="no symbol 'lutra_conv2d'"):
        mcu.Machine(adder, board()).call("lutra_conv2d", cycle_limit=1)


def test_programs_for_other_cores_are_refused(elf: Builder, assembled: Assembler) -> None:
    code = assembled([RETURN])
    with pytest.raises(mcu.ElfError, match="built for RISC-V"):
        mcu.Machine(elf(code, machine=243), board())
    with pytest.raises(mcu.ElfError, match="built for Arm"):
        mcu.Machine(elf(code), board("rv32imc"))
    with pytest.raises(mcu.ElfError, match=r"larger Arm architecture \(Tag_CPU_arch 13\) than cortex-m3"):
        mcu.Machine(elf(code, cpu_arch=13), board("cortex-m3"))
    assert mcu.Machine(elf(code, cpu_arch=13), board("cortex-m7"))
    with pytest.raises(mcu.ElfError, match="does not fit"):
        mcu.Machine(elf(code, base=0x60000000), board())
    with pytest.raises(mcu.ElfError, match="not a linked executable"):
        mcu.Machine(elf(code, kind=1), board())
    assert issubclass(mcu.ElfError, ValueError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cpu": "m4"}, "unknown key 'cpu'"),
        ({"core": "cortex-m5"}, "unknown core 'cortex-m5'; known: cortex-m0plus"),
        ({"ram": []}, "at least one region"),
        ({"ram": [{"base": RAM}]}, "'size' is missing"),
        ({"ram": [{"base": FLASH, "size": 4096}]}, "overlaps flash"),
        ({"flash": {"base": FLASH, "size": -4}}, "flash.size: wrong type, or out of range"),
        ({"flash": {"base": FLASH, "size": 4096, "line_bytes": 24}}, "power of two"),
        ({"flash": {"base": FLASH, "size": 4096, "waits": 5}}, "unknown key 'waits'"),
        ({"icache": {"bytes": 4000, "ways": 2}}, "icache"),
        ({"bus_divider": 0}, "bus_divider"),
    ],
)
def test_impossible_boards_are_refused(adder: bytes, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mcu.Machine(adder, board(**changes))


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_files_load_or_are_refused(elf: Builder, assembled: Assembler, data: st.DataObject) -> None:
    """Any bytes of a valid file replaced, and its end cut off."""
    whole = bytearray(elf(assembled([0x1840, RETURN]), {"add": FLASH | 1, "other": FLASH + 2}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=4))
        whole[at : at + len(patch)] = patch
    file = bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 60]))])
    refused = ""
    names: list[str] = []
    try:
        names = list(mcu.Machine(file, board()).symbols)
    except mcu.ElfError as error:
        refused = str(error)
    assert refused.startswith("ELF file: ") or all(isinstance(name, str) for name in names)


@settings(max_examples=300)
@given(code=st.binary(min_size=2, max_size=64), core=st.sampled_from(CORES), argument=st.integers(0, 2**32 - 1))
def test_any_code_returns_or_traps(elf: Builder, code: bytes, core: str, argument: int) -> None:
    machine = mcu.Machine(elf(code), board(core))
    report: dict[str, Any] = {"cycles": 0, "stalls": {}}
    with contextlib.suppress(mcu.Trap):
        report = machine.call(FLASH, argument, RAM, FLASH, cycle_limit=1000)
    assert report["cycles"] == sum(report["stalls"].values())
