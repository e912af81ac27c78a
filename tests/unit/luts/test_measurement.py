"""A measurement states its number, or says that there is none; nothing malformed gets in."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import Measurement, QualityFlag, cure, utc_now
from lutra.luts.testing import make_failed, make_measurement
from lutra.networks.errors import MeasurementError, UsageError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
ratios = st.none() | st.floats(0, 100)
totals = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=30)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    common: dict[str, Any] = {
        "subject_kind": draw(st.sampled_from(("kernel", "network", "constant"))),
        "subject_key": draw(st.text(min_size=1, max_size=10)),
        "label": draw(st.text(max_size=10)),
        "flags": tuple(draw(st.lists(st.sampled_from(list(QualityFlag)), max_size=3))),
        "conditions": draw(json_objects),
        "versions": {"numpy": "2.0"},
        "spec": draw(json_objects),
    }
    if draw(st.booleans()):
        return Measurement(status="failed", reason=draw(st.text(min_size=1, max_size=10)), **common)
    samples = draw(totals)
    return Measurement(
        status=draw(st.sampled_from(("ok", "noisy"))),
        samples_ns=np.array(samples, np.int64),
        rounds=np.array(draw(st.lists(st.integers(0, 2**31 - 1), min_size=len(samples), max_size=len(samples)))),
        executions_per_sample=draw(st.integers(1, 10**6)),
        overhead_ns=draw(st.floats(0, 1e6)),
        rel_halfwidth=draw(ratios),
        reference_ratio=draw(ratios),
        **common,
    )


@given(measurements())
@settings(max_examples=60)
def test_json_round_trip(row: Measurement) -> None:
    again = Measurement.from_json(row.to_json())
    assert again == row
    assert hash(again) == hash(row)
    assert again.to_json() == row.to_json()


@given(totals, st.integers(1, 1000), st.floats(0, 1e9))
def test_statistics_follow_their_definition(samples: list[int], executions: int, overhead_ns: float) -> None:
    row = make_measurement(
        samples_ns=samples, rounds=[0] * len(samples), executions_per_sample=executions, overhead_ns=overhead_ns
    )
    expected = max((np.quantile(np.array(samples), 0.25) - overhead_ns) / executions, 0)
    assert row.latency_ns == pytest.approx(expected, rel=1e-12)
    assert row.p25_ns == row.latency_ns
    assert row.p10_ns <= row.p25_ns <= row.median_ns <= row.p90_ns
    assert row.iqr_ns >= 0
    assert row.n == len(samples)


def test_statistics_by_hand() -> None:
    row = make_measurement(
        samples_ns=[100, 200, 300, 400, 500], rounds=[0] * 5, executions_per_sample=2, overhead_ns=60
    )
    assert (row.p10_ns, row.p25_ns, row.median_ns, row.p90_ns, row.iqr_ns) == (40.0, 70.0, 120.0, 200.0, 100.0)


def test_overhead_above_the_samples_gives_zero_not_less() -> None:
    row = make_measurement(samples_ns=[10, 20], rounds=[0, 1], overhead_ns=1000)
    assert (row.latency_ns, row.p90_ns, row.iqr_ns) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["latency_ns", "p10_ns", "p25_ns", "median_ns", "p90_ns", "iqr_ns"])
def test_failed_row_has_no_number(name: str) -> None:
    with pytest.raises(MeasurementError, match=r"bad has no latency: .*the runtime crashed"):
        getattr(make_failed(), name)


def test_rounds_default_to_one_round() -> None:
    row = Measurement(subject_kind="kernel", subject_key="k", label="", samples_ns=np.array([1, 2, 3]))
    assert row.rounds.tolist() == [0, 0, 0]


def test_samples_cannot_be_changed_from_outside() -> None:
    samples = np.array([5, 6, 7])
    spec = {"nodes": [1]}
    row = make_measurement(samples_ns=samples, rounds=[0, 0, 1], spec=spec)
    samples[0] = 99
    spec["nodes"].append(2)
    assert row.samples_ns.tolist() == [5, 6, 7]
    assert row.spec == {"nodes": [1]}
    with pytest.raises(ValueError, match="read-only"):
        row.samples_ns[0] = 1


def test_equality_sees_every_field() -> None:
    row = make_measurement()
    assert row == make_measurement()
    assert row != "row"
    changes: dict[str, Any] = {
        "subject_kind": "network",
        "subject_key": "other",
        "label": "other",
        "status": "noisy",
        "samples_ns": row.samples_ns + 1,
        "rounds": row.rounds + 1,
        "executions_per_sample": 5,
        "overhead_ns": 1.0,
        "rel_halfwidth": None,
        "reference_ratio": 2.0,
        "flags": (),
        "conditions": {},
        "versions": {},
        "measured_at": "2026-01-31T12:00:01Z",
        "spec": {},
    }
    for name, value in changes.items():
        assert replace(row, **{name: value}) != row, name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T14:00:00.123456+02:00", "2026-01-31T12:00:00.123Z"),
    ],
)
def test_moments_are_kept_in_utc(given: str, kept: str) -> None:
    assert make_measurement(measured_at=given).measured_at == kept


def test_now_is_a_valid_moment() -> None:
    now = utc_now()
    assert make_measurement(measured_at=now).measured_at == now


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject_kind": "layer"}, "subject kind is 'layer'"),
        ({"subject_key": ""}, "empty key"),
        ({"label": None}, "label is None"),
        ({"status": "great"}, "status is 'great'"),
        ({"status": "failed"}, "reason is ''"),
        ({"reason": "why"}, "reason is 'why'"),
        ({"status": "failed", "reason": "x"}, "24 samples"),
        ({"samples_ns": [], "rounds": []}, "0 samples"),
        ({"samples_ns": [1.5, 2.0], "rounds": [0, 0]}, "samples_ns has type float64"),
        ({"samples_ns": [[1], [2]], "rounds": [0, 0]}, r"shape \(2, 1\)"),
        ({"samples_ns": [1, [2]]}, "samples_ns is not an array"),
        ({"samples_ns": 5}, r"shape \(\)"),
        ({"samples_ns": [2**63], "rounds": [0]}, "does not fit int64"),
        ({"samples_ns": [2**64], "rounds": [0]}, "samples_ns has type object"),
        ({"samples_ns": [-1], "rounds": [0]}, "negative sample"),
        ({"rounds": [0]}, "24 samples but 1 rounds"),
        ({"samples_ns": [1], "rounds": [2**31]}, "rounds does not fit int32"),
        ({"samples_ns": [1], "rounds": [-1]}, "negative sample or round"),
        ({"executions_per_sample": 0}, "executions_per_sample is 0"),
        ({"executions_per_sample": 1.0}, "executions_per_sample is 1.0"),
        ({"executions_per_sample": 2**63}, "executions_per_sample is"),
        ({"overhead_ns": -1}, "overhead_ns is -1"),
        ({"overhead_ns": float("nan")}, "overhead_ns is nan"),
        ({"overhead_ns": None}, "overhead_ns is None"),
        ({"rel_halfwidth": float("inf")}, "rel_halfwidth is inf"),
        ({"reference_ratio": "1"}, "reference_ratio is '1'"),
        ({"flags": "load"}, "flags are 'load'"),
        ({"flags": ("Load!",)}, "flags are"),
        ({"flags": None}, "flags are None"),
        ({"conditions": {"load": float("nan")}}, "not representable as JSON"),
        ({"spec": {"x": object()}}, "not representable as JSON"),
        ({"spec": {1: 2}}, "spec is {1: 2}"),
        ({"versions": ["numpy"]}, "versions is"),
        ({"measured_at": "yesterday"}, "measured_at is 'yesterday'"),
        ({"measured_at": "2026-01-31T12:00:00"}, "without a time zone"),
    ],
)
def test_bad_fields_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_measurement(**change)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency_ms": 3.0}, "latency_ms is 3.0 but the samples give"),
        ({"latency_ms": "fast"}, "latency_ms is 'fast'"),
        ({"colour": "red"}, "row kernel k0: unknown colour"),
    ],
)
def test_bad_rows_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Measurement.from_dict(make_measurement().to_dict() | change)


def test_row_that_lacks_fields_is_refused() -> None:
    data = make_measurement().to_dict()
    del data["label"], data["status"]
    with pytest.raises(UsageError, match="no label, no status"):
        Measurement.from_dict(data)
    with pytest.raises(UsageError, match="a row is 3"):
        Measurement.from_dict(3)  # type: ignore[arg-type]


def test_latency_in_json_may_be_left_out() -> None:
    data = json.loads(make_measurement().to_json())
    del data["latency_ms"]
    assert Measurement.from_dict(data) == make_measurement()


def test_every_flag_has_a_cure() -> None:
    cures = {flag: cure(flag) for flag in QualityFlag}
    assert len(set(cures.values())) == len(QualityFlag)
    assert cure("wide") == QualityFlag.WIDE.cure
    assert "extension" in cure("vendor-flag")
