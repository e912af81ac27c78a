"""Jobs: all of them, and one that is followed while it runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..page import Page

_EVENTS_SHOWN: Final = 100


def jobs_page(jobs: Sequence[Mapping[str, Any]], *, after: str | None = None, **state: Any) -> Page:
    """A page of jobs, the newest first.

    Args:
        jobs: each as its ``to_dict`` gives it.
        after: what asks for the next page; None on the last.
        state: what the list was asked by (kind, state, device).
    """
    return Page(
        template="jobs.html", title="Jobs", place="jobs", data={"jobs": [*map(dict, jobs)], "after": after, **state}
    )


def job_page(
    job: Mapping[str, Any], events: Sequence[Mapping[str, Any]], log: str = "", files: Sequence[str] = ()
) -> Page:
    """One job: where it stands, the rows it made last, doubts, its log and its files.

    Args:
        job: as its ``to_dict`` gives it.
        events: all of them or the last, in order: of a campaign (`lutra.profiler.events`) or a search.
        log: its text.
        files: names of what it left.
    """
    rows = [event for event in events if event.get("event") in ("row", "failed")]
    counted = next((event for event in reversed(events) if "done" in event and "total" in event), None)
    progress = None if counted is None else {k: counted.get(k) for k in ("done", "total", "eta_s")}
    started = next((event for event in events if event.get("event") == "started"), None)
    if progress is None and started is not None and "total" in started:
        progress = {"done": 0, "total": started["total"], "eta_s": started.get("estimate_s")}
    return Page(
        template="job.html",
        title=f"{str(job['kind']).capitalize()} {job['id']}",
        place="jobs",
        data={
            "job": dict(job),
            "progress": progress,
            "noisy": sum(event.get("status") == "noisy" for event in rows),
            "failed": sum(event.get("event") == "failed" for event in rows),
            "rows": [dict(event) for event in rows[-_EVENTS_SHOWN:][::-1]],
            "events": len(events),
            "log": log,
            "files": list(files),
        },
    )
