"""Our own exchange formats: Parquet and JSON lose nothing, CSV says what it lost, and damage never passes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.luts import Measurement
from lutra.luts.blocktable import Block
from lutra.luts.columns import CSV_COLUMNS
from lutra.luts.exchange import TableFormat, formats, parquet, read, register, table_parquet, write
from lutra.luts.exchange.files import replacing
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement, make_normalised
from lutra.networks.errors import FormatVersionError, LutraError, TableFileError

ROWS = (
    make_measurement("a"),
    make_failed(),
    make_normalised("n"),
    make_measurement("net", subject_kind="network", spec={"predicted_ns": 1.5e6}),
    make_measurement('é\n,"', status="noisy", flags=(), rel_halfwidth=None, reference_ratio=None, label=""),
    make_measurement("run", subject_kind="constant", samples_ns=[2**40], rounds=[0], conditions={}),
    Block(key="b", latency_ns=1.25, count=3, image_size=224).to_row(),
)
DOCUMENTS = {"fusion": {"rules": [["conv", "relu"]]}}
LOSSLESS = sorted(name for name, form in formats().items() if isinstance(form, TableFormat) and form.lossless)


def save(path: Path, rows: Any = ROWS) -> Path:
    write(path, make_fingerprint(), rows, name="host", documents=DOCUMENTS)
    return path


@pytest.mark.parametrize("name", LOSSLESS)
def test_nothing_is_lost(tmp_path: Path, name: str) -> None:
    found = read(save(tmp_path / f"t.{name}"))
    assert (found.fingerprint, found.name, found.documents) == (make_fingerprint(), "host", DOCUMENTS)
    assert found.fingerprint.to_dict() == make_fingerprint().to_dict()
    assert list(found.rows) == list(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [f"t.{name}"]


@pytest.mark.parametrize("name", ["parquet", "json", "csv"])
def test_tables_without_rows(tmp_path: Path, name: str) -> None:
    assert list(read(save(tmp_path / f"t.{name}", ())).rows) == []


samples = st.lists(st.integers(0, 2**53), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    columns=st.lists(st.tuples(samples, st.integers(1, 1000), st.floats(0, 1e6), st.text(max_size=5)), max_size=5),
    group=st.integers(1, 3),
)
def test_any_rows_come_back(tmp_path: Path, columns: list[tuple[list[int], int, float, str]], group: int) -> None:
    rows = []
    for number, (values, count, overhead, label) in enumerate(columns):
        times = {"samples_ns": values, "rounds": [0] * len(values), "executions_per_sample": count}
        rows.append(make_measurement(f"k{number}", overhead_ns=overhead, label=label, spec={"text": label}, **times))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "GROUP_ROWS", group)
        patched.setattr(parquet, "BATCH_ROWS", 2)
        for name in LOSSLESS:
            assert list(read(save(tmp_path / f"t.{name}", rows)).rows) == rows


def test_rows_are_taken_and_given_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 100)
    alive: list[int] = []

    def many() -> Iterator[Measurement]:
        for number in range(1000):
            alive.append(number)
            yield make_measurement(f"k{number}", samples_ns=[number], rounds=[0])

    path = save(tmp_path / "t.parquet", many())
    with pq.ParquetFile(path) as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100] * 10
    rows = read(path).rows
    assert next(rows).subject_key == "k0"
    assert len(alive) == 1000


def test_groups_of_wide_rows_are_small() -> None:
    record = {"samples": b"x" * (parquet.GROUP_BYTES // 2), "rounds": None}
    assert [len(group) for group in parquet.grouped([record] * 5, ("samples", "rounds"))] == [2, 2, 1]


def test_csv_says_what_it_lost(tmp_path: Path) -> None:
    found = read(save(tmp_path / "phone.csv"))
    assert (found.name, found.fingerprint.kind) == ("phone", "imported")
    rows = {row.subject_key: row for row in found.rows}
    assert rows.keys() == {row.subject_key if row.subject_kind != "block" else "b@224" for row in ROWS}
    for original in ROWS:
        row = rows[original.subject_key]
        assert (row.status, row.label, row.measured_at) == (original.status, original.label, original.measured_at)
        assert "imported" in row.flags
        assert "samples_ns" in row.conditions["imported"]["lost"]
        if original.status != "failed":
            assert row.latency_ns == pytest.approx(original.latency_ns, abs=0.5)
            assert row.conditions["imported"]["latency_ms"] * 1e6 == pytest.approx(original.latency_ns)
            assert row.conditions["imported"]["n"] == original.n


# -- damage --------------------------------------------------------------------------------------------------


def drain(path: Path) -> list[Measurement]:
    return list(read(path).rows)


def rewrite(path: Path, table: pa.Table, seal: bytes | None = None) -> None:
    """Write other rows under the seal of the file that is there, as damage to its footer would show them."""
    with pq.ParquetFile(path) as file:
        held = seal or file.metadata.metadata[b"lutra.seal"]
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"lutra.seal": held})


def alter(path: Path, column: str, values: Any, *, row: int = 0) -> None:
    """Write the table anew with one cell changed, as another program might."""
    table = pq.read_table(path)
    cells = table.column(column).to_pylist()
    cells[row] = values
    field = pa.field(column, table.schema.field(column).type, nullable=True)
    changed = table.set_column(table.schema.get_field_index(column), field, pa.array(cells, field.type))
    rewrite(path, changed.replace_schema_metadata(table.schema.metadata))


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("latency_ns", 1.0, "latency_ns of kernel n on t.parquet is not what its samples give"),
        ("latency_ns", float("nan"), "latency_ns of kernel n"),
        ("sample_count", 3, "sample_count of"),
        ("label", "other", "its checksum differs"),
        ("spec", "{", "is damaged"),
        ("spec", "[]", "is damaged"),
        ("flags", "3", "is damaged"),
        ("samples", b"", "are damaged"),
        ("samples", b"\x01" + b"\xff" * 8, "are damaged"),
        ("status", "fine", "status is 'fine'"),
        ("subject_kind", "op", "subject kind is 'op'"),
        ("executions_per_sample", -1, "executions_per_sample is -1"),
        ("normalisation", '{"a": 1}', "a normalisation holds"),
    ],
)
def test_cells_that_are_not_what_was_written(tmp_path: Path, column: str, value: Any, problem: str) -> None:
    path = save(tmp_path / "t.parquet")
    alter(path, column, value, row=2)
    with pytest.raises(TableFileError) as caught:
        drain(path)
    assert problem in caught.value.message
    assert (caught.value.row, caught.value.hint) == (3, "export it again")


def test_empty_cells(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    alter(path, "status", None, row=1)
    with pytest.raises(TableFileError, match="row 2, column status: is empty"):
        drain(path)


def test_columns_that_are_absent_or_of_another_type(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["samples"]), path)
    with pytest.raises(TableFileError, match="column samples: is absent, not binary"):
        read(path)
    number = table.schema.get_field_index("samples")
    pq.write_table(table.set_column(number, "samples", pa.array([1] * len(table))), path)
    with pytest.raises(TableFileError, match="column samples: is int64, not binary"):
        read(path)


@pytest.mark.parametrize("held", [None, b"", b"[]", b"{}", b'{"format": "lutra.table", "version": "1"}'])
def test_parquet_that_is_no_table(tmp_path: Path, held: bytes | None) -> None:
    path = save(tmp_path / "t.parquet")
    pq.write_table(pq.read_table(path).replace_schema_metadata(None if held is None else {b"lutra": held}), path)
    with pytest.raises(TableFileError):
        read(path)


def test_metadata_that_lacks_something(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    for held in (b'{"format":"lutra.table","version":1,"name":"a"}', b'{"format":"lutra.table","version":1,"name":"a",'
                 b'"documents":{},"fingerprint":{}}'):  # fmt: skip
        pq.write_table(pq.read_table(path).replace_schema_metadata({b"lutra": held}), path)
        with pytest.raises(TableFileError):
            read(path)


@pytest.mark.parametrize("name", LOSSLESS)
def test_newer_versions(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = table_parquet if name == "parquet" else __import__("lutra.luts.table", fromlist=["x"])
    with monkeypatch.context() as patched:
        patched.setattr(module, "VERSION" if name == "parquet" else "FORMAT_VERSION", 99)
        path = save(tmp_path / f"t.{name}")
    with pytest.raises(FormatVersionError, match="format version 99"):
        read(path)


def test_truncated_parquet_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    whole = path.read_bytes()
    for end in (*range(0, len(whole), 331), len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(TableFileError):
            drain(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), name=st.sampled_from(["parquet", "json", "csv"])
)
def test_altered_bytes_are_refused_or_change_nothing_that_counts(
    tmp_path: Path, place: float, value: int, name: str
) -> None:
    path = save(tmp_path / f"t.{name}")
    whole = bytearray(path.read_bytes())
    whole[int(place * len(whole))] = value
    path.write_bytes(whole)
    try:
        found = read(path)
        rows = list(found.rows)
    except LutraError as error:
        assert error.message  # noqa: PT017  # either is right
    else:
        if name == "parquet":
            head = (found.fingerprint.to_dict(), found.name, found.documents)
            assert (*head, rows) == (make_fingerprint().to_dict(), "host", DOCUMENTS, list(ROWS))


def test_a_footer_that_hides_rows(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    table = pq.read_table(path)
    for held in (table.slice(0, 0), table.slice(1), pa.concat_tables([table, table.slice(2, 1)])):
        rewrite(path, held)
        with pytest.raises(TableFileError, match=f"has {len(held)} rows, not the {len(ROWS)} that were written"):
            read(path)
    for order in ([1, 0], [0, 0]):
        rewrite(path, table.take([*order, *range(2, len(ROWS))]))
        with pytest.raises(TableFileError, match="rows are not what was written"):
            drain(path)


@pytest.mark.parametrize("seal", [b"{", b"{}", b"[7]", b'{"rows":"7"}', b'{"rows":7}', b'{"checksum":1,"rows":7}'])
def test_a_damaged_seal(tmp_path: Path, seal: bytes) -> None:
    path = save(tmp_path / "t.parquet")
    rewrite(path, pq.read_table(path), seal)
    with pytest.raises(TableFileError):
        drain(path)


def test_no_seal(tmp_path: Path) -> None:
    path = save(tmp_path / "t.parquet")
    pq.write_table(pq.read_table(path), path)
    with pytest.raises(TableFileError, match=r"column metadata lutra\.seal: is absent"):
        read(path)


HEADER = ",".join(("kind", "key", "label", "status", "latency_ms", "measured_at", "n"))
LINE = "kernel,k,K,ok,{},2026-01-31T12:00:00Z,{}"


@pytest.mark.parametrize(
    ("text", "problem", "row", "column"),
    [
        (f"{HEADER}\n{LINE.format('x', 1)}\n", "'x' is no finite number", 2, "latency_ms"),
        (f"{HEADER}\n{LINE.format(-1, 1)}\n", "a latency of -1 ms", 2, "latency_ms"),
        (f"{HEADER}\n{LINE.format('inf', 1)}\n", "is no finite number", 2, "latency_ms"),
        (f"{HEADER}\n{LINE.format(1, 1)}\n{LINE.format(1, 1.5)}\n", "is no integer", 3, "n"),
        (f"{HEADER}\n{LINE.format(1, -1)}\n", "is -1", 2, "n"),
        (f"{HEADER}\n{LINE.format(1, 1).replace('Z', '')}\n", "without a time zone", 2, None),
        (f"{HEADER}\n{LINE.format(1, 1).replace('kernel', 'op')}\n", "subject kind is 'op'", 2, None),
        (f"{HEADER}\n{LINE.format(1, 1).replace('ok', 'failed')}\n", "a failed row has no latency", 2, "latency_ms"),
        (f"{HEADER.replace('latency_ms', 'latency_us')}\n{LINE.format(1, 1)}\n", "is absent", 1, "latency_ms"),
    ],
)
def test_lines_that_are_no_rows(tmp_path: Path, text: str, problem: str, row: int, column: str | None) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableFileError) as caught:
        drain(path)
    assert problem in caught.value.message
    assert (caught.value.row, caught.value.column) == (row, column)


@pytest.mark.parametrize(("text", "problem"), [("", "is empty"), ("junk junk\n", "column kind: is absent")])
def test_csv_that_is_no_table_and_has_no_rows_either(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableFileError, match=problem):
        read(path)


def test_columns_are_those_of_the_table(tmp_path: Path) -> None:
    path = save(tmp_path / "t.csv", ())
    assert tuple(path.read_text().strip().split(",")) == CSV_COLUMNS


# -- writing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["parquet", "json", "csv"])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / f"t.{name}")
    before = path.read_bytes()

    def failing() -> Iterator[Measurement]:
        yield ROWS[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match="cannot be written"):
        save(tmp_path / "absent" / "t.parquet")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "t.csv") as part:
            part.write_text("x")
            Path("/dev/full").write_text("x")

    with pytest.raises(TableFileError, match=r"t\.csv: cannot be written: No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_formats_have_one_name_each() -> None:
    with pytest.raises(ValueError, match="two formats are called json"):
        register(type("Other", (type(formats()["json"]),), {}))


def test_block_formats_take_no_rows(tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match="takes building blocks only"):
        write(tmp_path / "t.yaml", make_fingerprint(), ROWS)
    with pytest.raises(TableFileError, match="holds building blocks"):
        read(tmp_path / "t.yaml")


def test_huge_row_groups_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "t.parquet", (make_measurement(samples_ns=np.arange(1000), rounds=np.zeros(1000, int)),))
    monkeypatch.setattr(parquet, "_MAX_GROUP_BYTES", 100)
    with pytest.raises(TableFileError, match="row group 1 claims"):
        read(path)
