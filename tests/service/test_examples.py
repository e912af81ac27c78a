"""The scripts in ``examples/`` run as they are, and say what they found."""

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


def test_one_supernet_serves_three_budgets(run):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    said = run("search_once_for_all", "--quick")
    rows = re.findall(r"([\d.]+) ms +([\d.]+) ms +([\d.]+) ms +([\d.]+) % +([\d.]+) %  ofa-small@8,16/\d{9}", said)
    assert len(rows) == 3, said
    assert all(0 < float(predicted) <= float(budget) for budget, predicted, *_ in rows)
    assert all(float(measured) > 0 for _, _, measured, *_ in rows)
