"""``lutra fit`` and ``lutra predict --model``: what they read, keep, print and refuse."""

import numpy as np
import pytest
from pyarrow import csv, parquet

from lutra.luts import Measurement, Store
from lutra.networks import zoo
from lutra.networks.lowering import lower
from lutra.predictors import AdditivePredictor, LatencyPredictor
from lutra.predictors.testing import small_networks, synthetic_fingerprint, synthetic_ns, synthetic_table


@pytest.fixture
def samples(tmp_path):
    """A CSV file of forty encodings whose latency is a sum."""
    codes = np.unique(np.random.default_rng(0).integers(0, 3, (200, 4)), axis=0)[:40]
    rows = [f"{a},{b},{c},{d},{1 + 0.1 * a + 0.2 * b + 0.3 * c + 0.4 * d}" for a, b, c, d in codes]
    path = tmp_path / "samples.csv"
    path.write_text("\n".join(["a,b,c,d,latency_ms", *rows]) + "\n")
    return path


def test_the_best_is_kept_and_can_be_asked(lutra, samples, tmp_path):
    done = lutra("fit", samples, "--models", "additive", "--device", "pi", "--json")
    assert done.code == 0
    document = done.document
    assert (document["best"], document["trained"], document["tested"]) == ("additive", 32, 8)
    assert document["encoding"] == ["a", "b", "c", "d"]
    assert document["rows"][0]["summary"]["mape_pct"] < 0.1
    assert isinstance(LatencyPredictor.load(tmp_path / "lutra-predictor", device="pi"), AdditivePredictor)
    asked = lutra("predict", "--model", "lutra-predictor", "--encoding", "1,1,1,1", "--encoding", "0,0,0,9", "--json")
    first, second = asked.document
    assert first["latency_ms"] == pytest.approx(2.0, rel=1e-3)
    assert not first["extrapolated"]
    assert second["extrapolated"]
    assert "column 3 is 9" in second["notes"][0]


def test_units_come_from_the_columns_name(lutra, samples):
    text = samples.read_text().replace("latency_ms", "took_us")
    samples.write_text(text)
    done = lutra("fit", samples, "--latency", "took_us", "--models", "additive")
    assert done.code == 0, done.err
    asked = lutra("predict", "--model", "lutra-predictor", "--encoding", "1,1,1,1", "--json")
    assert asked.document[0]["latency_ms"] == pytest.approx(0.002, rel=1e-3)


def test_parquet_says_the_same_as_csv(lutra, samples, tmp_path):
    parquet.write_table(csv.read_csv(samples), tmp_path / "samples.parquet")
    first = lutra("fit", samples, "--models", "additive", "--json").document
    second = lutra("fit", "samples.parquet", "--models", "additive", "--out", "second", "--json").document
    assert first["rows"][0]["summary"] == second["rows"][0]["summary"]
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 no more")
    assert "cannot be read" in lutra("fit", "samples.parquet", "--out", "third").err


def test_an_earlier_predictor_is_replaced_only_when_asked(lutra, samples):
    assert lutra("fit", samples, "--models", "additive").code == 0
    again = lutra("fit", samples, "--models", "additive")
    assert again.code == 2
    assert "exists" in again.err
    assert lutra("fit", samples, "--models", "additive", "--overwrite").code == 0


def test_networks_are_read_from_names_and_files(lutra, tmp_path):
    networks = [*small_networks(), *(zoo.build(name) for name in ("resnet18", "mobilenet_v1", "mobilenet_v2"))]
    lines = ["network,latency_ms"]
    for network in networks:
        name = network.name
        if name.startswith("small"):
            name += ".json"
            network.save(tmp_path / name)
        lines.append(f"{name},{network.macs / 1e7 + 0.1}")
    (tmp_path / "networks.csv").write_text("\n".join(lines) + "\n")
    done = lutra("fit", "networks.csv", "--models", "additive")
    assert done.code == 0, done.err
    assert lutra("predict", "--model", "lutra-predictor", "small_8_1.json").code == 0
    assert lutra("predict", "--model", "lutra-predictor", "--encoding", "1,2").code == 2


def test_a_table_joins_in_with_the_networks_measured_beside_it(lutra, tmp_path):
    names = ("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "resnet18", "resnet34", "mobilenet_v1")
    names += ("mcunet_in0", "mcunet_in1", "mcunet_in2", "mobilenet_v2", "mobilenet_v3_small")
    networks = [zoo.build(name) for name in names]
    lowered = [lower(network, "null") for network in networks]
    fingerprint = synthetic_fingerprint()
    rows = list(synthetic_table(lowered, fingerprint))
    for network, low in zip(networks, lowered, strict=True):
        samples_ns = np.full(8, int(1.1 * (5_000 + sum(map(synthetic_ns, low.kernels)))), np.int64)
        rows.append(
            Measurement(
                subject_kind="network",
                subject_key=network.fingerprint,
                label=network.name,
                samples_ns=samples_ns,
                measured_at="2026-01-01T00:00:00Z",
            )
        )
    with Store.open(tmp_path / "rows.db") as store:
        store.record_many(store.register_device(fingerprint, "bench"), rows)
    done = lutra("fit", "--table", "bench", "--models", "table,additive", "--json")
    assert done.code == 0, done.err
    assert done.document["best"] == "table"
    assert done.document["rows"][0]["summary"]["mape_pct"] < 1
    assert done.document["rows"][1]["beats_baseline"] is False
    predictor = LatencyPredictor.load(tmp_path / "lutra-predictor", device="bench")
    assert predictor.get_params()["name"] == "bench"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit",), "nothing to learn from"),
        (("fit", "absent.csv"), "cannot be read"),
        (("fit", "samples.csv", "--latency", "fast"), "does not say the unit"),
        (("fit", "samples.csv", "--latency", "fast_ms"), "no such column"),
        (("fit", "samples.csv", "--encoding", "a,z"), "no such column"),
        (("fit", "samples.csv", "--networks", "a"), "is not the name of a network"),
        (("fit", "samples.csv", "--networks", "a", "--encoding", "b"), "both a column of networks"),
        (("fit", "samples.csv", "--models", "gnn"), "unknown model"),
        (("fit", "samples.csv", "--test-share", "2"), "test_share"),
        (("predict", "--model", "absent", "resnet18"), "no saved predictor"),
        (("predict", "--model", "absent", "resnet18", "--exact"), "--model and --exact"),
        (("predict", "--encoding", "1,2"), "without --model"),
        (("predict",), "no network"),
    ],
)
def test_bad_input_is_told(lutra, samples, arguments, told):
    del samples
    done = lutra(*arguments)
    assert done.code in (1, 2)
    assert told in done.err
    assert "fix:" in done.err
    assert done.out == ""


@pytest.mark.parametrize("cell", ["nan", "-1", "0", ""])
def test_a_bad_latency_is_told_and_nothing_is_written(lutra, samples, tmp_path, cell):
    lines = samples.read_text().splitlines()
    lines[5] = ",".join([*lines[5].split(",")[:-1], cell])
    samples.write_text("\n".join(lines) + "\n")
    done = lutra("fit", samples, "--models", "additive")
    assert done.code == 2
    assert not (tmp_path / "lutra-predictor").exists()
