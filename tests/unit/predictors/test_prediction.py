"""The result object: its shares, its text and its JSON."""

import json
from dataclasses import replace

import pytest

from lutra.predictors import Part, Prediction
from lutra.predictors.prediction import significant

PREDICTION = Prediction(
    network="tiny",
    device="board",
    runtime="native",
    threads=2,
    latency_ms=10.0,
    low_ms=9.0,
    high_ms=11.1,
    parts=(
        Part(label="Conv 3x3", count=2, latency_us=3000, share=0.6, source="measured", rel_halfwidth=0.02),
        Part(label="Gemm", count=1, latency_us=3000, share=0.3, source="interpolated"),
        Part(label="Softmax", count=1, latency_us=500, share=0.05, source="extrapolated"),
    ),
    overhead_us=500.0,
    notes=("the fan was loud",),
)


def test_shares_are_of_the_kernels_time() -> None:
    shares = (PREDICTION.measured_share, PREDICTION.interpolated_share, PREDICTION.extrapolated_share)
    assert shares == pytest.approx((0.6 / 0.95, 0.3 / 0.95, 0.05 / 0.95))
    without = replace(PREDICTION, parts=())
    assert (without.measured_share, without.interpolated_share, without.extrapolated_share) == (0, 0, 0)


def test_text_shows_what_matters() -> None:
    text = str(PREDICTION)
    head, sources, *table = text.splitlines()
    assert head == "tiny on board (native, 2 threads): 10 ms, 90 % interval 9 .. 11.1 ms"
    assert sources == "  63 % measured, 32 % interpolated, 5 % extrapolated"
    assert [line.split() for line in table[1:4]] == [
        ["60.0", "%", "3,000", "2", "Conv", "3x3"],
        ["30.0", "%", "3,000", "1", "Gemm", "[interpolated]"],
        ["5.0", "%", "500", "1", "Softmax", "[extrapolated]"],
    ]
    assert table[4].split()[:2] == ["5.0", "%"]
    assert table[5] == "  note: the fan was loud"
    assert "SIMULATED" not in text
    assert "[SIMULATED]" in str(replace(PREDICTION, simulated=True))


def test_text_sums_up_the_small_parts() -> None:
    parts = tuple(
        Part(label=f"k{number}", count=2, latency_us=1, share=(20 - number) / 210, source="measured")
        for number in range(20)
    )
    text = str(replace(PREDICTION, parts=parts))
    assert "k11" in text
    assert "k12" not in text
    (rest,) = [line for line in text.splitlines() if "more kernels" in line]
    assert rest.split() == [f"{100 * 36 / 210:.1f}", "%", "16", "(8", "more", "kernels)"]


def test_json_has_units_and_shares() -> None:
    document = json.loads(PREDICTION.to_json())
    assert document == PREDICTION.to_dict()
    assert document["latency_ms"] == 10.0
    assert document["parts"][1]["source"] == "interpolated"
    assert document["extrapolated_share"] == pytest.approx(0.05 / 0.95)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1,234"), (99.96, "100"), (12.345, "12.3"), (1.236, "1.24"), (0.12345, "0.123"),
     (0.0012345, "0.00123"), (0.00012, "0.00012"), (10.0, "10")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text
