"""A client that is killed: submits jobs that profile the null device over HTTP, a few at a time.

``python -m benchmarks.service._submitting URL``, with ``LUTRA_TOKEN``, goes on where an earlier one was killed: the
jobs have idempotency keys ``0``, ``1``, ... It ends by SIGTERM.
"""

import sys
import time
from typing import Any, Final

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import ServiceError, StoreError
from lutra.service import Client
from lutra.service.client import RemoteJobs
from lutra.service.jobs.job import Job

AT_ONCE: Final = 3
LAYERS: Final = 120
_LOOK_S: Final = 0.1


def network(number: int) -> Network:
    """A chain of layers, each a kernel of its own that no other job has."""
    b = NetworkBuilder(f"chain-{number}")
    x = b.input((1, 1, 4, 4 + number))
    for channels in range(1, LAYERS + 1):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=1)
    return b.build(x)


def request(number: int) -> dict[str, Any]:
    """What the job of that number is asked."""
    return {"networks": [network(number).to_json()], "device": "null"}


def submit_for_ever(url: str) -> None:
    """Keep some jobs waiting or running; a server that does not answer is asked again."""
    with Client(url) as client:
        while True:
            try:
                _top_up(client.jobs)
            except (ServiceError, StoreError) as fault:
                sys.stderr.write(f"{fault.message}\n")
            time.sleep(_LOOK_S)


def _top_up(jobs: RemoteJobs) -> None:
    """Submit the next job, if few are unfinished. A key that was submitted before gives the job that there is."""
    known: list[Job] = []
    after = None
    while True:
        page = jobs.list(after=after, limit=200)
        known += page.jobs
        after = page.after
        if after is None:
            break
    if sum(not job.is_finished for job in known) < AT_ONCE:
        number = len(known)
        jobs.submit("profile", request(number), idempotency_key=str(number))


if __name__ == "__main__":
    submit_for_ever(sys.argv[1])
