"""The process that runs one job: ``python -m lutra.service.jobs.child``, started by `lutra.service.jobs.attempt`.

It reads what to run on standard input, works, and says in the store how it ended. When the input closes, its worker is
dead: it ends itself at once, with all processes that it has started, so that nothing is measured that nobody asked for.
"""

import json
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final, TextIO

from ...luts import Store
from ...networks.errors import (
    JobError,
    JobLostError,
    LutraError,
    StoreLockedError,
    StoreUnavailableError,
    WorkerCrashedError,
)
from .context import Context
from .job import Claim, State
from .kinds import checked_request
from .orders import AWAY, LOST, Order, Start
from .processes import kill_session
from .queue import JobQueue

logger = logging.getLogger(__name__)

_STATES: Final[dict[Order, State]] = {"cancel": "cancelled", "time": "timed_out"}
_BROKEN: Final = "a fault of Lutra's: please report it, with the log of the job"


class Orders:
    """Listens to what the worker says.

    Args:
        stream: where it comes from.

    Attributes:
        order: the last one; None while there is none.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.order: Order | None = None

    def obey(self, cancel: threading.Event) -> None:
        """From now on, set ``cancel`` when the job is to end, and die when the worker does."""
        threading.Thread(target=self._listen, args=(cancel,), name="lutra-job-orders", daemon=True).start()

    def _listen(self, cancel: threading.Event) -> None:
        for line in self._stream:
            word = line.strip()
            if word in ("cancel", "time", "stop"):
                self.order = word  # type: ignore[assignment]
                cancel.set()
        kill_session(os.getsid(0))


def run(start: Start, orders: Orders) -> int:
    """Run a job to its end; returns the exit status.

    Args:
        start: what to run, in the store that the environment names.
        orders: of the worker.
    """
    folder = Path(start.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(create=False) as store:
        queue = JobQueue(store)
        claim = Claim(queue.get(start.job_id), start.token)
        context = Context(store, queue, claim, folder, start.devices)
        orders.obey(context.cancel)
        queue.heartbeat(start.job_id, start.token)  # raises where it is lost already
        try:
            result, error = _outcome(context)
        except WorkerCrashedError as crash:  # of the whole runtime, before it could say of which kernel
            queue.give_back(start.job_id, start.token, crash.message, lost=True)
            return 0
        if orders.order == "stop":
            queue.give_back(start.job_id, start.token, "its worker was told to stop")
            return 0
        # What was told to end and did is an end of that kind, whatever it came to.
        state: State = _STATES[orders.order] if orders.order else "succeeded" if error is None else "failed"
        queue.finish(start.job_id, start.token, state, result=result, error=error)
    return 0


def _outcome(context: Context) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What a job found, or why it failed.

    Raises:
        JobLostError, StoreUnavailableError, StoreLockedError, WorkerCrashedError: it cannot be said of the job itself
            that it failed; it may well succeed the next time.
    """
    try:
        kind, request = checked_request(context.job.kind, context.job.request)  # a newer version may have taken it
        with context:
            return dict(kind().run(request, context)), None
    except (JobLostError, StoreUnavailableError, StoreLockedError, WorkerCrashedError):
        raise
    except LutraError as error:
        logger.error("%s", error)
        return None, error.to_dict()
    except Exception as error:
        traceback.print_exc()
        return None, {"code": JobError.code, "message": f"{type(error).__name__}: {error}", "hint": _BROKEN}


def main() -> int:
    """Read what to run, and run it."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Standard output is the log too: what prints there, prints for people.
    start = Start(**json.loads(sys.stdin.readline()))
    try:
        return run(start, Orders(sys.stdin))
    except JobLostError as error:
        logger.warning("%s", error.message)
        return LOST
    except (StoreUnavailableError, StoreLockedError) as error:
        logger.warning("%s", error)
        return AWAY


if __name__ == "__main__":
    sys.exit(main())
