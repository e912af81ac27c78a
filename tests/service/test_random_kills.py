"""A few kills at random moments lose no committed row and make none twice; `tests/slow` has fifty."""

import importlib
import os
import sys
from pathlib import Path

import pytest

from lutra.luts.testing_postgres import postgres_is_missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow  # a minute and a half, and what it waits for depends on how busy the machine is
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("database", "kills"), [("sqlite", 4), ("postgresql", 3)])
def test_a_few_kills_lose_nothing(database: str, kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if database == "postgresql" and (reason := postgres_is_missing()):
        pytest.skip(reason)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))
    found = importlib.import_module("benchmarks.service._kills").hunt(database, kills, seed=3)
    assert found["problems"] == []
    assert (found["lost"], found["duplicated"], found["unsound"]) == (0, 0, 0)
    assert sum(found["kills"].values()) == kills
    assert found["rows"] > 0
