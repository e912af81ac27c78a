"""From samples to rows: which time counts, what is subtracted, and which doubts are noted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..luts import Measurement, Normalisation, QualityFlag, relative_halfwidth
from ._native import summarize
from .client import EntrySamples, GroupResult, PreparedInfo, Samples
from .machine import DRIFT_LIMIT, OTHERS_LIMIT, PRESSURE_LIMIT, STEAL_LIMIT
from .pooling import PROCESS_COLUMN
from .references import Nominal, fit_normalisation

NOISY_HALFWIDTH = 0.05
"""A row whose p25 is known to no better than this is marked noisy."""

LIMITS_BEFORE = "limits_before_mhz"
"""Condition of rows that were measured after the processor's frequency limits changed: what they were."""

_PREEMPTED_SHARE = 0.2
_FAULTS_SHARE = 0.1
_FEW_SAMPLES = 8
_RESAMPLES = 400


@dataclass(frozen=True)
class Context:
    """What the rows of one group share.

    Attributes:
        metric: "cpu" (thread time, immune to preemption; for one thread) or "wall".
        target_halfwidth: relative half-width asked for.
        conditions: state of the machine while the group was measured.
        versions: of the runtime and of Lutra.
        result: the group's samples, with the references around them (`with_references`).
        nominal: times of the references at the device's nominal speed; None to leave samples as they are.
    """

    metric: str
    target_halfwidth: float
    conditions: Mapping[str, Any]
    versions: Mapping[str, str]
    result: GroupResult
    nominal: Nominal | None = None

    @property
    def column(self) -> str:
        """The sample column that counts."""
        return f"{self.metric}_ns"

    @cached_property
    def drift(self) -> float:
        """Spread of the compute reference's p10 between rounds: middle 80 % over the median; 0 below 5 rounds."""
        reference = self.result.compute_reference
        rounds = np.unique(reference["round"])
        if len(rounds) < 5:
            return 0.0
        per_round = [np.quantile(reference["cpu_ns"][reference["round"] == r], 0.1) for r in rounds]
        low, middle, high = np.quantile(per_round, (0.1, 0.5, 0.9))
        return float((high - low) / middle)


def metric_for(threads: int) -> str:
    """Thread-CPU time for one thread, because the scheduler cannot disturb it; wall time for more."""
    return "cpu" if threads == 1 else "wall"


def failed_row(kind: str, key: str, label: str, reason: str, spec: Mapping[str, Any]) -> Measurement:
    """A row that says why there is no number."""
    return Measurement(
        subject_kind=kind,
        subject_key=key,
        label=label,
        status="failed",
        reason=reason or "unknown error",
        spec=spec,
    )


def measured_row(
    subject: tuple[str, str, str],
    entry: EntrySamples,
    prepared: PreparedInfo,
    overheads_ns: Mapping[str, float],
    context: Context,
    spec: Mapping[str, Any],
) -> Measurement:
    """The row of one entry; a failed one if the entry threw or computed nonsense.

    Args:
        subject: kind, key and label.
        entry: its samples.
        prepared: executions in one call, and how often each constant occurs in it.
        overheads_ns: value of each constant.
        context: what the group shares.
        spec: enough to build the subject again.
    """
    kind, key, label = subject
    if entry.error is not None:
        return failed_row(kind, key, label, entry.error, spec)
    if not entry.finite:
        return failed_row(kind, key, label, "the runtime computed NaN or infinity", spec)
    samples = _undisturbed(entry.samples, context.metric)
    per_call_ns = sum(count * overheads_ns.get(name, 0.0) for name, count in prepared.overheads.items())
    overhead_ns = per_call_ns * samples.batch
    normalisation = None
    if context.nominal is not None:
        normalisation = fit_normalisation(samples, context.column, context.nominal, _intensity(kind, spec))
    normalised_ns = np.asarray(samples[context.column] / (1.0 if normalisation is None else normalisation.factors))
    p25_ns = float(np.quantile(normalised_ns, 0.25))
    net_share = max(p25_ns - overhead_ns, 0.0) / p25_ns if p25_ns else 0.0
    halfwidth = _halfwidth(samples, normalised_ns, overhead_ns)
    flags = _flags(samples, net_share, halfwidth, context)
    disturbed = {QualityFlag.LOAD, QualityFlag.STEAL}.intersection(flags)
    return Measurement(
        subject_kind=kind,
        subject_key=key,
        label=label,
        status="noisy" if halfwidth is None or halfwidth > NOISY_HALFWIDTH or disturbed else "ok",
        samples_ns=samples[context.column],
        rounds=samples["round"].astype(np.int32),
        executions_per_sample=samples.batch * prepared.executions,
        overhead_ns=overhead_ns,
        rel_halfwidth=halfwidth,
        reference_ratio=_reference_ratio(normalisation),
        flags=tuple(flags),
        conditions={
            **context.conditions,
            "metric": context.metric,
            "copies": prepared.executions,
            "left_out": len(entry.samples) - len(samples),
            "outliers": _outliers(normalised_ns),
            **entry.observed,
            **({"implementation": prepared.implementation} if prepared.implementation else {}),
        },
        versions=context.versions,
        spec=spec,
        normalisation=normalisation,
    )


def reference_row(kind: str, key: str, reference: Samples, context: Context) -> Measurement:
    """The row of a reference kernel: the speed at which a device's other rows are given.

    Args:
        kind: subject kind.
        key: subject key.
        reference: samples of the first group that the device was measured in.
        context: what that group shares.
    """
    samples = np.maximum(reference["cpu_ns"], 1)
    rounds = reference["round"]
    return Measurement(
        subject_kind=kind,
        subject_key=key,
        label=key,
        samples_ns=samples,
        rounds=rounds.astype(np.int32),
        executions_per_sample=reference.batch,
        rel_halfwidth=relative_halfwidth(samples, rounds, np.random.default_rng(0), resamples=_RESAMPLES),
        conditions={**context.conditions, "metric": "cpu"},
        versions=context.versions,
    )


def _intensity(kind: str, spec: Mapping[str, Any]) -> float | None:
    """Multiply-accumulates per byte; None for constants, which are calls and bookkeeping."""
    if kind == "constant":
        return None
    return float(spec.get("macs") or 0) / max(float(spec.get("bytes_moved") or 0), 1.0)


def _undisturbed(samples: Samples, metric: str) -> Samples:
    """Samples whose wall time the scheduler did not stretch, where enough are left; thread time needs no choice."""
    calm = samples["involuntary_switches"] == 0
    if metric != "wall" or calm.all() or calm.sum() < _FEW_SAMPLES:
        return samples
    return Samples(samples.batch, {name: values[calm] for name, values in samples.columns.items()})


def _halfwidth(samples: Samples, normalised_ns: NDArray[np.float64], overhead_ns: float) -> float | None:
    """Relative half-width of p25: of the bootstrap over rounds, or half the range of the processes if that is more."""
    rng = np.random.default_rng(0)
    drawn = relative_halfwidth(normalised_ns, samples["round"], rng, overhead_ns=overhead_ns, resamples=_RESAMPLES)
    if drawn is None or PROCESS_COLUMN not in samples.columns:
        return drawn
    process = samples[PROCESS_COLUMN]
    each_ns = [float(np.quantile(normalised_ns[process == number], 0.25)) for number in np.unique(process)]
    net_ns = float(np.quantile(normalised_ns, 0.25)) - overhead_ns
    return max(drawn, (max(each_ns) - min(each_ns)) / 2 / net_ns)


def _outliers(normalised_ns: NDArray[np.float64]) -> dict[str, int]:
    """Counts by Tukey's fences; the samples stay in the row."""
    counts = summarize(normalised_ns).outliers
    return {name: getattr(counts, name) for name in ("low_severe", "low_mild", "high_mild", "high_severe")}


def _flags(samples: Samples, net_share: float, halfwidth: float | None, context: Context) -> list[str]:
    conditions = context.conditions
    governor = conditions.get("governor", "")
    checks = {
        QualityFlag.LOAD: conditions.get("others_share", 0.0) > OTHERS_LIMIT
        or conditions.get("pressure_share", 0.0) > PRESSURE_LIMIT,
        QualityFlag.STEAL: conditions.get("steal_share", 0.0) > STEAL_LIMIT,
        QualityFlag.GOVERNOR: governor not in ("", "performance"),
        QualityFlag.PREEMPTED: _share(samples, "involuntary_switches") > _PREEMPTED_SHARE,
        QualityFlag.PAGE_FAULTS: _share(samples, "minor_faults") > _FAULTS_SHARE,
        QualityFlag.FREQUENCY_DRIFT: context.drift > DRIFT_LIMIT or LIMITS_BEFORE in conditions,
        QualityFlag.WIDE: halfwidth is None or halfwidth > context.target_halfwidth,
        QualityFlag.FEW_SAMPLES: len(samples) < _FEW_SAMPLES,
        QualityFlag.NEAR_CLOCK: np.quantile(samples["wall_ns"], 0.25) < context.result.clock["min_sample_ns"],
        QualityFlag.OVERHEAD: net_share < 0.5,
    }
    return [str(flag) for flag, raised in checks.items() if raised]


def _share(samples: Samples, column: str) -> float:
    return float(np.mean(samples[column] > 0)) if len(samples) else 0.0


def _reference_ratio(normalisation: Normalisation | None) -> float | None:
    """Compute reference around the samples over its nominal time."""
    if normalisation is None:
        return None
    return float(np.median(normalisation.compute_ns) / normalisation.nominal_compute_ns)
