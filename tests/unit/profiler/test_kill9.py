"""Campaigns that are killed with SIGKILL, profiler and worker, at random moments lose no committed row."""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def kill9(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's module, which is run from the root and never installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks._tables_kill9")


def test_a_few_kills_lose_nothing(kill9: Any) -> None:
    found = kill9.measure(15, seed=1)
    assert found["problems"] == []
    assert (found["kills"], found["lost"], found["duplicated"], found["unsound"]) == (15, 0, 0, 0)
    assert found["rows"] > found["kills"] - found["idle_kills"] > 0


def test_what_is_lost_is_seen(tmp_path: Path, kill9: Any) -> None:
    """Rows that are told but not there, or there with another number, and a broken store."""
    from lutra.luts import Store
    from lutra.profiler import run_campaign
    from lutra.profiler.events import RowCommitted

    told: dict[str, float] = {}
    plan = kill9.chain(4)
    with Store.open(tmp_path / "0.db") as store:
        run_campaign(
            plan,
            store,
            events=lambda e: told.update({f"{e.kind} {e.key}": e.latency_ms}) if isinstance(e, RowCommitted) else None,
        )

    def examined(told: dict[str, float], complete: bool = True) -> Any:
        hunt = kill9.Hunt(plan, tmp_path, 0)
        hunt._told = told
        hunt._examine(complete)
        return hunt.found

    assert len(told) == len(plan.kernels) + 3
    assert examined(told).problems == []
    assert examined(told | {"kernel absent": 1.0}).lost == 1
    assert examined(dict.fromkeys(told, 0.5)).lost == len(told)
    with Store.open(tmp_path / "0.db") as store:
        store.delete_device("null")
    assert examined({}).lost == len(plan.kernels)
    (tmp_path / "0.db").write_bytes(b"no database" * 1000)
    assert examined({}).unsound == 1


def test_figures_count_every_kind_of_damage(kill9: Any) -> None:
    found = asdict(kill9.Found(kills=500, rows=9, lost=1, duplicated=2, unsound=3, seconds=1.0))
    lost, kills, rows = kill9.figures(found, "make bench")
    assert (lost.value, lost.met) == (6, False)
    assert (kills.value, kills.met) == (500, True)
    assert (rows.value, rows.met) == (9, None)
