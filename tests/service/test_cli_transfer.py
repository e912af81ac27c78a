"""``lutra transfer``: chooses what to measure, fits what was measured, and says what is wrong with its files."""

import numpy as np
import pytest

from lutra.predictors import LatencyPredictor, TransferPredictor


def new_device_ms(code: np.ndarray) -> float:
    return 1 + float(code @ [0.1, 0.2, 0.3, 0.4])


@pytest.fixture
def candidates(tmp_path):
    """Eighty encodings with the latencies of a device twice as slow, and a cost."""
    codes = np.unique(np.random.default_rng(0).integers(0, 4, (200, 4)), axis=0)[:80]
    lines = ["a,b,c,d,old_us,macs"]
    lines += [",".join(map(str, [*code, 2000 * new_device_ms(code), code.sum()])) for code in codes]
    path = tmp_path / "candidates.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


KNOWN = ("--sources", "old_us", "--costs", "macs")


def measured_from(chosen: str, path) -> None:
    head, *rows = chosen.strip().splitlines()
    lines = [f"{row},{new_device_ms(np.array(row.split(','), float))}" for row in rows]
    path.write_text("\n".join([f"{head},latency_ms", *lines]) + "\n")


def test_what_was_chosen_and_measured_predicts_the_rest(lutra, candidates, tmp_path):
    chosen = lutra("transfer", candidates, *KNOWN, "--samples", "8")
    assert chosen.code == 0, chosen.err
    assert chosen.out.splitlines()[0] == "a,b,c,d"
    assert len(set(chosen.out.splitlines())) == 9
    measured_from(chosen.out, tmp_path / "measured.csv")
    fitted = lutra("transfer", candidates, *KNOWN, "--measured", "measured.csv", "--device", "new")
    assert fitted.code == 0, fitted.err
    assert "fitted to 8 samples of new" in fitted.out
    assert isinstance(LatencyPredictor.load(tmp_path / "lutra-predictor", device="new"), TransferPredictor)
    asked = lutra("predict", "--model", "lutra-predictor", "--encoding", "3,3,3,3", "--json")
    assert asked.document[0]["latency_ms"] == pytest.approx(4.0, rel=0.05)


def test_json_says_which_rows(lutra, candidates):
    document = lutra("transfer", candidates, *KNOWN, "--samples", "5", "--json").document
    lines = candidates.read_text().splitlines()
    for row, code in zip(document["rows"], document["chosen"], strict=True):
        assert lines[row].split(",")[:4] == [f"{value:g}" for value in code]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "either --samples or --measured"),
        (("--samples", "5", "--measured", "x.csv"), "either --samples or --measured"),
        (("--samples", "500"), "500 of 80"),
        (("--samples", "0"), "0 of 80"),
        (("--samples", "5", "--sources", "nothing_ms"), "nothing_ms"),
        (("--samples", "5", "--sources", "macs"), "unit"),
        (("--measured", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_input_is_told(lutra, candidates, arguments, told):
    done = lutra("transfer", candidates, *arguments)
    assert done.code == 2
    assert told in done.err
