"""Workers, what they start, who submits and the database are killed at random moments: no row is lost, or twice."""

import importlib
from pathlib import Path

import pytest

from lutra.luts.testing_postgres import postgres_is_missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_fifty_random_kills_lose_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if database == "postgresql" and (reason := postgres_is_missing()):
        pytest.skip(reason)
    monkeypatch.syspath_prepend(str(ROOT))
    found = importlib.import_module("benchmarks.service._kills").hunt(database, 50, seed=7)
    assert found["problems"] == []
    assert (found["lost"], found["duplicated"], found["unsound"]) == (0, 0, 0)
    assert sum(found["kills"].values()) == 50
    assert found["rows"] > 0
