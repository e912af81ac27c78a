"""The benchmark that builds whole tables: on the null device, whose truth is known."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's module, which is run from the root and never installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks._tables_spaces")
    monkeypatch.setattr(module, "_CHECKED", 2)
    return module


def test_tables_are_built_and_judged(part: Any, tmp_path: Path) -> None:
    tasks = (part.Task("proxyless", "proxyless@96"), part.Task("ofa-mbv3", "ofa-mbv3@128", 0.05))
    found = part.measure(tasks, device="null", runtime="null", folder=tmp_path)
    assert json.loads(json.dumps(found)) == found
    whole, sampled = found["proxyless"], found["ofa-mbv3"]
    assert (whole["measured"], whole["interpolated"], whole["failed"]) == (whole["kernels"], 0, {})
    assert whole["unseen_errors_pct"] == pytest.approx([0.0] * 2, abs=1e-6)
    assert sampled["interpolated"] > 0
    assert sampled["held_out_error"] <= 0.05
    assert {path.name for path in tmp_path.glob("*.db")} == {"proxyless.db", "ofa-mbv3.db"}

    figures = {figure.figure: figure for figure in part.figures(found, "make x")}
    assert len(figures) == 7
    assert figures["proxyless_unseen_mape_pct"].value == pytest.approx(0, abs=1e-6)
    assert figures["ofa_mbv3_held_out_error_pct"].value == pytest.approx(100 * sampled["held_out_error"])
    assert figures["ofa_mbv3_held_out_error_pct"].met is (sampled["held_out_error"] <= 0.03)
