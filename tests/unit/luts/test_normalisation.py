"""Normalised rows: what a factor does to the number, and what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.luts import Measurement, Normalisation, Table
from lutra.luts.testing import make_fingerprint, make_measurement, make_normalised
from lutra.networks.errors import UsageError


def make(**changes: Any) -> Normalisation:
    fields: dict[str, Any] = {
        "compute_ns": [100, 200],
        "memory_ns": [1000, 1000],
        "nominal_compute_ns": 100.0,
        "nominal_memory_ns": 1000.0,
        "compute_elasticity": 1.0,
        "memory_elasticity": 0.0,
    }
    return Normalisation(**(fields | changes))


def test_a_slow_moment_is_taken_out_in_proportion_to_the_elasticity() -> None:
    assert make().factors.tolist() == [1.0, 2.0]
    assert make(compute_elasticity=0.5).factors == pytest.approx([1.0, 2**0.5])
    assert make(compute_elasticity=0.0, memory_ns=[1000, 4000], memory_elasticity=0.5).factors.tolist() == [1.0, 2.0]


def test_the_number_is_that_of_the_normalised_samples() -> None:
    row = make_measurement(
        samples_ns=[1000, 2000], rounds=[0, 1], overhead_ns=0, executions_per_sample=1, normalisation=make()
    )
    assert row.normalised_ns.tolist() == [1000.0, 1000.0]
    assert row.samples_ns.tolist() == [1000, 2000]
    assert row.latency_ns == row.p90_ns == 1000


def test_a_row_can_be_given_at_another_speed() -> None:
    row = make_measurement(
        samples_ns=[1000, 2000], rounds=[0, 1], overhead_ns=0, executions_per_sample=1, normalisation=make()
    )
    assert row.latency_at_ns(150.0, 1000.0) == pytest.approx(1500)
    assert make_measurement().latency_at_ns(150.0, 1000.0) == make_measurement().latency_ns


@given(scale=st.floats(0.2, 5.0), elasticity=st.floats(0.0, 1.5))
def test_the_choice_of_the_nominal_speed_does_not_matter(scale: float, elasticity: float) -> None:
    one = make_normalised(normalisation=make_24(100.0, elasticity), overhead_ns=0)
    other = make_normalised(normalisation=make_24(100.0 * scale, elasticity), overhead_ns=0)
    assert other.latency_at_ns(100.0, 1000.0) == pytest.approx(one.latency_ns)


def make_24(nominal_compute_ns: float, elasticity: float) -> Normalisation:
    return make(
        compute_ns=np.arange(24) + 90,
        memory_ns=np.full(24, 1000),
        nominal_compute_ns=nominal_compute_ns,
        compute_elasticity=elasticity,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"compute_ns": [100]},
        {"compute_ns": [0, 1]},
        {"compute_ns": [1.5, 2.5]},
        {"nominal_compute_ns": 0.0},
        {"nominal_memory_ns": float("nan")},
        {"compute_elasticity": None},
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make(**changes)


def test_references_belong_to_samples() -> None:
    with pytest.raises(UsageError, match="24 samples but references around 2"):
        make_measurement(normalisation=make())


def test_normalised_rows_survive_json() -> None:
    row = make_normalised()
    assert Measurement.from_json(row.to_json()) == row
    with pytest.raises(UsageError, match="a normalisation holds"):
        Measurement.from_dict(row.to_dict() | {"normalisation": {"compute_ns": [1]}})


def test_tables_of_the_first_format_are_read() -> None:
    table = Table(make_fingerprint(), [make_measurement()], name="old")
    old = table.to_json().replace('"version":2', '"version":1').replace('"normalisation":null,', "")
    assert "normalisation" not in old
    assert Table.from_json(old) == table
