"""How much the queue takes and keeps."""

from dataclasses import dataclass

from ...luts.leases import STALE_AFTER_S


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the queue takes and keeps.

    Attributes:
        waiting: jobs that may wait; one more is refused.
        request_bytes: size of a request.
        result_bytes: size of a result.
        event_bytes: size of an event.
        events: of a job; later ones are dropped, but for changes of state.
        log_characters: of a job; what comes after is dropped, and the log says so.
        file_bytes: size of one file of a job.
        files_bytes: size of all files of a job.
        losses: workers that may die of a job in a row, without any sign of progress, before it has failed.
        stale_after_s: silence after which a worker counts as dead.
        retention_s: age at which finished jobs are deleted, with all that belongs to them.
    """

    waiting: int = 1000
    request_bytes: int = 16 << 20
    result_bytes: int = 16 << 20
    event_bytes: int = 64 << 10
    events: int = 1_000_000
    log_characters: int = 1 << 20
    file_bytes: int = 32 << 20
    files_bytes: int = 128 << 20
    losses: int = 3
    stale_after_s: float = STALE_AFTER_S
    retention_s: float = 30 * 24 * 3600.0
