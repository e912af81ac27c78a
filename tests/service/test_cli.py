"""What the commands print, and how they end, when nothing is wrong."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lutra.luts.host import runtime_version
from lutra.networks import NetworkBuilder, zoo
from lutra.networks.errors import LutraError, UsageError
from lutra.profiler import Progress, RuntimeInfo
from lutra.service.options import _parse_shape, sources_of
from lutra.service.render import campaign_progress

COMMANDS = ("doctor", "devices", "ops", "spaces", "profile", "predict", "validate", "validate-mcu", "table")
RUN = [sys.executable, "-c", "from lutra.service.cli import main; main()"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A network that any runtime runs in microseconds, as a file."""
    b = NetworkBuilder("tiny")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=4, kernel_size=3))
    b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)).save(tmp_path / "tiny.json")
    return tmp_path / "tiny.json"


# -- help -------------------------------------------------------------------------------------------------


def test_help_lists_every_command_in_whole_sentences(lutra):
    outcome = lutra("--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: lutra ")
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z].*\.$", outcome.out, flags=re.MULTILINE), command
    assert "..." not in outcome.out.partition("Commands:")[2]


@pytest.mark.parametrize("words", [*((c,) for c in COMMANDS), *(("table", s) for s in ("list", "show", "export"))])
def test_every_command_explains_itself(lutra, words):
    outcome = lutra(*words, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: lutra {' '.join(words)} ")
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_without_a_command_there_is_help_and_an_error(lutra):
    outcome = lutra()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Commands:" in outcome.err


def test_version(lutra):
    assert re.fullmatch(r"lutra \S.*\n", lutra("--version").out)


def test_help_imports_nothing_heavy():
    """What makes help slow: libraries that only the commands need, and rich."""
    code = (
        "import sys; sys.argv = ['lutra', '--help']\n"
        "from lutra.service.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'psutil', 'rich', 'sqlalchemy', 'torch'}\n"
        "heavy |= {'lutra.luts', 'lutra.predictors', 'lutra.profiler'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"--help imports {done.stderr}"


# -- what is here -----------------------------------------------------------------------------------------


def test_doctor_reports(lutra):
    outcome = lutra("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    for text in ("cores", "GiB of memory", "rows.db", "runtimes", "native", "measuring conditions", "store: none yet"):
        assert text in outcome.out
    assert not os.listdir()


def test_doctor_is_a_report_even_where_something_is_bad(lutra, monkeypatch):
    from lutra import profiler

    found = profiler.Finding("steal", "bad", "the host takes 40 % away [of it]", "use a quieter host")
    monkeypatch.setattr(profiler, "examine_machine", lambda: [found])
    outcome = lutra("doctor")
    assert outcome.code == 0
    assert "bad  steal: the host takes 40 % away [of it]\n       -> use a quieter host\n" in outcome.out


def test_doctor_says_what_to_install(lutra, monkeypatch):
    from lutra import profiler

    missing = RuntimeInfo("onnxruntime", "real", False, "", "not installed: pip install 'lutra[ort]'")
    here = RuntimeInfo("native", "real", True, "1", "Lutra's own kernels")
    monkeypatch.setattr(profiler, "runtimes", lambda: [here, missing])
    outcome = lutra("doctor")
    assert outcome.code == 0
    assert "warn onnxruntime: not installed: pip install 'lutra[ort]'\n" in outcome.out
    monkeypatch.setattr(profiler, "runtimes", lambda: [missing])
    assert lutra("doctor").code == 3
    assert lutra("doctor", "--json").document["runtimes"] == [vars(missing)]


def test_doctor_examines_the_store(lutra, tmp_path, tiny):
    def finding() -> dict[str, str]:
        return lutra("doctor", "--json").document["findings"][0]

    assert finding() == {"topic": "store", "severity": "ok", "observation": "none yet; the first profile makes it", "cure": ""}  # fmt: skip  # noqa: E501
    lutra("profile", tiny, "-d", "null")
    assert finding()["observation"] == "tables of 1 device"
    (tmp_path / "rows.db").write_bytes(b"garbage " * 200)
    assert finding()["severity"] == "bad"
    outcome = lutra("doctor", "--store", tiny / "rows.db")
    assert outcome.code == 0
    assert "bad  store: it cannot be made" in outcome.out


def test_devices_before_and_after_a_profile(lutra, tiny):
    before = lutra("devices")
    assert "no tables yet" in before.out
    names = {(d["name"], d["runtime"]) for d in lutra("devices", "--json").document["here"]}
    assert {("host", "native"), ("null", "null")} <= names
    lutra("profile", tiny, "-d", "null")
    (stored,) = lutra("devices", "--json").document["stored"]
    assert (stored["name"], stored["kind"], stored["kernels"]) == ("null", "null", 4)
    assert stored["digest"][:12] in lutra("devices").out


def test_ops(lutra):
    listed = lutra("ops").out.splitlines()
    documents = lutra("ops", "--json").document
    assert len(listed) == len(documents) + 1
    (conv,) = lutra("ops", "conv2d", "--json").document
    assert conv["attributes"]["out_channels"] == {"type": "int", "meaning": "number of filters", "required": True}
    assert "example: conv2d(" in lutra("ops", "conv2d").out
    names = lutra("ops", "--networks").out.split()
    assert names == lutra("ops", "--networks", "--json").document
    assert "mobilenet_v2" in names


# -- profile, predict, validate ---------------------------------------------------------------------------


def test_a_single_profile_shows_the_split_and_the_error(lutra):
    outcome = lutra("profile", "mobilenet_v2", "-d", "null")
    assert outcome.code == 0
    assert outcome.out.startswith("mobilenet_v2 on null (null, 1 thread): 42.3 ms, 90 % interval")
    assert "kernel" in outcome.out
    assert outcome.out.endswith(
        "measured as a whole: 42.3 ms, error of the prediction +0.0 %, inside the interval\n"
    )  # fmt: skip
    assert "32 kernels measured, 0 known before" in outcome.err
    assert "0/32 kernels" in outcome.err


def test_a_profile_of_several_shows_a_table(lutra, tiny):
    outcome = lutra("profile", tiny, "resnet18", "-d", "null")
    assert re.search(r"^network +predicted ms +interval ms +measured ms +error % +inside$", outcome.out, re.MULTILINE)
    assert [line.split()[0] for line in outcome.out.splitlines()[1:3]] == ["tiny", "resnet18"]


def test_what_is_named_twice_is_measured_once(lutra):
    document = lutra("profile", "resnet18", "resnet1*8", "resnet18", "-d", "null", "--dry-run", "--json").document
    assert document["kernels"] == 21
    compared = lutra("validate", "resnet18", "resnet1*8", "-d", "null", "--json").document
    assert [row["network"] for row in compared["runs"][0]["report"]["rows"]] == ["resnet18"]


def test_profile_as_json(lutra, tiny):
    first = lutra("profile", tiny, "-d", "null", "--json").document
    assert (first["measured"], first["skipped"], first["failed"], first["interrupted"]) == (4, 0, {}, False)
    again = lutra("profile", tiny, "-d", "null", "--json").document
    assert (again["measured"], again["skipped"]) == (0, 4)
    fresh = lutra("profile", tiny, "-d", "null", "--json", "--fresh").document
    assert (fresh["measured"], fresh["skipped"]) == (4, 0)
    assert fresh["networks"]["report"]["rows"][0]["error_pct"] == pytest.approx(0, abs=1e-9)


def test_without_the_check_no_network_is_measured(lutra, tiny):
    outcome = lutra("profile", tiny, "-d", "null", "--no-check")
    assert (outcome.code, outcome.out) == (0, "")
    (summary,) = lutra("table", "list", "--json").document
    assert "network" not in summary["counts"] or summary["counts"]["network"] == 0


@pytest.mark.parametrize("runtime", ["onednn", "xnnpack"])
def test_a_dry_run_says_what_the_runtime_lacks(lutra, tmp_path, runtime):
    if not runtime_version(runtime):
        pytest.skip(f"the library of runtime {runtime!r} is not installed")
    b = NetworkBuilder("lacking")
    x = b.op("conv2d", b.input((1, 8, 8, 8)), out_channels=8, kernel_size=1)
    b.build(b.op("conv2d", b.op("erf", x), out_channels=8, kernel_size=3)).save(tmp_path / "lacking.json")
    words = ("profile", "lacking.json", "-r", runtime, "--dry-run")
    shown = lutra(*words)
    assert shown.code == 0
    assert "1 cannot be measured, the runtime has no erf x1: use another --runtime" in shown.out
    assert "(not supported: erf)" in shown.out
    plan = lutra(*words, "--json").document
    (lacking,) = plan["lacking"]
    assert lacking["lacks"] == ["erf"]
    assert lacking["kernel"] not in plan["pending"]
    assert plan["kernels"] == len(plan["pending"]) + 1


def test_a_dry_run_changes_nothing(lutra, tiny, tmp_path):
    outcome = lutra("profile", tiny, "-d", "null", "--dry-run")
    assert outcome.code == 0
    assert "4 distinct kernels, 4 to measure" in outcome.out
    assert os.listdir(tmp_path) == ["tiny.json"]
    lutra("profile", tiny, "-d", "null")
    assert lutra("profile", tiny, "-d", "null", "--dry-run", "--json").document["pending"] == []


def test_predict(lutra, tiny):
    lutra("profile", tiny, "-d", "null")
    outcome = lutra("predict", tiny, "-d", "null")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("tiny on null (null, 1 thread):")
    (document,) = lutra("predict", tiny, "-d", "null", "--json", "--coverage", "0.5").document
    assert (document["network"], document["coverage"]) == ("tiny", 0.5)
    assert document["low_ms"] < document["latency_ms"] < document["high_ms"]


def test_predict_takes_a_device_by_its_digest(lutra, tiny):
    lutra("profile", tiny, "-d", "null")
    (stored,) = lutra("devices", "--json").document["stored"]
    assert lutra("predict", tiny, "-d", stored["digest"][:8]).code == 0


def test_predict_reads_a_saved_predictor(lutra, tiny, tmp_path):
    """Though LUTRA_STORE is set, and no number of threads is given."""
    from lutra.predictors import load_predictor

    lutra("profile", tiny, "-d", "null")
    load_predictor("null", store=tmp_path / "rows.db").save(tmp_path / "saved")
    assert lutra("predict", tiny, "-d", "./saved").out == lutra("predict", tiny, "-d", "null").out


def test_validate(lutra):
    outcome = lutra("validate", "mobilenet_v2", "resnet18", "-d", "null")
    assert outcome.code == 0
    for text in ("MAPE 0.0 %", "within 5 %: 100 %", "within 10 %: 100 %", "Spearman 1.000", "Kendall 1.000"):
        assert text in outcome.out
    (run,) = lutra("validate", "mobilenet_v2", "resnet18", "-d", "null", "--json").document["runs"]
    assert run["report"]["summary"]["networks"] == 2
    assert (run["threads"], run["missing"], run["reasons"]) == (1, {}, {})


def test_validate_takes_lists(lutra):
    listed = lutra(
        "validate", "mcunet_in0", "--networks", "mcunet_in1, mcunet_in0", "-t", "1,2,1", "-d", "null", "--json"
    )
    runs = listed.document["runs"]
    assert [run["threads"] for run in runs] == [1, 2]
    for run in runs:
        assert [row["network"] for row in run["report"]["rows"]] == ["mcunet_in0", "mcunet_in1"]
    assert "2 threads" in lutra("validate", "mcunet_in0", "-t", "1,2", "-d", "null").out


def test_the_whole_zoo_can_be_named(lutra):
    planned = lutra("profile", "zoo", "-d", "null", "--dry-run", "--json").document
    one = lutra("profile", "mobilenet_v2", "-d", "null", "--dry-run", "--json").document
    assert planned["kernels"] > 10 * one["kernels"]


def test_this_machine_under_our_own_runtime(lutra, tiny):
    """The real thing, small: profile, predict, validate; numbers are this machine's, so only their form is known."""
    native = ("--runtime", "native")
    profiled = lutra("profile", tiny, *native)
    assert profiled.code == 0, profiled.err
    assert "tiny on host (native, 1 thread):" in profiled.out
    assert "measured as a whole:" in profiled.out
    (predicted,) = lutra("predict", tiny, *native, "--json").document
    assert 0 < predicted["low_ms"] < predicted["latency_ms"] < predicted["high_ms"]
    assert not predicted["simulated"]
    validated = lutra("validate", tiny, *native)
    assert validated.code == 0, validated.err
    assert "0 kernels measured" in validated.err
    assert re.search(r"^tiny +\d", validated.out, re.MULTILINE)


# -- tables -----------------------------------------------------------------------------------------------


def test_tables(lutra, tiny):
    assert "no tables yet" in lutra("table", "list").out
    assert lutra("table", "list", "--json").document == []
    lutra("profile", tiny, "-d", "null")
    assert re.search(r"^null +null +null, float32, 1t +[0-9a-f]{12} +4 +1 ", lutra("table", "list").out, re.MULTILINE)
    shown = lutra("table", "show", "null")
    assert "constant  one call of the runtime" in shown.out
    assert "tiny: measured 0." in shown.out
    rows = lutra("table", "show", "null", "--json").document["rows"]
    assert sorted(row["subject_kind"] for row in rows) == ["constant"] * 3 + ["kernel"] * 4 + ["network"]
    assert lutra("table", "check").out == "8 rows, 0 problems\n"
    assert lutra("table", "check", "--json").document == {"rows": 8, "problems": [], "standing": None}


def test_export(lutra, tiny, tmp_path):
    lutra("profile", tiny, "-d", "null")
    assert lutra("table", "export", "null", "t.csv").out == "8 rows to t.csv\n"
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))) == 8
    assert lutra("table", "export", "null", "t.json").code == 0
    assert json.loads((tmp_path / "t.json").read_text())
    (tmp_path / "t.csv").write_text("old")
    assert lutra("table", "export", "null", "t.csv", "--force").code == 0
    assert (tmp_path / "t.csv").read_text() != "old"
    assert {name for name in os.listdir(tmp_path) if "rows.db" not in name} == {"t.csv", "t.json", "tiny.json"}


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("", 5, 1)])
def test_delete_asks_first(lutra, tiny, monkeypatch, answer, code, left):
    lutra("profile", tiny, "-d", "null")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    outcome = lutra("table", "delete", "null")
    assert outcome.code == code
    assert "remove null" in outcome.err
    assert len(lutra("table", "list", "--json").document) == left


def test_delete_without_asking(lutra, tiny):
    lutra("profile", tiny, "-d", "null")
    assert lutra("table", "delete", "null", "--yes").out == "8 rows removed\n"


# -- manners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("doctor",), ("devices",), ("ops",), ("table", "list"), ("table", "show", "null")])
def test_no_colour_and_no_folding_where_no_terminal_is(lutra, tiny, monkeypatch, words):
    monkeypatch.setenv("TERM", "xterm-256color")
    lutra("profile", tiny, "-d", "null")
    outcome = lutra(*words)
    assert "\x1b" not in outcome.out + outcome.err
    if words[0] == "table":
        assert all(len(line.split()) > 3 for line in outcome.out.splitlines())


@pytest.mark.parametrize("words", [["ops"], ["ops", "--json"], ["--help"]])
def test_a_reader_that_leaves_early_is_no_error(words):
    """As ``head`` does: no message, and a status that lets ``set -o pipefail`` go on."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*RUN, *words], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_result_that_cannot_be_written_is_one_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*RUN, "ops"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result cannot be written")
    assert "Traceback" not in done.stderr


def test_the_log_is_on_standard_error(tiny, tmp_path):
    command = [*RUN, "-v", "profile", str(tiny), "-d", "null", "--json"]
    environment = os.environ | {"LUTRA_STORE": str(tmp_path / "rows.db")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert json.loads(done.stdout)["measured"] == 4
    assert "INFO " in done.stderr


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "140")
    with campaign_progress() as progress:
        progress(Progress(3, 12, 9.0, "Conv 3x3 [oddly named]", 2))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "3/12" in text
    assert "2 noisy" in text
    assert "Conv 3x3 [oddly named]" in text


def test_progress_elsewhere_is_lines(capsys):
    with campaign_progress() as progress:
        for done in range(26):
            progress(Progress(done, 25, 25.0 - done, f"kernel {done}", 0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["0/25", "10/25", "20/25", "25/25"]
    assert lines[1] == "10/25 kernels, about 15 s to go: kernel 10"


def test_progress_is_told_when_nothing_gets_done(capsys, monkeypatch):
    """On a noisy machine no kernel may be done for a minute; the log shows life all the same."""
    from lutra.service import render

    now_s = 0.0
    monkeypatch.setattr(render.time, "monotonic", lambda: now_s)
    with campaign_progress() as progress:
        for _ in range(40):
            progress(Progress(0, 25, None, "kernel", 0))
            now_s += 1.0
    assert len(capsys.readouterr().err.splitlines()) == 4


# -- fusion ---------------------------------------------------------------------------------------------


def test_fusion_rules_are_shown_and_what_was_timed_is_kept(lutra):
    outcome = lutra("ops", "--fusion", "-d", "null")
    assert outcome.code == 0
    assert re.search(r"^conv2d \+ relu +yes +fixed +.*conv2d\(relu\) ", outcome.out, re.MULTILINE)
    assert "only rename memory, and have no kernel: reshape, flatten" in outcome.out
    timed = lutra("ops", "--fusion", "-d", "null", "--measure", "--json")
    assert timed.code == 0
    assert {rule["known"] for rule in timed.document["rules"]} == {"measured"}
    assert lutra("ops", "--fusion", "-d", "null", "--json").document == timed.document
    assert " us saved" in lutra("ops", "--fusion", "-d", "null").out


def test_fusion_rules_of_a_device_that_is_not_here(lutra):
    assert lutra("ops", "--fusion", "-d", "pixel3").code == 3  # there is no store yet
    assert lutra("ops", "conv2d", "--fusion").code == 2


# -- precision ------------------------------------------------------------------------------------------


def test_each_precision_has_a_table_of_its_own(lutra, tiny):
    for precision in ("int8", "float32"):
        assert lutra("profile", tiny, "-d", "null", "-p", precision).code == 0
    settings = [summary["precision"] for summary in lutra("table", "list", "--json").document]
    assert sorted(settings) == ["float32", "int8"]
    assert lutra("predict", tiny, "-d", "null").code == 2  # which of the two?
    assert lutra("predict", tiny, "-d", "null", "-p", "int8").code == 0
    assert lutra("table", "show", "null", "-p", "int8").code == 0
    outcome = lutra("table", "show", "null", "-p", "int4")
    assert outcome.code == 2
    assert "no table of null in 'int4'" in outcome.err
    assert "1 rows" not in lutra("table", "delete", "null", "-p", "int8", "--yes").out
    assert [summary["precision"] for summary in lutra("table", "list", "--json").document] == ["float32"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_batches_are_planned_and_lowered_on_a_real_runtime(lutra, precision):
    pytest.importorskip("onnxruntime")
    words = ("mobilenet_v2", "--resolution", 32, "-r", "onnxruntime", "-p", precision, "--dry-run", "--json")
    kernels = [lutra("profile", *words, "--batch", batch).document["pending"] for batch in (1, 4, 16)]
    assert len(set(map(len, kernels))) == 1
    assert any(label.endswith("@16x16") for label in kernels[2])


def test_the_hint_of_a_prediction_without_rows_names_the_precision(lutra, tiny):
    assert lutra("profile", tiny, "-d", "null", "-p", "int8").code == 0
    outcome = lutra("predict", "resnet18", "-d", "null", "-p", "int8")
    assert outcome.code == 3
    assert "lutra profile resnet18 --device null --precision int8" in outcome.err


# -- small parsers ----------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.lists(st.integers(1, 10**9), min_size=1, max_size=6))
def test_shapes_are_read_back(name, shape):
    assert _parse_shape(f"{name}={'x'.join(map(str, shape))}") == (name, tuple(shape))


@given(st.text(alphabet="ab=x0123456789-+_ ٣²,.\n", max_size=24))
@example("x=1_0")
@example("x=+1")
@example("x= 1x2")
@example("x=٣")
@example("x=0x3")
@example("x=" + "9" * 5000)
def test_any_text_is_a_shape_or_a_usage_error(text):
    try:
        name, shape = _parse_shape(text)
    except UsageError:
        return
    assert name
    assert all(size >= 1 for size in shape)
    written = text[len(name) + 1 :].split("x")
    assert text.startswith(f"{name}=")
    assert [size.lstrip("0") for size in written] == [str(size) for size in shape]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20))
@example("/")
@example("")
@example("*")
@example("a" * 5000)
@example(".json")
@example("~/x.pt")
def test_any_text_names_networks_or_is_an_error(text):
    assume(text not in zoo.names())
    with pytest.raises(LutraError) as caught:
        sources_of([f"zz{text}" if "*" in text else text])
    assert caught.value.exit_code == 2
