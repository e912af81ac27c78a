"""Files are taken over into a store whole or not at all, and never mix with what disagrees."""

import importlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lutra.luts import Store
from lutra.luts.blocktable import Block, BlockTable
from lutra.luts.exchange import BlockOptions, read, read_blocks, write, write_blocks
from lutra.luts.exchange.stores import export_device, import_file
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement, make_normalised
from lutra.networks.errors import StoreReadOnlyError, TableFileError, UnknownNameError, UsageError

ROWS = (make_measurement("a"), make_normalised("n"), make_failed())
KEY = "Conv-input:8x8x3-output:4x4x{}"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def save(path: Path, *rows: Any, name: str = "host", threads: int = 1) -> Path:
    write(path, make_fingerprint(threads=threads), rows, name=name, documents={"fusion": {"rules": []}})
    return path


def save_blocks(path: Path, source: str = "phone", scale: float = 1.0) -> Path:
    blocks = [Block(key=KEY.format(n), latency_ns=1e6 * n * scale, count=9, image_size=8) for n in (1, 2)]
    write_blocks(path, BlockTable(source, blocks), format="blocks-csv")
    return path


def state(store: Store) -> list[Any]:
    return [(device.name, device.digest, list(store.measurements(device))) for device in store.devices()]


@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_table_goes_from_store_to_store(tmp_path: Path, store: Store, suffix: str) -> None:
    store.register_device(make_fingerprint(), "host")
    store.record_many("host", ROWS)
    store.set_document("host", "fusion", {"rules": [1]})
    assert export_device(store, "host", tmp_path / f"t.{suffix}") == 3
    with Store.open(tmp_path / "other.db") as other:
        (report,) = import_file(other, tmp_path / f"t.{suffix}")
        assert (report.device.name, report.rows, report.written, report.dropped) == ("host", 3, 3, {})
        assert other.table("host") == store.table("host")
        assert other.documents("host") == store.documents("host")
        assert other.check().ok
        (again,) = import_file(other, tmp_path / f"t.{suffix}")
        assert (again.rows, again.written) == (3, 0)


def test_parquet_of_a_store_is_that_of_its_rows(tmp_path: Path, store: Store) -> None:
    other = make_fingerprint(threads=2)
    store.register_device(other, "other")
    store.record(other, make_measurement("a", label="whose subject came first", spec={"macs": 1}))
    store.register_device(make_fingerprint(), "host")
    store.record_many("host", ROWS)
    export_device(store, "host", tmp_path / "copied.parquet")
    write(tmp_path / "written.parquet", make_fingerprint(), ROWS, name="host")
    copied, written = read(tmp_path / "copied.parquet"), read(tmp_path / "written.parquet")
    assert list(copied.rows) == list(written.rows) == list(ROWS)
    assert copied.fingerprint == written.fingerprint


def test_damage_in_a_store_is_found_in_its_parquet(tmp_path: Path, store: Store) -> None:
    store.register_device(make_fingerprint(), "host")
    store.record_many("host", ROWS)
    with sqlite3.connect(tmp_path / "rows.db") as raw:
        raw.execute("update measurement set overhead_ns = 1 where subject_id = 2")
    raw.close()
    export_device(store, "host", tmp_path / "t.parquet")
    with Store.open(tmp_path / "other.db") as other:
        with pytest.raises(TableFileError, match="row 2"):
            import_file(other, tmp_path / "t.parquet")
        assert state(other) == []


def test_rows_that_disagree_are_refused_or_replaced(tmp_path: Path, store: Store) -> None:
    import_file(store, save(tmp_path / "a.parquet", *ROWS))
    before = state(store)
    path = save(tmp_path / "b.parquet", make_measurement("new"), make_measurement("a", overhead_ns=1.0))
    with pytest.raises(TableFileError, match="row 2: kernel Kernel a disagrees with the row that is there") as caught:
        import_file(store, path)
    assert "--replace" in str(caught.value.hint)
    assert state(store) == before
    (report,) = import_file(store, path, replace=True)
    assert report.rows == report.written == 2
    held = store.get("host", "kernel", "a")
    assert held is not None
    assert held.overhead_ns == 1.0


@pytest.mark.parametrize("replace", [False, True])
def test_rows_of_a_file_that_disagree_with_each_other(tmp_path: Path, store: Store, replace: bool) -> None:
    path = save(tmp_path / "t.parquet", make_measurement("a"), make_measurement("a", overhead_ns=1.0))
    with pytest.raises(TableFileError, match="kernel Kernel a disagrees"):
        import_file(store, path, replace=replace)
    assert state(store) == []
    save(path, make_measurement("a"), make_measurement("a"))
    import_file(store, path, replace=replace)
    assert len(store.table("host")) == 1


def test_a_damaged_row_far_down_leaves_nothing(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "t.csv"
    write(path, make_fingerprint(), (make_measurement(f"k{number}") for number in range(600)))
    path.write_text(path.read_text() + "kernel,broken\n")
    with pytest.raises(TableFileError, match="row 602"):
        import_file(store, path)
    assert state(store) == []


def test_documents_that_disagree(tmp_path: Path, store: Store) -> None:
    path = save(tmp_path / "t.json", *ROWS)
    import_file(store, path)
    store.set_document("host", "fusion", {"rules": [2]})
    with pytest.raises(TableFileError, match="document 'fusion' is not that of the store"):
        import_file(store, path)
    import_file(store, path, replace=True)
    assert store.document("host", "fusion") == {"rules": []}


@pytest.mark.parametrize("documents", [{"x": 3}, {"x" * 65: {}}])
def test_documents_that_are_none(tmp_path: Path, store: Store, documents: dict[str, Any]) -> None:
    write(tmp_path / "t.json", make_fingerprint(), ROWS, name="host", documents=documents)
    with pytest.raises(TableFileError, match="column document"):
        import_file(store, tmp_path / "t.json")
    assert state(store) == []


def test_names_of_devices(tmp_path: Path, store: Store) -> None:
    import_file(store, save(tmp_path / "one.json", *ROWS))
    import_file(store, save(tmp_path / "two.json", *ROWS, threads=2))  # the same hardware, another setting
    assert [device.name for device in store.devices()] == ["host", "host"]
    with pytest.raises(UsageError, match="another device is called 'host'"):
        import_file(store, save_blocks(tmp_path / "b.csv"), format="blocks-csv", name="host")
    import_file(store, tmp_path / "one.json", name="renamed")
    assert store.device("renamed").fingerprint == make_fingerprint()
    assert len(store.devices()) == 2


def test_a_csv_is_of_the_device_it_is_named_after(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "phone.csv"
    write(path, make_fingerprint(), ROWS)
    for name in (None, "other"):
        (report,) = import_file(store, path, name=name)
        assert (report.device.name, report.device.fingerprint.kind) == (name or "phone", "imported")
        assert report.written == 3


def test_blocks_go_in_and_come_out(tmp_path: Path, store: Store) -> None:
    path = save_blocks(tmp_path / "b.csv")
    (report,) = import_file(store, path, format="blocks-csv")
    assert (report.device.name, report.rows, report.written) == ("phone", 2, 2)
    row = next(store.measurements("phone", "block"))
    assert (row.flags, row.conditions) == (("imported",), {"file": "b.csv", "format": "blocks-csv"})
    (again,) = import_file(store, path, format="blocks-csv")
    assert again.written == 0
    export_device(store, "phone", tmp_path / "c.csv", format="blocks-csv")
    assert read_blocks(tmp_path / "c.csv", "blocks-csv") == read_blocks(path, "blocks-csv")
    assert export_device(store, "phone", tmp_path / "c.yaml", image_size=8) == 2
    with pytest.raises(TableFileError, match=r"c\.yaml: has no place for image sizes 8"):
        export_device(store, "phone", tmp_path / "c.yaml")
    assert export_device(store, "phone", tmp_path / "c.parquet") == 2
    assert [row.subject_kind for row in read(tmp_path / "c.parquet").rows] == ["block", "block"]


def test_blocks_that_disagree(tmp_path: Path, store: Store) -> None:
    import_file(store, save_blocks(tmp_path / "b.csv"), format="blocks-csv")
    path = save_blocks(tmp_path / "b.csv", scale=2.0)
    with pytest.raises(TableFileError, match="disagrees with the row that is there already"):
        import_file(store, path, format="blocks-csv")
    import_file(store, path, format="blocks-csv", replace=True)
    assert BlockTable.from_rows("phone", store.measurements("phone")).sum_ns([KEY.format(1)]) == 2e6


def test_several_image_sizes_become_one_device(tmp_path: Path, store: Store) -> None:
    for size in (160, 224):
        write_blocks(tmp_path / f"{size}.yaml", BlockTable("x", [Block(key=KEY.format(1), latency_ns=1e4 * size)]))
        import_file(store, tmp_path / f"{size}.yaml", name="phone", options=BlockOptions(image_size=size))
    table = BlockTable.from_rows("phone", store.measurements("phone"))
    assert table.sum_ns([KEY.format(1)], 224) == pytest.approx(2.24e6)


def test_one_bad_device_of_several_leaves_nothing(tmp_path: Path, store: Store) -> None:
    store.register_device(make_fingerprint(), "b")
    lines = "".join(f"{source},{KEY.format(1)},5\n" for source in ("a", "b"))
    path = tmp_path / "t.csv"
    path.write_text("source,key,mean_ms\n" + lines)
    with pytest.raises(UsageError, match="another device is called 'b'"):
        import_file(store, path, format="blocks-csv")
    assert [device.name for device in store.devices()] == ["b"]
    with pytest.raises(UsageError, match="holds 2 devices") as caught:
        import_file(store, path, format="blocks-csv", name="c")
    assert caught.value.hint == "choose one with --source: a, b"


def test_options_that_do_not_apply(tmp_path: Path, store: Store) -> None:
    path = save(tmp_path / "t.json", *ROWS)
    with pytest.raises(UsageError, match="json files hold no building blocks"):
        import_file(store, path, options=BlockOptions(unit="ms"))
    import_file(store, path)
    with pytest.raises(UsageError, match="hold all image sizes"):
        export_device(store, "host", tmp_path / "u.json", image_size=224)
    with pytest.raises(UsageError, match="no rows of building blocks"):
        export_device(store, "host", tmp_path / "u.yaml")
    with pytest.raises(UnknownNameError):
        export_device(store, "absent", tmp_path / "u.json")
    assert not (tmp_path / "u.json").exists()


def test_a_store_that_is_read_only(tmp_path: Path, store: Store) -> None:
    del store
    with Store.open(tmp_path / "rows.db", read_only=True) as reading, pytest.raises(StoreReadOnlyError):
        import_file(reading, save(tmp_path / "t.json", *ROWS))


# -- the real ones -------------------------------------------------------------------------------------------


def test_the_fields_own_tables_give_the_known_sums(shared_data: Path, store: Store) -> None:
    from lutra.luts.blockkeys import network_keys

    import_file(store, shared_data / "luts" / "note10_and_pixel1_blocks.csv", format="blocks-csv")
    note10 = BlockTable.from_rows("note10", store.measurements("ofa_note10", "block"))
    assert (len(note10), note10.image_sizes) == (480, (160, 176, 192, 208, 224))
    networks = json.loads((shared_data / "ofa" / "arch_configs.json").read_text())["ofa_specialized"]
    known_ms = {"note10_lat@30ms": 29.965, "flops@389M": 34.92, "flops@482M": 43.76, "pixel1_lat@79ms": 31.38}
    for start, expected_ms in known_ms.items():
        config = next(config for name, config in networks.items() if name.startswith(start))
        found_ms = note10.sum_ns(network_keys(config), config["image_size"]) / 1e6
        assert found_ms == pytest.approx(expected_ms, abs=0.005 if expected_ms != 29.965 else 0.001)


def test_the_space_of_proxylessnas_gives_the_known_sums(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    monkeypatch.setenv("LUTRA_SHARED_DATA", str(shared_data))
    part = importlib.import_module("benchmarks._tables_exchange")
    found = part.measure()
    assert found["proxyless_ms"] == pytest.approx({"min": 29.61, "uniform": 113.99, "max": 191.03}, abs=0.005)
    assert all(figure.met for figure in part.figures(found, "x"))
    assert sum(len(keys) for keys in part.proxyless_keys()[1]) == 6 * 6 + 15 * 7


def test_tf_nas_has_rows_below_zero_which_are_counted_when_told_to_drop_them(shared_data: Path) -> None:
    found = read_blocks(shared_data / "luts" / "tfnas_blocks.parquet", "tf-nas", BlockOptions(drop_negative=True))
    assert found.dropped == {"negative latency": 172}
    assert sum(len(table) for table in found.tables) == 72_962 - 172
