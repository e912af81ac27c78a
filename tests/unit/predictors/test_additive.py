"""`TablePredictor`: the sum, its interval, its corrections, and what it refuses."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts import Measurement, Table
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import ArtifactError, CorruptModelError, NotCoveredError, UnknownNameError, UsageError
from lutra.networks.lowering import lower
from lutra.predictors import LatencyPredictor, TablePredictor
from lutra.predictors.testing import (
    small_network,
    small_networks,
    synthetic_fingerprint,
    synthetic_ns,
    synthetic_table,
)

RUN_NS = 5_000


def table_of(*networks: Network, **options: object) -> Table:
    lowered = [lower(network, "null") for network in networks]
    fingerprint = options.pop("fingerprint", synthetic_fingerprint())
    return synthetic_table(lowered, fingerprint, run_ns=options.pop("run_ns", RUN_NS), **options)  # type: ignore[arg-type]


def sum_ms(network: Network) -> float:
    return (RUN_NS + sum(map(synthetic_ns, lower(network, "null").kernels))) / 1e6


def test_it_adds_up_every_occurrence_of_every_kernel() -> None:
    network = small_network(16, 4)
    prediction = TablePredictor(table_of(network)).predict(network)
    assert prediction.latency_ms == pytest.approx(sum_ms(network))
    assert prediction.overhead_us == pytest.approx(RUN_NS / 1e3)
    assert sum(part.count for part in prediction.parts) == len(lower(network, "null").kernels)
    assert max(part.count for part in prediction.parts) >= 4
    assert sum(part.share for part in prediction.parts) == pytest.approx(1 - RUN_NS / 1e6 / prediction.latency_ms)
    assert prediction.measured_share == pytest.approx(1)
    assert prediction.extrapolated_share == 0
    assert (prediction.device, prediction.runtime, prediction.threads) == ("synthetic", "null", 1)


def test_a_missing_kernel_is_an_error_that_says_what_and_how_much() -> None:
    known, other = small_network(16, 1), small_network(24, 1)
    predictor = TablePredictor(table_of(known, name="pi"))
    absent = predictor.missing(other)
    assert absent
    with pytest.raises(NotCoveredError) as caught:
        predictor.predict(other)
    error = caught.value
    assert error.missing == tuple(kernel.label for kernel in absent)
    assert "% of its MACs" in error.message
    assert error.hint is not None
    assert f"lutra profile {other.name} --device pi" in error.hint
    with pytest.raises(NotCoveredError):
        predictor.predict([known, other])
    assert predictor.missing(known) == []


def test_a_failed_row_is_missing_and_says_why() -> None:
    network = small_network(8, 1)
    whole = table_of(network)
    rows: list[Measurement] = []
    for row in whole:
        data = row.to_dict()
        if row.subject_kind == "kernel" and not rows:
            data.update(status="failed", reason="the worker died", samples_ns=[], rounds=[], latency_ms=None)
        rows.append(Measurement.from_dict(data))
    predictor = TablePredictor(Table(whole.fingerprint, rows, name="host"))
    with pytest.raises(NotCoveredError, match="failed: the worker died"):
        predictor.predict(network)


def test_without_a_run_constant_none_is_added_and_it_says_so() -> None:
    network = small_network(8, 1)
    prediction = TablePredictor(table_of(network, run_ns=None)).predict(network)
    assert prediction.latency_ms == pytest.approx(sum_ms(network) - RUN_NS / 1e6)
    assert any("no constant" in note for note in prediction.notes)


# -- kernels without a row --------------------------------------------------------------------------------


def image_network(size: int) -> Network:
    """Two convolutions of an image and a head, the same at every size."""
    b = NetworkBuilder(f"image_{size}")
    x = b.op("conv2d", b.input((1, 8, size, size)), out_channels=16, kernel_size=3, padding=1)
    x = b.op("relu", b.op("conv2d", x, out_channels=24, kernel_size=1))
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, out_features=10))


def table_of_sizes(*sizes: int) -> Table:
    """Rows of the kernels of `image_network`, which say what their kernels are."""
    kernels = {k.key: k for size in sizes for k in lower(image_network(size), "null").kernels}
    plain = table_of(*map(image_network, sizes))
    rows = [
        replace(row, spec=kernels[row.subject_key].to_json()) if row.subject_kind == "kernel" else row for row in plain
    ]
    return Table(plain.fingerprint, rows, name="pi")


def test_kernels_between_rows_are_interpolated_and_said_to_be() -> None:
    predictor = TablePredictor(table_of_sizes(8, 16, 24, 40, 48))
    network = image_network(32)
    prediction = predictor.explain(network)
    assert prediction.latency_ms == pytest.approx(sum_ms(network), rel=0.03)
    assert 0.9 < prediction.interpolated_share < 1
    assert prediction.measured_share == pytest.approx(1 - prediction.interpolated_share)
    assert {part.source for part in prediction.parts} == {"measured", "interpolated"}
    assert any("4 of 5 kernels have no row" in note for note in prediction.notes)
    assert "[interpolated]" in str(prediction)
    assert predictor.predict_batch([network])[0] == pytest.approx(prediction.latency_ms)
    assert len(predictor.missing(network)) == 4


def test_the_interval_is_wider_where_parts_are_interpolated() -> None:
    sizes, network = (8, 16, 24, 40, 48), image_network(32)
    measured, between = (spread(TablePredictor(table_of_sizes(*known)), network) for known in ((*sizes, 32), sizes))
    assert measured < between


def test_what_lies_beyond_all_rows_is_said_to_be_extrapolated() -> None:
    prediction = TablePredictor(table_of_sizes(8, 16, 24, 40, 48)).explain(image_network(64))
    assert prediction.extrapolated_share > 0.9
    assert "% extrapolated" in str(prediction)


def test_what_is_exact_refuses_and_names_the_nearest_rows() -> None:
    predictor = TablePredictor(table_of_sizes(8, 16, 24, 40, 48), interpolate=False)
    network = image_network(32)
    with pytest.raises(NotCoveredError, match=r"lacks 4 of 5 kernels.*nearest: .*@40 [\d.]+ ms, ") as caught:
        predictor.predict(network)
    assert caught.value.missing == tuple(kernel.label for kernel in predictor.missing(network))


def test_what_is_too_unsure_to_interpolate_is_refused() -> None:
    with pytest.raises(NotCoveredError, match=r"lacks 4 of 5 kernels.*nearest"):
        TablePredictor(table_of_sizes(8, 16)).predict(image_network(32))


def test_a_saved_predictor_interpolates_as_before(tmp_path: Path) -> None:
    table, network = table_of_sizes(8, 16, 24, 40, 48), image_network(32)
    TablePredictor(table).save(tmp_path / "free")
    TablePredictor(table, interpolate=False).save(tmp_path / "exact")
    again = LatencyPredictor.load(tmp_path / "free")
    assert again.explain(network) == TablePredictor(table).explain(network)
    with pytest.raises(NotCoveredError):
        LatencyPredictor.load(tmp_path / "exact").predict(network)


# -- the interval -----------------------------------------------------------------------------------------


def spread(predictor: TablePredictor, network: Network, coverage: float = 0.9) -> float:
    """Standard deviation of ln(latency) that the interval stands for."""
    prediction = predictor.explain(network, coverage=coverage)
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    upper = math.log(prediction.high_ms / prediction.latency_ms)
    assert math.log(prediction.latency_ms / prediction.low_ms) == pytest.approx(upper)
    return upper / z


@settings(deadline=None, max_examples=50)
@given(
    halfwidth=st.floats(0, 0.2),
    errors=st.lists(st.floats(-0.2, 0.2), max_size=8),
    prior=st.floats(0.01, 0.2),
    coverage=st.floats(0.1, 0.99),
)
def test_the_interval_follows_its_formula(halfwidth: float, errors: list[float], prior: float, coverage: float) -> None:
    network = small_network(8, 1)
    predictor = TablePredictor(table_of(network, rel_halfwidth=halfwidth, check_errors=errors), prior_error=prior)
    squares = [math.log(1 + error) ** 2 for error in errors] + [prior**2] * (5 - len(errors))
    expected = math.hypot(halfwidth / 1.959964, math.sqrt(sum(squares) / len(squares)))
    assert spread(predictor, network, coverage) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_half_width_counts_as_ten_percent() -> None:
    network = small_network(8, 1)
    unknown = TablePredictor(table_of(network, rel_halfwidth=None))
    tenth = TablePredictor(table_of(network, rel_halfwidth=0.1))
    assert spread(unknown, network) == pytest.approx(spread(tenth, network))
    assert any("no interval of their own" in note for note in unknown.predict(network).notes)


def test_few_checks_are_said_and_enough_are_not() -> None:
    network = small_network(8, 1)
    few = TablePredictor(table_of(network, check_errors=[0.01] * 4)).predict(network)
    enough = TablePredictor(table_of(network, check_errors=[0.01] * 5)).predict(network)
    assert any("only 4 whole networks" in note for note in few.notes)
    assert not any("whole networks" in note for note in enough.notes)


def test_intervals_cover_what_they_say() -> None:
    """Latencies drawn as the model assumes lie inside about as often as asked."""
    rng = np.random.default_rng(7)
    network = small_network(8, 1)
    hits = 0
    for _ in range(400):
        checks = np.exp(0.05 * rng.standard_normal(8)) - 1
        predictor = TablePredictor(table_of(network, rel_halfwidth=0.0, check_errors=checks.tolist()))
        prediction = predictor.predict(network)
        truth = prediction.latency_ms * math.exp(0.05 * rng.standard_normal())
        hits += prediction.low_ms <= truth <= prediction.high_ms
    assert 0.80 < hits / 400 < 0.95


@pytest.mark.parametrize("prior", [0, -1, 2, math.nan, "wide"])
def test_a_prior_error_is_a_ratio(prior: float) -> None:
    network = small_network(8, 1)
    with pytest.raises(UsageError, match="prior_error"):
        TablePredictor(table_of(network), prior_error=prior).predict(network)


# -- learning ---------------------------------------------------------------------------------------------


def predictor_of_all() -> TablePredictor:
    return TablePredictor(table_of(*small_networks()))


def test_fit_finds_a_factor_and_a_constant() -> None:
    networks = small_networks()
    truth = [1.2 * sum_ms(network) + 0.003 for network in networks]
    predictor = predictor_of_all().fit(networks, truth)
    assert predictor.scale_ == pytest.approx(1.2)
    assert predictor.constant_ms_ == pytest.approx(0.003)
    assert predictor.log_residuals_ is not None
    assert predictor.log_residuals_ == pytest.approx(np.zeros(8), abs=1e-9)
    prediction = predictor.predict(networks[0])
    assert prediction.latency_ms == pytest.approx(truth[0])
    assert prediction.overhead_us == pytest.approx(1.2 * RUN_NS / 1e3 + 3)
    assert any("after fitting to 8 networks" in note for note in prediction.notes)


def test_four_networks_give_a_factor_only() -> None:
    networks = small_networks()[:4]
    predictor = predictor_of_all().fit(networks, [0.8 * sum_ms(network) for network in networks])
    assert predictor.scale_ == pytest.approx(0.8)
    assert predictor.constant_ms_ == 0


def test_a_constant_is_never_negative() -> None:
    networks = small_networks()
    predictor = predictor_of_all().fit(networks, [sum_ms(network) * (1 + sum_ms(network)) for network in networks])
    assert predictor.constant_ms_ == 0
    assert predictor.scale_ > 1


def test_the_interval_after_fit_rests_on_what_is_left_over() -> None:
    networks = small_networks()
    wiggle = [1.1 if number % 2 else 0.9 for number in range(len(networks))]
    exact = predictor_of_all().fit(networks, [sum_ms(n) for n in networks])
    rough = predictor_of_all().fit(networks, [w * sum_ms(n) for w, n in zip(wiggle, networks, strict=True)])
    assert exact.model_error() == pytest.approx(0, abs=1e-9)
    assert 0.08 < rough.model_error() < 0.13


@pytest.mark.parametrize("unit", [1e3, 1e-3])
def test_another_unit_is_refused(unit: float) -> None:
    networks = small_networks()
    with pytest.raises(UsageError, match="times what the table says") as caught:
        predictor_of_all().fit(networks, [unit * sum_ms(network) for network in networks])
    assert "millisecond" in str(caught.value.hint)


def test_fit_survives_saving(tmp_path: Path) -> None:
    networks = small_networks()
    wiggle = [1.1 if number % 2 else 0.9 for number in range(len(networks))]
    predictor = predictor_of_all().fit(networks, [w * sum_ms(n) for w, n in zip(wiggle, networks, strict=True)])
    loaded = TablePredictor.load(predictor.save(tmp_path / "saved"))
    assert loaded.model_error() == predictor.model_error()
    assert loaded.table == predictor.table
    assert loaded.predict(networks[0]) == predictor.predict(networks[0])


def test_loading_another_kind_is_refused(tmp_path: Path) -> None:
    class Other(TablePredictor):
        """A kind of its own that nobody saved."""

    folder = predictor_of_all().save(tmp_path / "saved")
    with pytest.raises(ArtifactError, match="not a Other"):
        Other.load(folder)
    assert isinstance(LatencyPredictor.load(folder), TablePredictor)


# -- what is predicted ------------------------------------------------------------------------------------


def test_equal_networks_keep_their_own_names() -> None:
    first, twin = small_network(8, 1, name="first"), small_network(8, 1, name="twin")
    predictor = TablePredictor(table_of(first))
    assert [predictor.predict(network).network for network in (first, twin)] == ["first", "twin"]


def test_a_copy_predicts_the_same() -> None:
    network = small_network(8, 1)
    predictor = TablePredictor(table_of(network))
    prediction = predictor.predict(network)
    assert copy.deepcopy(predictor).predict(network) == prediction


def test_the_table_can_be_replaced() -> None:
    network = small_network(8, 1)
    predictor = TablePredictor(table_of(network))
    before = predictor.predict(network).latency_ms
    predictor.set_params(table=table_of(network, run_ns=RUN_NS + 1_000_000))
    assert predictor.predict(network).latency_ms == pytest.approx(before + 1)


def test_a_simulated_device_says_so() -> None:
    network = small_network(8, 1)
    simulated = TablePredictor(table_of(network, fingerprint=synthetic_fingerprint(kind="simulated"))).predict(network)
    assert simulated.simulated
    assert "SIMULATED" in str(simulated)
    assert any("simulated" in note for note in simulated.notes)
    real = TablePredictor(table_of(network, fingerprint=synthetic_fingerprint(kind="real"))).predict(network)
    assert not real.simulated


def test_a_name_in_the_zoo_is_a_network() -> None:
    from lutra.networks import zoo

    predictor = TablePredictor(table_of(zoo.build("mobilenet_v2")))
    prediction = predictor.predict("mobilenet_v2")
    assert prediction.network == "mobilenet_v2"
    assert prediction.latency_ms == predictor.predict(["mobilenet_v2"])[0]
    with pytest.raises(UnknownNameError, match="mobilenet_v2"):
        predictor.predict("mobilenet_v22")


def test_a_saved_network_is_a_network(tmp_path: Path) -> None:
    network = small_network(8, 1)
    network.save(tmp_path / "net.json")
    predictor = TablePredictor(table_of(network))
    assert predictor.predict(tmp_path / "net.json").latency_ms == predictor.predict(network).latency_ms


def test_input_shapes_are_for_one_module() -> None:
    network = small_network(8, 1)
    with pytest.raises(UsageError, match="input_shapes"):
        TablePredictor(table_of(network)).predict([network], input_shapes=[(1, 3, 16, 16)])  # type: ignore[call-overload]


def test_one_network_is_no_list() -> None:
    network = small_network(8, 1)
    predictor = TablePredictor(table_of(network))
    with pytest.raises(UsageError, match="list"):
        predictor.predict_interval(network)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    predictor = TablePredictor(table_of(small_network(8, 1), fingerprint=synthetic_fingerprint("onnxruntime")))
    with pytest.raises(CorruptModelError, match=r"none\.onnx"):
        predictor.predict(tmp_path / "none.onnx")


def test_the_users_own_file_is_what_is_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="its optimiser is what lowers")
    from lutra.networks.exporters import to_onnx
    from lutra.networks.lowering import lower_given, lower_onnx

    network = small_network(8, 1)
    content = to_onnx(network).SerializeToString()
    path = tmp_path / "mine.onnx"
    path.write_bytes(content)
    seen = []

    def recording(network: Network, model: bytes, runtime: str, **settings: object) -> object:
        seen.append(model)
        return lower_given(network, model, runtime, **settings)

    table = synthetic_table([lower_onnx(content, network.fingerprint)], synthetic_fingerprint("onnxruntime"))
    predictor = TablePredictor(table)
    monkeypatch.setattr("lutra.predictors._lowering.lower_given", recording)
    prediction = predictor.predict(path)
    assert prediction.network == "mine"
    assert predictor.predict(str(path)) == prediction
    assert seen == [content]


def test_a_hostile_file_is_refused_before_it_is_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"not a model")
    monkeypatch.setattr("lutra.predictors._lowering.lower_given", lambda *_, **__: pytest.fail("it was lowered"))
    predictor = TablePredictor(table_of(small_network(8, 1), fingerprint=synthetic_fingerprint("onnxruntime")))
    with pytest.raises(CorruptModelError):
        predictor.predict(path)
