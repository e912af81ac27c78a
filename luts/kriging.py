"""Gaussian-process regression of scattered points, with covariances that suit latencies of kernels.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006): prediction equations 2.25 and 2.26,
leave-one-out predictions 5.12, the pseudo-likelihood that chooses the parameters 5.13, the Matern covariance 4.17.

All systems solved are small: each prediction rests on the points nearest to it, and the parameters are chosen on some
neighbourhoods. So the cost grows in proportion to the number of points, and linear algebra stays on one thread:
matrices large enough to be shared between threads take a hundred times longer where other programs are at work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Parameters: TypeAlias = Mapping[str, float]

SIZES: Final = "sizes"
"""Group of coordinates that every point has; the linear part of the covariance is taken in it too."""

_PRIOR: Final[Parameters] = {SIZES: 1.5, "amplitude": 0.15, "kind": 0.08, "nugget": 0.01, "slope": 0.1}
_OPTIONAL_PRIOR: Final = 0.7  # length of a group that is only used where it helps
_PRIOR_WIDTHS: Final[Parameters] = {"nugget": 0.15}
"""How far a parameter's logarithm may easily be from its prior, where that is not 1. Points that are spread out, as
those that are measured are, tell little of how rough latency is between close ones: about as rough as measuring is."""

_LEVEL: Final = 0.5  # standard deviation of the level
_STEPS: Final = (2.0, 2.0, 1.41)
_RANGE: Final = 64.0  # parameters stay within this factor of their prior
_WORTH: Final = 2.0  # gain in log-likelihood that a further group of coordinates has to bring
_LEAST: Final = 6  # points; with fewer the parameters stay at their prior
_BLOCK: Final = 48  # points of a neighbourhood that the parameters are chosen on
_BLOCKS: Final = 5
_NEAREST: Final = 48  # points that a prediction rests on
_CHUNK: Final = 256  # predictions at once


@dataclass(frozen=True)
class Points:
    """n points.

    Attributes:
        groups: coordinates by group, each of shape ``[n, d]`` with its own d; a group has one length scale.
        kinds: which kind each point is of, shape ``[n]``; -1 for a kind that no other point is of.
    """

    groups: Mapping[str, Floats]
    kinds: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, index: NDArray[np.intp] | slice) -> "Points":
        """Some of the points; an index of shape ``[b, k]`` gives b sets of k points."""
        return Points({name: values[index] for name, values in self.groups.items()}, self.kinds[index])


class Kriging:
    """The posterior of a Gaussian process with zero mean, given noisy values at points.

    The covariance is the sum of a level, a linear part in the sizes, a smooth part (Matern 5/2 over all groups that
    have a length) and a part of the kind, shared by points of the same kind only, half constant and half smooth.

    Args:
        points: n points.
        values: shape ``[n]``.
        noise: standard deviation of each value, shape ``[n]``.
        parameters: as `chosen_parameters` gives them.
    """

    def __init__(self, points: Points, values: Floats, noise: Floats, parameters: Parameters) -> None:
        self.points, self.values, self.parameters = points, values, parameters
        self._variance = noise**2 + parameters["nugget"] ** 2
        self._scaled = _scaled(points, parameters)

    def predict(self, queries: Points) -> tuple[Floats, Floats]:
        """Mean and variance at m points, each of shape ``[m]``; the variance is that of one new kernel there."""
        means, variances = np.empty(len(queries)), prior_variances(queries, self.parameters)
        for start in range(0, len(queries), _CHUNK):
            part = slice(start, start + _CHUNK)
            nearest, across = self._nearest(queries.take(part), _NEAREST)
            around = self.points.take(nearest)
            covariance = covariances(around, around, self.parameters)
            covariance += self._variance[nearest][:, None, :] * np.eye(nearest.shape[1])
            weights = np.linalg.solve(covariance, across[:, :, None])[:, :, 0]
            means[part] = (weights * self.values[nearest]).sum(axis=1)
            variances[part] -= (weights * across).sum(axis=1)
        return means, np.maximum(variances, 0.0) + self.parameters["nugget"] ** 2

    def nearest(self, queries: Points, count: int) -> NDArray[np.intp]:
        """Numbers of the ``count`` points that say most about each of m others, shape ``[m, count]``, best first."""
        found = [self._nearest(queries.take(slice(at, at + _CHUNK)), count)[0] for at in range(0, len(queries), _CHUNK)]
        return np.concatenate(found)

    def _nearest(self, queries: Points, count: int) -> tuple[NDArray[np.intp], Floats]:
        """The most closely related points, shape ``[m, count]``, and the covariances with them.

        Another kind counts as the distance that makes points of one kind as little related as that makes them.
        """
        apart = _squared_distances(_scaled(queries, self.parameters), self._scaled)
        kinds_apart = 1.2 * np.log1p((self.parameters["kind"] / self.parameters["amplitude"]) ** 2)
        apart += kinds_apart * (1 - _same_kind(queries, self.points))
        count = min(count, len(self.points))
        nearest = np.argpartition(apart, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(apart, nearest, axis=1), axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, axis=1)
        each = queries.take(np.arange(len(queries))[:, None])
        return nearest, covariances(each, self.points.take(nearest), self.parameters)[:, 0, :]


def covariances(a: Points, b: Points, parameters: Parameters) -> Floats:
    """Covariance of each of n points with each of m, shape ``[..., n, m]``."""
    linear = _products(a.groups[SIZES], b.groups[SIZES])
    distances = {name: _squared_distances(a.groups[name], b.groups[name]) for name in a.groups if name in parameters}
    return _combined(distances, linear, _same_kind(a, b), parameters)


def correlations(a: Points, b: Points, parameters: Parameters) -> Floats:
    """How closely n points are related to m, beyond level and slope, shape ``[n, m]``: 1 for equal ones."""
    distances = {name: _squared_distances(a.groups[name], b.groups[name]) for name in a.groups if name in parameters}
    smooth = _smooth(distances, parameters)
    amplitude, kind = parameters["amplitude"] ** 2, parameters["kind"] ** 2
    related = amplitude * smooth + kind * _same_kind(a, b) * (0.5 + 0.5 * smooth)
    return np.asarray(related / (amplitude + kind), np.float64)


def prior_variances(points: Points, parameters: Parameters) -> Floats:
    """Variance of each point as long as nothing is known, shape ``[n]``."""
    linear = (points.groups[SIZES] ** 2).sum(axis=-1)
    fixed = _LEVEL**2 + parameters["amplitude"] ** 2 + parameters["kind"] ** 2
    return np.asarray(fixed + parameters["slope"] ** 2 * linear, np.float64)


def default_parameters() -> dict[str, float]:
    """The parameters as long as there are too few points to choose them."""
    return dict(_PRIOR)


def chosen_parameters(points: Points, values: Floats, noise: Floats) -> dict[str, float]:
    """The parameters under which each value is best predicted from the others.

    Maximises the leave-one-out pseudo-likelihood, drawn towards prior values, by steps along one parameter at a time.
    Groups of coordinates beyond the sizes are taken in one by one, as long as each makes the values much likelier.

    Args:
        points: n points; of many, some neighbourhoods that lie far apart decide.
        values: shape ``[n]``.
        noise: standard deviation of each value, shape ``[n]``.
    """
    if len(points) < _LEAST:
        return default_parameters()
    index = _neighbourhoods(points)
    objective = _Objective(points.take(index), values[index], noise[index])
    best, chosen = objective.climb(default_parameters())
    optional = {name for name, coordinates in points.groups.items() if np.ptp(coordinates, axis=0).any()} - {SIZES}
    while optional:
        trials = [(*objective.climb({**chosen, name: _OPTIONAL_PRIOR}), name) for name in sorted(optional)]
        score, parameters, name = max(trials, key=lambda trial: trial[0])
        if score < best + _WORTH:
            break
        best, chosen = score, parameters
        optional.remove(name)
    return chosen


def _neighbourhoods(points: Points) -> NDArray[np.intp]:
    """Numbers of the points of some neighbourhoods, shape ``[b, k]``: each around the one least like those before."""
    size = min(len(points), _BLOCK)
    blocks = []
    closest = np.full(len(points), -np.inf)
    centre = 0
    for _ in range(min(max(round(len(points) / _BLOCK), 1), _BLOCKS)):
        related = correlations(points.take(np.array([centre])), points, _PRIOR)[0]
        blocks.append(np.argsort(-related, kind="stable")[:size])
        closest = np.maximum(closest, related)
        centre = int(np.argmin(closest))
    return np.stack(blocks)


class _Objective:
    """How well each value is predicted from the others of its neighbourhood, as a function of the parameters."""

    def __init__(self, points: Points, values: Floats, noise: Floats) -> None:
        self._values, self._variance = values, noise**2
        self._distances = {name: _squared_distances(x, x) for name, x in points.groups.items()}
        self._linear = _products(points.groups[SIZES], points.groups[SIZES])
        self._same = _same_kind(points, points)
        self._unit = np.eye(values.shape[1])

    def __call__(self, parameters: Parameters) -> float:
        distances = {name: self._distances[name] for name in self._distances if name in parameters}
        covariance = _combined(distances, self._linear, self._same, parameters)
        covariance += (self._variance + parameters["nugget"] ** 2)[:, None, :] * self._unit
        inverse = np.linalg.inv(covariance)
        variances = 1 / np.maximum(np.diagonal(inverse, axis1=1, axis2=2), 1e-12)
        errors = (inverse * self._values[:, None, :]).sum(axis=2) * variances
        likelihood = -0.5 * float(np.sum(np.log(variances) + errors**2 / variances))
        away = (
            np.log(value / _PRIOR.get(name, _OPTIONAL_PRIOR)) / _PRIOR_WIDTHS.get(name, 1.0)
            for name, value in parameters.items()
        )
        return likelihood - 0.5 * float(sum(step**2 for step in away))

    def climb(self, parameters: Parameters) -> tuple[float, dict[str, float]]:
        """The best parameters that steps along one at a time reach, and how good they are."""
        here, best = dict(parameters), self(parameters)
        for step in _STEPS:
            for name in list(here):
                for factor in (step, 1 / step):
                    best, here = self._along(name, factor, best, here)
        return best, here

    def _along(self, name: str, factor: float, best: float, here: dict[str, float]) -> tuple[float, dict[str, float]]:
        prior = _PRIOR.get(name, _OPTIONAL_PRIOR)
        while 1 / _RANGE < here[name] * factor / prior < _RANGE:
            there = {**here, name: here[name] * factor}
            score = self(there)
            if score <= best + 1e-6:
                break
            best, here = score, there
        return best, here


def _combined(distances: Mapping[str, Floats], linear: Floats, same: Floats, parameters: Parameters) -> Floats:
    smooth = _smooth(distances, parameters)
    covariance = _LEVEL**2 + parameters["slope"] ** 2 * linear + parameters["amplitude"] ** 2 * smooth
    return np.asarray(covariance + parameters["kind"] ** 2 * same * (0.5 + 0.5 * smooth), np.float64)


def _smooth(distances: Mapping[str, Floats], parameters: Parameters) -> Floats:
    scaled = [squared / parameters[name] ** 2 for name, squared in distances.items()]
    root = np.sqrt(5.0 * np.sum(scaled, axis=0))
    return np.asarray((1 + root + root**2 / 3) * np.exp(-root), np.float64)


def _scaled(points: Points, parameters: Parameters) -> Floats:
    """All coordinates that have a length, in that length."""
    return np.hstack([values / parameters[name] for name, values in points.groups.items() if name in parameters])


def _products(a: Floats, b: Floats) -> Floats:
    return np.asarray(a @ np.swapaxes(b, -1, -2), np.float64)


def _squared_distances(a: Floats, b: Floats) -> Floats:
    """Shape ``[..., n, m]``; never below 0, which rounding could else make of equal points."""
    lengths = (a**2).sum(axis=-1)[..., :, None] + (b**2).sum(axis=-1)[..., None, :]
    return np.asarray(np.maximum(lengths - 2 * _products(a, b), 0.0), np.float64)


def _same_kind(a: Points, b: Points) -> Floats:
    same = (a.kinds[..., :, None] == b.kinds[..., None, :]) & (a.kinds[..., :, None] >= 0)
    return np.asarray(same, np.float64)
