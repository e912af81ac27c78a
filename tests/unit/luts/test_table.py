"""A table answers with a measured number or says "not covered", and survives exchange."""

import csv
import io
import json

import pytest

from lutra.luts import Answer, Coverage, SelfCheck, Table
from lutra.luts.table import CSV_COLUMNS, FORMAT_VERSION
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement
from lutra.networks.errors import FingerprintMismatchError, FormatVersionError, UsageError


@pytest.fixture
def table() -> Table:
    fixed = {"samples_ns": [2_000_000] * 4, "rounds": [0, 0, 1, 1], "executions_per_sample": 1, "overhead_ns": 0.0}
    rows = [
        make_measurement("a"),
        make_measurement("b", status="noisy", flags=("wide", "load"), rel_halfwidth=0.045),
        make_failed("c"),
        make_measurement("run", subject_kind="constant"),
        make_measurement("n1", subject_kind="network", label="net 1", spec={"predicted_ns": 2.2e6}, **fixed),
        make_measurement("n2", subject_kind="network", label="net 2", spec={"predicted_ns": 1.9e6}, **fixed),
        make_measurement("n3", subject_kind="network", label="never predicted", **fixed),
    ]
    return Table(make_fingerprint(), rows, name="host")


def test_lookup_of_a_measured_kernel(table: Table) -> None:
    row = make_measurement("a")
    answer = table.lookup("a")
    assert answer == Answer(key="a", source="measured", latency_ns=row.latency_ns, rel_halfwidth=0.015, row=row)
    assert answer.covered
    assert answer.latency_ms == row.latency_ns / 1e6


def test_noisy_kernel_has_a_number_and_shows_its_state(table: Table) -> None:
    answer = table.lookup("b")
    assert answer.covered
    assert answer.row is not None
    assert answer.row.status == "noisy"


@pytest.mark.parametrize("key", ["absent", "run", "n1"])
def test_lookup_of_what_is_not_a_kernel_here(table: Table, key: str) -> None:
    answer = table.lookup(key)
    assert (answer.source, answer.latency_ns, answer.latency_ms, answer.row) == ("not covered", None, None, None)


def test_failed_kernel_is_not_covered_and_says_why(table: Table) -> None:
    answer = table.lookup("c")
    assert (answer.source, answer.covered) == ("not covered", False)
    assert answer.row is not None
    assert answer.row.reason == "the runtime crashed"


def test_constants_have_their_own_names(table: Table) -> None:
    assert table.constant("run").covered
    assert not table.constant("a").covered


def test_cover_counts_each_kernel_once_in_order(table: Table) -> None:
    assert table.cover(["x", "b", "a", "x", "b", "c"]) == Coverage(("b", "a"), ("x", "c"))
    assert not table.cover(["x"]).complete
    assert table.cover([]).complete


def test_self_checks_compare_prediction_and_measurement(table: Table) -> None:
    one, two = table.self_checks()
    assert one == SelfCheck("net 1", "ok", 2.0, 2.2, one.error_pct)
    assert two == SelfCheck("net 2", "ok", 2.0, 1.9, two.error_pct)
    assert [one.error_pct, two.error_pct] == pytest.approx([10.0, -5.0])


def test_self_check_against_nothing_has_no_error() -> None:
    zero = make_measurement("n", subject_kind="network", spec={"predicted_ns": 1.0}, overhead_ns=1e12)
    (check,) = Table(make_fingerprint(), [zero]).self_checks()
    assert (check.measured_ms, check.error_pct) == (0.0, None)


def test_summary_counts(table: Table) -> None:
    summary = table.summary()
    assert summary.counts == {"constant": 1, "kernel": 3, "network": 3}
    assert summary.statuses == {"failed": 1, "noisy": 1, "ok": 5}
    assert summary.flags == {"load": 6, "wide": 1}
    assert summary.median_rel_halfwidth == pytest.approx(0.03)
    assert summary.self_check_mape_pct == pytest.approx(7.5)
    assert summary.first_measured_at == "2026-01-31T12:00:00.000Z"
    assert json.loads(json.dumps(summary.to_dict()))["digest"] == make_fingerprint().digest


def test_summary_of_an_empty_table() -> None:
    summary = Table(make_fingerprint()).summary()
    assert (summary.median_rel_halfwidth, summary.last_measured_at, summary.self_check_mape_pct) == (None,) * 3


def test_rows_by_kind(table: Table) -> None:
    assert [row.subject_key for row in table.rows("kernel")] == ["a", "b", "c"]
    assert len(list(table.rows())) == len(table) == 7
    assert table.get("network", "n3") is not None
    assert table.get("kernel", "n3") is None


def test_two_rows_for_one_subject_are_refused() -> None:
    with pytest.raises(UsageError, match="two rows for kernel k0"):
        Table(make_fingerprint(), [make_measurement(), make_measurement(overhead_ns=3.0)])


def test_other_device_is_refused(table: Table) -> None:
    table.require_fingerprint(make_fingerprint())
    with pytest.raises(FingerprintMismatchError, match="threads: 2 -> 1") as caught:
        table.require_fingerprint(make_fingerprint(threads=2))
    assert caught.value.differences == ("threads: 2 -> 1",)


def test_json_round_trip(table: Table) -> None:
    again = Table.from_json(table.to_json())
    assert again == table
    assert again.to_json() == table.to_json()
    assert again != Table(make_fingerprint(), table.rows(), name="other")


def test_newer_format_is_refused(table: Table) -> None:
    data = json.loads(table.to_json()) | {"version": FORMAT_VERSION + 1}
    with pytest.raises(FormatVersionError, match=f"format version {FORMAT_VERSION + 1}"):
        Table.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a Lutra table"),
        ({"version": "1"}, "not a Lutra table"),
        ({"version": True}, "not a Lutra table"),
        ({"rows": None}, "lacks its rows"),
        ({"name": 3}, "lacks its rows, name"),
        ({"fingerprint": {}}, "a fingerprint with sections"),
        ({"rows": [make_measurement().to_dict(), {"subject_key": "x"}]}, "row 2 of the table: row None x"),
        ({"rows": ["x"]}, "row 1 of the table: a row is 'x'"),
        ({"rows": [make_measurement().to_dict()] * 2}, "two rows for kernel k0"),
    ],
)
def test_bad_json_is_refused(table: Table, change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Table.from_json(json.dumps(json.loads(table.to_json()) | change))


@pytest.mark.parametrize("text", ["", "[]", "nul", b"\xff\xfe", '{"format": NaN'])
def test_text_that_is_no_table_is_refused(text: str | bytes) -> None:
    with pytest.raises(UsageError, match="the table is"):
        Table.from_json(text)


def test_csv_shows_milliseconds(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == len(table)
    by_key = {line["key"]: line for line in lines}
    assert float(by_key["a"]["latency_ms"]) == make_measurement("a").latency_ns / 1e6
    assert by_key["a"]["macs"] == "1000"
    assert by_key["b"]["flags"] == "load wide"
    assert (by_key["c"]["latency_ms"], by_key["c"]["reason"]) == ("", "the runtime crashed")
