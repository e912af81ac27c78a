"""`DevicePrior`: what measured devices and counted costs foretell of a device that nobody has measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from ..networks import Network
from ..networks.errors import UsageError
from . import metrics
from .encoding import Encoding, Floats, checked_codes
from .gaussian import Draws, Ingredients
from .heads import Architectures, GnnHead, MlpHead, head_class
from .pooled import PooledOps

_LEVEL: Final = "level"
_LEVEL_SHARE: Final = 10.0  # variance of the constant: wide, for a device may be of any speed

_SHARES: Final[Mapping[str, float]] = {"sources": 0.5, "costs": 0.2, "structure": 0.15, "choices": 0.15}
"""Where the variance of a new device comes from, before any source was asked."""

_NOISE: Final = 0.3
_NOISE_LEVELS: Final = np.geomspace(1e-5, 10, 31)
_SPREAD: Final = 1.5  # standard deviation of the logarithms of shares and of the noise
_DRAWS: Final = 192
_RIDGES: Final = (0.1, 1.0, 10.0, 100.0)
_LEAST_SAMPLES: Final = 8  # of a source


class Description(Protocol):
    """What architectures are to an additive model: `Encoding`, or `PooledOps`."""

    @property
    def width(self) -> int:
        """Features of one architecture."""

    def features(self, given: Any, /) -> Floats:
        """Shape ``[n, width]``."""

    def centred(self, given: Any, offsets: Floats, /) -> Floats:
        """Features less ``offsets``, those that are not known as average ones; shape ``[n, width]``."""

    def widening(self, given: Any, /) -> Floats:
        """How many times wider an interval is to be, shape ``[n]``: 1 for what is known."""

    def reasons(self, given: Any, /) -> list[str]:
        """In what one architecture is unlike any that was seen; empty where it is not."""

    def covariances(self, weights: list[Floats], /) -> dict[str, Floats]:
        """How weights of a device may go together, given those of some; by group, each ``[width, width]``."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""


@dataclass(frozen=True)
class DevicePrior:
    """A distribution over devices: how the weights of a new one may look.

    The weights of a device's additive model are, up to scale, a mixture of

    - *sources*: weights of devices that were measured; each is fitted with a prior of this very kind from the others,
      so that what devices have in common is not lost in the noise of one,
    - *costs*: weights of quantities that are counted, not measured (MACs, parameters), which are additive too,
    - *structure*: a matrix-normal distribution over (decision, choice) whose two covariances are learnt from the
      sources: what decisions, and what choices, go together,
    - *choices*: the same weight for a choice wherever it is made, such as the overhead of a kernel.

    With a *head* (`lutra.predictors.heads`), sources are also what a net trained on all of them says of an
    architecture: one more feature for each, whose weight the samples settle. Without encodings, architectures are
    networks, described by their ops pooled by kind (`PooledOps`); then there is no structure, and each number has a
    weight for itself.

    How much of each, of which source, and how much noise, is not settled but drawn: logarithms of shares and of the
    noise are normal around centres that did well where each source played the new device (docs/transfer.md).

    Attributes:
        encoding: of architectures.
        offsets: mean of the additive features, shape ``[a]``.
        ingredients: covariances of the p = a + k + 1 weights: of the a additive features, of the head's k outputs, and
            last of the level.
        groups: group of each ingredient, "level", "sources", "costs", "structure" or "choices".
        head: trained on the k sources; None without one, and then k = 0.
    """

    encoding: Description
    offsets: Floats
    ingredients: Ingredients
    groups: tuple[str, ...]
    head: MlpHead | GnnHead | None = None

    @classmethod
    def learn(
        cls,
        codes: ArrayLike | Sequence[Network],
        sources: Mapping[str, ArrayLike] | None = None,
        costs: Mapping[str, ArrayLike] | None = None,
        *,
        head: str | None = None,
        seed: int = 0,
    ) -> Self:
        """Learn from devices that were measured.

        Args:
            codes: architectures, shape ``[n, m]``; or n networks.
            sources: latencies in ms by device, each of shape ``[n]``; NaN where a device was not measured.
            costs: counted quantities by name, each of shape ``[n]``.
            head: "mlp" (of encodings) or "gnn" (of networks) to train a net on the sources, too.
            seed: of its training.

        Raises:
            UsageError: shapes that do not fit, a latency that is not a positive number, fewer than 8 of a source, or a
                head without sources, or of another form of architectures.
            UnknownNameError: no such head.
            MissingDependencyError: a head without torch.
        """
        given = architectures_of(codes)
        encoding: Description = Encoding.of(given) if isinstance(given, np.ndarray) else PooledOps.of(given)
        raw = encoding.features(given)
        offsets = raw.mean(axis=0)
        features = raw - offsets
        latencies = {name: _latencies(name, values, len(features)) for name, values in (sources or {}).items()}
        counted = {
            name: _unit(_ridge(features, _counts(name, values, len(features)), _RIDGES), features)
            for name, values in (costs or {}).items()
        }
        weights = _weights(encoding, features, latencies, [*counted.values()])
        by_group: dict[str, dict[str, Floats]] = {
            "sources": {name: np.outer(w, w) for name, w in weights.items()},
            "costs": {name: np.outer(w, w) for name, w in counted.items()},
            **{name: {name: covariance} for name, covariance in encoding.covariances([*weights.values()]).items()},
        }
        trained = None
        if head is not None:
            kind = head_class(head)
            if not latencies:
                raise UsageError("a head without source devices", hint="give latencies of devices that were measured")
            trained = kind.trained(given, features, np.stack([*latencies.values()], axis=1), seed)
            outputs = trained.outputs(given, features)
            by_group = _beside_head(by_group, [*latencies], outputs.shape[1])
            features = np.concatenate([features, outputs], axis=1)
        names, matrices, groups = [_LEVEL], [_level(features.shape[1])], [_LEVEL]
        for group, members in by_group.items():
            for name, covariance in members.items():
                names.append(name)
                matrices.append(np.pad(covariance / _mean_variance(covariance, features), (0, 1)))
                groups.append(group)
        return cls(encoding, offsets, Ingredients(tuple(names), np.stack(matrices)), tuple(groups), trained)

    def features(self, codes: ArrayLike | Sequence[Network]) -> Floats:
        """Features of architectures, the level's constant last, shape ``[n, p]``.

        A choice that the prior does not know counts as an average one.

        Raises:
            UsageError: architectures of another form.
        """
        given = self.checked(codes)
        centred = self.encoding.centred(given, self.offsets)
        columns = [centred, np.ones((len(centred), 1))]
        if self.head is not None:
            columns.insert(1, self.head.outputs(given, centred))
        return np.concatenate(columns, axis=1)

    def widening(self, codes: ArrayLike | Sequence[Network]) -> Floats:
        """How many times wider than the posterior an interval is to be, shape ``[n]``: 1 for what is known."""
        return self.encoding.widening(self.checked(codes))

    def reasons(self, codes: ArrayLike | Sequence[Network]) -> list[str]:
        """In what one architecture is unlike any that was seen, a phrase each; empty where it is not."""
        return self.encoding.reasons(self.checked(codes))

    def checked(self, codes: ArrayLike | Sequence[Network]) -> Architectures:
        """The architectures, if they are of the prior's form.

        Raises:
            UsageError: networks where it learnt from encodings, or the reverse.
        """
        given = architectures_of(codes)
        if isinstance(given, np.ndarray) != isinstance(self.encoding, Encoding):
            have, want = ("encodings", "networks") if isinstance(given, np.ndarray) else ("networks", "encodings")
            raise UsageError(f"{have} for a prior that was learnt from {want}", hint=f"give {want}")
        return given

    def draws(self, rng: np.random.Generator) -> Draws:
        """Hyper-parameters to integrate over."""
        names = [name for name in _SHARES if name in self.groups]
        totals = np.array([_SHARES[name] for name in names]) * _log_normal((_DRAWS, len(names)), rng)
        totals /= totals.sum(axis=1, keepdims=True)
        shares = np.full((_DRAWS, len(self.groups)), _LEVEL_SHARE)
        for number, name in enumerate(names):
            members = np.array([group == name for group in self.groups])
            weights = _log_normal((_DRAWS, int(members.sum())), rng)
            shares[:, members] = totals[:, [number]] * weights / weights.sum(axis=1, keepdims=True)
        distances = np.log(_NOISE_LEVELS / _NOISE) / _SPREAD
        likely = np.exp(-0.5 * distances**2)
        return Draws(shares, _NOISE_LEVELS, likely / likely.sum())

    def expected(self) -> tuple[Floats, float]:
        """Covariance of the weights, shape ``[p, p]``, and variance of the noise, before any sample."""
        draws = self.draws(np.random.default_rng(0))
        covariance = np.tensordot(draws.shares.mean(axis=0), self.ingredients.covariances, axes=1)
        return covariance, _NOISE


def architectures_of(codes: ArrayLike | Sequence[Network]) -> Architectures:
    """Networks as a list, anything else as a table of numbers; the table is checked where it is used."""
    if isinstance(codes, list | tuple) and codes and all(isinstance(network, Network) for network in codes):
        return list(codes)
    return checked_codes(cast("ArrayLike", codes))


def _beside_head(
    by_group: Mapping[str, Mapping[str, Floats]], sources: Sequence[str], outputs: int
) -> dict[str, dict[str, Floats]]:
    """Covariances with room for the head's outputs, and one more source for each of these."""
    wider = {
        group: {name: np.pad(covariance, (0, outputs)) for name, covariance in members.items()}
        for group, members in by_group.items()
    }
    width = len(next(iter(wider["sources"].values())))
    for number, name in enumerate(sources):
        own = np.zeros(width)
        own[width - outputs + number] = 1.0
        wider["sources"][f"{name} (head)"] = np.outer(own, own)
    return wider


def _log_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    return np.asarray(np.exp(_SPREAD * rng.standard_normal(shape)), np.float64)


def _latencies(name: str, values: ArrayLike, count: int) -> Floats:
    """Latencies of a source: positive, or NaN where it was not measured."""
    array = _one_each(name, values, count)
    present = array[~np.isnan(array)]
    if len(present) < _LEAST_SAMPLES:
        raise UsageError(f"source {name} has {len(present)} latencies", hint=f"give {_LEAST_SAMPLES} or more")
    metrics.checked_latencies(present, f"source {name}'s")
    return array


def _counts(name: str, values: ArrayLike, count: int) -> Floats:
    """A cost of all architectures."""
    array = _one_each(name, values, count)
    if not np.isfinite(array).all():
        raise UsageError(f"cost {name} holds NaN or infinity", hint="count it for all architectures, or leave it out")
    return array


def _one_each(name: str, values: ArrayLike, count: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise UsageError(f"{name} has shape {array.shape}", hint=f"give one number for each of {count} architectures")
    return array


def standardised(values: Floats) -> tuple[Floats, float, float]:
    """Values with mean 0 and spread 1, and the mean and spread they had.

    Equal values, as a coarse clock gives, have no spread; a hundredth of their size stands for it.
    """
    mean = float(values.mean())
    spread = float(values.std()) or abs(mean) / 100
    return (values - mean) / spread, mean, spread


def _weights(
    encoding: Description, features: Floats, latencies: Mapping[str, Floats], costs: list[Floats]
) -> dict[str, Floats]:
    """Weights of an additive model of each source: first of each alone, then again given those of the others."""
    alone = {name: _unit(_ridge(features, values, _RIDGES), features) for name, values in latencies.items()}
    together = {}
    for name, values in latencies.items():
        others = [weights for other, weights in alone.items() if other != name]
        roots = _root(_expected(encoding, features, others, costs))
        together[name] = _unit(roots @ _ridge(features @ roots, values, _NOISE_LEVELS), features)
    return together


def _expected(encoding: Description, features: Floats, sources: list[Floats], costs: list[Floats]) -> Floats:
    """Covariance of a device's weights with all shares at their centres."""
    groups = {"sources": [np.outer(w, w) for w in sources], "costs": [np.outer(w, w) for w in costs]}
    groups |= {name: [covariance] for name, covariance in encoding.covariances(sources).items()}
    covariance = np.zeros((features.shape[1], features.shape[1]))
    for group, members in groups.items():
        for member in members:
            covariance += _SHARES[group] / len(members) * member / _mean_variance(member, features)
    return covariance


def _root(covariance: Floats) -> Floats:
    """A matrix whose product with its transpose is the covariance."""
    sizes, directions = np.linalg.eigh(covariance)
    return np.asarray(directions * np.sqrt(sizes.clip(min=0)), np.float64)


def _ridge(features: Floats, values: Floats, ridges: Iterable[float]) -> Floats:
    """Weights of an additive model, with the ridge that leave-one-out errors like best; NaN values are left out."""
    rows = ~np.isnan(values)
    y, _, _ = standardised(values[rows])
    x = features[rows] - features[rows].mean(axis=0)
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    projected = left.T @ y
    best, weights = np.inf, np.zeros(x.shape[1])
    for ridge in ridges:
        kept = singular**2 / (singular**2 + ridge)
        leverage = np.einsum("ij,j,ij->i", left, kept, left) + 1 / len(y)
        errors = (y - left @ (kept * projected)) / (1 - leverage.clip(max=0.999))
        score = float(errors @ errors)
        if score < best:
            best = score
            weights = right.T @ (singular / (singular**2 + ridge) * projected)
    return weights


def _unit(weights: Floats, rows: Floats) -> Floats:
    """Weights whose predictions have a spread of 1."""
    spread = float((rows @ weights).std())
    return weights / spread if spread else weights


def _mean_variance(covariance: Floats, rows: Floats) -> float:
    return float(np.einsum("ij,ij->i", rows @ covariance, rows).mean()) or 1.0


def _level(width: int) -> Floats:
    level = np.zeros((width + 1, width + 1))
    level[-1, -1] = 1.0
    return level
