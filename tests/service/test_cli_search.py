"""``lutra search``: what it finds, leaves, refuses, and how it goes on after a stop."""

import csv
import json
import math
import os
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from lutra.nas_bridge import make_oracle
from lutra.networks import Network
from lutra.predictors import AdditivePredictor, load_predictor
from lutra.profiler import mcu
from lutra.service.spaces import space_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_space.py"
SPACE = ("--space", EXAMPLE.name)
NULL = ("-d", "null")


@pytest.fixture(scope="module")
def profiled(tmp_path_factory) -> Path:
    """A store with the null device's table of the example's space."""
    from lutra.luts import Store
    from lutra.profiler import make_space_plan, resolve_device, run_campaign

    path = tmp_path_factory.mktemp("store") / "rows.db"
    plan = make_space_plan(resolve_device("null"), space_of(str(EXAMPLE)).chains(), check=False)
    with Store.open(path, create=True, read_only=False) as store:
        run_campaign(plan, store)
    return path


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, profiled: Path):
    """The example's space, in a folder with its table and accuracy functions."""
    shutil.copy(EXAMPLE, tmp_path)
    shutil.copy(profiled, tmp_path / "rows.db")
    (tmp_path / "acc.py").write_text(ACCURACIES)
    return space_of(str(tmp_path / EXAMPLE.name))


ACCURACIES = '''
import os
import signal
from pathlib import Path

import numpy as np


def accuracy(network):
    return 60 + 5 * np.log10(network.macs)


def some_fail(network):
    if network.macs % 7 == 0:
        raise ValueError("no luck")
    return float("nan") if network.macs % 5 == 0 else accuracy(network)


def interrupted_once(network):
    """As a user who presses Ctrl-C during the tenth evaluation."""
    count = Path("count.txt")
    n = 1 + int(count.read_text() if count.exists() else "0")
    count.write_text(str(n))
    if n == 10:
        os.kill(os.getpid(), signal.SIGINT)
    return accuracy(network)


def of_codes(codes):
    return codes.sum(axis=1) / 10


def always_fails(network):
    raise RuntimeError("out of order")


def of_something(x):
    return 1.0


number = 3
'''


def everything(space):
    """All codes of the example, with what the null device takes for them."""
    codes = np.indices((5, 5, 5)).reshape(3, -1).T
    return codes, make_oracle(load_predictor("null", store="rows.db"), space).latencies_ms(codes)


# -- what it finds and leaves -----------------------------------------------------------------------------


def test_the_best_within_the_budget_is_found_and_kept(lutra, mine, tmp_path):
    done = lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "grid", "-n", 125, "--out", "run")
    assert done.code == 0, done.err
    codes, latencies_ms = everything(mine)
    first = next(line for line in done.out.splitlines() if line.startswith("mine/"))
    name = first.split()[0]
    assert first.endswith("chosen")
    assert "MACs stand in for accuracy" in done.out
    run = tmp_path / "run"
    result = json.loads((run / "result.json").read_text())
    assert result["front"][0]["name"] == name
    assert result["front"][0]["chosen"]
    assert result["front"][0]["macs"] == mine.costs(codes[latencies_ms <= 0.3]).macs.max()
    assert result["bounds"] == {"latency_ms": 0.3}
    assert result["device"] == {"name": "null", "simulated": True, "latencies": result["device"]["latencies"]}
    assert all(row["latency_ms"] <= 0.3 for row in result["front"])
    assert Network.load(run / "best.json").name == name
    assert Network.load(run / "front" / "001.json").name == name
    assert len(list((run / "front").iterdir())) == len(result["front"])
    assert name in (run / "report.html").read_text()
    with (run / "tried.csv").open() as file:
        tried = list(csv.DictReader(file))
    assert len(tried) == result["evaluated"] == len({row["network"] for row in tried})
    assert all(float(row["latency_ms"]) <= 0.3 for row in tried)


def test_the_front_is_what_nothing_tried_beats(lutra, mine):
    result = lutra("search", *SPACE, *NULL, "--max-ms", 9, "-s", "grid", "-n", 125, "--json").document
    codes, latencies_ms = everything(mine)
    macs = mine.costs(codes).macs
    beaten = [bool(((latencies_ms <= t) & (macs >= m) & ((latencies_ms < t) | (macs > m))).any())
              for t, m in zip(latencies_ms, macs, strict=True)]  # fmt: skip
    best = {(t, m) for t, m, lost in zip(latencies_ms.tolist(), macs.tolist(), beaten, strict=True) if not lost}
    found = [(row["latency_ms"], row["accuracy"]) for row in result["front"]]
    assert set(found) == best
    assert found == sorted(found, reverse=True)
    assert result["folder"] == "lutra-search"


def test_the_architecture_is_left_as_onnx_and_torch_code(lutra, tmp_path):
    onnx, torch = pytest.importorskip("onnx"), pytest.importorskip("torch")
    assert lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 20, "--out", "run").code == 0
    model = onnx.load(tmp_path / "run" / "best.onnx")
    onnx.checker.check_model(model, full_check=True)
    scope: dict[str, object] = {}
    exec(compile((tmp_path / "run" / "best.py").read_text(), "best.py", "exec"), scope)
    module = scope["Architecture"]().eval()
    assert module(torch.rand(1, 3, 32, 32)).shape == (1, 10)


def test_without_matplotlib_all_but_the_picture_is_left(lutra, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    assert lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 5, "--out", "run").code == 0
    assert not (tmp_path / "run" / "plot.png").exists()
    assert (tmp_path / "run" / "report.html").exists()


def test_an_accuracy_of_ones_own_is_called_as_it_is(lutra):
    words = ("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 20)
    one = lutra(*words, "--accuracy", "acc.py:accuracy", "--out", "one")
    assert one.code == 0, one.err
    assert "accuracy (acc.py:accuracy)" in one.out
    assert "stand in" not in one.out
    many = lutra(*words, "--accuracy", "acc.py:of_codes", "--out", "many", "--json").document
    assert many["accuracy"]["label"] == "accuracy (acc.py:of_codes)"
    assert many["front"][0]["accuracy"] == pytest.approx(sum(many["front"][0]["code"]) / 10)


def test_failed_evaluations_are_recorded(lutra, tmp_path):
    done = lutra("search", *SPACE, *NULL, "--max-ms", 9, "-s", "grid", "-n", 125, "--accuracy", "acc.py:some_fail")
    assert done.code == 0, done.err
    result = json.loads((tmp_path / "lutra-search" / "result.json").read_text())
    reasons = {failure["reason"] for failure in result["failed"]}
    assert reasons == {"accuracy raised ValueError: no luck", "accuracy gave nan"}
    assert f"125 evaluated, {len(result['failed'])} failed" in done.out
    with (tmp_path / "lutra-search" / "tried.csv").open() as file:
        tried = {row["network"]: row for row in csv.DictReader(file)}
    assert len(tried) == 125
    for failure in result["failed"]:
        assert tried[failure["name"]]["failure"] == failure["reason"]
        assert tried[failure["name"]]["accuracy"] == ""


def test_several_objectives_are_traded_off(lutra, mine):
    done = lutra("search", *SPACE, *NULL, "-s", "random", "-n", 125, "--trade", "latency_ms,peak_bytes", "--json")
    assert done.code == 0, done.err
    assert done.document["traded"] == ["latency_ms", "peak_bytes"]
    assert done.document["bounds"] == {}
    peaks = [mine.decode(row["code"]).peak_activation_bytes() for row in done.document["front"]]
    losses = [(-row["accuracy"], row["latency_ms"], peak)
              for row, peak in zip(done.document["front"], peaks, strict=True)]  # fmt: skip
    assert not [a for a in losses for b in losses if a != b and all(y <= x for x, y in zip(a, b, strict=True))]
    assert lutra("search", "--resume", "lutra-search", "--json").document == done.document
    refused = lutra("search", *SPACE, *NULL, "-s", "aging", "--trade", "latency_ms", "--out", "other")
    assert "takes one objective" in refused.err


def test_workers_find_the_same(lutra):
    words = ("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 12, "--accuracy", "acc.py:some_fail")
    alone = lutra(*words, "--out", "alone", "--json").document
    together = lutra(*words, "--out", "together", "--workers", 2, "--json").document
    assert alone | {"folder": ""} == together | {"folder": ""}


def test_the_best_can_be_measured(lutra):
    result = lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 20, "--remeasure", 2, "--json")
    assert result.code == 0, result.err
    rows = result.document["front"]
    assert [row["measured_ms"] is not None for row in rows[:3]] == [True, True, False]
    assert rows[0]["measured_ms"] == pytest.approx(rows[0]["latency_ms"], rel=0.1)


def test_a_chosen_network_that_breaks_the_budget_is_told(lutra, tmp_path, monkeypatch):
    from lutra.service.searching import measuring

    def twice_as_slow(report, most):
        return report.with_measured({row.name: 2 * row.latency_ms for row in report.rows[:most]})

    monkeypatch.setattr(measuring, "measured", twice_as_slow)
    done = lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 20, "--remeasure", 1, "--out", "run")
    assert done.code == 0, done.err
    assert "more than the budget" in done.out
    assert "-50.0 %" in done.out
    assert "more than the budget" in (tmp_path / "run" / "report.html").read_text()


# -- going on ---------------------------------------------------------------------------------------------


def words_of(out: str) -> tuple[object, ...]:
    return ("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "-n", 30, "--batch", 4, "--out", out)


def results(folder: Path) -> tuple[str, str]:
    """What was found, without how the accuracy function is called."""
    result = json.loads((folder / "result.json").read_text())
    rows = [line.split(",") for line in (folder / "tried.csv").read_text().splitlines()]
    return json.dumps(result["front"]), json.dumps(rows)


def test_an_interrupted_search_goes_on_with_the_printed_command(lutra, tmp_path):
    stopped = lutra(*words_of("run"), "--accuracy", "acc.py:interrupted_once")
    assert stopped.code == 5
    assert "finishing what is evaluated" in stopped.err
    assert not (tmp_path / "run" / "result.json").exists()
    command = stopped.err.splitlines()[-1].removeprefix("interrupted; go on with: ")
    assert command == "lutra search --resume run"
    done = lutra(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    assert int((tmp_path / "count.txt").read_text()) == 30  # none was evaluated twice
    assert lutra(*words_of("other"), "--accuracy", "acc.py:accuracy").code == 0
    assert results(tmp_path / "run") == results(tmp_path / "other")


def test_a_killed_search_goes_on_from_its_last_whole_line(lutra, tmp_path):
    assert lutra(*words_of("run"), "--accuracy", "acc.py:accuracy").code == 0
    before = results(tmp_path / "run")
    journal = tmp_path / "run" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-700])
    for left in ("result.json", "tried.csv"):
        (tmp_path / "run" / left).unlink()
    again = lutra("search", "--resume", "run")
    assert again.code == 0, again.err
    assert results(tmp_path / "run") == before


def test_a_finished_search_can_go_further(lutra):
    assert lutra(*words_of("run")).code == 0
    further = lutra("search", "--resume", "run", "-n", 60, "--json").document
    assert further["evaluated"] > 30
    assert lutra("search", "--resume", "run", "--json").document == further


def test_another_search_does_not_go_on(lutra, tmp_path):
    assert lutra(*words_of("run")).code == 0
    other = lutra("search", "--resume", "run", "--space", "fbnet")
    assert other.code == 2
    assert "not of fbnet" in other.err
    assert "[LUTRA-E106]" in other.err
    extra = lutra("search", "--resume", "run", "--max-ms", 3, "--seed", 1)
    assert "--resume and --max-ms, --seed" in extra.err
    settings = tmp_path / "run" / "search.json"
    document = json.loads(settings.read_text())
    settings.write_text(json.dumps(document | {"seed": 7}))
    assert "[LUTRA-E106]" in lutra("search", "--resume", "run").err  # the journal knows better
    settings.write_text(json.dumps(document | {"probe_ms": [2 * ms for ms in document["probe_ms"]]}))
    changed = lutra("search", "--resume", "run")
    assert "the latencies of null have changed" in changed.err
    assert "holds no search" in lutra("search", "--resume", "nowhere").err


# -- what it refuses --------------------------------------------------------------------------------------


def test_an_infeasible_budget_says_the_least_before_anything(lutra, mine, tmp_path):
    done = lutra("search", *SPACE, *NULL, "--max-ms", 0.001, "-s", "grid", "--out", "run")
    assert done.code == 2
    _, latencies_ms = everything(mine)
    assert f"the least is {latencies_ms.min():.4g}" in done.err
    assert "[LUTRA-E105]" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "ofa-mbv2"), "unknown search space 'ofa-mbv2'"),
        (("--space", "nothing.py"), "there is no file"),
        (("-d", "pixle3"), "unknown device 'pixle3'"),
        (("-d", "pixel3.json"), "there is no file pixel3.json"),
        (("-s", "evolve"), "unknown strategy 'evolve'"),
        (("--data", "digits"), "does not learn from images"),
        (("--accuracy", "luck"), "unknown accuracy 'luck'"),
        (("--accuracy", "acc.py"), "names no function"),
        (("--accuracy", "acc.py:nothing"), "unknown function"),
        (("--accuracy", "acc.py:number"), "unknown function"),
        (("--accuracy", "acc.py:of_something"), "takes 'x', not a network"),
        (("--accuracy", "none.py:accuracy"), "there is no file"),
        (("--trade", "energy_mj", "-s", "random"), "unknown objective 'energy_mj'"),
        (("--set", "luck=3"), "is no parameter of random"),
        (("-s", "aging", "--set", "population=many"), "is not a whole number"),
        (("--max-macs", "many"), "is no number of them"),
        (("--margin", "0.2"), "a margin of 0.2"),
        (("--model", "folder", "-d", "null"), "--model and --device"),
        (("--max-ms", "-1"), "a latency budget of -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_words_are_refused(lutra, tmp_path, words, message):
    given = {"--space": SPACE[1], "-d": "null", "--max-ms": "0.3", "-s": "random"}
    given |= dict(zip(words[::2], words[1::2], strict=True))
    if "--model" in given:
        given["--device"] = given.pop("-d")
    done = lutra("search", *(word for pair in given.items() for word in pair), "--out", "run")
    assert (done.code, message in done.err) == (2, True), done.err
    assert "fix:" in done.err
    assert not (tmp_path / "run").exists()


def test_a_search_without_a_budget_or_a_space_is_refused(lutra):
    assert "nothing bounds the latency" in lutra("search", *SPACE, *NULL, "-s", "random").err
    assert "no space is named" in lutra("search", *NULL).err


def test_a_space_that_was_not_profiled_says_the_command(lutra, tmp_path):
    other = lutra("search", "--space", "nasbench201", *NULL, "--max-ms", 3, "-s", "random")
    assert other.code == 3
    assert "fix: profile the space first: lutra profile --space nasbench201 --device null\n" in other.err
    (tmp_path / "rows.db").unlink()
    for device in ("null", "host"):
        none = lutra("search", *SPACE, "-d", device, "--max-ms", 3, "-s", "random")
        assert none.code == 3
        assert f"lutra profile --space {tmp_path / EXAMPLE.name}" in none.err


def test_a_folder_that_is_there_is_left_alone(lutra, tmp_path):
    (tmp_path / "run").mkdir()
    done = lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "random", "--out", "run")
    assert done.code == 2
    assert "run exists" in done.err
    assert "--resume run" in done.err


def test_accuracies_that_always_fail_end_the_search(lutra):
    done = lutra("search", *SPACE, *NULL, "--max-ms", 9, "-s", "grid", "--accuracy", "acc.py:always_fails")
    assert done.code == 2
    assert "evaluations failed; the first accuracy raised RuntimeError: out of order" in done.err


def test_only_this_machine_can_be_measured(lutra, mine):
    AdditivePredictor("phone").fit(*samples(mine)).save("model")
    done = lutra("search", *SPACE, "--model", "model", "--max-ms", 9, "--remeasure", 3)
    assert done.code == 3
    assert "cannot be measured" in done.err


# -- where latencies come from ----------------------------------------------------------------------------


def samples(space):
    """Measurements of all codes as a phone might give them, with some noise."""
    codes, latencies_ms = everything(space)
    return codes.astype(float), 10 * latencies_ms * np.random.default_rng(0).normal(1, 0.05, len(codes))


def test_a_saved_predictor_says_the_latencies(lutra, mine):
    AdditivePredictor("phone").fit(*samples(mine)).save("model")
    done = lutra("search", *SPACE, "--model", "model", "--max-ms", 3, "-s", "grid", "-n", 125, "--json")
    assert done.code == 0, done.err
    assert done.document["device"]["name"] == "phone"
    assert all(row["interval_ms"][0] <= row["latency_ms"] <= 3 for row in done.document["front"])
    careful = lutra("search", *SPACE, "--model", "model", "--max-ms", 3, "--margin", 0.95, "-s", "grid", "-n", 125,
                    "--out", "careful", "--json").document  # fmt: skip
    assert max(row["latency_ms"] for row in careful["front"]) < max(row["latency_ms"] for row in done.document["front"])
    assert all(row["interval_ms"][1] <= 3 * (1 + 1e-9) for row in careful["front"])


def test_a_board_is_simulated_and_its_memory_bounds_the_search(lutra, tmp_path):
    described = (Path(mcu.__file__).parent / "boards" / "stm32f412.yaml").read_text()
    (tmp_path / "small.yaml").write_text(described.replace("kib: 256", "kib: 28").replace("stm32f412", "small"))
    words = ("search", *SPACE, "-d", "small.yaml", "-s", "grid", "-n", 125)
    done = lutra(*words, "--max-ms", 500, "--out", "run", "--json")
    assert done.code == 0, done.err
    assert done.document["device"]["simulated"]
    assert done.document["device"]["name"] == "small"
    assert 0 < done.document["evaluated"] < 125  # the others do not fit
    (tmp_path / "small.yaml").write_text(described.replace("kib: 256", "kib: 4").replace("stm32f412", "small"))
    refused = lutra(*words, "--max-ms", 500, "--out", "none")
    assert refused.code == 2
    assert "keeps share of small's memory <= 1: the least is" in refused.err


def test_a_second_device_has_a_budget_of_its_own(lutra, mine):
    codes, latencies_ms = samples(mine)
    AdditivePredictor("phone").fit(codes, latencies_ms).save("model")
    assert lutra("table", "export", "null", "other.json").code == 0
    words = ("search", *SPACE, "--model", "model", "--max-ms", 4, "-s", "grid", "-n", 125)
    alone = lutra(*words, "--out", "alone", "--json").document
    both = lutra(*words, "--also", "other.json=0.2", "--out", "both", "--json").document
    assert both["also"] == {"null": 0.2}
    assert max(row["latency_ms"] for row in alone["front"]) > max(row["latency_ms"] for row in both["front"])
    assert all(row["others_ms"]["null"] <= 0.2 and row["latency_ms"] <= 4 for row in both["front"])
    assert lutra("search", "--resume", "both", "--json").document == both
    shown = lutra(*words, "--also", "other.json=0.2", "--out", "shown").out
    assert "on phone, latency <= 4 ms, on null <= 0.2 ms" in shown
    assert "null (ms)" in shown
    refused = lutra(*words, "--also", "other.json=0.001", "--out", "refused")
    assert "keeps latency_ms@null <= 0.001" in refused.err
    twice = lutra("search", *SPACE, *NULL, "--max-ms", 3, "-s", "grid", "--also", "other.json=2", "--out", "refused")
    assert "two devices are called null" in twice.err
    assert "is no device with a budget" in lutra(*words, "--also", "0.2", "--out", "refused").err


def test_an_exported_table_does_as_well_as_the_store(lutra, monkeypatch):
    words = ("search", *SPACE, "--max-ms", 0.3, "-s", "grid", "-n", 125, "--json")
    stored = lutra(*words, *NULL, "--out", "stored").document
    assert lutra("table", "export", "null", "null.json").code == 0
    monkeypatch.setenv("LUTRA_STORE", "nowhere.db")
    read = lutra(*words, "-d", "null.json", "--out", "read")
    assert read.code == 0, read.err
    assert read.document["front"] == stored["front"]


def test_the_note10_table_prices_ofas_space(lutra, shared_data):
    table = shared_data / "luts" / "note10_and_pixel1_blocks.csv"
    words = ("search", "--space", "ofa-mbv3-w1.2@160", "-s", "random", "-n", 20)
    several = lutra(*words, "-d", table, "--max-ms", 30)
    assert "has 2 devices" in several.err
    assert lutra("table", "import", table, "--format", "blocks-csv").code == 0
    assert lutra("table", "export", "ofa_note10", "note10.json").code == 0
    imported = lutra(*words, "-d", "ofa_note10", "--max-ms", 30, "--out", "a", "--json").document
    for device, out in ((f"{table}:ofa_note10", "b"), ("note10.json", "c")):
        same = lutra(*words, "-d", device, "--max-ms", 30, "--out", out, "--json").document
        assert same["front"] == imported["front"]
    assert all(row["latency_ms"] <= 30 for row in imported["front"])
    refused = lutra(*words, "-d", "note10.json", "--max-ms", 3, "--out", "d")
    assert "the least is 9.89" in refused.err  # the smallest network's published sum
    wrong = lutra("search", "--space", "fbnet", "-d", "note10.json", "--max-ms", 30, "--out", "e")
    assert wrong.code == 3


def test_accuracies_of_a_benchmark_on_a_phone(lutra, tmp_path, shared_data):
    """NAS-Bench-201 with its own accuracies, on a predictor of a phone that was fitted to a part of the cells."""
    (tmp_path / "nb201.py").write_text(NB201.format(data=shared_data))
    scope: dict[str, object] = {}
    exec(compile((tmp_path / "nb201.py").read_text(), "nb201.py", "exec"), scope)
    codes, phone_ms = scope["codes"], scope["samsung_s7_ms"]
    AdditivePredictor("samsung_s7").fit(codes[::20].astype(float), phone_ms[::20]).save("phone")
    budget_ms = float(np.quantile(phone_ms, 0.3))
    done = lutra("search", "--space", "nasbench201", "--model", "phone", "--max-ms", budget_ms, "-s", "random", "-n",
                 2000, "--accuracy", "nb201.py:accuracy", "--json")  # fmt: skip
    assert done.code == 0, done.err
    chosen = done.document["front"][0]
    assert chosen["latency_ms"] <= budget_ms
    assert chosen["accuracy"] > 88.5  # the best that a third of a space may be, seen by 2,000 of its 15,625 cells
    assert math.isclose(chosen["accuracy"], scope["accuracy"](np.array([chosen["code"]]))[0])


NB201 = '''
"""Published accuracies and latencies of NAS-Bench-201, by code."""

import numpy as np
import pyarrow.parquet as pq

from lutra.nas import spaces

_TABLE = pq.read_table("{data}" + "/nasbench201/architectures.parquet")
_OPS = spaces.build("nasbench201").decisions[0].choices
_EDGES = [arch.replace("+", "").strip("|").replace("||", "|").split("|") for arch in _TABLE["arch_str"].to_pylist()]
codes = np.array([[_OPS.index(edge.partition("~")[0]) for edge in edges] for edges in _EDGES])
samsung_s7_ms = _TABLE["lat_samsung_s7"].to_numpy().astype(float)
_ACCURACY = np.full((5,) * 6, np.nan)
_ACCURACY[tuple(codes.T)] = _TABLE["val_acc_cifar10"].to_numpy()


def accuracy(codes):
    return _ACCURACY[tuple(np.asarray(codes).T)]
'''


# -- strategies that train a supernet ---------------------------------------------------------------------


def test_a_supernet_is_trained_and_an_architecture_derived(lutra, tmp_path):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", images=rng.integers(0, 256, (80, 3, 32, 32), dtype=np.uint8),
             labels=np.arange(80) % 10)  # fmt: skip
    words = ("search", *SPACE, *NULL, "--max-ms", 0.2, "-s", "proxyless", "--data", "few.npz", "--set", "batch=16")
    done = lutra(*words, "--set", "epochs=2", "--set", "warm_up=1", "--out", "run", "--json")
    assert done.code == 0, done.err
    assert "epoch 2/2: loss" in done.err
    (chosen,) = [row for row in done.document["front"] if row["chosen"]]
    assert chosen["latency_ms"] <= 0.2
    assert all(row["latency_ms"] <= 0.2 for row in done.document["front"])
    assert "supernet" in done.document["accuracy"]["label"]
    assert "supernet" in done.document["accuracy"]["note"]
    again = lutra("search", "--resume", "run", "--json")
    assert again.document == done.document
    assert "epoch" not in again.err  # all were there
    for extra in (("--accuracy", "macs"), ("--margin", 0.9), ("-n", 5)):
        refused = lutra(*words, *extra, "--out", "other")
        assert (refused.code, "it trains a supernet" in refused.err) == (2, True)
    assert "it has: epochs=50" in lutra(*words, "--set", "pages=3", "--out", "other").err


def test_without_torch_a_supernet_names_the_extra(lutra, monkeypatch):
    from lutra.service.searching import gradient

    assert set(gradient._BUILT_IN) <= set(gradient.kinds())
    monkeypatch.setattr(gradient, "find_spec", {}.get)
    done = lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "proxyless")
    assert done.code == 3
    assert "the strategy 'proxyless' needs torch" in done.err
    assert "unknown strategy 'evolve'" in lutra("search", *SPACE, *NULL, "--max-ms", 0.3, "-s", "evolve").err


def test_an_interrupted_training_goes_on_after_its_epoch(lutra, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from lutra.service import render

    rng = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", images=rng.integers(0, 256, (80, 3, 32, 32), dtype=np.uint8),
             labels=np.arange(80) % 10)  # fmt: skip
    words = ("search", *SPACE, *NULL, "--max-ms", 0.2, "-s", "fbnet", "--data", "few.npz", "--set", "batch=16",
             "--set", "epochs=2")  # fmt: skip
    whole = lutra(*words, "--out", "whole", "--json").document
    told = render._epoch

    def interrupting(report):
        if report.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return told(report)

    monkeypatch.setattr(render, "_epoch", interrupting)
    stopped = lutra(*words, "--out", "run")
    assert stopped.code == 5
    assert "go on with: lutra search --resume run" in stopped.err
    done = lutra("search", "--resume", "run", "--json").document
    assert done["front"] == whole["front"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_handler_of_interrupts_is_put_back(lutra):
    before = signal.getsignal(signal.SIGINT)
    assert lutra(*words_of("run")).code == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_an_estimator_that_learns_on_a_space_is_given_the_one_that_is_searched():
    pytest.importorskip("torch")
    from lutra.service.searching.accuracy import OfEstimator

    network = space_of("nasbench201").decode([0] * 6)
    estimator = OfEstimator("nasbench201", "hypernetwork", 3).estimator(network)
    assert estimator.kind == "hypernetwork"
    assert estimator.seed == 3


def test_accuracies_with_inherited_weights_are_remembered_in_the_folder(lutra, tmp_path):
    pytest.importorskip("torch")
    from lutra.nas.accuracy.data import digits
    from lutra.nas.accuracy.data_sources import write_npz

    write_npz(digits(32).subset(range(30)), tmp_path / "few.npz")
    words = ("search", *SPACE, *NULL, "--max-ms", 10, "-s", "aging", "--set", "population=1", "--set", "sample=1")
    words += ("--set", "growth=1", "--accuracy", "inherited", "--data", "few.npz", "--out", "run")
    found = lutra(*words, "-n", 2)
    assert found.code == 0, found.err
    assert "accuracy (inherited, %)" in found.out
    files = sorted(path.name for path in (tmp_path / "run" / "trained" / "3x32x32").iterdir())
    assert len(files) == 2
    assert all(name.endswith(".trained.npz") for name in files)
    with (tmp_path / "run" / "tried.csv").open() as file:
        how = [row["how"] for row in csv.DictReader(file)]
    assert how[0].startswith("from scratch: 20 epochs, ")
    assert " of its weights from mine/" in how[1]
    more = lutra("search", "--resume", "run", "-n", 3, "--json")
    assert "with the weights of a relative" in json.dumps(more.document)
    assert len(list((tmp_path / "run" / "trained" / "3x32x32").iterdir())) == 3


def test_pictures_are_scaled_to_what_networks_read_and_too_many_classes_refused_at_once(lutra, tmp_path):
    pytest.importorskip("torch")
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, classes in (("two", 2), ("many", 11)):
        for label in range(classes):
            folder = tmp_path / name / f"{label:02d}"
            folder.mkdir(parents=True)
            for i in range(4):
                side = 12 + 8 * i
                image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(folder / f"{i}.png")
    words = ("search", *SPACE, *NULL, "--max-ms", 9, "-s", "random", "-n", 1, "--accuracy", "from-scratch", "--data")
    done = lutra(*words, "two", "--out", "run")
    assert done.code == 0, done.err
    refused = lutra(*words, "many", "--out", "other")
    assert (refused.code, "of 11 classes" in refused.err, "at most 10 classes" in refused.err) == (2, True, True)
    assert not (tmp_path / "other").exists()
