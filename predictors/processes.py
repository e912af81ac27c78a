"""Gaussian processes over architectures that are rows of choices: what is likely of one, given some others.

Values are a constant plus a function whose covariance between two architectures depends on how alike they are. With d
decisions and a likeness s between 0 and d, which sums what each decision has in common, it is ``variance *
(additive * s / d + (1 - additive) * rate ** (d - s))``: a share in which decisions add up, and a share in which they
interact to any order (as in Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 4.2, with
the distance of Hamming for that of Euclid). The form (`Form`) is the one with the most evidence (equation 5.8, with
the variance integrated out as in `gaussian`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

UNUSED: Final = -1
"""What stands in a code for a decision that the architecture does not use."""

_RATES: Final = (0.2, 0.35, 0.5, 0.65, 0.75, 0.85, 0.92, 0.96)
_ADDITIVE: Final = (0.0, 0.25, 0.5, 0.75, 0.95)
_NOISES: Final = 10.0 ** np.arange(-4, 0.1, 0.5)
_USUAL_NOISE: Final = 1e-2  # where the prior of the noise has its middle; one power of ten off is e^-0.1 as likely
_NOISE_PRIOR: Final = 0.02
_BEGIN: Final = (False, 3, 0)
_COMPARED: Final = 200  # values by which forms are compared; more cost the cube
_SCALE_SAMPLES: Final = 2  # what the prior of the variance weighs, in samples; values are standardised, so it is near 1
_LEAST_VARIANCE: Final = 1e-9


@dataclass(frozen=True)
class Form:
    """How likeness becomes covariance.

    Attributes:
        ordered: choices next to each other in their decision are alike (sizes); else only equal ones are (names).
        rate: what a difference in one decision leaves of the interacting share.
        additive: the additive share, in [0, 1].
        noise: variance of the noise, relative to that of the function.
    """

    ordered: bool
    rate: float
    additive: float
    noise: float

    def covariance(self, likeness: Floats, decisions: int) -> Floats:
        """Of architectures this much alike, relative to the variance."""
        covariance: Floats = self.additive / decisions * likeness
        covariance += (1 - self.additive) * self.rate ** (decisions - likeness)
        return covariance


def likeness_features(codes: Codes, counts: Sequence[int], *, ordered: bool) -> Floats:
    """Features whose products are likenesses: an architecture's with its own is the number of decisions.

    Two choices of one decision have 1 in common where they are equal and else 0; or, of c that are ordered, 1 less
    their distance by c - 1. A decision that is not used has 1 in common with itself and 0 with its choices.

    Args:
        codes: choices from 0 on, or `UNUSED`, shape ``[n, d]``.
        counts: how many choices each decision has, d.
        ordered: which of the two.

    Returns:
        Shape ``[n, f]``.
    """
    columns = []
    for choices, count in zip(codes.T, counts, strict=True):
        used = (choices != UNUSED)[:, None]
        if ordered and count > 1:
            steps = choices[:, None] >= np.arange(1, count)
            columns += [(side & used) / np.sqrt(count - 1) for side in (steps, ~steps)]
        else:
            columns.append((choices[:, None] == np.arange(count)).astype(np.float64))
        columns.append((~used).astype(np.float64))
    return np.concatenate(columns, axis=1)


class Belief:
    """What is likely of c architectures; narrows as some of them are taken as seen.

    Attributes:
        means: shape ``[c]``.
    """

    def __init__(self, process: "ChoiceProcess", features: Floats) -> None:
        self._process, self._features = process, features
        self._whitened = process.prior(features, process.features) @ process.whitening
        self.means: Floats = process.constant + self._whitened @ process.residuals
        self._relative = 1.0 - (self._whitened**2).sum(axis=1)

    @property
    def deviations(self) -> Floats:
        """Standard deviations of the function, without the noise, shape ``[c]``."""
        deviations: Floats = np.sqrt(self._process.variance * self._relative.clip(min=_LEAST_VARIANCE))
        return deviations

    def observe(self, index: int) -> None:
        """Narrow as if the mean of one of them had been seen as its value.

        The means stay, and the deviations do not depend on what is seen (Desautels, Krause, Burdick, "Parallelizing
        Exploration-Exploitation Tradeoffs in Gaussian Process Bandit Optimization", 2014, section 4).
        """
        prior = self._process.prior(self._features, self._features[index : index + 1])[:, 0]
        covariances = prior - self._whitened @ self._whitened[index]
        seen = max(covariances[index], _LEAST_VARIANCE) + self._process.form.noise
        gain = covariances / np.sqrt(seen)
        self._whitened = np.concatenate([self._whitened, gain[:, None]], axis=1)
        self._relative = self._relative - gain**2


@dataclass(frozen=True)
class ChoiceProcess:
    """A Gaussian process that has seen n architectures; see the module. `fitted` makes it.

    Attributes:
        counts: how many choices each of the d decisions has.
        form: of the covariance.
        features: of what was seen, shape ``[n, f]``.
        whitening: turns covariances with what was seen into uncorrelated numbers, shape ``[n, n]``.
        residuals: the values less the constant, whitened, shape ``[n]``.
        constant: what is expected far from everything.
        variance: of the function.
    """

    counts: tuple[int, ...]
    form: Form
    features: Floats
    whitening: Floats
    residuals: Floats
    constant: float
    variance: float

    @classmethod
    def fitted(cls, codes: Codes, values: Floats, counts: Sequence[int], form: Form | None = None) -> Self:
        """The process that has seen architectures with their values.

        Args:
            codes: choices from 0 on, or `UNUSED`, shape ``[n, d]``.
            values: standardised: a mean near 0, a spread near 1; shape ``[n]``.
            counts: how many choices each decision has, d.
            form: of the covariance; see `best_form`, which finds it if it is omitted.

        Raises:
            UsageError: no architectures, or shapes that do not fit.
        """
        codes, values = _checked(codes, values, counts)
        form = form or best_form(codes, values, counts)
        features = likeness_features(codes, counts, ordered=form.ordered)
        covariance = form.covariance(features @ features.T, len(counts))
        covariance[np.diag_indices(len(codes))] += form.noise
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
        ones, whitened = whitening.sum(axis=0), whitening.T @ values
        constant = float(ones @ whitened / (ones @ ones))
        residuals = whitened - constant * ones
        variance = float((_SCALE_SAMPLES + residuals @ residuals) / (_SCALE_SAMPLES + len(values)))
        return cls(tuple(counts), form, features, whitening, residuals, constant, variance)

    def prior(self, features: Floats, others: Floats) -> Floats:
        """Covariances before anything was seen, relative to the variance: ``[c, f]``, ``[n, f]`` to ``[c, n]``."""
        return self.form.covariance(features @ others.T, len(self.counts))

    def belief(self, codes: Codes) -> Belief:
        """What is likely of architectures, shape ``[c, d]``."""
        return Belief(self, likeness_features(codes, self.counts, ordered=self.form.ordered))


def best_form(codes: Codes, values: Floats, counts: Sequence[int], start: Form | None = None) -> Form:
    """The form of the covariance with the most evidence, found by steps from neighbour to neighbour.

    Args:
        codes: choices from 0 on, or `UNUSED`, shape ``[n, d]``.
        values: standardised, shape ``[n]``. Of many, 200 that are spread over their ranks decide.
        counts: how many choices each decision has, d.
        start: where to begin: what was best for fewer of them.

    Raises:
        UsageError: no architectures, or shapes that do not fit.
    """
    codes, values = _checked(codes, values, counts)
    if len(values) > _COMPARED:
        order = np.argsort(values, kind="stable")
        spread = order[np.linspace(0, len(values) - 1, _COMPARED).round().astype(np.intp)]
        codes, values = codes[spread], values[spread]
    search = _FormSearch(codes, values, counts)
    best = _BEGIN if start is None else (start.ordered, _RATES.index(start.rate), _ADDITIVE.index(start.additive))
    while (step := max(search.near(best), key=lambda place: search.evidence(place)[0])) != best:
        best = step
    return search.form(best)


_Place = tuple[bool, int, int]


class _FormSearch:
    """Evidence of forms, each computed once. A place is a form's order, and its indices among rates and shares."""

    def __init__(self, codes: Codes, values: Floats, counts: Sequence[int]) -> None:
        self._values, self._decisions = values, len(counts)
        features = {ordered: likeness_features(codes, counts, ordered=ordered) for ordered in (False, True)}
        self._likeness = {ordered: found @ found.T for ordered, found in features.items()}
        self._known: dict[_Place, tuple[float, float]] = {}

    def near(self, place: _Place) -> list[_Place]:
        """The place itself, then its neighbours."""
        ordered, rate, share = place
        around = [(rate + step, share) for step in (-1, 1)] + [(rate, share + step) for step in (-1, 1)]
        inside = [(r, s) for r, s in around if 0 <= r < len(_RATES) and 0 <= s < len(_ADDITIVE)]
        return [place, (not ordered, rate, share), *((ordered, r, s) for r, s in inside)]

    def evidence(self, place: _Place) -> tuple[float, float]:
        """Logarithm of the evidence with the best noise, and that noise."""
        if place not in self._known:
            self._known[place] = self._computed(place)
        return self._known[place]

    def form(self, place: _Place) -> Form:
        ordered, rate, share = place
        return Form(ordered, _RATES[rate], _ADDITIVE[share], self.evidence(place)[1])

    def _computed(self, place: _Place) -> tuple[float, float]:
        ordered, rate, share = place
        form = Form(ordered, _RATES[rate], _ADDITIVE[share], 0.0)
        sizes, directions = np.linalg.eigh(form.covariance(self._likeness[ordered], self._decisions))
        spectrum = sizes.clip(min=0)[:, None] + _NOISES  # [n, levels of noise]
        ones, values = directions.sum(axis=0)[:, None], (directions.T @ self._values)[:, None]
        constant = (ones * values / spectrum).sum(axis=0) / (ones**2 / spectrum).sum(axis=0)
        misfit = _SCALE_SAMPLES + ((values - constant * ones) ** 2 / spectrum).sum(axis=0)
        fit = (_SCALE_SAMPLES + len(values)) * np.log(misfit)
        prior = -_NOISE_PRIOR * np.log(_NOISES / _USUAL_NOISE) ** 2
        evidence = prior - 0.5 * (np.log(spectrum).sum(axis=0) + fit)
        best = int(evidence.argmax())
        return float(evidence[best]), float(_NOISES[best])


def _checked(codes: Codes, values: Floats, counts: Sequence[int]) -> tuple[Codes, Floats]:
    codes, values = np.asarray(codes, np.int64), np.asarray(values, np.float64)
    if not len(codes) or codes.shape != (len(values), len(counts)) or not np.isfinite(values).all():
        raise UsageError(
            f"codes of shape {codes.shape}, values of shape {values.shape}, {len(counts)} decisions",
            hint="give a row of choices and a finite value for each of n architectures",
        )
    return codes, values
