"""The scripts in ``examples/`` run as they are, and say what they found."""

import json
import re
import runpy
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STRATEGIES = ("grid", "random", "aging", "evolution", "reinforce", "surrogate")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script in this process, where modules beside it stay imported, and gives what it printed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run_script(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run_script


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_finds_a_network_within_the_budget(run, strategy):
    said = run(f"search_{strategy}")
    found = re.search(r"(\d+) evaluated; best mine/\d+: accuracy ([\d.]+), ([\d.]+) ms", said)
    assert found, said
    assert float(found[3]) <= import_module("my_problem").BUDGET_MS
    assert float(found[2]) > 68  # of at most 72.2, which takes too long


def test_nsga2_finds_a_front(run):
    rows = re.findall(r"accuracy ([\d.]+)  ([\d.]+) ms", run("search_nsga2"))
    assert len(rows) > 3
    assert rows == sorted(rows, key=lambda row: -float(row[1]))


def test_the_whole_way_can_be_gone(run):
    pytest.importorskip("torch")
    said = run("search_end_to_end")
    folder = Path(re.search(r"is in (\S+)", said)[1])
    assert re.search(r"1\. \d+ kernels measured on null", said)
    assert "MAPE" in said
    assert {path.name for path in folder.iterdir()} >= {"rows.db", "journal.jsonl", "best.json", "best.py"}
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "network"),
    [("search_once_for_all", r"ofa-small@8,16/\d{9}"), ("search_proxyless_budgets", r"small-chain/\d{6}")],
)
def test_the_whole_loop_serves_three_budgets(run, tmp_path, name, network):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    said = run(name, "--quick", "--out", str(tmp_path / "loop"))
    number = r"([\d.]+)"
    pattern = rf"{number} ms +{number} \({number} to {number}\) ms +{number} ms +{number} % +{number} %  {network}"
    rows = [[float(text) for text in row] for row in re.findall(pattern, said)]
    assert len(rows) == 3, said
    for budget_ms, predicted_ms, low_ms, high_ms, measured_ms, *_ in rows:
        assert 0 < low_ms <= predicted_ms <= high_ms <= budget_ms
        assert measured_ms == pytest.approx(predicted_ms, rel=0.05)  # the stand-in's times are sums, nearly
    kept = json.loads((tmp_path / "loop" / "report.json").read_text())
    assert [f"{row['measured_ms']:.3f}" for row in kept["rows"]] == [f"{row[4]:.3f}" for row in rows]
    assert len(list((tmp_path / "loop").glob("found-*.onnx"))) == 3
    again = run(name, "--quick", "--out", str(tmp_path / "loop"))  # goes on: all is there
    assert again.startswith("0 kernels measured")
    assert re.findall(pattern, again) == re.findall(pattern, said)
