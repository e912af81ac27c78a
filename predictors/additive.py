"""`TablePredictor`: the sum of a table's rows over the kernels that a network lowers to."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..luts import Answer, Nearest, Table
from ..luts.compose import Composition, compose
from ..luts.interpolation import halfwidth_of
from ..luts.table import CALIBRATION_DOCUMENT
from ..networks.errors import CorruptArtifactError, NotCoveredError, UsageError
from ..networks.lowering import Kernel, LoweredNetwork
from ._artifact import TABLE_FILE, Artifact
from ._lowering import Lowerer
from ._registry import register
from .base import Input, Inputs, InputShapes, LatencyPredictor, NetworkLike, checked_coverage, training_latencies
from .metrics import require_one_unit
from .prediction import Part, Prediction, Source, significant

_ROW_SIGMAS: Final = NormalDist().inv_cdf(0.975)  # rows hold half of a 95 % interval
_TRUSTED: Final = 5  # degrees of freedom from which on the prior error no longer counts
_LEAST_FOR_CONSTANT: Final = 5  # networks; fewer cannot tell a constant from a scale
_TOLD: Final = 5  # kernels without a number that an error tells about
_NEAREST_TOLD: Final = 2  # rows that are told of each


@dataclass(frozen=True)
class _Sum:
    """The rows of one network, before any correction; times in ns."""

    network: str
    kernels: tuple[tuple[Kernel, int, Answer], ...]  # each once, with how often it occurs
    run: Answer
    total_ns: float


@register("table")
class TablePredictor(LatencyPredictor):
    """Predicts by adding up a table's rows: no training needed, and every part says where it comes from.

    A network is lowered to the kernels that the device's runtime really runs; its latency is::

        latency = scale_ * (run + sum over kernels of row) + constant_ms_

    where ``run`` is the table's constant for one inference. Until `fit`, ``scale_`` is 1 and ``constant_ms_`` is 0.
    A kernel without a row is judged by the rows of its like, where they say enough (`lutra.luts.Interpolator`); the
    prediction says which share of it is interpolated and extrapolated. Where they do not, or with ``interpolate=False``
    always, such a kernel is an error that names the nearest rows.

    **The interval** treats the logarithm of (predicted / measured) as normal with mean 0 and variance
    ``rows**2 + model**2``::

        rows  = sum over kernels and the constant of  share * half-width / 1.96
        model = sqrt((sum of e**2 + k * prior_error**2) / (degrees + k)),   k = max(0, 5 - degrees)
        ends  = latency * exp(-+ z * sqrt(rows**2 + model**2)),   z the normal quantile of the coverage

    - The rows' errors are added as they are (not their squares), as if they all went the same way: rows of one
      table share the machine's mood of that day, and estimates from the same rows err alike, so this is the cautious
      choice. A row whose half-width is not known counts with ``UNKNOWN_HALFWIDTH``.
    - ``e`` are the logarithmic errors of whole networks: of the table's own self-checks, and after `fit` of the
      networks it saw. ``degrees`` is how many there are, less the number of fitted coefficients. With fewer than
      five the model error is drawn towards ``prior_error``: sums of lowered kernels with cold weights are 2 to 5 %
      off on networks they were not tuned on.

    Args:
        table: the rows of one device.
        name: what people call the device; None takes the table's name.
        prior_error: relative error of the sum that is assumed until enough networks have been checked.
        interpolate: answer for kernels without a row from the rows of their like.

    Attributes:
        scale_: factor on the sum.
        constant_ms_: added after it, in ms; 0 or more.
        log_residuals_: ln(predicted / measured) of the networks given to `fit`, shape ``[n]``; None before.
    """

    scale_: float = 1.0
    constant_ms_: float = 0.0
    log_residuals_: NDArray[np.float64] | None = None
    _coefficients: int = 0

    def __init__(
        self, table: Table, name: str | None = None, *, prior_error: float = 0.05, interpolate: bool = True
    ) -> None:
        self.table = table
        self.name = name
        self.prior_error = prior_error
        self.interpolate = interpolate

    @property
    def device(self) -> str:
        """The device's name."""
        return self.name or self.table.name or self.table.fingerprint.digest[:12]

    def fit(self, networks: Inputs, latencies_ms: ArrayLike) -> Self:
        """Learn one factor, and from five networks on a constant, by least squares on relative errors.

        Minimises the sum of ``((scale * sum + constant) / measured - 1)**2`` with ``constant >= 0``. Afterwards the
        interval rests on the errors left over instead of the table's self-checks.

        Args:
            networks: n networks, n >= 1, all covered by the table.
            latencies_ms: their measured latencies, shape ``[n]``, in ms.

        Raises:
            UsageError: no networks, not one latency a network, a latency that is not a positive number, or
                latencies that seem to be in another unit.
            NotCoveredError: the table lacks rows of some network.
        """
        measured = training_latencies(networks, latencies_ms)
        sums = np.array([self._sum(network).total_ns / 1e6 for network in networks])
        _require_one_unit(sums, measured)
        scale, constant = _least_squares(sums, measured)
        self.scale_, self.constant_ms_ = scale, constant
        self._coefficients = 1 if len(measured) < _LEAST_FOR_CONSTANT else 2
        self.log_residuals_ = np.log((scale * sums + constant) / measured)
        return self

    def model_error(self) -> float:
        """Relative error of the sum itself, one standard deviation; see the class for the formula."""
        if not (isinstance(self.prior_error, int | float) and 0 < self.prior_error < 1):
            raise UsageError(f"prior_error is {self.prior_error!r}", hint="give a ratio such as 0.05")
        errors = self._known_errors()
        degrees = max(0, len(errors) - self._coefficients)
        missing = max(0, _TRUSTED - degrees)
        return math.sqrt((float(errors @ errors) + missing * self.prior_error**2) / (degrees + missing))

    def interval_factor(self, rel_halfwidths: ArrayLike, coverage: float = 0.9) -> NDArray[np.float64]:
        """What a latency is divided and multiplied by for the ends of its interval; see the class for the formula.

        Args:
            rel_halfwidths: half the 95 % interval that comes from the rows, relative to the latency; any shape.
            coverage: in (0, 1).

        Returns:
            Factors of that shape.

        Raises:
            UsageError: the coverage is out of range.
        """
        z = NormalDist().inv_cdf((1 + checked_coverage(coverage)) / 2)
        factors: NDArray[np.float64] = np.exp(z * np.hypot(np.divide(rel_halfwidths, _ROW_SIGMAS), self.model_error()))
        return factors

    def explain(self, network: Input, *, coverage: float = 0.9, input_shapes: InputShapes | None = None) -> Prediction:
        """Predict one network, with the interval and the time of each kernel.

        Args:
            network: what to predict.
            coverage: probability, in (0, 1), with which the interval shall hold the measured latency.
            input_shapes: shapes of the inputs, for a torch module.

        Raises:
            NotCoveredError: the table says too little of some kernels; names them, their share of the MACs, and the
                rows nearest to them.
            UsageError: the coverage is out of range.
            UnknownNameError: no such network in the zoo.
            ModelFileError: the model file cannot be read.
            UnsupportedOpError: the network has ops that are not supported.
        """
        summed = self._sum(network, input_shapes)
        overhead_ms = self.scale_ * (summed.run.latency_ns or 0.0) / 1e6 + self.constant_ms_
        latency_ms = self.scale_ * summed.total_ns / 1e6 + self.constant_ms_
        spread = float(self.interval_factor(self._row_halfwidth(summed, latency_ms), coverage))
        fingerprint = self.table.fingerprint
        return Prediction(
            network=summed.network,
            device=self.device,
            runtime=fingerprint.runtime_name,
            threads=fingerprint.threads,
            latency_ms=latency_ms,
            low_ms=latency_ms / spread,
            high_ms=latency_ms * spread,
            coverage=coverage,
            parts=tuple(self._part(kernel, count, answer, latency_ms) for kernel, count, answer in summed.kernels),
            overhead_us=overhead_ms * 1e3,
            simulated=fingerprint.kind != "real",
            notes=tuple(self._notes(summed)),
        )

    def predict_batch(self, networks: Inputs) -> NDArray[np.float64]:
        """Latencies of n networks, shape ``[n]``, in ms."""
        sums = np.array([self._sum(network).total_ns / 1e6 for network in networks], dtype=np.float64)
        latencies: NDArray[np.float64] = self.scale_ * sums + self.constant_ms_
        return latencies

    def missing(self, network: NetworkLike, *, input_shapes: InputShapes | None = None) -> list[Kernel]:
        """The kernels of a network that the table has no row for, each once, in order of first use."""
        _, lowered = self._lowerer(network, self.table, input_shapes)
        return [kernel for key, kernel in lowered.distinct.items() if not self.table.lookup(key).covered]

    def to_artifact(self) -> Artifact:
        """The table with all its samples, and what `fit` learned."""
        residuals = self.log_residuals_
        return Artifact(
            kind=self.kind,
            params={name: value for name, value in self.get_params().items() if name != "table"},
            state={"scale": self.scale_, "constant_ms": self.constant_ms_, "coefficients": self._coefficients},
            device={"name": self.device, "fingerprint": self.table.fingerprint.to_dict()},
            arrays={} if residuals is None else {"log_residuals": residuals},
            texts={TABLE_FILE: self.table.to_json()},
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """The predictor that `to_artifact` described."""
        try:
            predictor = cls(Table.from_json(artifact.texts[TABLE_FILE]), **artifact.params)
            predictor.scale_ = float(artifact.state["scale"])
            predictor.constant_ms_ = float(artifact.state["constant_ms"])
            predictor._coefficients = int(artifact.state["coefficients"])
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise CorruptArtifactError(
                f"the saved table predictor is damaged: {error!r}", hint="save it again"
            ) from None
        predictor.log_residuals_ = artifact.arrays.get("log_residuals")
        return predictor

    @cached_property
    def _lowerer(self) -> Lowerer:
        return Lowerer()

    def _sum(self, network: Input, input_shapes: InputShapes | None = None) -> _Sum:
        if isinstance(network, np.ndarray):
            raise UsageError("a table predicts networks, not encodings", hint="decode the architectures first")
        name, lowered = self._lowerer(network, self.table, input_shapes)
        counts = Counter(kernel.key for kernel in lowered.kernels)
        composed = self._composed(lowered.kernels)
        answers = {answer.key: answer for answer in composed.kernels}
        rows = [(kernel, counts[key], answers[key]) for key, kernel in lowered.distinct.items()]
        missing = [(kernel, answer) for kernel, _, answer in rows if not answer.covered]
        if missing:
            source = network if isinstance(network, str | os.PathLike) else name
            raise self._not_covered(name, os.fspath(source), lowered, missing)
        return _Sum(name, tuple(rows), composed.run, composed.total_ns)

    def _composed(self, kernels: Sequence[Kernel]) -> Composition:
        """What is known of a network's kernels, given in execution order."""
        return compose(self.table, kernels, interpolate=self.interpolate)

    def _not_covered(
        self, name: str, source: str, lowered: LoweredNetwork, missing: Sequence[tuple[Kernel, Answer]]
    ) -> NotCoveredError:
        absent = {kernel.key for kernel, _ in missing}
        macs = sum(kernel.macs for kernel in lowered.kernels if kernel.key in absent)
        share = f", {100 * macs / lowered.macs:.1f} % of its MACs" if lowered.macs else ""
        labels = [_described(kernel, answer) for kernel, answer in missing]
        told = [
            label + _nearest(self.table.interpolator.nearest(kernel))
            for label, (kernel, _) in zip(labels[:_TOLD], missing, strict=False)
        ]
        shown = "; ".join(told) + (f"; and {len(labels) - _TOLD} more" if len(labels) > _TOLD else "")
        counted = f"{len(missing)} of {len(lowered.distinct)} kernels of {name}{share}"
        hint = f"measure them with: lutra profile {source}{self._flags()}"
        if all(kernel.lacks for kernel, _ in missing):
            other = "--engine" if self.table.fingerprint.kind == "simulated" else "--runtime"
            hint = f"{lowered.runtime} cannot run this network; use another {other}"
        return NotCoveredError(
            f"the table of {self.device} lacks {counted}: {shown}",
            labels,
            hint=hint,
        )

    def _flags(self) -> str:
        """What ``lutra profile`` needs to add to this very table."""
        threads, precision = self.table.fingerprint.threads, self.table.fingerprint.precision
        device = f" --device {self.device}" if self.device != "host" else ""
        device += f" --threads {threads}" if threads != 1 else ""
        return device + (f" --precision {precision}" if precision != "float32" else "")

    def _part(self, kernel: Kernel, count: int, answer: Answer, total_ms: float) -> Part:
        latency_ms = self.scale_ * (answer.latency_ns or 0.0) / 1e6
        return Part(
            label=kernel.label,
            count=count,
            latency_us=latency_ms * 1e3,
            share=count * latency_ms / total_ms if total_ms else 0.0,
            source=_source(answer),
            rel_halfwidth=answer.rel_halfwidth,
        )

    def _row_halfwidth(self, summed: _Sum, latency_ms: float) -> float:
        """Half the 95 % interval that comes from the rows, relative to the latency; all are taken to err one way."""
        if not latency_ms:
            return 0.0
        answers = [(count, answer) for _, count, answer in summed.kernels] + [(1, summed.run)]
        error_ns = math.fsum(count * (answer.latency_ns or 0.0) * halfwidth_of(answer) for count, answer in answers)
        return self.scale_ * error_ns / 1e6 / latency_ms

    def _known_errors(self) -> NDArray[np.float64]:
        """Logarithmic errors of the whole networks that the interval rests on."""
        if self.log_residuals_ is not None:
            return self.log_residuals_
        checks = [c for c in self.table.self_checks() if c.measured_ms > 0 and c.predicted_ms > 0]
        return np.array([math.log(check.predicted_ms / check.measured_ms) for check in checks], dtype=np.float64)

    def _notes(self, summed: _Sum) -> list[str]:
        answers = [answer for _, _, answer in summed.kernels]
        noisy = sum(answer.row is not None and answer.row.status == "noisy" for answer in answers)
        unknown = sum(answer.rel_halfwidth is None for answer in answers)
        judged = sum(answer.source != "measured" for answer in answers)
        checks = len(self._known_errors())
        kind = self.table.fingerprint.kind
        document = self.table.documents.get(CALIBRATION_DOCUMENT, {})
        calibration, worth = document.get("source", ""), document.get("note", "")
        uncalibrated_ms = significant(summed.total_ns / 1e6)
        counted = f"only {checks} whole network{'s' * (checks > 1)}" if checks else "no whole network"
        notes = {
            "these are numbers of a simulated device, not timed on hardware": kind == "simulated" and not worth,
            str(worth): worth,
            f"scaled by {self.scale_:.3g}: {calibration}; {uncalibrated_ms} ms without": calibration
            and not self._coefficients,
            "these are numbers of the null device, made up for tests": kind == "null",
            f"{noisy} of {len(answers)} rows are noisy: spread too wide, or other work on the machine": noisy,
            f"{judged} of {len(answers)} kernels have no row, and are judged by rows of their like": judged,
            f"{unknown} of {len(answers)} rows have no interval of their own": unknown,
            "the table has no constant for one inference, so none is added": not summed.run.covered,
            f"scaled by {self.scale_:.3g} after fitting to {checks} networks": self._coefficients,
            f"{counted} checked against this table, so the interval leans on an assumed error of "
            f"{100 * self.prior_error:g} %": checks - self._coefficients < _TRUSTED and not worth,
        }
        return [note for note, holds in notes.items() if holds]


def _source(answer: Answer) -> Source:
    assert answer.source != "not covered"
    return answer.source


def _nearest(rows: Sequence[Nearest]) -> str:
    """The measured rows that are most like a kernel, as an error tells them."""
    told = (f"{row.label} {significant(row.latency_ns / 1e6)} ms" for row in rows[:_NEAREST_TOLD])
    return f" (nearest: {', '.join(told)})" if rows else ""


def _described(kernel: Kernel, answer: Answer) -> str:
    """A kernel without a number, and why if it was tried or cannot be."""
    if kernel.lacks:
        return f"{kernel.label} (not supported: {', '.join(dict.fromkeys(kernel.lacks))})"
    failed = answer.row is not None and answer.row.reason
    return f"{kernel.label} (failed: {failed})" if failed else kernel.label


def _require_one_unit(sums_ms: NDArray[np.float64], measured_ms: NDArray[np.float64]) -> None:
    if not (sums_ms > 0).all():
        raise UsageError("the table's rows of some network add up to 0", hint="profile it again")
    require_one_unit(measured_ms, sums_ms, what="what the table says")


def _least_squares(sums: NDArray[np.float64], measured: NDArray[np.float64]) -> tuple[float, float]:
    """Factor and constant, both relative to the measured latency; the constant is 0 where it cannot be told."""
    ratios, inverses = sums / measured, 1 / measured
    if len(sums) >= _LEAST_FOR_CONSTANT:
        (scale, constant), *_ = np.linalg.lstsq(np.stack([ratios, inverses], axis=1), np.ones(len(sums)))
        if scale > 0 and constant >= 0:
            return float(scale), float(constant)
    return float(ratios.sum() / (ratios @ ratios)), 0.0
