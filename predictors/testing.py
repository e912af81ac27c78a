"""What every predictor must pass, for the tests of ours and of others'; and tables to test with.

::

    class TestMine(PredictorContract):
        def make(self) -> LatencyPredictor:
            return MyPredictor()
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..luts import Fingerprint, Measurement, Table
from ..networks import Network, NetworkBuilder
from ..networks.errors import (
    ArtifactError,
    CorruptArtifactError,
    FingerprintMismatchError,
    FormatVersionError,
    LutraError,
    UsageError,
)
from ..networks.lowering import Kernel, LoweredNetwork, lower
from .base import LatencyPredictor
from .prediction import Prediction

_MOMENT = "2026-01-01T00:00:00Z"


def small_network(width: int, depth: int, *, name: str = "") -> Network:
    """A chain of ``depth`` residual 3x3 convolutions of ``width`` channels, with a head."""
    b = NetworkBuilder(name or f"small_{width}_{depth}")
    x = b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=width, kernel_size=3, stride=2, padding=1)
    for _ in range(depth):
        y = b.op("relu", b.op("conv2d", x, out_channels=width, kernel_size=3, padding=1))
        x = b.op("add", x, y)
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, out_features=10))


def small_networks() -> list[Network]:
    """Eight different networks that take microseconds to lower."""
    return [small_network(width, depth) for width in (8, 16, 24, 32) for depth in (1, 3)]


def synthetic_fingerprint(runtime: str = "null", kind: str = "null", threads: int = 1) -> Fingerprint:
    """The identity of a device that does not exist."""
    return Fingerprint.of(
        kind,
        hardware={"model": "synthetic"},
        runtime={"name": runtime, "version": "1"},
        settings={"precision": "float32", "threads": threads},
    )


def synthetic_ns(kernel: Kernel) -> int:
    """A made-up latency that grows with work: 10 GMAC/s and 4 GB/s, in ns."""
    return 200 + kernel.macs // 10 + kernel.bytes_moved // 4


def synthetic_table(
    lowered: Sequence[LoweredNetwork],
    fingerprint: Fingerprint,
    *,
    name: str = "synthetic",
    run_ns: int | None = 5_000,
    rel_halfwidth: float | None = 0.02,
    check_errors: Sequence[float] = (),
    with_kernels: bool = False,
) -> Table:
    """A table that covers lowered networks with `synthetic_ns`.

    Args:
        lowered: what to cover.
        fingerprint: whose table it is.
        name: the device's name.
        run_ns: the constant of one inference; None leaves it out.
        rel_halfwidth: of every row.
        check_errors: one self-check each, with this relative error of the prediction (0.1 is 10 % too high).
        with_kernels: rows say what their kernels are, so that others can be judged by them.
    """
    kernels = {key: kernel for network in lowered for key, kernel in network.distinct.items()}
    rows = [
        _row("kernel", key, k.label, synthetic_ns(k), rel_halfwidth, k.to_json() if with_kernels else {})
        for key, k in kernels.items()
    ]
    if run_ns is not None:
        rows.append(_row("constant", "run", "one inference", run_ns, rel_halfwidth))
    rows += [_check(number, error) for number, error in enumerate(check_errors)]
    return Table(fingerprint, rows, name=name)


def _row(
    kind: str,
    key: str,
    label: str,
    latency_ns: int,
    rel_halfwidth: float | None,
    spec: Mapping[str, Any] | None = None,
) -> Measurement:
    samples = np.full(8, latency_ns, np.int64)
    rounds = np.arange(8, dtype=np.int32) // 2
    return Measurement(
        subject_kind=kind,
        subject_key=key,
        label=label,
        samples_ns=samples,
        rounds=rounds,
        rel_halfwidth=rel_halfwidth,
        measured_at=_MOMENT,
        spec=spec or {},
    )


def _check(number: int, error: float) -> Measurement:
    return Measurement(
        subject_kind="network",
        subject_key=f"check{number}",
        label=f"check {number}",
        samples_ns=np.full(8, 1_000_000, np.int64),
        measured_at=_MOMENT,
        spec={"predicted_ns": 1e6 * (1 + error)},
    )


class PredictorContract(ABC):
    """Inherit from this in a class whose name starts with ``Test`` and say how to make the predictor."""

    @abstractmethod
    def make(self) -> LatencyPredictor:
        """A new predictor that has not been fitted."""

    def networks(self) -> Any:
        """Different networks (or encodings) the predictor can learn from and predict; at least six."""
        return small_networks()

    def name_of(self, network: Any) -> str:
        """What a prediction calls one of `networks`."""
        return str(network.name)

    def latencies_ms(self) -> list[float]:
        """Measured latencies of `networks`."""
        return [(5_000 + sum(map(synthetic_ns, lower(n, "null").kernels))) * 1.1 / 1e6 for n in self.networks()]

    @pytest.fixture
    def fitted(self) -> LatencyPredictor:
        """The predictor after `fit` on all networks."""
        return self.make().fit(self.networks(), self.latencies_ms())

    # -- parameters ---------------------------------------------------------------------------------------

    def test_init_only_stores_its_parameters(self) -> None:
        predictor = self.make()
        params = predictor.get_params()
        assert vars(predictor).keys() == params.keys()
        assert all(vars(predictor)[name] is value for name, value in params.items())

    def test_a_clone_by_parameters_predicts_the_same(self, fitted: LatencyPredictor) -> None:
        clone = type(fitted)(**fitted.get_params()).fit(self.networks(), self.latencies_ms())
        assert np.array_equal(clone.predict(self.networks()), fitted.predict(self.networks()))

    def test_set_params_replaces_known_names_only(self) -> None:
        predictor = self.make()
        params = predictor.get_params()
        assert predictor.set_params(**params) is predictor
        with pytest.raises(UsageError, match="no_such_parameter"):
            predictor.set_params(no_such_parameter=1, **params)
        assert predictor.get_params() == params

    # -- predicting ---------------------------------------------------------------------------------------

    def test_unfitted_it_predicts_or_says_what_is_missing(self) -> None:
        try:
            latency_ms = self.make().predict(self.networks()[0]).latency_ms
        except UsageError as error:
            latency_ms = None
            hint = error.hint
        assert hint if latency_ms is None else latency_ms > 0

    def test_a_list_gives_positive_ms_in_its_order(self, fitted: LatencyPredictor) -> None:
        latencies = fitted.predict(self.networks())
        assert latencies.shape == (len(self.networks()),)
        assert latencies.dtype == np.float64
        assert np.isfinite(latencies).all()
        assert (latencies > 0).all()
        assert np.allclose(fitted.predict(self.networks()[::-1]), latencies[::-1], rtol=1e-6)

    def test_an_empty_list_gives_no_latencies(self, fitted: LatencyPredictor) -> None:
        assert fitted.predict([]).shape == (0,)
        assert fitted.predict_interval([]).shape == (0, 2)

    def test_one_network_gives_a_prediction_that_adds_up(self, fitted: LatencyPredictor) -> None:
        for network, latency in zip(self.networks(), fitted.predict(self.networks()), strict=True):
            prediction = fitted.predict(network)
            assert isinstance(prediction, Prediction)
            assert prediction.network == self.name_of(network)
            assert prediction.latency_ms == pytest.approx(latency, rel=1e-6)
            assert prediction.low_ms <= prediction.latency_ms <= prediction.high_ms
            assert json.loads(prediction.to_json()) == prediction.to_dict()
            assert self.name_of(network) in str(prediction)
            if prediction.parts:
                parts_us = sum(part.count * part.latency_us for part in prediction.parts)
                assert parts_us + prediction.overhead_us == pytest.approx(1e3 * latency, rel=1e-6)

    def test_intervals_hold_the_prediction_and_grow_with_coverage(self, fitted: LatencyPredictor) -> None:
        latencies = fitted.predict(self.networks())
        narrow = fitted.predict_interval(self.networks(), coverage=0.5)
        wide = fitted.predict_interval(self.networks(), coverage=0.95)
        assert narrow.shape == wide.shape == (len(latencies), 2)
        assert (wide[:, 0] <= narrow[:, 0]).all()
        assert (narrow[:, 0] <= latencies).all()
        assert (latencies <= narrow[:, 1]).all()
        assert (narrow[:, 1] <= wide[:, 1]).all()
        assert (wide[:, 0] >= 0).all()

    @pytest.mark.parametrize("coverage", [0, 1, -0.5, 90, float("nan")])
    def test_a_coverage_that_is_no_probability_is_refused(self, fitted: LatencyPredictor, coverage: float) -> None:
        with pytest.raises(UsageError, match="coverage"):
            fitted.predict_interval(self.networks(), coverage=coverage)
        with pytest.raises(UsageError, match="coverage"):
            fitted.explain(self.networks()[0], coverage=coverage)

    def test_score_is_the_share_within_ten_percent(self, fitted: LatencyPredictor) -> None:
        predicted = fitted.predict(self.networks())
        assert fitted.score(self.networks(), predicted) == 1
        assert fitted.score(self.networks(), 1.2 * predicted) == 0

    # -- learning -----------------------------------------------------------------------------------------

    def test_fit_returns_self_and_is_deterministic(self) -> None:
        first, second = self.make(), self.make()
        assert first.fit(self.networks(), self.latencies_ms()) is first
        second.fit(self.networks(), self.latencies_ms())
        assert np.array_equal(first.predict(self.networks()), second.predict(self.networks()))

    def test_fit_learns_the_level(self, fitted: LatencyPredictor) -> None:
        assert fitted.score(self.networks(), self.latencies_ms()) >= 0.5

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
    def test_a_latency_that_is_not_positive_is_refused_and_changes_nothing(
        self, fitted: LatencyPredictor, bad: float
    ) -> None:
        before = fitted.predict(self.networks())
        latencies = self.latencies_ms()
        latencies[3] = bad
        with pytest.raises(UsageError, match="latency 3 "):
            fitted.fit(self.networks(), latencies)
        with pytest.raises(UsageError, match="latency 3 "):
            fitted.score(self.networks(), latencies)
        assert np.array_equal(fitted.predict(self.networks()), before)

    def test_other_bad_training_data_is_refused(self) -> None:
        networks, latencies = self.networks(), self.latencies_ms()
        for bad_networks, bad_latencies in ((networks, latencies[:-1]), ([], []), (networks[0], latencies[:1])):
            with pytest.raises(UsageError):
                self.make().fit(bad_networks, bad_latencies)

    # -- saving -------------------------------------------------------------------------------------------

    def test_what_is_saved_predicts_the_same(self, fitted: LatencyPredictor, tmp_path: Path) -> None:
        folder = fitted.save(tmp_path / "saved")
        for loaded in (LatencyPredictor.load(folder), type(fitted).load(folder)):
            assert type(loaded) is type(fitted)
            assert np.array_equal(loaded.predict(self.networks()), fitted.predict(self.networks()))
            assert np.array_equal(loaded.predict_interval(self.networks()), fitted.predict_interval(self.networks()))

    def test_saving_replaces_a_predictor_only_when_asked(self, fitted: LatencyPredictor, tmp_path: Path) -> None:
        folder = fitted.save(tmp_path / "saved")
        with pytest.raises(UsageError, match="exists"):
            fitted.save(folder)
        fitted.save(folder, overwrite=True)
        assert np.array_equal(LatencyPredictor.load(folder).predict(self.networks()), fitted.predict(self.networks()))
        assert [path.name for path in tmp_path.iterdir()] == ["saved"]

    def test_a_newer_format_is_refused(self, fitted: LatencyPredictor, tmp_path: Path) -> None:
        card = fitted.save(tmp_path / "saved") / "predictor.json"
        card.write_text(json.dumps(json.loads(card.read_text()) | {"version": 99}))
        with pytest.raises(FormatVersionError, match="99"):
            LatencyPredictor.load(card.parent)

    def test_any_altered_or_missing_file_is_refused(self, fitted: LatencyPredictor, tmp_path: Path) -> None:
        folder = fitted.save(tmp_path / "saved")
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            middle = len(content) // 2
            for damaged in (content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], content[:middle]):
                path.write_bytes(damaged)
                with pytest.raises(CorruptArtifactError):
                    LatencyPredictor.load(folder)
            path.unlink()
            with pytest.raises(ArtifactError):
                LatencyPredictor.load(folder)
            path.write_bytes(content)
        LatencyPredictor.load(folder)

    def test_another_device_is_refused(self, fitted: LatencyPredictor, tmp_path: Path) -> None:
        folder = fitted.save(tmp_path / "saved")
        name = fitted.to_artifact().device["name"]
        assert type(LatencyPredictor.load(folder, device=name)) is type(fitted)
        other = synthetic_fingerprint(threads=7)
        for wanted in ("another device", other):
            with pytest.raises(FingerprintMismatchError, match="another device"):
                LatencyPredictor.load(folder, device=wanted)

    def test_errors_name_the_fix(self, tmp_path: Path) -> None:
        with pytest.raises(LutraError) as caught:
            LatencyPredictor.load(tmp_path / "nothing")
        assert caught.value.hint


class EncodingContract(PredictorContract):
    """The contract for a predictor that is fitted to encodings instead of networks."""

    def networks(self) -> Any:
        """Sixty different encodings: five choices of three each, and one column of other numbers."""
        rng = np.random.default_rng(0)
        choices = np.unique(rng.integers(0, 3, (80, 5)), axis=0)[:60]
        return np.column_stack([choices, rng.uniform(1, 9, len(choices))])

    def name_of(self, network: Any) -> str:
        return "-".join(f"{value:g}" for value in network)

    def latencies_ms(self) -> list[float]:
        rows = self.networks()
        return [float(ms) for ms in 1 + rows[:, :5] @ [0.1, 0.2, 0.3, 0.4, 0.5] + 0.05 * rows[:, 5]]
