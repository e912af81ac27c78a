"""Whatever happens to a store's file: reading it never fails in an unforeseen way, and what is saved is unaltered."""

import random
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.luts import Measurement, Store
from lutra.luts.salvage import salvage, survey
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement, make_normalised
from lutra.luts.upkeep import check_damaged
from lutra.networks.errors import StoreCorruptError, StoreError, StoreFullError

PAGE = 4096
ONE, TWO = make_fingerprint(threads=1), make_fingerprint(threads=2)

Rows = dict[tuple[str, str, str], Measurement]


def rows_of(store: Store) -> Rows:
    return {
        (record.digest, row.subject_kind, row.subject_key): row
        for record in store.devices()
        for row in store.measurements(record)
    }


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Rows]:
    """The bytes of a store of two devices, and its rows."""
    path = tmp_path_factory.mktemp("original") / "lutra.db"
    with Store.open(path) as store:
        store.register_device(ONE, "one")
        store.register_device(TWO, "two")
        store.set_document(ONE, "fusion", {"rules": [1, 2, 3]})
        rows = [make_measurement(f"k{n}", spec={"pad": "x" * (37 * n % 900)}) for n in range(60)]
        store.record_many(ONE, [*rows, make_failed(), make_normalised("normalised")])
        store.record_many(TWO, [make_measurement(f"k{n}", overhead_ns=1.0, label="mine") for n in range(20, 50)])
        found = rows_of(store)
    assert len(found) == 92
    return path.read_bytes(), found


def saved_rows(path: Path, target: Path) -> Rows:
    """What can be saved; nothing where it is said that nothing can be."""
    try:
        found = salvage(path, target)
    except StoreCorruptError:
        assert not target.exists()
        return {}
    with Store.open(target) as store:
        assert store.check().ok
        rows = rows_of(store)
    assert found.rows == len(rows)
    return rows


def examine(path: Path) -> None:
    """Check, whichever way the command line would; says what is wrong, or that nothing can be read."""
    with suppress(StoreCorruptError):
        try:
            store = Store.open(path, create=False, read_only=True)
        except StoreError as error:
            report = check_damaged(path, error)
        else:
            with store:
                report = store.check()
        assert report.ok == (report.standing is None)


def test_everything_is_saved_from_a_sound_store(original: tuple[bytes, Rows], tmp_path: Path) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content)
    assert survey(path).lost == ()
    assert saved_rows(path, tmp_path / "saved.db") == rows
    assert path.read_bytes() == content
    with Store.open(tmp_path / "saved.db") as store:
        assert [record.name for record in store.devices()] == ["two", "one"]
        assert store.documents(ONE) == {"fusion": {"rules": [1, 2, 3]}}


@pytest.mark.parametrize("missing_pages", [1, 2, 4])
def test_a_file_without_its_end_gives_what_is_left(
    original: tuple[bytes, Rows], tmp_path: Path, missing_pages: int
) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content[: -missing_pages * PAGE])
    examine(path)
    with pytest.raises(StoreCorruptError, match="damaged") as caught:
        Store.open(path)
    assert "lutra table salvage" in str(caught.value.hint)
    report = check_damaged(path, caught.value)
    saved = saved_rows(path, tmp_path / "saved.db")
    assert report.standing == len(saved)
    assert 0 < len(saved) < len(rows)
    assert saved.items() <= rows.items()


@pytest.mark.parametrize("seed", range(8))
def test_overwritten_pages_cost_only_their_rows(original: tuple[bytes, Rows], tmp_path: Path, seed: int) -> None:
    content, rows = original
    rng = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 3])):
        page = rng.randrange(1, len(content) // PAGE)  # not the first, which says what tables there are
        damaged[page * PAGE : (page + 1) * PAGE] = rng.randbytes(PAGE)
    path = tmp_path / "lutra.db"
    path.write_bytes(damaged)
    examine(path)
    saved = saved_rows(path, tmp_path / "saved.db")
    assert saved.items() <= rows.items()


def test_a_garbled_type_of_a_column_costs_nothing(original: tuple[bytes, Rows], tmp_path: Path) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content.replace(b"device_id INTEGER", b"device_id INTEG\xb0R"))
    examine(path)
    assert saved_rows(path, tmp_path / "saved.db") == rows


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
    kept=st.sampled_from([1.0, 1.0, 0.97, 0.6, 0.3]),
)
def test_no_flipped_byte_gives_a_wrong_row(
    original: tuple[bytes, Rows], tmp_path: Path, flips: list[tuple[float, int]], kept: float
) -> None:
    content, rows = original
    damaged = bytearray(content[: int(kept * len(content))])
    for place, change in flips:
        damaged[int(place * len(damaged))] ^= change
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "lutra.db"
    path.write_bytes(damaged)
    examine(path)
    assert saved_rows(path, folder / "saved.db").items() <= rows.items()


def test_lost_rows_are_named_where_the_index_stands(original: tuple[bytes, Rows], tmp_path: Path) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content)
    # A page of rows: the samples of a row are in it, and nowhere else.
    connection = sqlite3.connect(path)
    (samples,) = connection.execute("SELECT samples FROM measurement WHERE id = 30").fetchone()
    connection.execute("UPDATE measurement SET samples = zeroblob(?) WHERE id = 30", (len(samples),))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    changed = path.read_bytes()
    (page,) = {
        number
        for number in range(1, len(content) // PAGE)
        if changed[number * PAGE : (number + 1) * PAGE] != content[number * PAGE : (number + 1) * PAGE]
    }
    path.write_bytes(content[: page * PAGE] + bytes(PAGE) + content[(page + 1) * PAGE :])
    saved = saved_rows(path, tmp_path / "saved.db")
    lost = survey(path).lost
    with Store.open(path) as store:
        report = store.check()
    assert set(lost) < set(report.problems)
    assert report.standing == len(saved)
    missing = [row for key, row in rows.items() if key not in saved]
    assert 1 < len(missing) < 30
    assert sorted(lost) == sorted(
        f"the row of kernel {row.subject_key} ({row.label}) on one cannot be read" for row in missing
    )


def test_check_says_how_much_stands(original: tuple[bytes, Rows], tmp_path: Path) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE measurement SET measured_at = '2026-01-31T12:00:01.000Z' WHERE id = 7")
    connection.commit()
    connection.close()
    with Store.open(path) as store:
        report = store.check()
    assert report.problems == ("the row of kernel k6 on one is not what was written: its checksum differs",)
    assert report.standing == len(rows) - 1


def test_a_rescue_without_room_leaves_no_half_of_one(
    original: tuple[bytes, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lutra.db"
    path.write_bytes(original[0])
    plain = sqlite3.connect

    def cramped(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*args, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count=20")
        return connection

    monkeypatch.setattr("lutra.luts.database.sqlite3.connect", cramped)
    with pytest.raises(StoreFullError):
        salvage(path, tmp_path / "saved.db")
    assert [file.name for file in tmp_path.iterdir()] == ["lutra.db"]
    monkeypatch.undo()
    with pytest.raises(StoreError, match="exists already"):
        salvage(path, path)


def test_another_programs_database_gives_nothing(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "photos.db")
    connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()
    with pytest.raises(StoreCorruptError, match="no table of devices"):
        survey(tmp_path / "photos.db")


@pytest.mark.parametrize("value", [7, b"\xff"])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("device", name) for name in ("digest", "name", "fingerprint", "created_at", "used_at")),
        *(("subject", name) for name in ("kind", "key", "label", "spec")),
        *(("measurement", name) for name in ("device_id", "subject_id", "status", "latency_ns", "flags", "rounds")),
        *(("measurement", name) for name in ("conditions", "spec", "samples", "normalisation", "compute_reference")),
        *(("document", name) for name in ("device_id", "name", "value")),
    ],
)
def test_columns_of_a_wrong_type_give_no_wrong_row(
    original: tuple[bytes, Rows], tmp_path: Path, table: str, column: str, value: object
) -> None:
    content, rows = original
    path = tmp_path / "lutra.db"
    path.write_bytes(content)
    connection = sqlite3.connect(path)
    with suppress(sqlite3.IntegrityError):  # what the schema itself refuses cannot be tried so
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid IN (1, 5)", (value,))
    connection.commit()
    connection.close()
    examine(path)
    saved = saved_rows(path, tmp_path / "saved.db")
    assert saved.items() <= rows.items()
