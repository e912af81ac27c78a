"""Comparing and merging tables, whatever the rows are."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.luts import RowNumbers, Store
from lutra.luts.diff import Change, compare
from lutra.luts.merge import merge
from lutra.luts.testing import make_fingerprint, make_measurement

NUMBERS = st.none() | st.floats(0, 1e12, allow_subnormal=False)
HALFWIDTHS = st.none() | st.floats(0, 0.5)


@st.composite
def tables(draw: Callable[..., object]) -> list[RowNumbers]:
    """Tables of a few subjects, some failed."""
    found = draw(st.dictionaries(st.sampled_from("abcdef"), st.tuples(NUMBERS, HALFWIDTHS)))
    assert isinstance(found, dict)
    return [
        RowNumbers(
            subject_kind="kernel",
            subject_key=key,
            label=key,
            status="failed" if latency_ns is None else "ok",
            latency_ns=latency_ns,
            rel_halfwidth=halfwidth,
            median_ns=latency_ns,
            sample_count=1,
            measured_at="2026-01-31T12:00:00.000Z",
            flags=(),
        )
        for key, (latency_ns, halfwidth) in found.items()
    ]


@given(tables())
def test_a_table_is_the_same_as_itself(rows: list[RowNumbers]) -> None:
    found = compare(rows, rows)
    assert found.same
    assert found.beyond == []
    assert found.ratio(0.5) in (None, 1.0)


@given(tables(), tables())
def test_both_ways_say_the_same(left: list[RowNumbers], right: list[RowNumbers]) -> None:
    there, back = compare(left, right), compare(right, left)
    assert (set(there.only_left), set(there.only_right)) == (set(back.only_right), set(back.only_left))
    assert set(there.failed) == set(back.failed)
    assert {change.label for change in there.beyond} == {change.label for change in back.beyond}
    assert there.outside_share == back.outside_share
    assert there.same == back.same
    subjects = {row.label for row in left} | {row.label for row in right}
    both_failed = {row.label for row in left if row.latency_ns is None} & {
        row.label for row in right if row.latency_ns is None
    }
    told = [*there.only_left, *there.only_right, *there.failed, *(change.label for change in there.changes)]
    assert sorted(told) == sorted(subjects - both_failed)
    there.to_dict()


@pytest.mark.parametrize(
    ("left", "right", "beyond"),
    [((100, 0.02), (104, 0.02), False), ((100, 0.02), (105, 0.02), True), ((100, None), (200, 0.02), None)],
)
def test_latencies_differ_where_their_intervals_do_not_touch(
    left: tuple[float, float | None], right: tuple[float, float | None], beyond: bool | None
) -> None:
    def row(latency_ns: float, rel_halfwidth: float | None) -> RowNumbers:
        return RowNumbers.of(
            make_measurement(
                samples_ns=[int(latency_ns)],
                rounds=[0],
                executions_per_sample=1,
                overhead_ns=0.0,
                rel_halfwidth=rel_halfwidth,
            )
        )

    assert Change.between(row(*left), row(*right)).beyond is beyond


def test_the_largest_change_comes_first_whichever_way_it_goes() -> None:
    def change(name: str, left_ns: float, right_ns: float) -> Change:
        return Change("kernel", name, name, left_ns, right_ns, True)

    changes = (change("up", 1, 3), change("down", 8, 1), change("gone", 1, 0), change("none", 1, 1.1))
    found = compare([], [])
    found = type(found)((), (), (), changes)
    assert [item.label for item in found.beyond] == ["gone", "down", "up", "none"]
    assert found.to_dict()["ratio"]["p50"] == pytest.approx(1.1)


def test_documents_of_the_store_stand(tmp_path: Path) -> None:
    device = make_fingerprint()
    with Store.open(tmp_path / "lutra.db") as store:
        store.register_device(device, "mine")
        store.set_document(device, "fusion", {"mine": 1})
        documents = {"fusion": {"theirs": 1}, "aliases": {}}
        report = merge(store, device, [make_measurement("a")], name="theirs", documents=documents)
        assert (report.added, report.replaced, report.kept, report.disagreements) == (1, 0, 0, [])
        assert store.documents(device) == {"fusion": {"mine": 1}, "aliases": {}}
        assert [record.name for record in store.devices()] == ["mine"]
