"""What all learned predictors share: merging, units, intervals, extrapolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks import NetworkBuilder
from lutra.networks.errors import CorruptArtifactError, UsageError
from lutra.predictors import AdditivePredictor, LatencyPredictor, MlpPredictor
from lutra.predictors._artifact import Artifact
from lutra.predictors._conformal import folds, log_halfwidth, student_quantile, too_few
from lutra.predictors._samples import samples_of
from lutra.predictors.testing import small_network, small_networks, synthetic_fingerprint

WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def sampled(n: int, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Encodings of six decisions with four choices each, and latencies that add up but for log-normal noise."""
    rng = np.random.default_rng(seed)
    codes = np.unique(rng.integers(0, 4, (2 * n, 6)), axis=0)
    codes = codes[rng.permutation(len(codes))[:n]]
    return codes, (1 + codes @ WEIGHTS) * np.exp(noise * rng.standard_normal(n))


# -- intervals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_intervals_hold_as_often_as_they_say(coverage: float) -> None:
    inside = []
    for seed in range(12):
        codes, latencies = sampled(900, noise=0.05, seed=seed)
        predictor = AdditivePredictor(seed=seed).fit(codes[:300], latencies[:300])
        low, high = predictor.predict_interval(codes[300:], coverage).T
        inside.append(np.mean((low <= latencies[300:]) & (latencies[300:] <= high)))
    assert abs(float(np.mean(inside)) - coverage) < 0.02


def test_intervals_hold_whatever_the_errors_distribution() -> None:
    inside = []
    for seed in range(12):
        codes, latencies = sampled(900, seed=seed)
        latencies = latencies * np.exp(0.02 * np.random.default_rng(seed).standard_t(2, 900))
        predictor = AdditivePredictor(seed=seed).fit(codes[:300], latencies[:300])
        low, high = predictor.predict_interval(codes[300:], 0.9).T
        inside.append(np.mean((low <= latencies[300:]) & (latencies[300:] <= high)))
    assert abs(float(np.mean(inside)) - 0.9) < 0.02


@given(
    errors=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    coverages=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
)
def test_a_half_width_grows_with_coverage_and_covers_that_share(errors: list[float], coverages) -> None:
    array = np.array(errors)
    low, high = sorted(coverages)
    assert log_halfwidth(array, low) <= log_halfwidth(array, high) + 1e-12
    assert np.mean(array <= log_halfwidth(array, high)) >= high - 1e-9


def test_too_few_errors_for_a_quantile_are_taken_for_normal() -> None:
    errors = np.full(8, 0.1)
    assert not too_few(8, 0.5)
    assert too_few(8, 0.9)
    assert log_halfwidth(errors, 0.5) == pytest.approx(0.1)
    assert log_halfwidth(errors, 0.9) == pytest.approx(0.1 * 1.8595 * np.sqrt(9 / 8), rel=1e-3)


@pytest.mark.parametrize(("degrees", "value"), [(1, 6.3138), (2, 2.9200), (3, 2.3534), (8, 1.8595), (30, 1.6973)])
def test_students_quantile(degrees: int, value: float) -> None:
    assert student_quantile(0.95, degrees) == pytest.approx(value, rel=5e-3)


@given(n=st.integers(1, 40), seed=st.integers(0, 5))
def test_every_sample_is_held_out_once(n: int, seed: int) -> None:
    held = []
    for rest, out in folds(n, np.random.default_rng(seed)):
        assert sorted([*rest, *out]) == list(range(n))
        held.extend(out)
    assert sorted(held) == list(range(n))


# -- samples --------------------------------------------------------------------------------------------------


def test_equal_architectures_are_merged_and_their_scatter_is_told() -> None:
    codes, latencies = sampled(20)
    samples = samples_of(np.concatenate([codes, codes[:5]]), np.concatenate([latencies, 1.21 * latencies[:5]]))
    assert (samples.given, len(samples.batch)) == (25, 20)
    assert samples.latencies_ms[:5] == pytest.approx(1.1 * latencies[:5])
    assert samples.repeat_pct == pytest.approx(100 * np.sqrt(2) * np.log(1.1))
    assert samples_of(codes, latencies).repeat_pct is None
    twice = samples_of([small_network(8, 1), small_network(8, 1, name="again")], [1.0, 1.0])
    assert len(twice.batch) == 1


@pytest.mark.parametrize("factor", [1e-3, 1e3, 1e6])
def test_latencies_in_two_units_are_refused(factor: float) -> None:
    codes, latencies = sampled(30)
    latencies[::3] *= factor
    with pytest.raises(UsageError, match="units") as caught:
        AdditivePredictor().fit(codes, latencies)
    assert caught.value.hint == "give all latencies in milliseconds"


def test_latencies_that_no_machine_has_are_refused() -> None:
    codes, latencies = sampled(30)
    for factor in (1e-8, 1e9):
        with pytest.raises(UsageError, match="latencies of"):
            AdditivePredictor().fit(codes, latencies * factor)
    networks = [small_network(256, depth) for depth in range(2, 9)]
    macs = np.array([network.macs for network in networks])
    with pytest.raises(UsageError, match="MACs a second"):
        AdditivePredictor().fit(networks, macs / 5e13)
    AdditivePredictor().fit(networks, macs / 1e8)


def test_scoring_in_seconds_what_was_fitted_in_milliseconds_is_refused() -> None:
    codes, latencies = sampled(60)
    predictor = AdditivePredictor().fit(codes, latencies)
    with pytest.raises(UsageError, match="times what was predicted"):
        predictor.score(codes, latencies / 1e3)


@pytest.mark.parametrize(
    ("encodings", "told"),
    [
        (np.zeros((8, 0)), "shape"),
        (np.zeros((8, 2, 2)), "shape"),
        (np.array([["a"]] * 8), "encodings are"),
        (np.full((8, 2), np.nan), "encoding 0 has nan in column 0"),
        (np.zeros((8, 2)), "1 different architectures"),
    ],
)
def test_encodings_that_are_none_are_refused(encodings: np.ndarray, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        AdditivePredictor().fit(encodings, np.ones(8))


def test_what_was_fitted_to_encodings_does_not_take_networks() -> None:
    codes, latencies = sampled(30)
    predictor = AdditivePredictor().fit(codes, latencies)
    for other in (small_networks(), codes[:, :4]):
        with pytest.raises(UsageError, match="fitted to encodings of 6 numbers"):
            predictor.predict(other)
    with pytest.raises(UsageError, match="one ndarray"):
        predictor.predict_interval(codes[0])


# -- extrapolation --------------------------------------------------------------------------------------------


def relative_width(predictor: LatencyPredictor, given) -> float:
    prediction = predictor.explain(given)
    return float(np.log(prediction.high_ms / prediction.low_ms))


def test_a_choice_that_was_never_seen_widens_the_interval_and_is_told() -> None:
    codes, latencies = sampled(200, noise=0.02)
    predictor = AdditivePredictor().fit(codes, latencies)
    inside, outside = codes[0], np.array([*codes[0][:5], 7])
    assert not predictor.explain(inside).extrapolated
    prediction = predictor.explain(outside)
    assert prediction.extrapolated
    assert prediction.notes == ("extrapolated: column 5 is 7, which it never saw",)
    assert "[EXTRAPOLATED]" in str(prediction)
    assert relative_width(predictor, outside) == pytest.approx(4 * relative_width(predictor, inside))
    assert predictor.extrapolated(np.array([inside, outside])).tolist() == [False, True]


def test_ops_that_were_never_seen_widen_the_interval_and_are_named() -> None:
    latencies = [network.macs / 1e7 for network in small_networks()]
    predictor = AdditivePredictor().fit(small_networks(), latencies)
    b = NetworkBuilder("other")
    x = b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=8, kernel_size=3, stride=2, padding=1)
    x = b.op("flatten", b.op("global_avg_pool2d", b.op("sigmoid", x)))
    other = b.build(b.op("linear", x, out_features=10))
    prediction = predictor.explain(other)
    assert prediction.extrapolated
    assert prediction.notes[0] == "extrapolated: ops that it never saw: sigmoid"


def test_much_larger_networks_are_extrapolated_by_how_much_larger_they_are() -> None:
    networks = small_networks()
    predictor = AdditivePredictor().fit(networks, [network.macs / 1e7 for network in networks])
    wide = small_network(64, 3)
    prediction = predictor.explain(wide)
    grown = wide.macs / max(network.macs for network in networks)
    assert prediction.extrapolated
    assert f"{grown:.3g} times the MACs of any" in prediction.notes[0]
    assert relative_width(predictor, wide) >= 2 * np.log(grown)


@settings(max_examples=20)
@given(column=st.lists(st.floats(0.5, 100), min_size=20, max_size=20, unique=True), factor=st.floats(1.5, 50))
def test_numbers_beyond_the_samples_are_extrapolated(column: list[float], factor: float) -> None:
    rows = np.array(column)[:, None]
    predictor = AdditivePredictor().fit(rows, 1 + rows[:, 0])
    assert not predictor.extrapolated(rows).any()
    assert predictor.extrapolated(np.array([[factor * rows.max() + 10]])).all()


# -- saving ---------------------------------------------------------------------------------------------------


def test_the_card_says_what_it_was_fitted_to() -> None:
    codes, latencies = sampled(50, noise=0.02)
    fingerprint = synthetic_fingerprint()
    first = AdditivePredictor("pi", fingerprint=fingerprint).fit(codes, latencies).to_artifact()
    again = AdditivePredictor("pi").fit(codes, latencies).to_artifact()
    other = AdditivePredictor("pi").fit(codes, 1.01 * latencies).to_artifact()
    assert first.training["samples"] == 50
    assert first.training["fingerprint"] == again.training["fingerprint"] != other.training["fingerprint"]
    assert 0 < first.training["held_out_mape_pct"] < 10
    assert first.device == {"name": "pi", "fingerprint": fingerprint.to_dict()}


@pytest.mark.parametrize("lost", ["domain", "model"])
def test_a_card_without_a_part_is_damaged(lost: str) -> None:
    codes, latencies = sampled(50)
    whole = AdditivePredictor().fit(codes, latencies).to_artifact()
    state = {name: value for name, value in whole.state.items() if name != lost}
    artifact = Artifact(kind=whole.kind, params=whole.params, state=state, device=whole.device, arrays=whole.arrays)
    with pytest.raises(CorruptArtifactError):
        AdditivePredictor.from_artifact(artifact)


# -- models ---------------------------------------------------------------------------------------------------


def test_additive_latencies_are_found_exactly() -> None:
    codes, latencies = sampled(400)
    predictor = AdditivePredictor().fit(codes[:100], latencies[:100])
    assert predictor.predict(codes) == pytest.approx(latencies, rel=1e-3)


def test_choice_costs_say_the_same_as_the_predictor() -> None:
    codes, latencies = sampled(400)
    predictor = AdditivePredictor().fit(codes, latencies)
    costs = predictor.choice_costs()
    for order in (codes, np.asfortranarray(codes.astype(np.uint8))):
        assert costs.latencies_ms(order, threads=2) == pytest.approx(predictor.predict(codes), rel=1e-5)
    for bad, told in ((codes[:, :5], "shape"), (codes + 10, "choice"), (codes * 0.5, "float")):
        with pytest.raises(UsageError, match=told):
            costs.latencies_ms(bad)
    with pytest.raises(UsageError, match="0 threads"):
        costs.latencies_ms(codes, threads=0)
    with pytest.raises(UsageError, match="by choices"):
        AdditivePredictor().fit(small_networks(), [n.macs / 1e7 for n in small_networks()]).choice_costs()


def test_choices_that_were_never_seen_have_no_cost() -> None:
    codes, latencies = sampled(60)
    kept = codes[:, 0] != 1
    costs = AdditivePredictor().fit(codes[kept], latencies[kept]).choice_costs()
    assert np.isnan(costs.latencies_ms(codes)).tolist() == (~kept).tolist()


def test_perceptrons_learn_what_does_not_add_up() -> None:
    codes, _ = sampled(900)
    latencies = (1 + codes[:, 0]) * (1 + codes[:, 1]) + 0.5 * codes[:, 2]
    train, test = slice(0, 600), slice(600, None)
    plain = AdditivePredictor().fit(codes[train], latencies[train])
    deep = MlpPredictor(steps=300, members=2, learning_rate=1e-2, weight_decay=0.01).fit(codes[train], latencies[train])
    mape = [100 * np.mean(np.abs(p.predict(codes[test]) / latencies[test] - 1)) for p in (plain, deep)]
    assert mape[1] < 0.25 * mape[0]


@pytest.mark.parametrize(
    "params", [{"width": 0}, {"depth": 0}, {"members": 1.5}, {"steps": 0}, {"learning_rate": 0}, {"weight_decay": -1}]
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, float]) -> None:
    codes, latencies = sampled(20)
    with pytest.raises(UsageError, match=next(iter(params))):
        MlpPredictor(**params).fit(codes, latencies)
