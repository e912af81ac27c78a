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
    │   ├── SchemaTooNewError         it was written by a newer version of Lutra
    │   └── StoreUnavailableError     the server that keeps it does not answer
    ├── ArtifactError                 a saved predictor that cannot be read or written
    │   └── CorruptArtifactError      damaged, or altered after it was saved
    ├── TrainingError                 a training that cannot go on
    │   ├── DivergedError             its loss is no number any more; names the step and the learning rate
    │   └── CheckpointError           its saved state is damaged, or another training's
    ├── JobError                      a job that cannot be taken, found, changed or finished
    │   ├── UnknownJobError           there is no job, or file of one, of that name
    │   ├── JobRequestError           what a job is asked to do makes no sense; names the field
    │   ├── JobStateError             it is not in a state for that: says which
    │   ├── QueueFullError            too many jobs are waiting
    │   ├── IdempotencyError          its idempotency key stands for another job
    │   └── JobLostError              a worker's job is not its own any more
    ├── FleetError                    machines that are to work together, and cannot
    │   ├── UnreachableFleetError     no cluster answers at this address
    │   ├── NodeLostError             the machine that has a device is gone, and has not come back
    │   └── NodeMismatchError         a machine whose Lutra or Python is another
    └── ServiceError                  what a server answers, or why it cannot be asked
        ├── UnauthenticatedError      no token, or none that is known and still valid
        ├── ForbiddenError            the token's scope is too small, or the request comes from another site
        ├── NothingHereError          no such address, or it takes another method
        ├── PreconditionError         what the request rests on has changed, or is in use
        ├── BadRequestError           not of the form that the contract gives; says where
        ├── RequestTooLargeError      over the cap on bytes
        ├── MediaTypeError            content of a kind that is not taken, or none that can be given
        ├── RateLimitedError          too many requests; says when the next may come
        ├── ServerFaultError          a fault of the server; names the request for its log
        └── UnreachableServerError    no server answers at this address

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

    def to_dict(self) -> dict[str, str | None]:
        """What people are told of it, as plain JSON data: ``code``, ``message``, ``hint``."""
        return {"code": self.code, "message": self.message, "hint": self.hint}

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
    """The runtime's process died.

    Attributes:
        killed: it was ended from outside (SIGKILL: by whoever, or for want of memory), rather than by what it ran.
    """

    code = "LUTRA-E501"

    def __init__(self, message: str, *, hint: str | None = None, killed: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.killed = killed


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


class StoreUnavailableError(StoreError):
    """The server that keeps it does not answer."""

    code = "LUTRA-E606"


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


class JobError(LutraError):
    """A job that cannot be taken, found, changed or finished."""

    code = "LUTRA-E900"


class UnknownJobError(JobError):
    """There is no job, or file of one, of that name.

    Attributes:
        job: what was asked for.
    """

    code = "LUTRA-E901"
    exit_code = 2

    def __init__(self, job: str, *, file: str | None = None, hint: str | None = None) -> None:
        self.job = job
        what = f"there is no job {job!r}" if file is None else f"the job {job} has no file {file!r}"
        super().__init__(what, hint=hint or "lutra jobs list shows the jobs that are kept")


class JobRequestError(JobError):
    """What a job is asked to do makes no sense.

    Attributes:
        problems: what is wrong, by field ("networks.0"); "" for the request as a whole.
    """

    code = "LUTRA-E902"
    exit_code = 2

    def __init__(self, kind: str, problems: Mapping[str, str], *, hint: str | None = None) -> None:
        self.problems = dict(problems)
        told = "; ".join(f"{field}: {problem}" if field else problem for field, problem in self.problems.items())
        super().__init__(f"the request of a {kind} job makes no sense: {told}", hint=hint or "correct these fields")


class JobStateError(JobError):
    """It is not in a state for that.

    Attributes:
        job: which.
        state: the one that it is in.
    """

    code = "LUTRA-E903"

    def __init__(self, job: str, state: str, what: str, *, hint: str) -> None:
        self.job, self.state = job, state
        super().__init__(f"the job {job} is {state}: {what}", hint=hint)


class QueueFullError(JobError):
    """Too many jobs are waiting.

    Attributes:
        waiting: how many are allowed.
    """

    code = "LUTRA-E904"

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        super().__init__(f"{waiting} jobs are waiting, and no more are taken", hint="wait, or cancel some of them")


class IdempotencyError(JobError):
    """Its idempotency key stands for another job.

    Attributes:
        job: which.
    """

    code = "LUTRA-E905"

    def __init__(self, job: str) -> None:
        self.job = job
        super().__init__(
            f"the idempotency key stands for the job {job}, which was asked for something else",
            hint="give another request another key",
        )


class JobLostError(JobError):
    """A worker's job is not its own any more.

    Attributes:
        job: which.
    """

    code = "LUTRA-E906"

    def __init__(self, job: str) -> None:
        self.job = job
        super().__init__(
            f"the job {job} was taken from this worker, which was silent for too long",
            hint="nothing is to be done: committed rows are kept, and another worker goes on",
        )


class FleetError(LutraError):
    """Machines that are to work together, and cannot."""

    code = "LUTRA-E930"


class UnreachableFleetError(FleetError):
    """No cluster answers at this address."""

    code = "LUTRA-E931"


class NodeLostError(FleetError):
    """The machine that has a device is gone, and has not come back; rows that it measured are kept."""

    code = "LUTRA-E932"


class NodeMismatchError(FleetError):
    """A machine of the fleet whose Lutra or Python is another than here.

    Attributes:
        node: the machine.
        differences: one line each, as ``what: here -> there``.
    """

    code = "LUTRA-E933"

    def __init__(self, node: str, differences: Sequence[str]) -> None:
        self.node, self.differences = node, tuple(differences)
        super().__init__(
            f"{node} does not have what this machine has: {'; '.join(self.differences)}",
            hint="install the same versions on all machines of the fleet, and let it join again",
        )


class ServiceError(LutraError):
    """What a server answers, or why it cannot be asked."""

    code = "LUTRA-E910"


class UnauthenticatedError(ServiceError):
    """No token came with the request, or none that is known and still valid."""

    code = "LUTRA-E911"


class ForbiddenError(ServiceError):
    """The token's scope is too small, or the request comes from another site."""

    code = "LUTRA-E912"


class NothingHereError(ServiceError):
    """There is nothing at this address of the server, or it takes another method."""

    code = "LUTRA-E913"


class PreconditionError(ServiceError):
    """What the request rests on has changed, or is in use."""

    code = "LUTRA-E914"


class BadRequestError(ServiceError):
    """The request is not of the form that the contract gives.

    Attributes:
        fields: where, and what is wrong there.
    """

    code = "LUTRA-E915"
    exit_code = 2

    def __init__(self, message: str, fields: Mapping[str, str] | None = None, *, hint: str | None = None) -> None:
        self.fields = dict(fields or {})
        super().__init__(message, hint=hint)


class RequestTooLargeError(ServiceError):
    """The request has more bytes than the server takes.

    Attributes:
        limit_bytes: the most that it takes here.
    """

    code = "LUTRA-E916"

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"the request has more than {limit_bytes:,} bytes", hint="send less at once, or raise the server's limit"
        )


class MediaTypeError(ServiceError):
    """Content of a kind that is not taken here, or that cannot be given."""

    code = "LUTRA-E917"


class RateLimitedError(ServiceError):
    """Too many requests of one client.

    Attributes:
        retry_after_s: when the next one may come, in seconds from now.
    """

    code = "LUTRA-E918"

    def __init__(self, what: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many {what} from you", hint=f"try again in {retry_after_s:.2g} s")


class ServerFaultError(ServiceError):
    """A fault of the server itself.

    Attributes:
        request_id: what the server's log calls the request.
    """

    code = "LUTRA-E919"

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"the server failed on request {request_id}", hint="look for that number in the server's log, and report it"
        )


class UnreachableServerError(ServiceError):
    """No server answers at this address."""

    code = "LUTRA-E920"
