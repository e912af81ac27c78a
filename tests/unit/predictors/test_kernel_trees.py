"""Boosted trees, and the kernels they judge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.luts.trees import BoostedTrees
from lutra.networks import NetworkBuilder
from lutra.networks.errors import NotCoveredError, UsageError
from lutra.networks.lowering import lower
from lutra.predictors import KernelPredictor, TablePredictor
from lutra.predictors.testing import small_network, synthetic_fingerprint, synthetic_ns, synthetic_table


def grown(matrix: np.ndarray, targets: np.ndarray, rising: list[bool], rounds: int = 40) -> BoostedTrees:
    return BoostedTrees.grown(
        matrix, targets, rising=np.array(rising), rounds=rounds, depth=3, learning_rate=0.2, seed=0
    )


def test_trees_find_a_step() -> None:
    matrix = np.linspace(0, 1, 200)[:, None]
    targets = np.where(matrix[:, 0] < 0.3, 1.0, 5.0)
    trees = grown(matrix, targets, [False])
    assert trees.predict(matrix) == pytest.approx(targets, abs=0.01)
    assert trees.predict(np.empty((0, 1))).shape == (0,)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_what_may_only_rise_never_falls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, targets = rng.uniform(size=(60, 2)), rng.standard_normal(60)
    trees = grown(matrix, targets, [True, False], rounds=10)
    asked = np.column_stack([np.linspace(-0.5, 1.5, 50), np.full(50, rng.uniform())])
    assert (np.diff(trees.predict(asked)) >= -1e-12).all()


def test_arrays_hold_all_of_the_trees() -> None:
    rng = np.random.default_rng(0)
    matrix, targets = rng.uniform(size=(50, 3)), rng.standard_normal(50)
    trees = grown(matrix, targets, [True, False, False])
    assert np.array_equal(BoostedTrees.from_arrays(trees.arrays()).predict(matrix), trees.predict(matrix))


def test_averaged_trees_are_those_of_scikit_learn() -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(0)
    matrix, targets = rng.uniform(size=(80, 3)).astype(np.float32).astype(np.float64), rng.standard_normal(80)
    trees = BoostedTrees.averaged(matrix, targets, count=7, least_leaf=2, seed=3)
    forest = ExtraTreesRegressor(7, min_samples_leaf=2, random_state=3).fit(matrix, targets)
    assert trees.predict(matrix) == pytest.approx(forest.predict(matrix), abs=1e-12)
    assert np.array_equal(BoostedTrees.from_arrays(trees.arrays()).predict(matrix), trees.predict(matrix))


def predictor_of(*networks, **params) -> KernelPredictor:
    lowered = [lower(network, "null") for network in networks]
    return KernelPredictor(synthetic_table(lowered, synthetic_fingerprint(), with_kernels=True), **params)


def sum_ms(network) -> float:
    return (5_000 + sum(map(synthetic_ns, lower(network, "null").kernels))) / 1e6


def test_kernels_between_rows_are_judged_well() -> None:
    widths = (8, 12, 16, 20, 28, 32, 40, 48, 56, 64, 80, 96)
    predictor = predictor_of(*(small_network(width, 1) for width in widths))
    between = small_network(24, 1)
    prediction = predictor.explain(between)
    assert prediction.interpolated_share > 0.5
    assert prediction.latency_ms == pytest.approx(sum_ms(between), rel=0.25)
    assert prediction.low_ms < sum_ms(between) < prediction.high_ms


def test_kernels_beyond_the_rows_grow_with_their_cost_and_are_said_to_be_extrapolated() -> None:
    widths = (8, 12, 16, 20, 28, 32, 40, 48)
    predictor = predictor_of(*(small_network(width, 1) for width in widths))
    inside, beyond = small_network(24, 1), small_network(256, 1)
    far = predictor.explain(beyond)
    assert far.extrapolated_share > 0.9
    assert sum_ms(beyond) / 2 < far.latency_ms < 2 * sum_ms(beyond)
    near = predictor.explain(inside)
    assert far.high_ms / far.latency_ms > near.high_ms / near.latency_ms


def test_what_is_measured_is_taken_from_the_table() -> None:
    network = small_network(16, 2)
    predictor = predictor_of(network)
    assert predictor.predict(network).latency_ms == TablePredictor(predictor.table).predict(network).latency_ms
    assert predictor.predict(network).measured_share == pytest.approx(1)


def test_families_without_rows_are_judged_by_all_rows_and_widely() -> None:
    predictor = predictor_of(*(small_network(width, 1) for width in (8, 16, 24, 32)))
    b = NetworkBuilder("other")
    other = b.build(b.op("sigmoid", b.input((1, 8, 16, 16))))
    prediction = predictor.explain(other)
    assert prediction.extrapolated_share == pytest.approx(1)
    assert prediction.high_ms > 1.2 * prediction.latency_ms


def test_a_table_with_few_rows_says_nothing_of_others() -> None:
    b = NetworkBuilder("tiny")
    predictor = predictor_of(b.build(b.op("relu", b.input((1, 8, 16, 16)))))
    with pytest.raises(NotCoveredError):
        predictor.predict(small_network(16, 1))


@pytest.mark.parametrize("params", [{"rounds": 0}, {"depth": 0}, {"learning_rate": 1.5}])
def test_parameters_that_make_no_sense_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="rounds, depth, learning_rate"):
        predictor_of(small_network(8, 1), **params).predict(small_network(16, 1))
