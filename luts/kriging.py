"""Gaussian-process regression of scattered points, with covariances that suit latencies of kernels.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006): prediction equations 2.25 and 2.26,
leave-one-out predictions 5.12, the pseudo-likelihood that chooses the parameters 5.13, the Matern covariance 4.17.
"""

from collections.abc import Callable, Iterable, Mapping
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
_LEVEL: Final = 0.5  # standard deviation of the level
_STEPS: Final = (2.0, 2.0, 1.41)
_RANGE: Final = 64.0  # parameters stay within this factor of their prior
_WORTH: Final = 2.0  # gain in log-likelihood that a further group of coordinates has to bring
_LEAST: Final = 6  # points; with fewer the parameters stay at their prior
_MOST: Final = 192  # points that choose the parameters
_DENSE: Final = 640  # points; with more, each prediction rests on its nearest ones
_NEAREST: Final = 64
_CHUNK: Final = 256


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

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Points":
        """Some of the points."""
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
        self._factor: Floats | None = None
        if len(points) <= _DENSE:
            covariance = covariances(points, points, parameters)
            covariance[np.diag_indices(len(points))] += self._variance
            self._factor = np.linalg.cholesky(covariance)
            self._weights = np.linalg.solve(self._factor.T, np.linalg.solve(self._factor, values))

    def predict(self, queries: Points) -> tuple[Floats, Floats]:
        """Mean and variance at m points, each of shape ``[m]``; the variance is that of one new kernel there."""
        means, variances = np.empty(len(queries)), np.empty(len(queries))
        one = self._predict_local if self._factor is None else self._predict_dense
        for start in range(0, len(queries), _CHUNK):
            part = slice(start, start + _CHUNK)
            means[part], variances[part] = one(queries.take(part))
        return means, np.maximum(variances, 0.0) + self.parameters["nugget"] ** 2

    def _predict_dense(self, queries: Points) -> tuple[Floats, Floats]:
        assert self._factor is not None
        across = covariances(queries, self.points, self.parameters)
        half = np.linalg.solve(self._factor, across.T)
        return across @ self._weights, prior_variances(queries, self.parameters) - (half**2).sum(axis=0)

    def _predict_local(self, queries: Points) -> tuple[Floats, Floats]:
        across = covariances(queries, self.points, self.parameters)
        nearest = np.argpartition(-across, _NEAREST, axis=1)[:, :_NEAREST]
        means, variances = np.empty(len(queries)), prior_variances(queries, self.parameters)
        for row, index in enumerate(nearest):
            around = self.points.take(index)
            covariance = covariances(around, around, self.parameters)
            covariance[np.diag_indices(_NEAREST)] += self._variance[index]
            here = across[row, index]
            weights = np.linalg.solve(covariance, here)
            means[row] = weights @ self.values[index]
            variances[row] -= weights @ here
        return means, variances

    def nearest(self, queries: Points, count: int) -> NDArray[np.intp]:
        """Numbers of the ``count`` points that say most about each of m others, shape ``[m, count]``, best first."""
        likeness = {**self.parameters, "slope": 0.0}
        found = [
            np.argsort(-covariances(queries.take(slice(at, at + _CHUNK)), self.points, likeness), axis=1, kind="stable")
            for at in range(0, len(queries), _CHUNK)
        ]
        return np.concatenate(found)[:, :count]

    def conditioned(self, queries: Points) -> Callable[[int], Floats]:
        """Variances at m points as more and more of them become known, without their values.

        The variance of a Gaussian process does not depend on the values, so that it is known in advance which point
        would teach most. This is a pivoted Cholesky factorisation of the posterior covariance.

        Returns:
            A function: given the number of a point that becomes known, the variances that are left, shape ``[m]``.
            The number -1 changes nothing.
        """
        index = np.arange(len(self.points))
        if len(index) > _DENSE:
            index = np.random.default_rng(0).permutation(len(index))[:_DENSE]
        known = self.points.take(index)
        covariance = covariances(known, known, self.parameters)
        covariance[np.diag_indices(len(known))] += self._variance[index]
        half = np.linalg.solve(np.linalg.cholesky(covariance), covariances(known, queries, self.parameters))
        left = prior_variances(queries, self.parameters) - (half**2).sum(axis=0)
        factor: list[Floats] = []
        nugget = self.parameters["nugget"] ** 2

        def know(point: int) -> Floats:
            nonlocal left
            if point >= 0:
                column = covariances(queries, queries.take(slice(point, point + 1)), self.parameters)[:, 0]
                column = column - half.T @ half[:, point] - sum((f * f[point] for f in factor), np.zeros(len(queries)))
                column = column / np.sqrt(max(column[point], 0.0) + nugget)
                factor.append(column)
                left = left - column**2
            return np.maximum(left, 0.0)

        return know


def covariances(a: Points, b: Points, parameters: Parameters) -> Floats:
    """Covariance of each of n points with each of m, shape ``[n, m]``."""
    return _combined(
        {name: _squared_distances(a.groups[name], b.groups[name]) for name in a.groups if name in parameters},
        a.groups[SIZES] @ b.groups[SIZES].T,
        _same_kind(a, b),
        parameters,
    )


def prior_variances(points: Points, parameters: Parameters) -> Floats:
    """Variance of each point as long as nothing is known, shape ``[n]``."""
    linear = (points.groups[SIZES] ** 2).sum(axis=1)
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
        points: n points; of more than a few hundred, a fixed random choice decides.
        values: shape ``[n]``.
        noise: standard deviation of each value, shape ``[n]``.
    """
    if len(points) < _LEAST:
        return default_parameters()
    if len(points) > _MOST:
        index = np.random.default_rng(0).permutation(len(points))[:_MOST]
        points, values, noise = points.take(index), values[index], noise[index]
    objective = _Objective(points, values, noise)
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


class _Objective:
    """How well each value is predicted from the others, as a function of the parameters."""

    def __init__(self, points: Points, values: Floats, noise: Floats) -> None:
        self._values, self._variance = values, noise**2
        self._distances = {name: _squared_distances(x, x) for name, x in points.groups.items()}
        self._linear = points.groups[SIZES] @ points.groups[SIZES].T
        self._same = _same_kind(points, points)

    def __call__(self, parameters: Parameters) -> float:
        distances = {name: self._distances[name] for name in self._distances if name in parameters}
        covariance = _combined(distances, self._linear, self._same, parameters)
        covariance[np.diag_indices(len(covariance))] += self._variance + parameters["nugget"] ** 2
        inverse = np.linalg.inv(covariance)
        variances = 1 / np.maximum(np.diag(inverse), 1e-12)
        errors = (inverse @ self._values) * variances
        likelihood = -0.5 * float(np.sum(np.log(variances) + errors**2 / variances))
        away = (np.log(value / _PRIOR.get(name, _OPTIONAL_PRIOR)) for name, value in parameters.items())
        return likelihood - 0.5 * float(sum(step**2 for step in away))

    def climb(self, parameters: Parameters) -> tuple[float, dict[str, float]]:
        """The best parameters that steps along one at a time reach, and how good they are."""
        here, best = dict(parameters), self(parameters)
        for step in _STEPS:
            for name in here:
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
    squared = _scaled_sum(distances.items(), parameters, linear.shape)
    root = np.sqrt(5.0 * squared)
    smooth = (1 + root + root**2 / 3) * np.exp(-root)
    covariance = _LEVEL**2 + parameters["slope"] ** 2 * linear + parameters["amplitude"] ** 2 * smooth
    return np.asarray(covariance + parameters["kind"] ** 2 * same * (0.5 + 0.5 * smooth), np.float64)


def _scaled_sum(distances: Iterable[tuple[str, Floats]], parameters: Parameters, shape: tuple[int, ...]) -> Floats:
    total = np.zeros(shape)
    for name, squared in distances:
        total += squared / parameters[name] ** 2
    return total


def _squared_distances(a: Floats, b: Floats) -> Floats:
    """Shape ``[n, m]``; never below 0, which rounding could else make of equal points."""
    product = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.asarray(np.maximum(product, 0.0), np.float64)


def _same_kind(a: Points, b: Points) -> Floats:
    return ((a.kinds[:, None] == b.kinds[None, :]) & (a.kinds[:, None] >= 0)).astype(np.float64)
