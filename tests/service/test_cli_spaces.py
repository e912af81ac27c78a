"""Search spaces on the command line: listed, planned, profiled, and refused."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.service.options import seconds_of, share_of
from lutra.service.plans import _kind

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_space.py"
NULL = ("-d", "null")


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The example, in the folder in which commands run."""
    shutil.copy(EXAMPLE, tmp_path)
    return EXAMPLE.name


# -- lutra spaces -----------------------------------------------------------------------------------------


def test_the_list_has_sizes_and_decisions(lutra, mine):
    outcome = lutra("spaces")
    assert outcome.code == 0
    listed = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines()[1:]}
    assert listed["fbnet"] == [f"{9**22:,}", "22", "1x3x224x224"]
    assert listed["nasbench201"] == ["15,625", "6", "1x3x32x32"]
    (own,) = lutra("spaces", mine, "--json").document
    assert (own["space"], own["networks"], len(own["decisions"])) == (mine, 125, 3)
    assert own["decisions"][0]["choices"][-1] == "none"


# -- planning ---------------------------------------------------------------------------------------------


def test_a_dry_run_counts_kinds_and_changes_nothing(lutra, mine, tmp_path):
    outcome = lutra("profile", "--space", mine, *NULL, "--dry-run")
    assert outcome.code == 0
    assert outcome.err == "working out the kernels of mine\n"
    assert outcome.out.startswith("mine: 125 networks\nnull (null, float32, 1 thread): ")
    assert not (tmp_path / "rows.db").exists()
    plan = lutra("profile", "--space", mine, *NULL, "--dry-run", "--json").document
    assert (plan["spaces"], plan["covered"], plan["known"]) == ({"mine": 125}, {}, 0)
    assert plan["kernels"] == len(plan["pending"]) == sum(kind["kernels"] for kind in plan["kinds"])
    assert plan["uses"] > plan["kernels"]
    assert plan["estimate_s"] > 0
    assert "DWConv 3x3 + relu" in {kind["kind"] for kind in plan["kinds"]}


def test_spaces_and_networks_go_together(lutra, mine):
    alone = lutra("profile", "--space", mine, *NULL, "--dry-run", "--json").document
    both = lutra("profile", "--space", mine, "--space", "nasbench201", "--model", "resnet18", *NULL, "--dry-run")
    assert "nasbench201: 15,625 networks\n" in both.out
    assert int(both.out.split(": ")[3].split()[0]) > alone["kernels"] + 60
    same = lutra("profile", "--space", mine, "--space", mine, *NULL, "--dry-run", "--json").document
    assert same == alone


def test_a_space_of_whole_cells_says_what_is_covered(lutra):
    pytest.importorskip("onnxruntime")
    plan = lutra("profile", "--space", "nasbench201", "-r", "onnxruntime", "--no-check", "--dry-run", "--json").document
    assert 0 <= plan["covered"]["nasbench201"] < 0.5
    plan = lutra("profile", "--space", "nasbench201", *NULL, "--dry-run", "--json").document
    assert plan["covered"]["nasbench201"] == 1


def test_models_are_networks(lutra):
    by_argument = lutra("profile", "resnet18", "mcunet_in0", *NULL, "--dry-run", "--json").document
    for words in (("--model", "resnet18", "mcunet_in0"), ("--model", "resnet18", "--model", "mcunet_in0")):
        assert lutra("profile", *words, *NULL, "--dry-run", "--json").document == by_argument
    assert by_argument["spaces"] == {}


# -- profiling --------------------------------------------------------------------------------------------


def test_a_space_is_profiled_once(lutra, mine):
    first = lutra("profile", "--space", mine, *NULL, "--check-networks", 3, "--json").document
    planned = lutra("profile", "--space", mine, *NULL, "--check-networks", 3, "--dry-run", "--json").document
    assert (first["measured"], planned["known"], planned["pending"]) == (planned["kernels"], planned["kernels"], [])
    rows = first["networks"]["report"]["rows"]
    assert len(rows) == 3
    assert all(row["network"].startswith("mine/") and abs(row["error_pct"]) < 1e-6 for row in rows)
    again = lutra("profile", "--space", mine, *NULL, "--check-networks", 3, "--json").document
    assert (again["measured"], again["skipped"]) == (0, planned["kernels"])


def test_every_architecture_of_a_profiled_space_is_covered(lutra, mine, tmp_path):
    from lutra.predictors import load_predictor
    from lutra.service.spaces import space_of

    assert lutra("profile", "--space", mine, *NULL, "--no-check").code == 0
    predictor, space = load_predictor("null", store=tmp_path / "rows.db"), space_of(mine)
    for code in ([0, 0, 0], [4, 4, 4], [1, 2, 3]):
        assert predictor.explain(space.decode(code)).measured_share == 1


def test_without_the_check_nothing_is_compared(lutra, mine):
    outcome = lutra("profile", "--space", mine, *NULL, "--no-check")
    assert (outcome.code, outcome.out) == (0, "")
    outcome = lutra("profile", "--space", mine, *NULL, "--check-networks", 0)
    assert (outcome.code, outcome.out) == (0, "")


def test_a_target_leaves_kernels_to_interpolation(lutra):
    words = ("profile", "--space", "ofa-mbv3@128", *NULL, "--no-check", "--target-error", "5%", "--budget", "5m")
    done = lutra(*words, "--json").document
    assert done["interpolated"] > 0
    assert done["measured"] > 0
    assert 0 <= done["held_out_error"] <= 0.05


def test_events_have_standard_output_to_themselves(lutra, mine):
    outcome = lutra("profile", "--space", mine, *NULL, "--check-networks", 1, "--events", "-")
    events = [json.loads(line)["event"] for line in outcome.out.splitlines()]
    assert (events[0], events[-1], outcome.code) == ("started", "finished", 0)
    refused = lutra("profile", "--space", mine, *NULL, "--events", "-", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "both want standard output" in refused.err


# -- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--space", "proxyles"), 2, "unknown search space 'proxyles'"),
        (("--space", "ofa-mbv3@100"), 2, "no images of 100 pixels"),
        (("--space", "gone.py"), 2, "no file gone.py"),
        ((), 2, "no network is named"),
        (("resnet18", "--budget", "10"), 2, "no duration"),
        (("resnet18", "--target-error", "3"), 2, "no percentage"),
        (("--space", "fbnet", "--check-networks", "-1"), 2, "check-networks"),
        (("--space", "fbnet", "--resolution", "96"), 2, "do not apply to a space"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(lutra, tmp_path, words, code, message):
    outcome = lutra("profile", *words, *NULL)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert not (tmp_path / "rows.db").exists()


def test_runtimes_that_time_whole_networks_are_refused(lutra, mine):
    pytest.importorskip("torch")
    outcome = lutra("profile", "--space", mine, "-r", "torch")
    assert outcome.code == 3
    assert "in the order of their network" in outcome.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "'space' is NoneType"),
        ("space = 7\n", "'space' is int"),
        ("def space():\n    return [1]\n", "'space' is list"),
        ("\n\nspace = 1 / 0\n", "own.py fails at line 3: ZeroDivisionError"),
        ("def space():\n    raise ValueError('no')\n", "own.py fails at line 2: ValueError: no"),
        ("space = (\n", "own.py fails at line 1: SyntaxError"),
        ("import no_such_module\n", "own.py fails at line 1: ModuleNotFoundError"),
        ("from lutra.nas import spaces\nspace = spaces.build('x')\n", "unknown search space 'x'"),
    ],
)
def test_a_file_that_makes_no_space_is_refused(lutra, tmp_path, text, message):
    (tmp_path / "own.py").write_text(text)
    outcome = lutra("spaces", "own.py")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_a_function_may_make_the_space(lutra, tmp_path):
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from lutra.nas import spaces\n"
        "@dataclass\n"
        "class Choice:\n"
        "    size: int\n"
        "def space():\n"
        "    return spaces.build(f'proxyless@{Choice(96).size}')\n"
    )
    assert "1x3x96x96" in lutra("spaces", "own.py").out


# -- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5m", 90), ("0.001s", 0.001), (None, None)]
)
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "0s", "1d", "1 m", "1e3s", "inf", "٣s", "1m30s", "9999999s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UsageError, match="no duration"):
        seconds_of(text)


@given(st.text(max_size=8))
def test_any_text_is_read_or_refused(text):
    for read in (seconds_of, share_of):
        with contextlib.suppress(UsageError):
            assert read(text) > 0


@pytest.mark.parametrize("text", ["3", "0%", "100%", "%", "-3%", "3 percent", "nan%"])
def test_what_is_no_percentage_is_refused(text):
    with pytest.raises(UsageError, match="no percentage"):
        share_of(text)
    assert share_of("2.5%") == 0.025


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Conv 3x3/2 3->32 + Clip @112", "Conv 3x3/2 + Clip"),
        ("DWConv 5x5 96 + relu @14", "DWConv 5x5 + relu"),
        ("linear 1x1504x1000 @1x1000", "linear"),
        ("Reorder to NCHW8C 352 @7", "Reorder to NCHW8C"),
        ("2 x Conv 1x1 8->8 + Add @7", "2 x Conv 1x1 + Add"),
        ("Add + 2 x Relu @7", "Add + 2 x Relu"),
    ],
)
def test_a_kind_is_a_label_without_shapes(label, kind):
    assert _kind(label) == kind
