"""`FamilyModel`: latency of kernels of one family as a function of their sizes, with how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .features import VECTOR, KernelShape, log_rounded, size_matrix
from .kriging import SIZES, Floats, Kriging, Points, chosen_parameters
from .nonnegative import nonnegative_least_squares

LEAST_ROWS: Final = 3
"""Rows that a family needs before anything is said about its other kernels, and a kind to be judged by its own."""

_CACHES: Final = (32 << 10, 512 << 10, 4 << 20)  # bytes: about where near caches end, on any processor
_TILE: Final = 4 * VECTOR  # channels that a kernel's innermost loop computes at once
_RIDGE: Final = 1e-3
_FOLDS: Final = 5
_FOLD_ROWS: Final = 100  # rows of each fold that are predicted
_PRIOR_SCALE: Final = 1.2
_PRIOR_ROWS: Final = 10
_BEYOND: Final = 1.5  # factor on the deviation outside the range of the rows
_Z90: Final = NormalDist().inv_cdf(0.95)


@dataclass(frozen=True)
class Estimates:
    """What a model says about m kernels.

    Attributes:
        log_ns: logarithm of the latency in ns, shape ``[m]``.
        deviation: its standard deviation, shape ``[m]``: a relative error of the latency.
        inside: whether each kernel's sizes lie within the range of the rows, shape ``[m]``.
    """

    log_ns: Floats
    deviation: Floats
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """How well a family's rows are predicted by a model that has not seen them.

    Attributes:
        errors: ln(predicted / measured) of k rows, shape ``[k]``.
        scores: the same over the deviation that was stated, shape ``[k]``.
    """

    errors: Floats
    scores: Floats


class FamilyModel:
    """Latency of kernels of one family from the rows of some of them.

    A trend with non-negative coefficients, ``c0 + c1 macs + c2 activation bytes + c3 weight bytes`` (or a sum of what
    else `KernelShape.amounts` are), fitted to relative errors, says how latency grows; what is left over, in
    logarithms, is interpolated by `Kriging` in

    * the sizes of all tensors, in logarithms;
    * how much the sizes grow when rounded up to whole vectors, and to whole tiles of four vectors: kernels compute
      in such blocks, and what is not full costs as much as what is;
    * which of the caches the kernel's tensors fit.

    Then it is kept between the rows of its kind that are smaller, and those that are larger, in every size, as far as
    their noise allows.

    Args:
        shapes: n >= 1 kernels of one family.
        log_ns: logarithms of their latencies in ns, shape ``[n]``.
        noise: standard deviation of those, shape ``[n]``.
        trend: whether latency grows with size; without, the values scatter around one level (a ratio of latencies).
        parameters: of the interpolation; None chooses them.
    """

    def __init__(
        self,
        shapes: Sequence[KernelShape],
        log_ns: Floats,
        noise: Floats,
        *,
        trend: bool = True,
        parameters: dict[str, float] | None = None,
    ) -> None:
        self.shapes = list(shapes)
        self.log_ns, self.noise, self._trend = log_ns, noise, trend
        self._sizes = size_matrix(self.shapes)
        self._kind_names = {kind: number for number, kind in enumerate(sorted({s.kind for s in self.shapes}))}
        self._axes = _Axes(self._sizes)
        self._coefficients = _fitted_trend(self.shapes, log_ns) if trend else None
        self._fitted = 1 + len(self.shapes[0].amounts)
        residual = log_ns - self._trend_of(self.shapes)
        self._level = float(np.median(residual))
        points = self.points(self.shapes)
        if parameters is None:
            parameters = chosen_parameters(points, residual - self._level, noise)
        self.kriging = Kriging(points, residual - self._level, noise, parameters)

    def points(self, shapes: Sequence[KernelShape]) -> Points:
        """Kernels of this family as points of the interpolation."""
        coordinates, _ = self._axes.project(size_matrix(shapes))
        total = np.array([[shape.bytes_moved] for shape in shapes], np.float64)
        groups = {
            SIZES: coordinates,
            "vectors": log_rounded(coordinates[:, :-1] + self._axes.middle, VECTOR),
            "tiles": log_rounded(coordinates[:, :-1] + self._axes.middle, _TILE),
            "caches": total**2 / (total**2 + np.array(_CACHES, np.float64) ** 2),
        }
        kinds = np.array([self._kind_names.get(shape.kind, -1) for shape in shapes], np.intp)
        return Points(groups, kinds)

    def predict(self, shapes: Sequence[KernelShape]) -> Estimates:
        """Say what m kernels of this family cost.

        The deviation is what cross-validation found it to be (`held_out`), and half as much again outside the range
        of the rows. Its factor ``1 + k / n`` is for the k coefficients, the level among them, that were fitted to the
        same n rows that the errors are judged by (Akaike, "Fitting autoregressive models for prediction", 1969, to the
        first order).
        """
        estimates = self._raw(shapes)
        factors = self.scale * (1 + self._fitted / len(self.shapes)) * np.where(estimates.inside, 1.0, _BEYOND)
        return Estimates(estimates.log_ns, estimates.deviation * factors, estimates.inside)

    @cached_property
    def held_out(self) -> HeldOut:
        """Errors of rows that were left out, a fifth at a time; empty with too few rows to leave any out."""
        n = len(self.shapes)
        errors: list[Floats] = [np.empty(0)]
        scores: list[Floats] = [np.empty(0)]
        order = np.random.default_rng(0).permutation(n)
        for fold in np.array_split(order, min(_FOLDS, n)) if n > LEAST_ROWS else []:
            rest = np.setdiff1d(order, fold)
            left_out = fold[:_FOLD_ROWS]
            model = self._of(rest)
            found = model._raw([self.shapes[i] for i in left_out])
            errors.append(found.log_ns - self.log_ns[left_out])
            scores.append(errors[-1] / np.hypot(found.deviation, self.noise[left_out]))
        return HeldOut(np.concatenate(errors), np.concatenate(scores))

    @cached_property
    def scale(self) -> float:
        """What stated deviations are multiplied with, so that 90 % of the rows that are left out lie inside 90 %."""
        scores = np.abs(self.held_out.scores)
        own = float(np.quantile(scores, 0.9)) / _Z90 if len(scores) else _PRIOR_SCALE
        return (len(scores) * own + _PRIOR_ROWS * _PRIOR_SCALE) / (len(scores) + _PRIOR_ROWS)

    def _of(self, index: NDArray[np.intp]) -> "FamilyModel":
        """The same model of some of the rows."""
        return FamilyModel(
            [self.shapes[i] for i in index],
            self.log_ns[index],
            self.noise[index],
            trend=self._trend,
            parameters=dict(self.kriging.parameters),
        )

    def _raw(self, shapes: Sequence[KernelShape]) -> Estimates:
        means, variances = self.kriging.predict(self.points(shapes))
        log_ns = means + self._level + self._trend_of(shapes)
        sizes = size_matrix(shapes)
        if self._trend:
            log_ns = self._between(shapes, sizes, log_ns)
        return Estimates(log_ns, np.sqrt(variances), self._inside(shapes, sizes))

    def _trend_of(self, shapes: Sequence[KernelShape]) -> Floats:
        if self._coefficients is None:
            return np.zeros(len(shapes))
        return np.asarray(np.log(np.maximum(_amounts(shapes) @ self._coefficients, 1e-9)), np.float64)

    def _inside(self, shapes: Sequence[KernelShape], sizes: Floats) -> NDArray[np.bool_]:
        """Within the range of the rows of the kind, or of the family where the kind has few."""
        inside = np.empty(len(shapes), np.bool_)
        kinds = np.array([self._kind_names.get(shape.kind, -1) for shape in shapes])
        for kind in np.unique(kinds):
            own = self._sizes[self.kriging.points.kinds == kind]
            rows = own if len(own) >= LEAST_ROWS else self._sizes
            asked = sizes[kinds == kind]
            within = (asked >= rows.min(axis=0) - 1e-9) & (asked <= rows.max(axis=0) + 1e-9)
            inside[kinds == kind] = within.all(axis=1)
        return np.asarray(inside & (self._axes.project(sizes)[1] < 1e-9), np.bool_)

    def _between(self, shapes: Sequence[KernelShape], sizes: Floats, log_ns: Floats) -> Floats:
        """Keep estimates between the rows that are smaller and those that are larger in every size."""
        bounded = log_ns.copy()
        doubt = 2 * np.hypot(self.noise, self.kriging.parameters["nugget"])
        kinds = np.array([self._kind_names.get(shape.kind, -1) for shape in shapes])
        for number, kind in enumerate(kinds):
            rows = self.kriging.points.kinds == kind
            differences = sizes[number] - self._sizes[rows]
            smaller = (differences >= -1e-9).all(axis=1)
            larger = (differences <= 1e-9).all(axis=1)
            low = np.max((self.log_ns - doubt)[rows][smaller], initial=-np.inf)
            high = np.min((self.log_ns + doubt)[rows][larger], initial=np.inf)
            if low <= high:
                bounded[number] = min(max(log_ns[number], low), high)
        return bounded


class _Axes:
    """Which sizes differ between the rows of a family, each set of sizes that go together once.

    Sizes that differ by the same factor in all rows (the height and the width of an image, channels of a tensor and
    of its weights) are one coordinate. One more coordinate says how far a kernel departs from that.
    """

    def __init__(self, sizes: Floats) -> None:
        self._means = sizes.mean(axis=0) if sizes.size else np.zeros(sizes.shape[1])
        centred = sizes - self._means
        groups: list[list[int]] = []
        for column in range(sizes.shape[1]):
            same = (g for g in groups if np.abs(centred[:, column] - centred[:, g[0]]).max() < 1e-9)
            group = next(same, None)
            if group is None:
                groups.append([column])
            else:
                group.append(column)
        self._groups = groups
        self.middle: Floats = np.array([self._means[group[0]] for group in groups])

    def project(self, sizes: Floats) -> tuple[Floats, Floats]:
        """Coordinates of m kernels, shape ``[m, axes + 1]``, and their departures alone, shape ``[m]``."""
        centred = sizes - self._means
        means = np.stack([centred[:, group].mean(axis=1) for group in self._groups], axis=1) if self._groups else None
        if means is None:
            return np.zeros((len(sizes), 1)), np.zeros(len(sizes))
        apart = np.zeros(len(sizes))
        for number, group in enumerate(self._groups):
            apart += ((centred[:, group] - means[:, [number]]) ** 2).sum(axis=1)
        departure = np.sqrt(apart)
        return np.column_stack([means, departure]), departure


def _amounts(shapes: Sequence[KernelShape]) -> Floats:
    """What latency grows with, shape ``[n, amounts]``."""
    return np.array([shape.amounts for shape in shapes], np.float64)


def _fitted_trend(shapes: Sequence[KernelShape], log_ns: Floats) -> Floats:
    """Non-negative coefficients, one for each amount, with the least sum of squared relative errors."""
    amounts = _amounts(shapes)
    largest = np.maximum(amounts.max(axis=0), 1e-300)
    typical = float(np.exp(np.median(log_ns)))
    relative = amounts / largest * (typical / np.exp(log_ns))[:, None]
    penalised = np.vstack([relative, _RIDGE * np.eye(amounts.shape[1])])
    wanted = np.concatenate([np.ones(len(shapes)), np.zeros(amounts.shape[1])])
    return np.asarray(nonnegative_least_squares(penalised, wanted) * typical / largest, np.float64)
