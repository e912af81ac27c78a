"""A new device from few samples: sources, costs and the choice of what to measure all help, and doubt is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.predictors import DevicePrior, TransferPredictor
from lutra.predictors.encoding import Encoding
from lutra.predictors.metrics import mape, spearman

_DECISIONS, _CHOICES = 8, 4


class Fleet:
    """Devices whose latencies are sums over choices: mixtures of two kinds of work, each with quirks of its own."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.codes = rng.integers(0, _CHOICES, (600, _DECISIONS))
        self._one_hot = Encoding.of(self.codes).features(self.codes)
        self._work = rng.uniform(0.1, 1, (2, _DECISIONS * _CHOICES))
        self._rng = rng

    def device(self, mixture: float, *, quirks: float = 0.05, noise: float = 0.005) -> np.ndarray:
        weights = mixture * self._work[0] + (1 - mixture) * self._work[1]
        weights = weights + quirks * self._rng.uniform(0, 1, len(weights))
        latency_ms = 2 + self._one_hot @ weights
        return latency_ms * np.exp(noise * self._rng.standard_normal(len(latency_ms)))

    def cost(self) -> np.ndarray:
        return self._one_hot @ self._work[0]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(0)


@pytest.fixture(scope="module")
def sources(fleet: Fleet) -> dict[str, np.ndarray]:
    return {f"device {mixture}": fleet.device(mixture) for mixture in (0.0, 0.3, 0.8)}


def ranks(fleet: Fleet, predictor: TransferPredictor, chosen: np.ndarray, target: np.ndarray) -> float:
    predictor.fit(fleet.codes[chosen], target[chosen])
    return spearman(target, predictor.predict(fleet.codes))


def test_sources_make_few_samples_enough(fleet: Fleet, sources: dict[str, np.ndarray]) -> None:
    target, few = fleet.device(0.55), np.arange(10)
    alone = ranks(fleet, TransferPredictor(DevicePrior.learn(fleet.codes)), few, target)
    helped = ranks(fleet, TransferPredictor(DevicePrior.learn(fleet.codes, sources)), few, target)
    assert helped > 0.97
    assert helped > alone + 0.05


def test_a_counted_cost_is_as_good_as_a_source(fleet: Fleet) -> None:
    target, few = fleet.device(1.0), np.arange(10)
    helped = ranks(fleet, TransferPredictor(DevicePrior.learn(fleet.codes, costs={"macs": fleet.cost()})), few, target)
    alone = ranks(fleet, TransferPredictor(DevicePrior.learn(fleet.codes)), few, target)
    assert helped > 0.97 > alone


def test_the_source_like_the_device_is_found(fleet: Fleet) -> None:
    sources = {"alike": fleet.device(0.0), "unlike": fleet.device(1.0)}
    predictor = TransferPredictor(DevicePrior.learn(fleet.codes, sources))
    predictor.fit(fleet.codes[:20], fleet.device(0.02)[:20])
    assert predictor.fitted_ is not None
    shares = predictor.fitted_.shares
    assert shares["alike"] > 3 * shares["unlike"]
    assert sum(shares.values()) == pytest.approx(1)


def test_chosen_samples_beat_random_ones(fleet: Fleet, sources: dict[str, np.ndarray]) -> None:
    prior = DevicePrior.learn(fleet.codes, sources)
    target = fleet.device(0.5, quirks=0.4)
    chosen = TransferPredictor(prior).choose(fleet.codes, 15)
    rng = np.random.default_rng(0)
    random = [ranks(fleet, TransferPredictor(prior), rng.choice(600, 15, replace=False), target) for _ in range(12)]
    assert ranks(fleet, TransferPredictor(prior), chosen, target) > np.mean(random)


def test_missing_measurements_of_a_source_are_left_out(fleet: Fleet, sources: dict[str, np.ndarray]) -> None:
    gaps = {name: np.where(np.arange(600) % 3 == i, np.nan, ms) for i, (name, ms) in enumerate(sources.items())}
    target, few = fleet.device(0.55), np.arange(12)
    assert ranks(fleet, TransferPredictor(DevicePrior.learn(fleet.codes, gaps)), few, target) > 0.97


@given(scale=st.floats(1e-3, 1e3))
@settings(max_examples=10, deadline=None)
def test_the_unit_of_sources_and_target_does_not_matter(scale: float) -> None:
    fleet = Fleet(1)
    source, target = fleet.device(0.2), fleet.device(0.4)
    plain = TransferPredictor(DevicePrior.learn(fleet.codes, {"a": source})).fit(fleet.codes[:12], target[:12])
    scaled = TransferPredictor(DevicePrior.learn(fleet.codes, {"a": scale * source}))
    scaled.fit(fleet.codes[:12], scale * target[:12])
    assert np.allclose(scaled.predict(fleet.codes), scale * plain.predict(fleet.codes), rtol=1e-6)


def test_intervals_cover_what_they_say(fleet: Fleet, sources: dict[str, np.ndarray]) -> None:
    prior = DevicePrior.learn(fleet.codes, sources)
    inside = []
    for seed in range(8):
        target = fleet.device(0.1 * seed, noise=0.03)
        few = np.random.default_rng(seed).choice(600, 20, replace=False)
        ends = TransferPredictor(prior).fit(fleet.codes[few], target[few]).predict_interval(fleet.codes, 0.9)
        inside.append(np.mean((ends[:, 0] <= target) & (target <= ends[:, 1])))
    assert 0.85 <= np.mean(inside) <= 0.97


def test_a_choice_that_was_never_seen_is_extrapolated(fleet: Fleet, sources: dict[str, np.ndarray]) -> None:
    predictor = TransferPredictor(DevicePrior.learn(fleet.codes, sources)).fit(fleet.codes[:20], fleet.device(0.5)[:20])
    known, strange = fleet.codes[0].copy(), fleet.codes[0].copy()
    strange[3] = 99
    inside, outside = predictor.predict(known), predictor.predict(strange)
    assert not inside.extrapolated
    assert outside.extrapolated
    assert "extrapolated" in outside.notes[0]
    assert outside.high_ms - outside.low_ms > 2 * (inside.high_ms - inside.low_ms)


def test_equal_latencies_of_a_coarse_clock_are_learnt(fleet: Fleet) -> None:
    predictor = TransferPredictor(DevicePrior.learn(fleet.codes)).fit(fleet.codes[:8], np.full(8, 5.0))
    assert mape(np.full(600, 5.0), predictor.predict(fleet.codes)) < 1


@pytest.mark.parametrize(
    ("latency_ms", "what"),
    [(np.ones(600) * -1, "source a"), (np.zeros(600), "source a"), (np.ones(5), "shape"), (np.full(600, np.nan), "0 ")],
)
def test_bad_sources_are_refused(fleet: Fleet, latency_ms: np.ndarray, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        DevicePrior.learn(fleet.codes, {"a": latency_ms})


def test_bad_costs_are_refused(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="cost macs"):
        DevicePrior.learn(fleet.codes, costs={"macs": np.full(600, np.nan)})


@pytest.mark.parametrize(
    "codes", [[], [[]], [1, 2], [["a", "b"]], [[np.nan, 1]], np.arange(600).reshape(300, 2), np.zeros((2, 3, 4))]
)
def test_bad_codes_are_refused(codes: object) -> None:
    with pytest.raises(UsageError):
        DevicePrior.learn(codes)  # type: ignore[arg-type]


def test_samples_of_another_form_are_refused(fleet: Fleet) -> None:
    predictor = TransferPredictor(DevicePrior.learn(fleet.codes))
    with pytest.raises(UsageError, match="decisions"):
        predictor.fit(fleet.codes[:10, :3], np.ones(10))
    with pytest.raises(UsageError, match="3 or more"):
        predictor.fit(fleet.codes[:2], np.ones(2))
    with pytest.raises(UsageError, match="of 600"):
        predictor.choose(fleet.codes, 601)
    with pytest.raises(UsageError, match="fit first"):
        predictor.predict(fleet.codes)
