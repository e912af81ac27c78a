"""`LearnedPredictor`: what all predictors share that learn from measured networks or encodings."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Fingerprint
from ..networks.errors import CorruptArtifactError, UsageError
from . import metrics
from ._artifact import Artifact, device_entry
from ._batch import Batch
from ._conformal import folds, log_halfwidth, too_few
from ._domain import Domain
from ._samples import samples_of
from .base import Input, Inputs, InputShapes, LatencyPredictor, checked_coverage, identity, listed, training_latencies
from .metrics import require_one_unit
from .prediction import Prediction

_ERRORS: Final = "held_out_errors"
_MODEL: Final = "model."
_CHUNK: Final = 2048  # inputs predicted at once: their numbers stay in the caches

Prepared = TypeVar("Prepared")
"""What a model computes on, for n inputs: an array with n rows, or a list of n."""


Given = TypeVar("Given", contravariant=True)


class Model(Protocol[Given]):
    """What was learned, apart from everything around it."""

    def latencies_ms(self, prepared: Given) -> NDArray[np.float64]:
        """Latencies of n inputs, shape ``[n]``, positive, in ms."""

    def state(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """Plain JSON data and arrays from which `LearnedPredictor._restored` makes it again."""


@dataclass(frozen=True)
class Fitted(Generic[Prepared]):
    """All that `LearnedPredictor.fit` learned.

    Attributes:
        model: the model, fitted to all samples.
        domain: what it has seen.
        errors: absolute logarithmic errors of n samples that were held out, shape ``[n]``.
        training: what it was fitted to and how well, plain JSON data.
    """

    model: Model[Prepared]
    domain: Domain
    errors: NDArray[np.float64]
    training: Mapping[str, Any]


class LearnedPredictor(LatencyPredictor, Generic[Prepared]):
    """Learns latencies from samples: networks, or encodings of shape ``[n, d]``.

    Equal architectures are merged before anything is learned. The model is fitted to all samples; before that, five
    times without a fifth of them, and from its errors on those come the intervals (`predictors._conformal`) and the
    metrics in the artifact's card. An input unlike the samples - ops or choices that were never seen, sizes beyond
    them - is predicted all the same, but with a wider interval (`Departures`) and marked as extrapolated.

    A subclass gives the three hooks below. `_trained` must not change the predictor.

    Args:
        device: what people call the device.
        fingerprint: its identity, where it is known.
        seed: of everything random.

    Attributes:
        least_samples: different architectures that `fit` needs.
        fitted_: what was learned; None before `fit`.
    """

    least_samples: ClassVar[int] = 6
    fitted_: Fitted[Prepared] | None = None

    def __init__(
        self, device: str = "unnamed device", *, fingerprint: Fingerprint | None = None, seed: int = 0
    ) -> None:
        self.device = device
        self.fingerprint = fingerprint
        self.seed = seed

    # -- what a subclass gives ----------------------------------------------------------------------------

    @abstractmethod
    def _prepared(self, batch: Batch, domain: Domain) -> Prepared:
        """The inputs as the model computes on them."""

    @abstractmethod
    def _trained(self, prepared: Prepared, latencies_ms: NDArray[np.float64], domain: Domain) -> Model[Prepared]:
        """A model fitted to n samples. Equal arguments give equal models."""

    @abstractmethod
    def _restored(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Model[Prepared]:
        """The model that `Model.state` described; raises `KeyError`, `TypeError` or `ValueError` if it is none."""

    def _check_parameters(self) -> None:
        """Refuse constructor parameters that make no sense, with `UsageError`; `fit` calls it first."""

    def _require_counts(self, *names: str) -> None:
        """Refuse parameters of these names that are not whole numbers from 1 on, with `UsageError`."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is {value!r}", hint="give a whole number, 1 or more")

    def _require_rates(self) -> None:
        """Refuse a ``learning_rate`` that is not positive and a ``weight_decay`` below 0, with `UsageError`."""
        rates = (getattr(self, "learning_rate"), getattr(self, "weight_decay"))  # noqa: B009  # of some subclasses
        numbers = all(isinstance(rate, int | float) and math.isfinite(rate) for rate in rates)
        if not numbers or not rates[0] > 0 or not rates[1] >= 0:
            raise UsageError(
                f"learning_rate is {rates[0]!r}, weight_decay {rates[1]!r}",
                hint="give a positive rate, and a decay of 0 or more",
            )

    # -- the contract -------------------------------------------------------------------------------------

    def fit(self, networks: Inputs, latencies_ms: ArrayLike) -> Self:
        """Learn from measured networks or encodings.

        Args:
            networks: n networks, or encodings of shape ``[n, d]``.
            latencies_ms: their measured latencies, shape ``[n]``, in ms.

        Raises:
            UsageError: a latency that is not a positive number, too few different architectures, encodings that are
                not finite numbers, latencies that cannot be milliseconds or are in several units, or constructor
                parameters that make no sense.
            MissingDependencyError: a package that the model needs is not installed.
        """
        self._check_parameters()
        samples = samples_of(networks, latencies_ms, least=self.least_samples, who=type(self).__name__)
        domain = Domain.of(samples.batch)
        prepared = self._prepared(samples.batch, domain)
        held_out = self._held_out(prepared, samples.latencies_ms, domain)
        errors = np.abs(np.log(held_out / samples.latencies_ms))
        model = self._trained(prepared, samples.latencies_ms, domain)
        training = {
            "samples": len(samples.latencies_ms),
            "merged_duplicates": samples.given - len(samples.latencies_ms),
            "fingerprint": samples.batch.fingerprint(samples.latencies_ms),
            "repeat_pct": samples.repeat_pct,
            "held_out_mape_pct": metrics.mape(samples.latencies_ms, held_out),
            "held_out_within_10": metrics.within(samples.latencies_ms, held_out, 10),
        }
        self.fitted_ = Fitted(model, domain, errors, training)
        return self

    def explain(self, network: Input, *, coverage: float = 0.9, input_shapes: InputShapes | None = None) -> Prediction:
        """Predict one network or encoding, with the interval.

        Args:
            network: what to predict.
            coverage: probability, in (0, 1), with which the interval shall hold the measured latency.
            input_shapes: shapes of the inputs, for a torch module.

        Raises:
            UsageError: the coverage is out of range, the predictor needs `fit` first, or it was fitted to another
                form of input.
        """
        fitted, coverage = self._require_fitted(), checked_coverage(coverage)
        batch = Batch.of_one(network, input_shapes)
        latency_ms = float(self._latencies(batch)[0])
        low, high = self._interval(batch, np.array([latency_ms]), coverage)[0]
        reasons = fitted.domain.reasons(batch, 0)
        return Prediction(
            network=batch.name(0),
            **identity(self.device, self.fingerprint),
            latency_ms=latency_ms,
            low_ms=float(low),
            high_ms=float(high),
            coverage=coverage,
            extrapolated=bool(reasons),
            notes=(*(f"extrapolated: {reason}" for reason in reasons), *self._doubts(coverage)),
        )

    def predict_batch(self, networks: Inputs) -> NDArray[np.float64]:
        """Latencies of n networks or encodings, shape ``[n]``, in ms.

        Raises:
            UsageError: the predictor needs `fit` first, or it was fitted to another form of input.
        """
        self._require_fitted()
        return self._latencies(Batch.of(networks)) if len(listed(networks)) else np.empty(0)

    def predict_interval(self, networks: Inputs, coverage: float = 0.9) -> NDArray[np.float64]:
        """Intervals that hold the measured latencies with probability ``coverage``.

        Args:
            networks: n networks or encodings.
            coverage: in (0, 1).

        Returns:
            Lower and upper ends in ms, shape ``[n, 2]``.
        """
        self._require_fitted(), checked_coverage(coverage)
        if not len(listed(networks)):
            return np.empty((0, 2))
        batch = Batch.of(networks)
        return self._interval(batch, self._latencies(batch), coverage)

    def score(self, networks: Inputs, latencies_ms: ArrayLike) -> float:
        """Share of networks, in [0, 1], that are predicted within ±10 % of their measured latency.

        Raises:
            UsageError: bad latencies, or ones that seem to be in another unit than those of `fit`.
        """
        measured, predicted = training_latencies(networks, latencies_ms), self.predict_batch(networks)
        require_one_unit(measured, predicted)
        return metrics.within(measured, predicted, 10)

    def extrapolated(self, networks: Inputs) -> NDArray[np.bool_]:
        """Which of n networks or encodings lie beyond what was learned from, shape ``[n]``."""
        fitted, batch = self._require_fitted(), Batch.of(networks)
        fitted.domain.require(batch)
        return fitted.domain.departures(batch).outside

    @property
    def held_out_errors_(self) -> NDArray[np.float64]:
        """Absolute logarithmic errors on samples that were held out, shape ``[n]``: what the intervals rest on."""
        return self._require_fitted().errors

    def to_artifact(self) -> Artifact:
        """The model, what it has seen, and its held-out errors."""
        fitted = self._require_fitted()
        state, arrays = fitted.model.state()
        return Artifact(
            kind=self.kind,
            params={name: value for name, value in self.get_params().items() if name != "fingerprint"},
            state={"domain": fitted.domain.to_json(), "model": dict(state)},
            device=device_entry(self.device, self.fingerprint),
            training=fitted.training,
            arrays={_ERRORS: fitted.errors, **{_MODEL + name: array for name, array in arrays.items()}},
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described."""
        try:
            predictor = cls(**artifact.params, fingerprint=artifact.fingerprint)
            arrays = {n.removeprefix(_MODEL): a for n, a in artifact.arrays.items() if n.startswith(_MODEL)}
            model = predictor._restored(artifact.state["model"], arrays)
            domain = Domain.from_json(artifact.state["domain"])
            predictor.fitted_ = Fitted(model, domain, artifact.arrays[_ERRORS], artifact.training)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
            raise CorruptArtifactError(
                f"the saved {cls.__name__} is damaged: {error!r}", hint="save it again"
            ) from None
        return predictor

    # -- inside -------------------------------------------------------------------------------------------

    def _require_fitted(self) -> Fitted[Prepared]:
        if self.fitted_ is None:
            raise UsageError(f"this {type(self).__name__} has learned nothing yet", hint="call fit first")
        return self.fitted_

    def _held_out(self, prepared: Prepared, latencies_ms: NDArray[np.float64], domain: Domain) -> NDArray[np.float64]:
        """Predictions of each sample by a model that has not seen it, shape ``[n]``."""
        predicted = np.empty(len(latencies_ms))
        for rest, held_out in folds(len(latencies_ms), np.random.default_rng(self.seed)):
            model = self._trained(taken(prepared, rest), latencies_ms[rest], domain)
            predicted[held_out] = model.latencies_ms(taken(prepared, held_out))
        return predicted

    def _latencies(self, batch: Batch) -> NDArray[np.float64]:
        fitted = self._require_fitted()
        fitted.domain.require(batch)
        starts = range(0, len(batch), _CHUNK)
        chunks = (batch.take(np.arange(start, min(start + _CHUNK, len(batch)))) for start in starts)
        return np.concatenate([fitted.model.latencies_ms(self._prepared(chunk, fitted.domain)) for chunk in chunks])

    def _interval(self, batch: Batch, latencies_ms: NDArray[np.float64], coverage: float) -> NDArray[np.float64]:
        fitted = self._require_fitted()
        departures = fitted.domain.departures(batch)
        halfwidth = log_halfwidth(fitted.errors, coverage) * departures.factor + departures.excess
        return np.stack([latencies_ms * np.exp(-halfwidth), latencies_ms * np.exp(halfwidth)], axis=1)

    def _doubts(self, coverage: float) -> Sequence[str]:
        n = len(self._require_fitted().errors)
        doubt = f"fitted to {n} architectures only, so the interval takes their errors for normally distributed"
        return [doubt] if too_few(n, coverage) else []


def taken(prepared: Prepared, index: NDArray[np.intp]) -> Prepared:
    """Some of the prepared inputs, in the order of ``index``."""
    if isinstance(prepared, np.ndarray):
        return prepared[index]  # type: ignore[return-value]  # an array of some rows is one
    assert isinstance(prepared, list)
    return [prepared[i] for i in index]  # type: ignore[return-value]
