"""One measured subject on one device: raw samples, what they say, and how far to trust them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import MeasurementError, UsageError
from ._json import canonical, parse_object, plain_dict
from .normalisation import Normalisation
from .statistics import quantiles

SUBJECT_KINDS: Final = ("kernel", "resident", "network", "constant", "block")
STATUSES: Final = ("ok", "noisy", "failed")
_FLAG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_QUANTILES: Final = np.array([0.10, 0.25, 0.50, 0.75, 0.90])


def utc_now() -> str:
    """Return the present moment as ISO 8601 text in UTC, to the millisecond."""
    return _iso(datetime.now(UTC))


def _no_samples() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


def _no_rounds() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement:
    """Raw samples of one subject with everything needed to judge and repeat them.

    **The number** is ``latency_ns``: the 25 % quantile of the normalised samples, less the call overhead, per
    execution. Samples are stored as the clock showed them; normalised are they divided by
    `Normalisation.factors`, which takes out how fast the machine was at that moment (without a normalisation they
    stand as they are).
    Why this quantile: the mean and the median follow every disturbance of the machine, and the minimum follows
    rare lucky samples (a moment of turbo), the more so the shorter the subject, which biases a sum of short
    kernels against one long network. Across blocks of time on a shared machine p10 and p25 vary least; of the
    two, p25 rests on more samples.

    Quantiles are numpy's linear ones (Hyndman and Fan, type 7), taken on whole normalised samples; all statistics are
    floats in ns per execution, with the overhead removed and never below zero.

    Args:
        subject_kind: ``"kernel"``, ``"resident"`` (a kernel once more, with its weights in the last cache),
            ``"network"``, ``"constant"`` or ``"block"`` (a building block of a search space).
        subject_key: the canonical key within its kind (a kernel's key, a network's fingerprint, a name).
        label: what a person reads.
        status: ``"ok"``, ``"noisy"`` (a number, but a doubtful one) or ``"failed"`` (no number).
        reason: why it failed; empty otherwise.
        samples_ns: int64, shape [n]: the whole duration of each sample. n >= 1 unless failed, then n = 0.
        rounds: int32, shape [n]: the round in which each sample was taken, from 0. Omitted: all in round 0.
        executions_per_sample: how often the subject ran in one sample.
        overhead_ns: subtracted from each whole normalised sample (calling the runtime, reading the clock).
        rel_halfwidth: half the confidence interval of ``latency_ns`` relative to it, from a bootstrap over
            rounds (`relative_halfwidth`); None where it is not known.
        normalisation: times of the references around the samples and how far the subject follows them; None for
            samples that stand as they are.
        reference_ratio: median time of the compute reference around the samples over its nominal time (above 1:
            the machine was slow just then); None without a reference.
        flags: doubts, sorted (`QualityFlag`; extensions may add their own, lower case with hyphens).
        conditions: machine state (load, steal, governor, ...), JSON.
        versions: library name to version.
        measured_at: ISO 8601 in UTC; now if omitted.
        spec: what was measured, enough to build it again, JSON. ``macs`` and ``bytes_moved`` are understood; a
            network's ``predicted_ns`` is what the table predicted for it (`Table.self_checks`).

    Raises:
        UsageError: a field breaks the rules above.
    """

    subject_kind: str
    subject_key: str
    label: str
    status: str = "ok"
    reason: str = ""
    samples_ns: NDArray[np.int64] = field(default_factory=_no_samples, repr=False)
    rounds: NDArray[np.int32] = field(default_factory=_no_rounds, repr=False)
    executions_per_sample: int = 1
    overhead_ns: float = 0.0
    rel_halfwidth: float | None = None
    reference_ratio: float | None = None
    flags: tuple[str, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    measured_at: str = field(default_factory=utc_now)
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)
    normalisation: Normalisation | None = None

    def __post_init__(self) -> None:
        _check_names(self)
        set_field = object.__setattr__
        set_field(self, "samples_ns", _integers(self.samples_ns, np.int64, "samples_ns"))
        rounds = self.rounds if len(self.rounds) else np.zeros(self.n, np.int32)
        set_field(self, "rounds", _integers(rounds, np.int32, "rounds"))
        _check_samples(self)
        for name in ("conditions", "versions", "spec"):
            set_field(self, name, plain_dict(getattr(self, name), name))
        set_field(self, "flags", _flags(self.flags))
        set_field(self, "measured_at", _utc(self.measured_at))
        set_field(self, "overhead_ns", _number(self.overhead_ns, "overhead_ns"))
        for name in ("rel_halfwidth", "reference_ratio"):
            value = getattr(self, name)
            set_field(self, name, None if value is None else _number(value, name))

    @property
    def n(self) -> int:
        """How many samples there are."""
        return len(self.samples_ns)

    @property
    def normalised_ns(self) -> NDArray[np.float64]:
        """Whole samples at the device's nominal speed, shape [n], ns."""
        if self.normalisation is None:
            return self.samples_ns.astype(np.float64)
        return self.samples_ns / self.normalisation.factors

    def latency_at_ns(self, nominal_compute_ns: float, nominal_memory_ns: float) -> float:
        """The number at another nominal speed, given as times of the references; as it is without a normalisation.

        Raises:
            MeasurementError: the measurement failed, so there is no number.
        """
        if self.normalisation is None:
            return self.latency_ns
        return self.latency_ns * self.normalisation.rescaling(nominal_compute_ns, nominal_memory_ns)

    @property
    def latency_ns(self) -> float:
        """The number: p25 of the normalised samples less the overhead, per execution, in ns; 0 or more.

        Raises:
            MeasurementError: the measurement failed, so there is no number.
        """
        return self._statistics[1]

    @property
    def p10_ns(self) -> float:
        """10 % quantile per execution, ns. Raises MeasurementError when failed."""
        return self._statistics[0]

    @property
    def p25_ns(self) -> float:
        """25 % quantile per execution, ns: the same as ``latency_ns``."""
        return self._statistics[1]

    @property
    def median_ns(self) -> float:
        """Median per execution, ns. Raises MeasurementError when failed."""
        return self._statistics[2]

    @property
    def p90_ns(self) -> float:
        """90 % quantile per execution, ns. Raises MeasurementError when failed."""
        return self._statistics[4]

    @property
    def iqr_ns(self) -> float:
        """Distance between the quartiles per execution, ns. Raises MeasurementError when failed."""
        return self._statistics[3] - self._statistics[1]

    @cached_property
    def _statistics(self) -> tuple[float, ...]:
        if self.status == "failed":
            raise MeasurementError(
                f"{self.label or self.subject_key} has no latency: its measurement failed ({self.reason})",
                hint="measure it again, or leave it out",
            )
        totals = quantiles(self.normalised_ns, _QUANTILES) - self.overhead_ns
        return tuple((np.maximum(totals, 0.0) / self.executions_per_sample).tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Measurement):
            return NotImplemented
        return all(_same(getattr(self, item.name), getattr(other, item.name)) for item in fields(self))

    def __hash__(self) -> int:
        return hash((self.subject_kind, self.subject_key, self.measured_at))

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as plain JSON data; ``from_dict`` reads it back.

        ``latency_ms`` is there for readers; it follows from the samples.
        """
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["normalisation"] = None if self.normalisation is None else self.normalisation.to_dict()
        plain.update(samples_ns=self.samples_ns.tolist(), rounds=self.rounds.tolist(), flags=list(self.flags))
        for name in ("conditions", "versions", "spec"):
            plain[name] = plain_dict(plain[name], name)
        return plain | {"latency_ms": None if self.status == "failed" else self.latency_ns / 1e6}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` gave.

        Raises:
            UsageError: a field is unknown, missing or malformed, or ``latency_ms`` contradicts the samples.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"a row is {data!r}", hint="give an object")
        given = dict(data)
        claimed = given.pop("latency_ms", None)
        unknown = set(given) - {item.name for item in fields(cls)}
        missing = {"subject_kind", "subject_key", "label", "status", "measured_at"} - set(given)
        where = f"row {given.get('subject_kind')} {given.get('subject_key')}"
        if unknown or missing:
            named = ", ".join(f"unknown {name}" for name in sorted(map(str, unknown)))
            lacking = ", ".join(f"no {name}" for name in sorted(missing))
            raise UsageError(f"{where}: {named}{' and ' * bool(named and lacking)}{lacking}", hint="export it again")
        if given.get("normalisation") is not None:
            given["normalisation"] = Normalisation.from_dict(given["normalisation"])
        row = cls(**given)
        actual = None if row.status == "failed" else row.latency_ns / 1e6
        if claimed is not None and (actual is None or not _close(claimed, actual)):
            raise UsageError(
                f"{where}: latency_ms is {claimed!r} but the samples give {actual!r}",
                hint="leave latency_ms out, or correct the samples (nanoseconds)",
            )
        return row

    def to_json(self) -> str:
        """Return the canonical JSON text."""
        return canonical(self.to_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            UsageError: not JSON, or not a measurement.
        """
        return cls.from_dict(parse_object(text, "the measurement"))


def _check_names(row: Measurement) -> None:
    for name in ("subject_kind", "subject_key", "label", "status", "reason", "measured_at"):
        if not isinstance(getattr(row, name), str):
            raise UsageError(f"{name} is {getattr(row, name)!r}", hint="give text")
    if row.subject_kind not in SUBJECT_KINDS:
        raise UsageError(f"subject kind is {row.subject_kind!r}", hint=f"use one of {', '.join(SUBJECT_KINDS)}")
    if row.status not in STATUSES:
        raise UsageError(f"status is {row.status!r}", hint=f"use one of {', '.join(STATUSES)}")
    if not row.subject_key:
        raise UsageError("the subject has an empty key", hint="give the kernel's key, or a name")
    if bool(row.reason) != (row.status == "failed"):
        raise UsageError(
            f"status is {row.status!r} and reason is {row.reason!r}", hint="a failed row, and only it, has a reason"
        )


def _check_samples(row: Measurement) -> None:
    where = f"{row.subject_kind} {row.subject_key}"
    if (row.n == 0) != (row.status == "failed"):
        raise UsageError(
            f"{where} has status {row.status!r} and {row.n} samples",
            hint="a failed row has no samples, any other at least one",
        )
    if len(row.rounds) != row.n:
        raise UsageError(f"{where} has {row.n} samples but {len(row.rounds)} rounds", hint="give one per sample")
    if row.n and (row.samples_ns.min() < 0 or row.rounds.min() < 0):
        raise UsageError(f"{where} has a negative sample or round", hint="samples are durations in ns")
    if row.normalisation is not None and len(row.normalisation) != row.n:
        raise UsageError(
            f"{where} has {row.n} samples but references around {len(row.normalisation)}", hint="give one per sample"
        )
    executions = row.executions_per_sample
    if isinstance(executions, bool) or not isinstance(executions, int) or not 1 <= executions < 1 << 63:
        raise UsageError(f"executions_per_sample is {executions!r}", hint="give an integer, 1 or more")


def _integers(values: Any, dtype: type[np.signedinteger[Any]], name: str) -> NDArray[Any]:
    """Return a private read-only copy; refuses what would lose information on the way to `dtype`."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not an array: {error}", hint="give a 1-D array of integers") from error
    if array.size == 0:  # numpy types an empty list as float
        array = array.astype(dtype, casting="unsafe")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"{name} has type {array.dtype} and shape {array.shape}", hint="give 1-D integers")
    copy = array.astype(dtype)
    if array.dtype != dtype and not np.array_equal(copy, array):
        raise UsageError(f"{name} does not fit {np.dtype(dtype)}", hint="give nanoseconds below 2^63")
    copy.setflags(write=False)
    return copy


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise UsageError(f"{name} is {value!r}", hint="give a number")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise UsageError(f"{name} is {number}", hint="give a finite number, 0 or more (None where unknown)")
    return number


def _flags(flags: Any) -> tuple[str, ...]:
    if not isinstance(flags, list | tuple | set | frozenset) or not all(
        isinstance(flag, str) and _FLAG.fullmatch(flag) for flag in flags
    ):
        raise UsageError(f"flags are {flags!r}", hint="give names in lower case with hyphens")
    return tuple(sorted({str(flag) for flag in flags}))


def _utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"measured_at is {text!r}", hint="give ISO 8601, as 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise UsageError(f"measured_at is {text!r}, without a time zone", hint="append Z for UTC")
    return _iso(moment.astimezone(UTC))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _close(claimed: Any, actual: float) -> bool:
    return isinstance(claimed, int | float) and math.isclose(claimed, actual, rel_tol=1e-9, abs_tol=1e-12)


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, np.ndarray):
        return np.array_equal(mine, theirs)
    return bool(mine == theirs)
