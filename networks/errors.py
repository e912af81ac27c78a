"""Every error Lutra raises on purpose.

::

    LutraError                        what went wrong, and a hint that names the fix
    ├── UsageError                    the caller asked for something that makes no sense           (exit 2)
    │   ├── UnknownNameError          a name that is not registered; lists the known ones
    │   ├── ShapeError                an op cannot take these shapes or attributes
    │   ├── TableFileError            a file of latencies that cannot be read or written; names row and column
    │   ├── InfeasibleError           a budget that no architecture of the space keeps; says the least
    │   ├── SearchStateError          the file of an interrupted search that cannot go on; says why
    │   └── ImageDataError            images that cannot be learned from; names file and row
    ├── NotSupportedError             sensible, but not possible here                              (exit 3)
    │   ├── UnsupportedOpError        ops that the catalogue, or a runtime, does not have
    │   ├── UnsupportedDtypeError     an element type nobody here computes with
    │   ├── MissingDependencyError    an optional package is not installed; names the pip command
    │   └── NotCoveredError           the table has no row for some kernels
    ├── ModelFileError                a model file that cannot be read
    │   ├── CorruptModelError         truncated, not the format it claims, or inconsistent
    │   ├── DynamicShapeError         a dimension is symbolic, zero or negative
    │   ├── ExternalDataError         the file points at other files
    │   └── ModelTooLargeError        over the size, node or memory cap
    ├── FormatVersionError            data written by a newer version of Lutra
    ├── FingerprintMismatchError      rows of one machine offered for another
    ├── GpuLostError                  the GPU is gone in the middle of the work
    ├── MeasurementError              a measurement that did not happen
    │   ├── WorkerCrashedError        the runtime's process died
    │   └── WorkerTimeoutError        the runtime's process hung and was killed
    ├── StoreError                    the database of rows
    │   ├── StoreReadOnlyError        it cannot be written
    │   ├── StoreFullError            the disk is full
    │   ├── StoreLockedError          another process holds it
    │   ├── StoreCorruptError         it is damaged
    │   └── SchemaTooNewError         it was written by a newer version of Lutra
    ├── ArtifactError                 a saved predictor that cannot be read or written
    │   └── CorruptArtifactError      damaged, or altered after it was saved
    └── TrainingError                 a training that cannot go on
        ├── DivergedError             its loss is no number any more; names the step and the learning rate
        └── CheckpointError           its saved state is damaged, or another training's

Each class has a stable ``code`` (a heading in ``docs/errors.md``) and an ``exit_code`` for the command line.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from typing import ClassVar


class LutraError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what is wrong, with the offending value.
        hint: what to do about it, as an imperative sentence.
    """

    code: ClassVar[str] = "LUTRA-E000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  fix: {self.hint}"


class UsageError(LutraError):
    """The caller asked for something that makes no sense."""

    code = "LUTRA-E100"
    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered.

    Attributes:
        what: the kind of thing that was looked up ("device", "op", ...).
        name: what was asked for.
        known: the names that would have worked.
    """

    code = "LUTRA-E101"

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, tuple(sorted(known))
        close = get_close_matches(name, self.known, n=3)
        listed = close or self.known[:12]
        more = "" if close or len(self.known) <= 12 else f", ... ({len(self.known)} in all)"
        verb = "did you mean" if close else "known"
        super().__init__(f"unknown {what} {name!r}", hint=f"{verb}: {', '.join(listed)}{more}")


class ShapeError(UsageError):
    """An op cannot take these shapes or attributes."""

    code = "LUTRA-E102"


class TableFileError(UsageError):
    """A file of latencies that cannot be read or written.

    Attributes:
        path: the file.
        problem: what is wrong there.
        row: the row (a line of a text file, else its number from 1), or None where the whole file is meant.
        column: the column or field, or None.
    """

    code = "LUTRA-E104"

    def __init__(
        self,
        path: str | PathLike[str],
        problem: str,
        *,
        row: int | None = None,
        column: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.path, self.problem, self.row, self.column = str(path), problem, row, column
        places = [self.path, *([f"row {row}"] if row is not None else []), *([f"column {column}"] if column else [])]
        super().__init__(f"{', '.join(places)}: {problem}", hint=hint)


class InfeasibleError(UsageError):
    """A budget that no architecture of the space keeps.

    Attributes:
        what: what is bounded, with its unit ("latency_ms").
        budget: what was asked for.
        least: the least that an architecture was found to need.
    """

    code = "LUTRA-E105"

    def __init__(self, what: str, budget: float, least: float, *, space: str) -> None:
        self.what, self.budget, self.least = what, budget, least
        super().__init__(
            f"no architecture of the space {space!r} keeps {what} <= {budget:g}: the least is {least:.4g}",
            hint=f"give a budget of at least {least:.4g}, or another space or device",
        )


class SearchStateError(UsageError):
    """The file of an interrupted search that this search cannot go on from: of another one, or damaged."""

    code = "LUTRA-E106"


class ImageDataError(UsageError):
    """Images that cannot be learned from.

    Attributes:
        source: the file or folder, or what the images are called.
        problem: what is wrong there.
        row: the image, counted from 0, or None where all are meant.
    """

    code = "LUTRA-E107"

    def __init__(
        self, source: str | PathLike[str], problem: str, *, row: int | None = None, hint: str | None = None
    ) -> None:
        self.source, self.problem, self.row = str(source), problem, row
        place = self.source if row is None else f"{self.source}, image {row}"
        super().__init__(f"{place}: {problem}", hint=hint)


class NotSupportedError(LutraError):
    """Sensible, but not possible here."""

    code = "LUTRA-E200"
    exit_code = 3


class UnsupportedOpError(NotSupportedError):
    """Ops that the catalogue, or a runtime, does not have.

    Attributes:
        where: the model or runtime, as it stands in the message.
        counts: how often each unsupported op occurs.
    """

    code = "LUTRA-E201"

    def __init__(self, where: str, counts: Mapping[str, int], *, hint: str | None = None) -> None:
        self.where, self.counts = where, dict(counts)
        listed = ", ".join(f"{name} x{count}" for name, count in sorted(self.counts.items()))
        super().__init__(f"{where} has ops that are not supported: {listed}", hint=hint)


class UnsupportedDtypeError(NotSupportedError):
    """An element type nobody here computes with."""

    code = "LUTRA-E202"


class MissingDependencyError(NotSupportedError):
    """An optional package is not installed.

    Attributes:
        package: the importable name that is missing.
        extra: the extra of Lutra that brings it.
    """

    code = "LUTRA-E203"

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{purpose} needs {package}", hint=f"pip install 'lutra[{extra}]'")


class NotCoveredError(NotSupportedError):
    """The table has no row for some kernels.

    Attributes:
        missing: labels of the kernels without a row.
    """

    code = "LUTRA-E204"

    def __init__(self, message: str, missing: Sequence[str], *, hint: str | None = None) -> None:
        self.missing = tuple(missing)
        super().__init__(message, hint=hint)


class ModelFileError(LutraError):
    """A model file that cannot be read."""

    code = "LUTRA-E300"
    exit_code = 2


class CorruptModelError(ModelFileError):
    """Truncated, not the format it claims to be, or inconsistent."""

    code = "LUTRA-E301"


class DynamicShapeError(ModelFileError):
    """A dimension is symbolic, zero or negative."""

    code = "LUTRA-E302"


class ExternalDataError(ModelFileError):
    """The file points at other files."""

    code = "LUTRA-E303"


class ModelTooLargeError(ModelFileError):
    """Over the size, node or memory cap."""

    code = "LUTRA-E304"


class FormatVersionError(LutraError):
    """Data written by a newer version of Lutra."""

    code = "LUTRA-E400"

    def __init__(self, what: str, found: int | str, known: int | str) -> None:
        self.found, self.known = found, known
        super().__init__(
            f"{what} has format version {found}; this version of Lutra reads up to {known}",
            hint="upgrade with: pip install -U lutra",
        )


class FingerprintMismatchError(LutraError):
    """Rows of one machine offered for another.

    Attributes:
        differences: one line per property that differs.
    """

    code = "LUTRA-E401"

    def __init__(self, message: str, differences: Sequence[str], *, hint: str | None = None) -> None:
        self.differences = tuple(differences)
        super().__init__(f"{message}: {'; '.join(self.differences)}", hint=hint)


class MeasurementError(LutraError):
    """A measurement that did not happen."""

    code = "LUTRA-E500"


class WorkerCrashedError(MeasurementError):
    """The runtime's process died."""

    code = "LUTRA-E501"


class WorkerTimeoutError(MeasurementError):
    """The runtime's process hung and was killed."""

    code = "LUTRA-E502"


class GpuLostError(LutraError):
    """The GPU is gone, or in a state from which only a new process recovers; rows that were committed stand."""

    code = "LUTRA-E503"


class StoreError(LutraError):
    """The database of rows."""

    code = "LUTRA-E600"


class StoreReadOnlyError(StoreError):
    """It cannot be written."""

    code = "LUTRA-E601"


class StoreFullError(StoreError):
    """The disk is full."""

    code = "LUTRA-E602"


class StoreLockedError(StoreError):
    """Another process holds it."""

    code = "LUTRA-E603"


class StoreCorruptError(StoreError):
    """It is damaged."""

    code = "LUTRA-E604"


class SchemaTooNewError(StoreError):
    """It was written by a newer version of Lutra.

    Attributes:
        found: the schema revision in the database.
        known: the newest revision that this version knows.
    """

    code = "LUTRA-E605"

    def __init__(self, found: str, known: str) -> None:
        self.found, self.known = found, known
        super().__init__(
            f"the store has schema {found!r}; this version of Lutra knows up to {known!r}",
            hint="upgrade with: pip install -U lutra (or point LUTRA_STORE at another file)",
        )


class ArtifactError(LutraError):
    """A saved predictor that cannot be read or written."""

    code = "LUTRA-E700"


class CorruptArtifactError(ArtifactError):
    """Damaged, or altered after it was saved."""

    code = "LUTRA-E701"


class TrainingError(LutraError):
    """A training that cannot go on."""

    code = "LUTRA-E800"


class DivergedError(TrainingError):
    """The loss of a training is no number any more.

    Attributes:
        step: which it was at, counted from 0.
        learning_rate: at that step.
    """

    code = "LUTRA-E801"

    def __init__(self, step: int, learning_rate: float, *, hint: str) -> None:
        self.step, self.learning_rate = step, learning_rate
        super().__init__(
            f"the loss is no number any more at step {step}, at a learning rate of {learning_rate:.3g}", hint=hint
        )


class CheckpointError(TrainingError):
    """The saved state of a training is damaged, or another training's."""

    code = "LUTRA-E802"
