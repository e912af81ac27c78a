"""What stands for a server that is killed: submits jobs that profile the null device, a few at a time.

``python -m benchmarks.service._submitting STORE`` goes on where an earlier one was killed: the jobs have idempotency
keys ``0``, ``1``, ... It ends by SIGTERM.
"""

import sys
import time
from typing import Any, Final

from lutra.luts import Store
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import StoreError
from lutra.service.jobs.job import ACTIVE, WAITING
from lutra.service.jobs.queue import JobQueue

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
    """Keep some jobs waiting or running."""
    while True:
        try:
            with Store.open(url) as store:
                queue = JobQueue(store)
                while True:
                    counts = queue.counts()
                    if sum(counts.get(state, 0) for state in (*WAITING, *ACTIVE)) < AT_ONCE:
                        number = sum(counts.values())
                        queue.submit("profile", request(number), idempotency_key=str(number))
                    time.sleep(_LOOK_S)
        except StoreError as fault:
            sys.stderr.write(f"{fault.message}\n")
            time.sleep(_LOOK_S)


if __name__ == "__main__":
    submit_for_ever(sys.argv[1])
