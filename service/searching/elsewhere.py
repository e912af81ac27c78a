"""A search that a server's worker does: what is asked of it, and what comes back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .folder import TEXT
from .settings import BOUNDS, SAME

if TYPE_CHECKING:
    from ..client import Client
    from ..jobs.job import Job
    from .settings import Settings

_HINT: Final = "a server's job names no files: give the name of what the server has; lutra search alone takes files"


def request_of(settings: "Settings", *, fit_job: str | None, remeasure: int) -> dict[str, Any]:
    """What a search job is asked, of what the command line asks for.

    Args:
        settings: what is searched for.
        fit_job: id of the job whose predictor is asked, instead of the device.
        remeasure: how many of the best are measured afterwards.

    Raises:
        UsageError: the search needs a file of this machine.
    """
    from ...networks.errors import UsageError

    named = [
        ("--space", settings.space),
        ("--device", settings.device),
        ("--engine", settings.engine),
        ("--accuracy", settings.accuracy),
        ("--data", settings.data),
        ("--supernet", settings.supernet),
        *(("--also", name) for name in settings.also),
    ]
    for option, text in named:
        if text is not None and Path(text).is_absolute():
            raise UsageError(f"--server and {option} {text}", hint=_HINT)
    request = {name: getattr(settings, name) for name in SAME}
    request |= {BOUNDS[name]: bound for name, bound in settings.bounds.items()}
    if fit_job is not None:
        del request["device"]
    return request | {"trade": list(settings.trade), "model": fit_job, "remeasure": remeasure}


def fetched(client: "Client", job: "Job", folder: Path) -> str:
    """Write all files that a search job left into a folder; returns what they say in words.

    Args:
        client: the server.
        job: one that succeeded.
        folder: is made.

    Raises:
        LutraError: a file cannot be had.
        UsageError: a file's name leads out of the folder.
    """
    from ..jobs.reading import write_files

    write_files(client.jobs, job.id, folder)
    return (folder / TEXT).read_text(encoding="utf-8")
