"""Many rows at once: one transaction, bounded memory, and the numbers without their samples."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite

from lutra.luts import Measurement, RowNumbers, Store
from lutra.luts.database import Database
from lutra.luts.queries import select_some
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement, make_normalised
from lutra.networks.errors import StoreLockedError, UnknownNameError, UsageError

ONE, TWO = make_fingerprint(threads=1), make_fingerprint(threads=2)


def failing(rows: int) -> Iterator[Measurement]:
    for number in range(rows):
        yield make_measurement(f"new{number}")
    raise UsageError("row 301 is malformed")


def test_an_import_that_fails_leaves_nothing(filled: Path) -> None:
    with Store.open(filled) as store:
        with pytest.raises(UsageError, match="row 301"):
            store.record_many("host", failing(300))
        assert len(store.keys("host", "kernel")) == 40
        assert store.record_many("host", [make_measurement("new0")]) == 1
        assert store.check().rows == 41


def test_a_transaction_is_kept_whole_or_not_at_all(filled: Path) -> None:
    def half(store: Store) -> None:
        with store.transaction():
            store.register_device(TWO, "two")
            store.record(TWO, make_measurement("a"))
            store.set_document(TWO, "fusion", {})
            assert store.has(TWO, "kernel", "a")  # what the block wrote is seen in it
            raise ZeroDivisionError

    with Store.open(filled) as store:
        with pytest.raises(ZeroDivisionError):
            half(store)
        with pytest.raises(UnknownNameError):
            store.device(TWO)
        with store.transaction():
            store.register_device(TWO, "two")
            store.record(TWO, make_measurement("a"))
            with pytest.raises(UsageError):  # fails alone; what stands around it is kept
                store.record_many(TWO, failing(2))
        assert store.keys(TWO, "kernel") == {"a"}


def test_others_do_not_see_a_transaction_before_its_end(filled: Path) -> None:
    with Store.open(filled) as store, Store.open(filled, timeout_s=0.05) as other:
        with store.transaction():
            store.record("host", make_measurement("new"))
            assert not other.has("host", "kernel", "new")
            with pytest.raises(StoreLockedError):
                other.record("host", make_measurement("theirs"))
        assert other.has("host", "kernel", "new")


def test_numbers_are_those_of_the_rows(tmp_path: Path) -> None:
    rows = [
        make_measurement("a"),
        make_normalised("b", label="named otherwise"),
        make_failed("c"),
        make_measurement("a", subject_kind="network", rel_halfwidth=None, flags=("load", "wide")),
    ]
    with Store.open(tmp_path / "lutra.db") as store:
        store.register_device(ONE, "host")
        store.register_device(TWO, "other")
        store.record(TWO, make_measurement("b"))  # meets the subject first, under another label
        store.record_many(ONE, rows)
        assert {*store.numbers(ONE)} == {RowNumbers.of(row) for row in rows}
        assert [row.subject_kind for row in store.numbers(ONE, "network")] == ["network"]
        assert list(store.number_columns(ONE, "constant")) == []


@pytest.mark.parametrize(("rows", "page"), [(2, 3), (1, 1), (3, 7), (10, 10), (4, 20)])
def test_numbers_come_once_each_however_they_are_paged(
    filled: Path, monkeypatch: pytest.MonkeyPatch, rows: int, page: int
) -> None:
    monkeypatch.setattr("lutra.luts.numbers._ROWS", rows)
    monkeypatch.setattr("lutra.luts.numbers._PAGE", page)
    with Store.open(filled) as store:
        items = list(store.number_columns("host"))
        assert [row.subject_key for row in store.numbers("host")] == [f"k{n}" for n in range(40)]
    assert max(len(item.status) for item in items) <= rows
    assert sum(len(item.status) for item in items) == 40


def test_summaries_count_without_reading_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path / "lutra.db") as store:
        store.register_device(ONE, "one")
        store.register_device(TWO, "two")
        store.record_many(ONE, [make_measurement("a"), make_measurement("b"), make_failed("c")])
        store.record_many(ONE, [make_measurement("a", subject_kind=kind) for kind in ("network", "constant")])
        store.record(ONE, make_measurement("a", subject_kind="resident"))
        monkeypatch.delattr("lutra.luts.store.measurement_from")
        counts = {summary.device.name: summary.counts for summary in store.summaries()}
    assert counts == {"one": {"constant": 1, "kernel": 3, "network": 1, "resident": 1}, "two": {}}


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT device_id, count(*) FROM measurement GROUP BY device_id", "COVERING INDEX"),
        ("SELECT * FROM subject WHERE kind = 'kernel' AND key IN ('a', 'b')", "USING INDEX"),
    ],
)
def test_what_is_to_be_quick_is_found_in_an_index(filled: Path, query: str, index: str) -> None:
    with Store.open(filled) as store:
        database: Database = store._database
        with database.autocommit() as connection:
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert index in plan


def test_some_rows_are_found_without_going_through_all_of_the_device(filled: Path) -> None:
    query = select_some(1, "kernel", {"a", "b"})
    statement = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with Store.open(filled) as store, store._database.autocommit() as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
    assert "device_id=? AND subject_id=?" in plan
    assert "kind=? AND key=?" in plan


def test_compacting_gives_space_back_and_keeps_the_rows(filled: Path) -> None:
    with Store.open(filled) as store:
        store.register_device(TWO, "two")
        store.record_many(TWO, [make_measurement(f"big{n}", spec={"pad": "x" * 5000}) for n in range(50)])
        store.delete_device(TWO)
        done = store.compact()
        assert done.after_bytes < done.before_bytes / 2
        assert done.after_bytes == filled.stat().st_size
        assert store.check().rows == 40
        assert store.compact().after_bytes == done.after_bytes


def test_compacting_waits_for_nobody_for_ever(filled: Path) -> None:
    with (
        Store.open(filled, timeout_s=0.05) as store,
        Store.open(filled) as other,
        other.transaction(),
        pytest.raises(StoreLockedError),
    ):
        store.compact()
    with Store.open(filled) as store:
        assert store.check().rows == 40
