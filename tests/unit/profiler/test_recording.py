"""Rows of a group are on disk together, or none of them; nobody is told of a row that is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Measurement, Store
from lutra.luts.store import DeviceRecord
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.networks.errors import StoreError
from lutra.profiler.recording import Recorder


class Told(list[str]):
    """Keys of rows that were told, each on disk by then."""

    def __init__(self, store: Store, device: DeviceRecord) -> None:
        super().__init__()
        self._store, self._device = store, device

    def __call__(self, row: Measurement) -> None:
        assert self._store.has(self._device, row.subject_kind, row.subject_key)
        self.append(row.subject_key)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


@pytest.fixture
def device(store: Store) -> DeviceRecord:
    return store.register_device(make_fingerprint(), "board")


@pytest.fixture
def told(store: Store, device: DeviceRecord) -> Told:
    return Told(store, device)


@pytest.fixture
def recorder(store: Store, device: DeviceRecord, told: Told) -> Iterator[Recorder]:
    with store.lease(device) as lease:
        yield Recorder(store, device, lease, told)


def test_a_row_by_itself_is_told_at_once(recorder: Recorder, told: Told) -> None:
    recorder.record(make_measurement("a"))
    assert told == ["a"]


def test_rows_of_a_block_are_known_at_once_and_told_at_its_end(
    recorder: Recorder, told: Told, store: Store, device: DeviceRecord
) -> None:
    with recorder.together():
        recorder.record(make_measurement("a"))
        recorder.record(make_measurement("b"))
        assert recorder.keys("kernel") == {"a", "b"}
        assert not store.keys(device, "kernel")
        assert told == []
    assert told == ["a", "b"]


def test_a_block_that_fails_leaves_no_row(recorder: Recorder, told: Told, store: Store, device: DeviceRecord) -> None:
    def fail_after_a_row() -> None:
        with recorder.together():
            recorder.record(make_measurement("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_row()
    assert told == []
    assert not store.keys(device, "kernel")
    recorder.record(make_measurement("b"))
    assert told == ["b"]


def test_rows_that_cannot_be_written_are_not_told(
    recorder: Recorder, told: Told, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "record_many", refuse)
    with pytest.raises(StoreError, match="full"), recorder.together():
        recorder.record(make_measurement("a"))
    assert told == []
