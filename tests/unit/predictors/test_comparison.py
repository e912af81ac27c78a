"""`compare`: who is judged by what, in which order, and what the table says."""

import json

import numpy as np
import pytest

from lutra.networks.errors import UsageError
from lutra.networks.lowering import lower
from lutra.predictors import AdditivePredictor, GnnPredictor, MlpPredictor, TablePredictor, candidates, compare
from lutra.predictors.testing import small_networks, synthetic_fingerprint, synthetic_table


def sampled(n: int = 120, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 4, (3 * n, 5)), axis=0)
    codes = codes[rng.permutation(len(codes))[:n]]
    return codes, (1 + codes @ [0.1, 0.2, 0.3, 0.4, 0.5]) * np.exp(noise * rng.standard_normal(n))


class Useless(AdditivePredictor):
    """Always a third too high."""

    def predict_batch(self, networks):
        return 1.3 * super().predict_batch(networks)


def test_the_best_comes_first_and_only_who_beats_the_baseline_earns_a_place() -> None:
    codes, latencies = sampled()
    comparison = compare(codes, latencies, {"bad": Useless(), "additive": AdditivePredictor()})
    assert [row.name for row in comparison.rows] == ["additive", "bad"]
    assert comparison.best.name == "additive"
    assert [comparison.earns_its_place(row) for row in comparison.rows] == [True, False]
    assert "no better than the baseline here: bad" in str(comparison)
    assert "additive*" in str(comparison)
    document = json.loads(comparison.to_json())
    assert document == comparison.to_dict()
    assert [row["beats_baseline"] for row in document["rows"]] == [False, False]


def test_every_sample_is_on_one_side_and_duplicates_are_not_on_both() -> None:
    codes, latencies = sampled()
    seen: list[np.ndarray] = []

    class Watching(AdditivePredictor):
        def fit(self, networks, latencies_ms):
            seen.append(networks)
            return super().fit(networks, latencies_ms)

        def predict_batch(self, networks):
            seen.append(networks)
            return super().predict_batch(networks)

    twice = (np.concatenate([codes, codes]), np.concatenate([latencies, 1.02 * latencies]))
    comparison = compare(*twice, {"additive": Watching()}, test_share=0.25)
    trained, tested = ({tuple(row) for row in rows} for rows in seen[:2])
    assert not trained & tested
    assert len(trained) + len(tested) == len(codes)
    assert (comparison.trained, comparison.tested) == (90, 30)
    assert comparison.repeat_pct == pytest.approx(100 * np.log(1.02) / np.sqrt(2), rel=1e-6)
    assert "measurements of equal architectures scatter by 1.4 %" in str(comparison)


def test_a_model_that_cannot_is_told_and_comes_last() -> None:
    codes, latencies = sampled(40)
    comparison = compare(codes, latencies, {"gnn": GnnPredictor(), "additive": AdditivePredictor()})
    assert [row.name for row in comparison.rows] == ["additive", "gnn"]
    assert "needs networks, not encodings" in comparison.rows[1].problem
    assert "gnn: a graph network needs networks" in str(comparison)
    alone = compare(codes, latencies, {"gnn": GnnPredictor()})
    with pytest.raises(UsageError, match="no predictor could be fitted"):
        _ = alone.best


def test_equal_calls_give_equal_splits_and_another_seed_another() -> None:
    codes, latencies = sampled()

    def errors(seed: int) -> float:
        return compare(codes, latencies, {"additive": AdditivePredictor()}, seed=seed).best.summary.mape_pct

    assert errors(1) == errors(1) != errors(2)


@pytest.mark.parametrize("share", [0.0, 1.0, -1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="test_share"):
        compare(*sampled(), test_share=share)


def test_too_few_samples_are_refused() -> None:
    codes, latencies = sampled(10)
    with pytest.raises(UsageError, match="a comparison needs 11 or more"):
        compare(codes, latencies)


def test_candidates_are_what_can_learn_from_such_samples() -> None:
    table = synthetic_table([lower(network, "null") for network in small_networks()], synthetic_fingerprint())
    assert list(candidates(encodings=True, table=table)) == ["additive", "quadratic", "mlp", "transfer"]
    assert list(candidates(encodings=False)) == ["additive", "quadratic", "mlp", "gnn"]
    entered = candidates("pi", encodings=False, table=table, seed=3)
    assert list(entered) == ["additive", "quadratic", "mlp", "gnn", "table", "kernels"]
    assert isinstance(entered["table"], TablePredictor)
    assert isinstance(entered["mlp"], MlpPredictor)
    assert entered["mlp"].get_params()["fingerprint"] is table.fingerprint
    assert entered["mlp"].get_params()["seed"] == 3
