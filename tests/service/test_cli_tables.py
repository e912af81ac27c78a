"""``lutra table check | diff | merge | salvage | compact | backup``, on stores with rows of the null device."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutra.luts import Measurement, Store
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement
from lutra.networks import NetworkBuilder
from lutra.profiler import resolve_device

ONE, TWO = make_fingerprint(threads=1), make_fingerprint(threads=2)
VERBS = ("check", "diff", "merge", "salvage", "compact", "backup")


def slower(row: Measurement, factor: float, **changes: object) -> Measurement:
    samples = np.round(row.samples_ns * factor).astype(np.int64)
    return replace(row, samples_ns=samples, **changes)  # type: ignore[arg-type]


def store_at(path: Path, rows: list[Measurement], fingerprint=ONE, name: str = "host") -> Path:
    with Store.open(path) as store:
        store.register_device(fingerprint, name)
        store.record_many(fingerprint, rows)
    return path


@pytest.fixture
def rows() -> list[Measurement]:
    return [make_measurement(f"k{n}") for n in range(6)]


@pytest.fixture
def here(tmp_path: Path, rows) -> Path:
    """The store of the command line, with one device."""
    return store_at(tmp_path / "rows.db", rows)


@pytest.fixture
def profiled(lutra, tmp_path: Path) -> Path:
    """The store of the command line, with a profile of the null device."""
    b = NetworkBuilder("tiny")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=4, kernel_size=3))
    b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)).save(tmp_path / "tiny.json")
    assert lutra("profile", "tiny.json", "-d", "null").code == 0
    return tmp_path / "rows.db"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(lutra, verb):
    outcome = lutra("table", verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [("check",), ("compact",), ("backup", "copy.db"), ("diff", "host", "host")])
def test_without_a_store_nothing_is_made(lutra, tmp_path, words):
    outcome = lutra("table", *words)
    assert outcome.code == 3
    assert "there is no store yet" in outcome.err
    assert os.listdir(tmp_path) == []


# -- diff -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_diff_of_a_table_with_itself(lutra):
    outcome = lutra("table", "diff", "host", "rows.db")
    assert outcome.code == 0
    assert "devices are the same" in outcome.out
    assert "6 rows in both: rows.db over host p10 / median / p90 1.000 / 1.000 / 1.000" in outcome.out
    assert "0 of them differ beyond their intervals" in outcome.out


@pytest.mark.usefixtures("here")
def test_diff_says_what_differs(lutra, tmp_path, rows):
    others = [
        slower(rows[0], 1.5),
        slower(rows[1], 1.02),  # within the intervals, which are 1.5 % either way
        slower(rows[2], 1.5, rel_halfwidth=None),
        make_failed("k3", "out of memory"),
        make_measurement("new"),
    ]
    store_at(tmp_path / "other.db", others, TWO, "board")
    found = lutra("table", "diff", "host", "other.db", "--json").document
    assert found["device"] == ["threads: 1 -> 2"]
    assert (found["only_left"], found["only_right"]) == (["Kernel k4", "Kernel k5"], ["Kernel new"])
    assert found["failed"] == ["k3"]
    assert found["compared"] == 3
    assert [change["subject_key"] for change in found["beyond"]] == ["k0"]
    assert found["beyond"][0]["ratio"] == pytest.approx(1.5, abs=0.001)
    assert found["outside_share"] == 0.5
    assert found["ratio"]["p50"] == pytest.approx(1.5, abs=0.001)
    text = lutra("table", "diff", "host", "other.db:board").out
    assert "devices differ:\n  threads: 1 -> 2" in text
    assert "2 rows only in host: Kernel k4; Kernel k5" in text
    assert "1 of them differ beyond their intervals (50% of those known)" in text
    assert "kernel  Kernel k0" in text


@pytest.mark.usefixtures("here")
def test_diff_with_a_file(lutra):
    assert lutra("table", "export", "host", "t.json").code == 0
    assert "6 rows in both" in lutra("table", "diff", "t.json", "host").out


@pytest.mark.usefixtures("here")
def test_diff_wants_to_know_which_device(lutra, tmp_path):
    store_at(tmp_path / "rows.db", [make_measurement()], TWO, "board")
    outcome = lutra("table", "diff", "host", "rows.db")
    assert outcome.code == 2
    assert "rows.db has 2 devices: board (" in outcome.err
    assert lutra("table", "diff", "host", "rows.db:board").code == 0
    assert lutra("table", "diff", "host", "nobody").code == 2
    assert lutra("table", "diff", "host", "absent.db").code == 1


# -- merge ------------------------------------------------------------------------------------------------


def test_merge_unites_rows_of_one_device_and_keeps_others_apart(lutra, here, tmp_path, rows):
    later = {"measured_at": "2027-01-01T00:00:00Z"}
    theirs = [
        slower(rows[0], 1.5, **later),
        slower(rows[1], 1.01, measured_at="2020-01-01T00:00:00Z"),
        make_failed("k2"),
        make_measurement("new"),
    ]
    other = store_at(tmp_path / "other.db", theirs)
    store_at(other, [make_measurement("k0", overhead_ns=1.0)], TWO, "board")
    (found, board) = lutra("table", "merge", "other.db", "--json").document
    counts = {"added": 1, "replaced": 0, "kept": 3, "disagreements": ["Kernel k0"]}
    assert found == {"source": "other.db", "device": "host"} | counts
    assert (board["device"], board["added"]) == ("board", 1)
    with Store.open(here) as store:
        assert {row.subject_key: row for row in store.measurements(ONE)} == {
            row.subject_key: row for row in [*rows, make_measurement("new")]
        }
        assert list(store.measurements(TWO)) == [make_measurement("k0", overhead_ns=1.0)]
        assert store.check().ok
    outcome = lutra("table", "merge", "other.db", "--prefer", "newer")
    assert "other.db, host: 0 rows added, 1 replaced, 3 kept as they were\n1 differ beyond" in outcome.out
    with Store.open(here) as store:
        assert store.get(ONE, "kernel", "k0") == theirs[0]
        assert store.get(ONE, "kernel", "k2") == rows[2]


def test_a_number_takes_the_place_of_a_failure(lutra, tmp_path, rows):
    store_at(tmp_path / "rows.db", [make_failed("k0")])
    store_at(tmp_path / "other.db", rows)
    lutra("table", "merge", "other.db")
    with Store.open(tmp_path / "rows.db") as store:
        assert store.get(ONE, "kernel", "k0") == rows[0]


@pytest.mark.usefixtures("here")
def test_merge_of_files_and_stores_into_a_new_store(lutra, tmp_path):
    lutra("table", "export", "host", "t.json")
    store_at(tmp_path / "other.db", [make_measurement("more")])
    outcome = lutra("table", "merge", "t.json", "other.db", "--into", "new.db")
    assert outcome.code == 0
    assert "t.json, host: 6 rows added" in outcome.out
    assert "other.db, host: 1 rows added" in outcome.out
    with Store.open(tmp_path / "new.db") as store:
        assert len(store.table("host")) == 7


def test_a_merge_that_cannot_be_finished_changes_nothing(lutra, here, tmp_path):
    good = store_at(tmp_path / "good.db", [make_measurement("good")])
    bad = store_at(tmp_path / "bad.db", [make_measurement("fine"), make_measurement("torn")])
    connection = sqlite3.connect(bad)
    with connection:
        connection.execute("UPDATE measurement SET samples = x'00' WHERE id = 2")
    connection.close()
    outcome = lutra("table", "merge", good.name, bad.name)
    assert outcome.code == 1
    assert "the samples of kernel torn on host are damaged" in outcome.err
    with Store.open(here) as store:
        assert store.keys("host", "kernel") == {f"k{n}" for n in range(6)}


@pytest.mark.parametrize("name", ["junk.db", "other.csv"])
def test_a_merge_of_what_is_no_table_makes_no_store(lutra, tmp_path, name):
    (tmp_path / name).write_text("junk " * 200)
    good = store_at(tmp_path / "good.db", [make_measurement("good")])
    outcome = lutra("table", "merge", good.name, name, "--into", "new.db")
    assert outcome.code != 0
    assert name in outcome.err
    assert not (tmp_path / "new.db").exists()


@pytest.mark.usefixtures("here")
def test_bad_merges_are_refused(lutra, tmp_path):
    assert "there is no file absent.db" in lutra("table", "merge", "absent.db", "--into", "new.db").err
    assert "unknown preference 'older'" in lutra("table", "merge", "rows.db", "--prefer", "older").err
    (tmp_path / "t.json").write_text("{}")
    outcome = lutra("table", "merge", "t.json")
    assert outcome.code != 0
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "new.db").exists()


# -- export --numbers -------------------------------------------------------------------------------------


def test_numbers_are_exported_without_samples(lutra, here):
    import pyarrow.parquet as pq

    assert lutra("table", "export", "host", "numbers.parquet", "--numbers").out == "6 rows to numbers.parquet\n"
    table = pq.read_table("numbers.parquet")
    head = json.loads(table.schema.metadata[b"lutra"])
    assert (head["format"], head["name"], head["fingerprint"]) == ("lutra.numbers", "host", ONE.to_dict())
    with Store.open(here) as store:
        expected = [row.latency_ns for row in store.numbers("host")]
    assert table.column("latency_ns").to_pylist() == expected
    assert "samples" not in table.schema.names
    assert lutra("table", "export", "host", "numbers.csv", "--numbers").code == 2
    assert lutra("table", "import", "numbers.parquet").code != 0


# -- check, salvage, compact, backup ----------------------------------------------------------------------


def test_a_torn_store_is_examined_and_saved(lutra, here):
    with Store.open(here) as store:
        store.record_many("host", [make_measurement(f"more{n}") for n in range(40)])
    here.write_bytes(here.read_bytes()[: -4096 * 2])
    outcome = lutra("table", "check")
    assert outcome.code == 1
    assert "rows.db is damaged, or not a Lutra store" in outcome.out
    report = lutra("table", "check", "--json").document
    assert 0 < report["standing"] < 46
    assert f"{report['standing']} rows stand; save them with: lutra table salvage" in outcome.out
    outcome = lutra("table", "salvage", "rows.db", "saved.db")
    assert outcome.code == 1
    assert outcome.out.startswith(f"{report['standing']} rows saved to saved.db\nlost: ")
    assert lutra("table", "check", "--store", "saved.db").out == f"{report['standing']} rows, 0 problems\n"
    assert "exists already" in lutra("table", "salvage", "rows.db", "saved.db").err
    assert "there is no file" in lutra("table", "salvage", "absent.db", "new.db").err


def test_what_nothing_can_be_read_from(lutra, tmp_path):
    (tmp_path / "rows.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    for words in (("check",), ("salvage", "rows.db", "saved.db")):
        outcome = lutra("table", *words)
        assert outcome.code == 1
        assert outcome.err.startswith("error: ")
    assert not (tmp_path / "saved.db").exists()


@pytest.mark.usefixtures("here")
def test_salvage_of_a_sound_store_loses_nothing(lutra):
    outcome = lutra("table", "salvage", "rows.db", "saved.db", "--json")
    assert outcome.code == 0
    assert outcome.document == {"rows": 6, "lost": []}
    assert "0 of them differ" in lutra("table", "diff", "host", "saved.db").out


@pytest.mark.usefixtures("here")
def test_compact_and_backup(lutra):
    found = lutra("table", "compact", "--json").document
    assert found["after_bytes"] <= found["before_bytes"]
    assert lutra("table", "compact").code == 0
    assert lutra("table", "backup", "copy.db").code == 0
    assert "0 of them differ" in lutra("table", "diff", "host", "copy.db").out
    assert "exists already" in lutra("table", "backup", "copy.db").err
    assert lutra("table", "backup", "nowhere/copy.db").code == 1


# -- check --measure --------------------------------------------------------------------------------------


def test_measuring_again_finds_no_drift_and_changes_nothing(lutra, profiled):
    before = profiled.read_bytes()
    outcome = lutra("table", "check", "--measure", "3", "-d", "null")
    assert outcome.code == 0
    assert "3 rows in both: now over the table" in outcome.out
    assert "median drift +0.0 %, within the tolerance of 5 %" in outcome.out
    assert profiled.read_bytes() == before


def test_measuring_again_finds_drift(lutra, profiled):
    with Store.open(profiled) as store:
        rows = [slower(row, 0.8) for row in store.measurements("null", "kernel")]
        store.record_many("null", rows, replace=True)
    outcome = lutra("table", "check", "--measure", "4", "-d", "null", "--json")
    assert outcome.code == 1
    assert outcome.document["drifted"]
    assert outcome.document["drift_pct"] > 20  # more than of the samples: the call's overhead stayed what it was
    assert outcome.document["outside_share"] == 1
    assert lutra("table", "check", "--measure", "4", "-d", "null", "--tolerance", "1000").code == 0


def test_only_the_same_device_is_measured_again(lutra, tmp_path):
    table = resolve_device("null").fingerprint
    was = replace(table, hardware=(*table.hardware, ("cores", 64)))
    store_at(tmp_path / "rows.db", [make_measurement()], was, "null")
    outcome = lutra("table", "check", "--measure", "1", "-d", "null")
    assert outcome.code == 1
    assert "cores: 64 -> (absent)" in outcome.err


def test_a_row_that_is_no_kernel_cannot_be_measured_again(lutra, tmp_path):
    store_at(tmp_path / "rows.db", [make_measurement()], resolve_device("null").fingerprint, "null")
    outcome = lutra("table", "check", "--measure", "1", "-d", "null")
    assert outcome.code == 2
    assert "a stored kernel is damaged" in outcome.err
    assert json.loads(lutra("table", "list", "--json").out)[0]["counts"] == {"kernel": 1}
