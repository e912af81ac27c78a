"""Design spaces on the command line: ranked, drawn, and refused."""

import contextlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.service.options import bytes_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_space.py"
SMALL = ("tinynas-w0.3@48,96", "--samples", "20")
F746 = ("--device", "stm32f746")


def test_design_spaces_are_ranked_by_mean_macs(lutra):
    outcome = lutra("design-spaces", *SMALL, *F746)
    assert outcome.code == 0
    heading, *rows = outcome.out.splitlines()
    assert heading.split() == ["design", "space", "fit", "mean", "MMACs", "top", "20%", "above"]
    assert [row.split()[0] for row in rows] == ["tinynas-w0.3@96", "tinynas-w0.3@48"]
    assert rows[0].split()[1:4] == ["20", "of", "20"]


def test_a_board_and_its_memory_are_one_thing(lutra):
    board = lutra("design-spaces", *SMALL, *F746, "--json").document
    memory = lutra("design-spaces", *SMALL, "--sram", "320kB", "--flash", "1MB", "--json").document
    assert board == memory
    first = board[0]
    assert first["design_space"] == "tinynas-w0.3@96"
    assert (first["sampled"], first["fit"], first["top_share"]) == (20, 20, 0.2)
    assert 0 < first["mean_macs"] < first["top_macs"]
    assert 0 < first["least_sram_bytes"] < 320 * 1024


def test_memory_that_is_given_goes_before_the_boards(lutra):
    document = lutra("design-spaces", "tinynas-w0.3@96", *F746, "--sram", "100kB", "--samples", "50", "--json").document
    assert 0 < document[0]["fit"] < 50


def test_other_engines_take_other_memory(lutra):
    lean, tflm = (
        lutra("design-spaces", *SMALL, *F746, "--json", "--engine", e).document for e in ("lean", "tflm-like")
    )
    assert lean[0]["least_sram_bytes"] < tflm[0]["least_sram_bytes"]


def test_patterns_and_files_name_spaces(lutra, tmp_path):
    shutil.copy(EXAMPLE, tmp_path)
    found = lutra("design-spaces", "tinynas-w0.[23]", "tinynas-w0.2*", EXAMPLE.name, *F746, "--samples", "5", "--json")
    assert found.code == 2
    assert "unknown search space 'tinynas-w0.[23]'" in found.err
    found = lutra("design-spaces", "tinynas-w0.2*", EXAMPLE.name, *F746, "--samples", "5", "--json").document
    assert len(found) == 12 + 1
    assert {row["design_space"] for row in found} >= {"tinynas-w0.2@48", "tinynas-w0.2@224", "mine"}


def test_ranking_by_the_top_and_showing_few(lutra):
    outcome = lutra("design-spaces", *SMALL, *F746, "--top", "10%", "--show", "1")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].endswith("top 10% above")
    assert len(outcome.out.splitlines()) == 2


def test_the_distributions_are_drawn(lutra, tmp_path):
    pytest.importorskip("matplotlib")
    assert lutra("design-spaces", *SMALL, *F746, "--plot", "cdf.png").code == 0
    assert (tmp_path / "cdf.png").read_bytes().startswith(b"\x89PNG")
    outcome = lutra("design-spaces", *SMALL, *F746, "--plot", "nowhere/cdf.png")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err
    assert outcome.out.startswith("design space")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--sram", "320kB"), 2, "how much memory there is has not been said"),
        ((), 2, "give --device BOARD, or --sram 320kB --flash 1MB"),
        (("--device", "stm32f999"), 2, "unknown board 'stm32f999'"),
        (("--sram", "320", "--flash", "1 megabyte"), 2, "'1 megabyte' is no size of memory"),
        ((*F746, "--top", "20"), 2, "no percentage"),
        ((*F746, "--engine", "fast"), 2, "unknown engine 'fast'"),
        (("--sram", "1kB", "--flash", "1MB"), 2, "keeps SRAM in kB <= 1: the least is"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(lutra, arguments, code, said):
    outcome = lutra("design-spaces", *SMALL, *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert outcome.out == ""


def test_spaces_that_no_board_runs_are_refused(lutra):
    outcome = lutra("design-spaces", "hat-wmt", *F746, "--samples", "1")
    assert outcome.code == 3
    assert "an int8 layer for layer_norm" in outcome.err
    assert "choose a space of plain convolutions" in outcome.err
    assert "no search space matches 'x*'" in lutra("design-spaces", "x*", *F746).err


@pytest.mark.parametrize(
    ("text", "size"),
    [("320kB", 327_680), ("320 KB", 327_680), ("1MB", 1_048_576), ("1MiB", 1_048_576), ("0.5kB", 512), ("64", 64)],
)
def test_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "kB", "-1kB", "0", "0.0001", "1GB", "1e3", "٣kB", "1k", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="no size of memory"):
        bytes_of(text)


@given(st.text(max_size=8))
def test_any_text_is_a_size_or_refused(text):
    with contextlib.suppress(UsageError):
        assert bytes_of(text) >= 1
