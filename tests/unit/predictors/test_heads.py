"""Heads: nets that learn from all sources at once see what does not add up, for encodings and for networks."""

import numpy as np
import pytest

from lutra.networks import Network, zoo
from lutra.networks.errors import UnknownNameError, UsageError
from lutra.predictors import DevicePrior, LatencyPredictor, TransferPredictor
from lutra.predictors.heads import MlpHead
from lutra.predictors.metrics import mape, spearman
from lutra.predictors.pooled import PooledOps
from lutra.predictors.testing import small_network

torch = pytest.importorskip("torch")

CODES = np.random.default_rng(0).integers(0, 3, (500, 5))


def tangled_ms(first: float, second: float) -> np.ndarray:
    """Latencies that do not add up: what two decisions cost depends on a third."""
    a, b, c, d, e = CODES.T
    return 2 + first * (a == 1) * b + second * (a == 2) * c + 0.3 * d + 0.1 * e


def tangled_sources() -> dict[str, np.ndarray]:
    return {f"{first}/{second}": tangled_ms(first, second) for first, second in ((1.0, 0.2), (0.3, 1.0), (0.7, 0.7))}


def test_an_mlp_head_sees_what_does_not_add_up() -> None:
    target = tangled_ms(0.9, 0.5)
    ranks = []
    for head in (None, "mlp"):
        predictor = TransferPredictor(DevicePrior.learn(CODES, tangled_sources(), head=head))
        chosen = predictor.choose(CODES, 20)
        ranks.append(spearman(target, predictor.fit(CODES[chosen], target[chosen]).predict(CODES)))
    assert ranks[1] > 0.97
    assert ranks[1] > ranks[0] + 0.02


def test_shares_name_the_heads_of_sources() -> None:
    prior = DevicePrior.learn(CODES, tangled_sources(), head="mlp")
    predictor = TransferPredictor(prior).fit(CODES[:20], tangled_ms(0.9, 0.5)[:20])
    assert predictor.fitted_ is not None
    assert {f"{name} (head)" for name in tangled_sources()} < predictor.fitted_.shares.keys()
    assert sum(predictor.fitted_.shares.values()) == pytest.approx(1)


def test_missing_measurements_of_sources_are_left_out() -> None:
    gaps = {
        name: np.where(np.arange(500) % 3 == number, np.nan, ms)
        for number, (name, ms) in enumerate(tangled_sources().items())
    }
    target = tangled_ms(0.9, 0.5)
    predictor = TransferPredictor(DevicePrior.learn(CODES, gaps, head="mlp")).fit(CODES[:20], target[:20])
    assert spearman(target, predictor.predict(CODES)) > 0.95


def stacks() -> list[Network]:
    """Networks of three convolutions each."""
    rng = np.random.default_rng(0)
    return [small_network(int(width), int(depth)) for width, depth in rng.permutation(_grid())]


def _grid() -> list[tuple[int, int]]:
    return [(width, depth) for width in range(8, 40, 4) for depth in (1, 2, 3, 4)]


def device_ms(networks: list[Network], each_ms: float, macs_per_ms: float) -> np.ndarray:
    return np.array([sum(each_ms + node.op.macs / macs_per_ms for node in network) for network in networks])


@pytest.mark.parametrize("head", [None, "gnn"])
def test_networks_do_without_encodings(head: str | None) -> None:
    networks = stacks()
    sources = {"a": device_ms(networks, 0.1, 1e5), "b": device_ms(networks, 0.4, 5e5)}
    target = device_ms(networks, 0.2, 2e5)
    costs = {"macs": [network.macs for network in networks]}
    predictor = TransferPredictor(DevicePrior.learn(networks, sources, costs, head=head), "new")
    chosen = predictor.choose(networks, 8)
    predictor.fit([networks[i] for i in chosen], target[chosen])
    assert mape(target, predictor.predict(networks)) < 5
    assert not predictor.predict(networks[0]).extrapolated
    strange = predictor.predict(zoo.build("vit_tiny"))
    assert strange.extrapolated
    assert "never saw" in strange.notes[0]


@pytest.mark.parametrize("head", ["mlp", "gnn"])
def test_heads_are_saved(tmp_path, head: str) -> None:
    networks = stacks()
    given, target = (CODES, tangled_ms(0.9, 0.5)) if head == "mlp" else (networks, device_ms(networks, 0.2, 2e5))
    sources = tangled_sources() if head == "mlp" else {"a": device_ms(networks, 0.1, 1e5)}
    predictor = TransferPredictor(DevicePrior.learn(given, sources, head=head), "new")
    predictor.fit(given[:12], target[:12])
    loaded = LatencyPredictor.load(predictor.save(tmp_path / "kept"), device="new")
    assert np.array_equal(loaded.predict_interval(given), predictor.predict_interval(given))
    assert np.array_equal(
        loaded.fit(given[:9], target[:9]).predict(given), predictor.fit(given[:9], target[:9]).predict(given)
    )


def test_heads_are_refused_where_they_make_no_sense() -> None:
    networks = stacks()
    with pytest.raises(UnknownNameError, match="unknown head 'cnn'"):
        DevicePrior.learn(CODES, tangled_sources(), head="cnn")
    with pytest.raises(UsageError, match="without source devices"):
        DevicePrior.learn(CODES, head="mlp")
    with pytest.raises(UsageError, match="needs networks"):
        DevicePrior.learn(CODES, tangled_sources(), head="gnn")
    with pytest.raises(UsageError, match="needs encodings"):
        DevicePrior.learn(networks, {"a": device_ms(networks, 0.1, 1e5)}, head="mlp")
    with pytest.raises(UsageError, match="encodings for a prior that was learnt from networks"):
        TransferPredictor(DevicePrior.learn(networks)).choose(CODES, 3)
    with pytest.raises(UsageError, match="networks for a prior that was learnt from encodings"):
        TransferPredictor(DevicePrior.learn(CODES)).fit(networks[:8], np.ones(8))


def test_an_mlp_head_says_the_same_for_one_as_for_many() -> None:
    latencies_ms = np.stack([*tangled_sources().values()], axis=1)
    centred = np.random.default_rng(1).normal(size=(500, 15))
    head = MlpHead.trained(CODES, centred, latencies_ms, 0)
    one_by_one = np.concatenate([head.outputs(CODES[[i]], centred[[i]]) for i in range(5)])
    assert one_by_one == pytest.approx(head.outputs(CODES, centred)[:5], abs=1e-5)


def test_pooled_ops_round_trip_and_scale() -> None:
    described = PooledOps.of(stacks())
    again = PooledOps.from_json(described.to_json())
    features = described.features(stacks())
    assert np.array_equal(again.features(stacks()), features)
    spread = features.std(axis=0)
    assert np.all((np.abs(spread - 1) < 1e-9) | (spread == 0))
    with pytest.raises(UsageError, match="no architectures"):
        PooledOps.of([])
