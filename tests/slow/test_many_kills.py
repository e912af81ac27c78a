"""Campaigns that are killed with SIGKILL lose no committed row, however often."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_many_kills_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    found = importlib.import_module("benchmarks._tables_kill9").measure(60, seed=2)
    assert found["problems"] == []
    assert (found["kills"], found["lost"], found["duplicated"], found["unsound"]) == (60, 0, 0, 0)
    assert found["rows"] > 60
