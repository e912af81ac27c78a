"""`lutra agent` and `lutra serve` on two machines, as far as the network knows, with a bad wire between them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.service.jobs.queue import JobQueue
from lutra.service.tokens import Tokens

from .test_agent import NULL, RUN, require_same, wait_for
from .wire import ENDS, Wire, wire_is_missing


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that find the package."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))


@pytest.fixture
def wire() -> Iterator[Wire]:
    if reason := wire_is_missing():
        pytest.skip(reason)
    with Wire(loss=0.1, delay_s=0.05, seed=5) as wire:
        yield wire


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_wire_that_loses_delays_and_breaks_loses_no_row(wire: Wire, tmp_path: Path) -> None:
    url = f"http://{ENDS[0]}:8000"
    with Store.open(tmp_path / "rows.db") as store:
        _, token = Tokens(store).create("pi", "profile")
        (tmp_path / "token").write_text(token)
        queue = JobQueue(store)
        jobs = [queue.submit("profile", NULL | {"networks": [name]}) for name in ("mobilenet_v2", "resnet18")]
        serve = ["serve", "--host", ENDS[0], "--port", "8000", "--store", str(tmp_path / "rows.db")]
        measure = ["-v", "agent", "--server", url, "--token-file", str(tmp_path / "token"), "--until-idle"]
        measure += ["--store", str(tmp_path / "agent.db"), "--folder", str(tmp_path / "work"), "--device", "pi=null"]
        with (tmp_path / "log").open("w") as log:
            commands = [[*wire.at(end), sys.executable, "-c", RUN, *rest] for end, rest in enumerate((serve, measure))]
            processes = [subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path) for command in commands]
        try:
            wait_for(lambda: queue.get(jobs[0].id).events > 6)
            wire.loss = 1.0  # cut
            with Store.open(tmp_path / "agent.db") as here:
                wait_for(lambda: JobQueue(here).get(jobs[0].id).is_finished)
            time.sleep(5.0)
            wire.loss = 0.2
            assert processes[1].wait(400) == 0
        finally:
            for process in processes:
                process.terminate()
                process.wait(30)
        for job in jobs:
            assert queue.get(job.id).state == "succeeded"
            events = list(queue.events(job.id))
            assert [event["number"] for event in events] == list(range(1, len(events) + 1))
            rows = [(event["kind"], event["key"]) for event in events if event["event"] == "row"]
            assert len(rows) == len({*rows})
    assert wire.lost > 20
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 20
