"""Predictors that earlier versions saved can still be read, and say what they said then.

The folders in ``saved`` are never written again: a new format gets folders of its own beside them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from lutra.predictors import LatencyPredictor, predictor_kinds
from lutra.predictors.testing import small_networks

SAVED = Path(__file__).parent / "saved"
FOLDERS = sorted(path.parent for path in SAVED.glob("*/*/predictor.json"))
ROUNDING = 1e-4  # libraries may add up in another order


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_saved_predictor_says_what_it_said(folder: Path) -> None:
    expected = json.loads((folder.parent / f"{folder.name}.json").read_text())
    inputs = small_networks() if expected["encodings"] is None else np.array(expected["encodings"])
    predictor = LatencyPredictor.load(folder, device=expected["device"])
    assert predictor.kind == expected["kind"]
    assert predictor.predict_batch(inputs) == pytest.approx(expected["latencies_ms"], rel=ROUNDING)
    ends = predictor.predict_interval(inputs, 0.9)
    assert ends == pytest.approx(np.array(expected["intervals_ms"]), rel=ROUNDING)


@pytest.mark.parametrize("kind", ["additive", "gnn", "kernels", "mlp", "quadratic", "table", "transfer"])
def test_there_is_one_of_each_kind(kind: str) -> None:
    assert kind in predictor_kinds()
    assert kind in {json.loads((folder / "predictor.json").read_text())["kind"] for folder in FOLDERS}
