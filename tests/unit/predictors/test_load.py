"""`load_predictor`: which table a name means."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lutra.luts import Fingerprint, Store, Table
from lutra.luts.host import KERNEL_CODE_VERSION, host_fingerprint
from lutra.networks.errors import (
    ArtifactError,
    FingerprintMismatchError,
    MissingDependencyError,
    NotCoveredError,
    UnknownNameError,
    UsageError,
)
from lutra.networks.lowering import lower, onnxruntime
from lutra.predictors import TablePredictor, load_predictor
from lutra.predictors.testing import small_network, synthetic_fingerprint, synthetic_table
from lutra.profiler import Device, make_plan
from lutra.profiler.fusion import keep_rules

NETWORK = small_network(8, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lutra.db") as opened:
        yield opened


def keep(store: Store, fingerprint: Fingerprint, name: str) -> str:
    """Put a table in the store; returns the device's digest."""
    store.register_device(fingerprint, name)
    for row in synthetic_table([lower(NETWORK, "null")], fingerprint):
        store.record(fingerprint, row)
    return fingerprint.digest


def test_a_device_is_found_by_name_and_by_digest(store: Store) -> None:
    digest = keep(store, synthetic_fingerprint(), "board")
    by_name = load_predictor("board", store=store)
    assert isinstance(by_name, TablePredictor)
    assert by_name.device == "board"
    assert by_name.table.fingerprint.digest == digest
    assert load_predictor(digest[:8], store=store).predict(NETWORK) == by_name.predict(NETWORK)


def test_a_store_may_be_given_by_its_path(store: Store, tmp_path: Path) -> None:
    keep(store, synthetic_fingerprint(), "board")
    for where in (tmp_path / "lutra.db", str(tmp_path / "lutra.db")):
        assert load_predictor("board", store=where).predict(NETWORK).device == "board"


def test_the_default_store_is_the_environments(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, synthetic_fingerprint(), "board")
    monkeypatch.setenv("LUTRA_STORE", str(tmp_path / "lutra.db"))
    assert load_predictor("board").predict(NETWORK).device == "board"


def test_an_unknown_device_lists_the_known_ones(store: Store, tmp_path: Path) -> None:
    keep(store, synthetic_fingerprint(), "pixel3")
    with pytest.raises(UnknownNameError, match="pixel3") as caught:
        load_predictor("pixle3", store=store)
    assert caught.value.known == ("host", "pixel3")
    with pytest.raises(UnknownNameError):
        load_predictor("pixle3", store=tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_several_tables_of_a_name_need_a_choice(store: Store) -> None:
    one = keep(store, synthetic_fingerprint(threads=1), "board")
    four = keep(store, synthetic_fingerprint(threads=4), "board")
    with pytest.raises(UsageError, match="2 tables of board") as caught:
        load_predictor("board", store=store)
    assert one[:12] in caught.value.message
    assert four[:12] in caught.value.message
    chosen = load_predictor("board", store=store, threads=4)
    assert chosen.predict(NETWORK).threads == 4
    assert load_predictor(one[:12], store=store).predict(NETWORK).threads == 1
    for wrong in ({"threads": 2}, {"runtime": "onnxruntime"}):
        with pytest.raises(UsageError, match="no table of board"):
            load_predictor("board", store=store, **wrong)


def test_a_host_that_was_never_profiled_is_told_how(store: Store, tmp_path: Path) -> None:
    for where in (store, tmp_path / "none.db"):
        with pytest.raises(NotCoveredError, match="not been profiled") as caught:
            load_predictor(store=where, runtime="native")
        assert caught.value.hint is not None
        assert "lutra profile mobilenet_v2 --runtime native" in caught.value.hint


def test_the_host_is_found_by_what_it_is(store: Store) -> None:
    keep(store, host_fingerprint("null"), "renamed")
    predictor = load_predictor("host", store=store, runtime="null")
    assert predictor.predict(NETWORK).device == "host"


def test_rows_of_another_host_are_refused_with_the_differences(store: Store) -> None:
    keep(store, synthetic_fingerprint("native", kind="real"), "host")
    with pytest.raises(FingerprintMismatchError, match="model: synthetic ->") as caught:
        load_predictor("host", store=store, runtime="native")
    assert caught.value.differences
    assert "lutra profile" in str(caught.value.hint)


def test_the_closest_other_table_is_the_one_compared(store: Store) -> None:
    here = host_fingerprint("null")
    older = Fingerprint.from_dict(here.to_dict() | {"runtime": {"name": "null", "version": "0"}})
    keep(store, older, "host")
    keep(store, synthetic_fingerprint(), "host")
    with pytest.raises(FingerprintMismatchError) as caught:
        load_predictor("host", store=store, runtime="null")
    assert caught.value.differences == (f"version: 0 -> {KERNEL_CODE_VERSION}",)


def test_each_precision_has_a_table_of_its_own(store: Store) -> None:
    for precision in ("float32", "int8"):
        keep(store, host_fingerprint("null", precision=precision), "board")
    with pytest.raises(UsageError, match="2 tables of board") as caught:
        load_predictor("board", store=store)
    assert "precision" in str(caught.value)
    predictor = load_predictor("board", store=store, precision="int8")
    assert isinstance(predictor, TablePredictor)
    assert predictor.table.fingerprint.precision == "int8"
    assert predictor.predict(NETWORK).latency_ms > 0
    with pytest.raises(UsageError, match="no table of board"):
        load_predictor("board", store=store, precision="int4")


def test_too_many_threads_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="threads"):
        load_predictor("host", store=store, threads=10_000)


def test_a_path_is_a_saved_predictor(store: Store, tmp_path: Path) -> None:
    keep(store, synthetic_fingerprint(), "board")
    predictor = load_predictor("board", store=store)
    folder = predictor.save(tmp_path / "saved")
    for path in (folder, str(folder)):
        assert load_predictor(path).predict(NETWORK) == predictor.predict(NETWORK)
    with pytest.raises(ArtifactError, match="no saved predictor"):
        load_predictor(tmp_path / "other")
    with pytest.raises(UsageError, match="device in it"):
        load_predictor(folder, threads=2)


def test_a_table_predicts_where_its_runtime_is_not_installed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the runtime, to the digit; and what the table does not know is named."""
    pytest.importorskip("onnxruntime")
    network = small_network(8, 1)
    device = Device("board", host_fingerprint("onnxruntime"))
    plan = make_plan(device, [network])
    store.register_device(device.fingerprint, "board")
    for row in synthetic_table([subject.lowered for subject in plan.subjects], device.fingerprint):
        kernel = plan.kernels.get(row.subject_key)
        store.record(device.fingerprint, replace(row, spec=kernel.to_json()) if kernel else row)
    keep_rules(plan, store)
    table = Table.from_json(store.table("board").to_json())
    expected = TablePredictor(table).predict(network)
    monkeypatch.setattr(onnxruntime, "_runtime", _missing)
    assert TablePredictor(table).predict(network).latency_ms == expected.latency_ms
    with pytest.raises(NotCoveredError, match="onnxruntime is not installed here"):
        TablePredictor(table).predict(small_network(16, 1))
    table.documents.clear()
    with pytest.raises(MissingDependencyError):
        TablePredictor(table).predict(network)


def _missing() -> None:
    raise MissingDependencyError("onnxruntime", "ort", "lowering for ONNX Runtime")
