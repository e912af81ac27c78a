"""Boards as data: the built-in ones, the user's own, and impossible ones."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import UnknownNameError, UsageError
from lutra.profiler.hardware import is_described
from lutra.profiler.mcu.boards import BUILT_IN, board_of, boards, read_board
from lutra.profiler.mcu.engines import ENGINES, engine_of

NAMES = (
    "esp32c3",
    "nrf52832",
    "nrf5340",
    "rp2040",
    "stm32f412",
    "stm32f446",
    "stm32f746",
    "stm32h743",
    "stm32h747",
    "stm32l4r5",
    "stm32l552",
)
GOOD = yaml.safe_load((BUILT_IN / "stm32f746.yaml").read_text())


def written(tmp_path, document, name="mine"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def changed(**changes):
    """A good board with fields changed; dots lead into mappings, numbers into lists; ``...`` takes a field out."""
    document = yaml.safe_load(yaml.safe_dump(GOOD))
    for place, value in changes.items():
        *parents, last = [int(word) if word.isdecimal() else word for word in place.split("__")]
        target = document
        for parent in parents:
            target = target[parent]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return document


def test_all_boards_are_there():
    assert tuple(boards()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_built_in_boards_name_their_sources(name):
    board = board_of(name)
    assert board.sources
    assert all(engine in ENGINES and known.source for engine, known in board.calibration.items())


def test_names_of_boards():
    assert is_described("stm32f746")
    assert is_described("somewhere/mine.yaml")
    assert not is_described("host")
    with pytest.raises(UnknownNameError, match="unknown board 'stm32f74'") as caught:
        board_of("stm32f74")
    assert "stm32f746" in caught.value.hint


def test_own_board_by_path_and_by_folder(tmp_path, monkeypatch):
    path = written(tmp_path, changed(name="mine", mhz=100))
    assert board_of(str(path)).mhz == 100
    monkeypatch.setenv("LUTRA_BOARDS", str(tmp_path))
    assert board_of("mine").mhz == 100
    assert is_described("mine")
    written(tmp_path, changed(name="stm32h743", mhz=99), "stm32h743")
    assert boards()["stm32h743"].mhz == 99


def test_a_folders_file_has_its_boards_name(tmp_path, monkeypatch):
    written(tmp_path, changed(name="other"))
    monkeypatch.setenv("LUTRA_BOARDS", str(tmp_path))
    with pytest.raises(UsageError, match="describes a board called 'other'"):
        boards()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mhz": 0}, "mhz"),
        ({"mhz": "216"}, "mhz"),
        ({"mhz": 216.5}, "mhz"),
        ({"mhz": True}, "mhz"),
        ({"core": "cortex-m85"}, "core"),
        ({"name": "a/b"}, "name"),
        ({"name": ...}, "name"),
        ({"volts": 3}, "volts"),
        ({"flash__kib": -1}, "flash.kib"),
        ({"flash__wait_states": 300}, "flash.wait_states"),
        ({"flash__line_bytes": 24}, "power of two"),
        ({"flash__base": 1 << 32}, "flash.base"),
        ({"flash__base": 2}, "flash.base"),
        ({"ram": []}, "ram"),
        ({"ram__0__kib": 0}, "ram.0.kib"),
        ({"ram__1__base": 0x20000000}, "overlap"),
        ({"ram__1__base": 0x08001000}, "overlap"),
        ({"ram__1__base": 0xFFFFF000}, "4 GB"),
        ({"core": "cortex-m4"}, "no caches"),
        ({"data_cache__ways": 3}, "sets"),
        ({"data_cache__line_bytes": 7}, "data_cache.line_bytes"),
        ({"active_mw": -1.0}, "active_mw"),
        ({"active_mw": float("nan")}, "active_mw"),
        ({"calibration": {"lean": {"scale": 0.0, "source": "x"}}}, "calibration.lean.scale"),
        ({"calibration": {"lean": {"scale": 1.0}}}, "calibration.lean.source"),
    ],
)
def test_impossible_values_are_refused(tmp_path, changes, problem):
    with pytest.raises(UsageError, match="describes no possible board") as caught:
        read_board(written(tmp_path, changed(**changes)))
    assert problem in caught.value.message


def test_cores_without_what_others_have(tmp_path):
    plain = changed(core="cortex-m0plus", instruction_cache=..., data_cache=...)
    with pytest.raises(UsageError, match="no floating-point unit"):
        read_board(written(tmp_path, plain))
    with pytest.raises(UsageError, match="no tightly coupled memory"):
        read_board(written(tmp_path, plain | {"fpu": False}))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "describes no board"),
        ("- 1", "describes no board"),
        ("a: [", "no YAML"),
        ("!!python/object:os.system x", ""),
    ],
)
def test_files_that_are_no_board(tmp_path, content, problem):
    with pytest.raises(UsageError) as caught:
        read_board(written(tmp_path, content))
    assert problem in caught.value.message


def test_a_file_that_is_not_there():
    with pytest.raises(UsageError, match="cannot be read"):
        board_of("nowhere/board.yaml")


_PLAIN = st.none() | st.booleans() | st.integers(-(1 << 40), 1 << 40) | st.floats() | st.text(max_size=8)


@given(place=st.sampled_from(sorted(GOOD)), value=_PLAIN | st.lists(_PLAIN, max_size=3))
def test_a_board_with_anything_in_it_is_read_or_refused(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("boards") / "mine.yaml"
    path.write_text(yaml.safe_dump(GOOD | {place: value}))
    try:
        board = read_board(path)
    except UsageError:
        return
    assert 1 <= board.mhz <= 2000
    assert board.ram_bytes > 0


def test_engines_by_name_and_file(tmp_path):
    assert engine_of("lean").memory.inplace_depthwise
    with pytest.raises(UnknownNameError, match="unknown engine 'tflm'"):
        engine_of("tflm")
    with pytest.raises(UsageError, match="cannot be read"):
        engine_of("nowhere.elf")
    (tmp_path / "mine.elf").write_bytes(b"\x7fELF")
    own = engine_of(str(tmp_path / "mine.elf"))
    assert (own.name, own.elf) == ("mine", b"\x7fELF")
