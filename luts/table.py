"""The rows of one device in memory: what a kernel costs, what is missing, and how well the sums came out."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import numpy as np

from ..networks.errors import FingerprintMismatchError, FormatVersionError, UsageError
from ._json import canonical, parse_object
from .columns import CSV_COLUMNS, csv_row
from .fingerprint import Fingerprint
from .measurement import Measurement
from .residency import RESIDENT

if TYPE_CHECKING:
    from .interpolation import Interpolator

FORMAT: Final = "lutra.table"
FUSION_DOCUMENT: Final = "fusion"
"""Document with the fusion rules that the device's runtime shows in its graphs."""
MEASURED_FUSION_DOCUMENT: Final = "measured fusion"
"""Document with the fusion rules that were detected by timing."""
CALIBRATION_DOCUMENT: Final = "calibration"
"""Document with what scales the numbers of a simulated device to real ones: `scale`, `source`, and the `error` left;
`note`, where there is one, says what the device's numbers are worth."""
ALIASES_DOCUMENT: Final = "aliases"
"""Document that says which rows stand for the kernels that those rules give."""
FORMAT_VERSION: Final = 2  # 1: rows without a normalisation

Source: TypeAlias = Literal["measured", "interpolated", "extrapolated", "not covered"]


@dataclass(frozen=True)
class Nearest:
    """A measured row that is like a kernel that has none.

    Attributes:
        key: the row's subject key.
        label: what it computes.
        latency_ns: its latency in ns.
    """

    key: str
    label: str
    latency_ns: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a table says about one kernel or constant.

    Attributes:
        key: what was asked for.
        source: ``"measured"``; ``"interpolated"`` between rows of its like, or ``"extrapolated"`` beyond them
            (`lutra.luts.interpolation`); or ``"not covered"``: then there is no number.
        latency_ns: the latency in ns; None when not covered.
        rel_halfwidth: half the 95 % interval relative to the latency; None where it is not known.
        row: the row behind the answer; a failed one stands here with source ``"not covered"``, so that its
            reason can be shown.
        nearest: the rows that are most like it, best first, where it was looked for among others.
    """

    key: str
    source: Source
    latency_ns: float | None
    rel_halfwidth: float | None
    row: Measurement | None
    nearest: tuple[Nearest, ...] = ()

    @property
    def covered(self) -> bool:
        """Whether there is a number."""
        return self.latency_ns is not None

    @property
    def latency_ms(self) -> float | None:
        """The latency in ms; None when not covered."""
        return None if self.latency_ns is None else self.latency_ns / 1e6


@dataclass(frozen=True)
class Coverage:
    """Which of the asked kernels have a number.

    Attributes:
        measured: distinct keys with a number, in the order asked.
        missing: distinct keys without one, in the order asked.
    """

    measured: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


@dataclass(frozen=True)
class SelfCheck:
    """A whole network that was measured beside the rows it is predicted from.

    Attributes:
        network: its label.
        status: ``"ok"`` or ``"noisy"``.
        measured_ms: measured latency.
        predicted_ms: what the table predicted when it was measured.
        error_pct: 100 (predicted - measured) / measured; None when the measured latency is 0.
    """

    network: str
    status: str
    measured_ms: float
    predicted_ms: float
    error_pct: float | None


@dataclass(frozen=True, kw_only=True)
class TableSummary:
    """A table in a few numbers.

    Attributes:
        name: the device's name.
        digest: the fingerprint's digest.
        kind: ``"real"``, ``"simulated"`` or ``"null"``.
        counts: rows by subject kind.
        statuses: rows by status.
        flags: rows by quality flag.
        median_rel_halfwidth: over the kernels where it is known; None when it is known for none.
        first_measured_at: oldest row, ISO 8601; None in an empty table.
        last_measured_at: newest row.
        self_check_mape_pct: mean absolute error of the self-checks in percent; None without any.
    """

    name: str
    digest: str
    kind: str
    counts: Mapping[str, int]
    statuses: Mapping[str, int]
    flags: Mapping[str, int]
    median_rel_halfwidth: float | None
    first_measured_at: str | None
    last_measured_at: str | None
    self_check_mape_pct: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON data."""
        return asdict(self)


class Table:
    """The rows of one device, by subject.

    Args:
        fingerprint: the device the rows were measured on.
        rows: measurements, at most one for a subject.
        name: the device's name, for people.
        documents: what else is known of the device, by name: plain JSON data.

    Raises:
        UsageError: two rows for the same subject.
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        rows: Iterable[Measurement] = (),
        *,
        name: str = "",
        documents: Mapping[str, Any] | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.documents = dict(documents or {})
        self.name = name
        self._rows: dict[tuple[str, str], Measurement] = {}
        for row in rows:
            subject = (row.subject_kind, row.subject_key)
            if subject in self._rows:
                raise UsageError(f"two rows for {' '.join(subject)}", hint="keep one of them")
            self._rows[subject] = row

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self._rows.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        mine, theirs = (self.fingerprint, self.name), (other.fingerprint, other.name)
        return mine == theirs and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # compared by content, which may be large

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self)} rows, device {self.fingerprint.digest[:12]})"

    def rows(self, kind: str | None = None) -> Iterator[Measurement]:
        """Iterate over the rows of one subject kind, or of all."""
        return (row for row in self if kind is None or row.subject_kind == kind)

    def get(self, kind: str, key: str) -> Measurement | None:
        """Return the row of a subject whatever its status, or None."""
        return self._rows.get((kind, key))

    def lookup(self, kernel_key: str, *, cold_share: float = 1.0) -> Answer:
        """Say what a kernel costs. A kernel that is absent or failed is answered "not covered".

        Args:
            kernel_key: which kernel.
            cold_share: share of its weights that come from memory, in [0, 1]; the others are in the last cache
                (`lutra.luts.residency`). Without a row for that case the ordinary row stands for both.
        """
        cold = self._answer("kernel", kernel_key)
        if cold_share >= 1.0 or not cold.covered:
            return cold
        resident = self._answer(RESIDENT, kernel_key)
        return _mixed(cold, resident, cold_share) if resident.covered else cold

    @cached_property
    def interpolator(self) -> "Interpolator":
        """What answers for kernels without a row; fitted as it is asked, and kept: a table's rows do not change.

        Raises:
            CorruptModelError: a row says of its kernel what cannot be read.
        """
        from .interpolation import Interpolator

        return Interpolator(self)

    def constant(self, name: str) -> Answer:
        """Say what a constant of the runtime costs, such as ``"run"`` (once a network)."""
        return self._answer("constant", name)

    def cover(self, keys: Iterable[str]) -> Coverage:
        """Say which kernels have a number. Repeated keys count once."""
        found: dict[bool, list[str]] = {True: [], False: []}
        for key in dict.fromkeys(keys):
            found[self.lookup(key).covered].append(key)
        return Coverage(tuple(found[True]), tuple(found[False]))

    def self_checks(self) -> list[SelfCheck]:
        """Return the networks that were measured beside their prediction, in the order of the rows.

        The prediction is ``spec["predicted_ns"]`` of the network's row. Failed networks have none.
        """
        return list(self._self_checks)

    @cached_property
    def _self_checks(self) -> tuple[SelfCheck, ...]:
        """Worked out once: every interval asks for them, and a table's rows do not change."""
        checks = []
        for row in self.rows("network"):
            predicted_ns = row.spec.get("predicted_ns")
            if row.status != "failed" and isinstance(predicted_ns, int | float):
                checks.append(_self_check(row, float(predicted_ns)))
        return tuple(checks)

    def require_fingerprint(self, expected: Fingerprint) -> None:
        """Refuse a table of another device.

        Raises:
            FingerprintMismatchError: lists what differs, as ``expected -> this table's``.
        """
        differences = expected.differences(self.fingerprint)
        if differences:
            raise FingerprintMismatchError(
                f"the table {self.name!r} was measured on another device",
                differences,
                hint="use the table of this device, or profile this device",
            )

    def summary(self) -> TableSummary:
        """Return the table in a few numbers."""
        halfwidths = [row.rel_halfwidth for row in self.rows("kernel") if row.rel_halfwidth is not None]
        errors = [abs(check.error_pct) for check in self.self_checks() if check.error_pct is not None]
        moments = sorted(row.measured_at for row in self)
        return TableSummary(
            name=self.name,
            digest=self.fingerprint.digest,
            kind=self.fingerprint.kind,
            counts=_tally(row.subject_kind for row in self),
            statuses=_tally(row.status for row in self),
            flags=_tally(flag for row in self for flag in row.flags),
            median_rel_halfwidth=float(np.median(halfwidths)) if halfwidths else None,
            first_measured_at=moments[0] if moments else None,
            last_measured_at=moments[-1] if moments else None,
            self_check_mape_pct=float(np.mean(errors)) if errors else None,
        )

    def to_json(self) -> str:
        """Return the whole table, raw samples included, as JSON; ``from_json`` reads it back without loss."""
        return canonical(
            {
                "format": FORMAT,
                "version": FORMAT_VERSION,
                "name": self.name,
                "fingerprint": self.fingerprint.to_dict(),
                "rows": [row.to_dict() for row in self],
            }
            | ({"documents": self.documents} if self.documents else {})
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            FormatVersionError: a newer version of Lutra wrote it.
            UsageError: not JSON, not a table, or a row is malformed (named by its number, from 1).
        """
        data = parse_object(text, "the table")
        version = data.get("version")
        if data.get("format") != FORMAT or isinstance(version, bool) or not isinstance(version, int):
            raise UsageError("this JSON is not a Lutra table", hint="export one with 'lutra table'")
        if version > FORMAT_VERSION:
            raise FormatVersionError("the table", version, FORMAT_VERSION)
        rows, name, documents = data.get("rows"), data.get("name"), data.get("documents", {})
        if not isinstance(rows, list) or not isinstance(name, str) or "fingerprint" not in data:
            raise UsageError("the table lacks its rows, name or fingerprint", hint="export it again")
        if not isinstance(documents, dict):
            raise UsageError("the table's documents are not an object", hint="export it again")
        fingerprint = Fingerprint.from_dict(data["fingerprint"])
        return cls(
            fingerprint, (_row(number, row) for number, row in enumerate(rows, 1)), name=name, documents=documents
        )

    def to_csv(self) -> str:
        """Return one line a row for spreadsheets: the numbers in ms, without raw samples."""
        out = io.StringIO()
        writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(csv_row(row) for row in self)
        return out.getvalue()

    def _answer(self, kind: str, key: str) -> Answer:
        row = self._rows.get((kind, key))
        if row is None or row.status == "failed":
            return Answer(key=key, source="not covered", latency_ns=None, rel_halfwidth=None, row=row)
        return Answer(key=key, source="measured", latency_ns=row.latency_ns, rel_halfwidth=row.rel_halfwidth, row=row)


def _mixed(cold: Answer, resident: Answer, cold_share: float) -> Answer:
    """The answer for weights of which a share is cold; the less certain of the two rows says how certain it is."""
    assert cold.latency_ns is not None
    assert resident.latency_ns is not None
    latency_ns = cold_share * cold.latency_ns + (1 - cold_share) * resident.latency_ns
    halfwidths = (cold.rel_halfwidth, resident.rel_halfwidth)
    known = [halfwidth for halfwidth in halfwidths if halfwidth is not None]
    halfwidth = max(known) if len(known) == len(halfwidths) else None
    return replace(cold, latency_ns=latency_ns, rel_halfwidth=halfwidth)


def _self_check(row: Measurement, predicted_ns: float) -> SelfCheck:
    measured_ns = row.latency_ns
    error_pct = 100 * (predicted_ns - measured_ns) / measured_ns if measured_ns else None
    return SelfCheck(row.label, row.status, measured_ns / 1e6, predicted_ns / 1e6, error_pct)


def _row(number: int, data: Any) -> Measurement:
    try:
        return Measurement.from_dict(data)
    except UsageError as error:
        raise UsageError(f"row {number} of the table: {error.message}", hint=error.hint) from error


def _tally(items: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(items).items()))
