"""`TransferPredictor`: latencies on a new device from a handful of measurements, and of which architectures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Fingerprint
from ..networks import Network
from ..networks.errors import CorruptArtifactError, UsageError
from ._artifact import Artifact, device_entry
from ._batch import Batch
from ._registry import register
from ._samples import samples_of
from .base import Input, Inputs, InputShapes, LatencyPredictor, checked_coverage, identity, listed
from .device_prior import DevicePrior, standardised
from .encoding import Encoding, Floats
from .gaussian import Ingredients, Posterior, posterior
from .heads import Architectures, GnnHead, MlpHead, head_class
from .pooled import PooledOps
from .prediction import Prediction
from .sampling import choose_samples

_LEAST_SAMPLES: Final = 3
_HEAD: Final = "head."
_FLOOR: Final = 0.1  # no prediction below this times the least latency


@dataclass(frozen=True)
class Transferred:
    """All that `TransferPredictor.fit` learned.

    Attributes:
        prior: what was assumed.
        posterior: of the weights, in units of ``spread_ms``.
        mean_ms: of the samples.
        spread_ms: their standard deviation.
        floor_ms: least prediction.
        shares: of the variance that sources, costs, structure and choices were found to explain, by name; sum 1.
        training: what it was fitted to, plain JSON data.
    """

    prior: DevicePrior
    posterior: Posterior
    mean_ms: float
    spread_ms: float
    floor_ms: float
    shares: Mapping[str, float]
    training: Mapping[str, Any]


@register("transfer")
class TransferPredictor(LatencyPredictor):
    """A Gaussian process on choices, or on networks, whose prior comes from devices that were measured before.

    ::

        prior = DevicePrior.learn(codes, {"device a": a_ms, "device b": b_ms}, {"macs": macs})
        predictor = TransferPredictor(prior)
        chosen = predictor.choose(codes, 20)
        predictor.fit(codes[chosen], measured_ms)

    Which sources are like the new device is settled by the samples: `Transferred.shares` tells. Intervals are
    Student's, from the posterior: they grow with the distance from what was measured, and need no held-out samples. An
    architecture with a choice that the prior does not know is marked as extrapolated.

    Args:
        prior: what is known of devices; None learns from the samples alone.
        device: what people call the device.
        fingerprint: its identity, where it is known.
        seed: of everything random.

    Attributes:
        fitted_: what was learned; None before `fit`.
    """

    fitted_: Transferred | None = None

    def __init__(
        self,
        prior: DevicePrior | None = None,
        device: str = "unnamed device",
        *,
        fingerprint: Fingerprint | None = None,
        seed: int = 0,
    ) -> None:
        self.prior = prior
        self.device = device
        self.fingerprint = fingerprint
        self.seed = seed

    def choose(self, codes: ArrayLike | Sequence[Network], count: int) -> NDArray[np.intp]:
        """Which architectures to measure, before any was.

        Args:
            codes: candidates, shape ``[n, m]``; or n networks.
            count: how many, at most n.

        Returns:
            Their rows, the most telling first, shape ``[count]``.

        Raises:
            UsageError: more than there are, or candidates that are not of the prior's form.
        """
        prior = DevicePrior.learn(codes) if self.prior is None else self.prior
        covariance, noise = prior.expected()
        return choose_samples(prior.features(codes), covariance, noise, count, np.random.default_rng(self.seed))

    def fit(self, networks: Inputs, latencies_ms: ArrayLike) -> Self:
        """Learn from measured architectures.

        Args:
            networks: encodings of shape ``[n, m]``, or networks, as the prior; at least three different ones.
            latencies_ms: their measured latencies, shape ``[n]``, in ms.

        Raises:
            UsageError: not of the prior's form, too few, or latencies that are not positive numbers in
                one unit.
        """
        samples = samples_of(networks, latencies_ms, least=_LEAST_SAMPLES, who=type(self).__name__)
        given = _architectures(samples.batch)
        prior = DevicePrior.learn(given) if self.prior is None else self.prior
        values, mean_ms, spread_ms = standardised(samples.latencies_ms)
        draws = prior.draws(np.random.default_rng(self.seed))
        learnt = posterior(prior.features(given), values, prior.ingredients, draws)
        shares = (learnt.evidence @ draws.shares)[1:]
        self.fitted_ = Transferred(
            prior=prior,
            posterior=learnt,
            mean_ms=mean_ms,
            spread_ms=spread_ms,
            floor_ms=_FLOOR * float(samples.latencies_ms.min()),
            shares=dict(zip(prior.ingredients.names[1:], shares.tolist(), strict=True)),
            training={
                "samples": len(samples.latencies_ms),
                "merged_duplicates": samples.given - len(samples.latencies_ms),
                "fingerprint": samples.batch.fingerprint(samples.latencies_ms),
            },
        )
        return self

    def explain(self, network: Input, *, coverage: float = 0.9, input_shapes: InputShapes | None = None) -> Prediction:
        """Predict one encoding of shape ``[m]``, or one network, with the interval.

        Raises:
            UsageError: the coverage is out of range, the predictor needs `fit` first, or it is not of the prior's form.
        """
        fitted, coverage = self._require_fitted(), checked_coverage(coverage)
        batch = Batch.of_one(network, input_shapes)
        latency_ms, low_ms, high_ms = self._interval(batch, coverage)[0].tolist()
        reasons = fitted.prior.reasons(_architectures(batch))
        return Prediction(
            network=batch.name(0),
            **identity(self.device, self.fingerprint),
            latency_ms=latency_ms,
            low_ms=low_ms,
            high_ms=high_ms,
            coverage=coverage,
            extrapolated=bool(reasons),
            notes=tuple(f"extrapolated: {reason}" for reason in reasons),
        )

    def predict_batch(self, networks: Inputs) -> NDArray[np.float64]:
        """Latencies of n encodings or networks, shape ``[n]``, in ms."""
        fitted = self._require_fitted()
        if not len(listed(networks)):
            return np.empty(0)
        features = fitted.prior.features(_architectures(Batch.of(networks)))
        return np.maximum(fitted.mean_ms + fitted.spread_ms * (features @ fitted.posterior.mean), fitted.floor_ms)

    def predict_interval(self, networks: Inputs, coverage: float = 0.9) -> NDArray[np.float64]:
        """Intervals that hold the measured latencies with probability ``coverage``.

        Args:
            networks: n encodings or networks.
            coverage: in (0, 1).

        Returns:
            Lower and upper ends in ms, shape ``[n, 2]``.
        """
        self._require_fitted(), checked_coverage(coverage)
        if not len(listed(networks)):
            return np.empty((0, 2))
        return self._interval(Batch.of(networks), coverage)[:, 1:]

    def to_artifact(self) -> Artifact:
        """The prior and the posterior."""
        fitted = self._require_fitted()
        prior = fitted.prior
        head, weights = (None, {}) if prior.head is None else prior.head.state()
        return Artifact(
            kind=self.kind,
            params={"device": self.device, "seed": self.seed},
            state={
                "own_prior": self.prior is None,
                **prior.encoding.to_json(),
                "names": list(prior.ingredients.names),
                "groups": list(prior.groups),
                "samples": fitted.posterior.samples,
                "noise_variance": fitted.posterior.noise_variance,
                "mean_ms": fitted.mean_ms,
                "spread_ms": fitted.spread_ms,
                "floor_ms": fitted.floor_ms,
                "shares": dict(fitted.shares),
                **({} if prior.head is None else {"head": {"kind": prior.head.kind, **(head or {})}}),
            },
            device=device_entry(self.device, self.fingerprint),
            training=fitted.training,
            arrays={
                "offsets": prior.offsets,
                "covariances": prior.ingredients.covariances,
                "mean": fitted.posterior.mean,
                "covariance": fitted.posterior.covariance,
                "evidence": fitted.posterior.evidence,
                **{_HEAD + name: array for name, array in weights.items()},
            },
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described."""
        try:
            fitted = _restored(artifact)
            predictor = cls(
                None if artifact.state["own_prior"] else fitted.prior,
                **artifact.params,
                fingerprint=artifact.fingerprint,
            )
        except (KeyError, TypeError, ValueError, RuntimeError, UsageError) as error:
            raise CorruptArtifactError(
                f"the saved TransferPredictor is damaged: {error!r}", hint="save it again"
            ) from None
        predictor.fitted_ = fitted
        return predictor

    def _require_fitted(self) -> Transferred:
        if self.fitted_ is None:
            raise UsageError("this TransferPredictor has learned nothing yet", hint="call fit first")
        return self.fitted_

    def _interval(self, batch: Batch, coverage: float) -> Floats:
        """Prediction, lower and upper end in ms, shape ``[n, 3]``."""
        fitted, given = self._require_fitted(), _architectures(batch)
        means, deviations = fitted.posterior.predict(fitted.prior.features(given))
        widened = fitted.prior.widening(given)
        half_ms = fitted.spread_ms * fitted.posterior.half_width(coverage) * deviations * widened
        latencies_ms = np.maximum(fitted.mean_ms + fitted.spread_ms * means, fitted.floor_ms)
        return np.stack([latencies_ms, (latencies_ms - half_ms).clip(min=0), latencies_ms + half_ms], axis=1)


def _architectures(batch: Batch) -> Architectures:
    """What a batch holds, as a prior takes it."""
    if batch.encodings is not None:
        return batch.encodings
    return list(batch.networks or ())


def _restored(artifact: Artifact) -> Transferred:
    state, arrays = artifact.state, artifact.arrays
    head = state.get("head")
    prior = DevicePrior(
        encoding=PooledOps.from_json(state) if "domain" in state else Encoding.from_json(state),
        offsets=arrays["offsets"],
        ingredients=Ingredients(tuple(state["names"]), arrays["covariances"]),
        groups=tuple(state["groups"]),
        head=None if head is None else _restored_head(head, arrays),
    )
    learnt = Posterior(
        mean=arrays["mean"],
        covariance=arrays["covariance"],
        noise_variance=float(state["noise_variance"]),
        samples=int(state["samples"]),
        evidence=arrays["evidence"],
    )
    numbers = {name: float(state[name]) for name in ("mean_ms", "spread_ms", "floor_ms")}
    return Transferred(prior=prior, posterior=learnt, shares=state["shares"], training=artifact.training, **numbers)


def _restored_head(state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> MlpHead | GnnHead:
    weights = {name.removeprefix(_HEAD): array for name, array in arrays.items() if name.startswith(_HEAD)}
    return head_class(state["kind"]).restored(state, weights)
