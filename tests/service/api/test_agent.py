"""`lutra agent`: jobs of a server, measured elsewhere; networks that fail, processes that die, tokens that end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lutra.luts import Store
from lutra.service import Client
from lutra.service.agent.agent import AgentSettings, run_agent
from lutra.service.jobs.job import Job
from lutra.service.jobs.queue import JobQueue
from lutra.service.tokens import Tokens

from .cable import Cable
from .conftest import OWNER, Live, serve_copy

RUN = "from lutra.service.cli import main; main()"
PLUGINS = Path(__file__).parents[1] / "plugins"
NULL = {"networks": ["mobilenet_v2"], "device": "pi", "resolution": 32}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of job of another package; processes that find it, and a token."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)


@pytest.fixture
def live(filled: Path, tmp_path: Path) -> Iterator[Live]:
    """A server of one's own: tests here change its store."""
    with serve_copy(filled, tmp_path) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with Client(live.url, token=OWNER) as client:
        yield client


def settings(folder: Path, url: str, **others: Any) -> AgentSettings:
    given: dict[str, Any] = {
        "server": url,
        "token_file": None,
        "name": "pi",
        "store": folder / "agent.db",
        "devices": {"pi": "null"},
        "folder": folder / "work",
        "until_idle": True,
    }
    return AgentSettings(**given | others)


def start(folder: Path, url: str, *arguments: str) -> "subprocess.Popen[str]":
    """An agent as a process, that measures the null device as "pi"."""
    command = [sys.executable, "-c", RUN, "-v", "agent", "--server", url, "--store", str(folder / "agent.db")]
    command += ["--device", "pi=null", "--name", "pi", "--folder", str(folder / "work"), *arguments]
    with (folder / "agent.log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=folder)


@contextmanager
def agent(folder: Path, url: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    process = start(folder, url, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    ends_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.1)
    return found


def require_same(here: Path, there: Path, device: str = "pi") -> int:
    """That two stores have the same table of a device, raw samples and documents too; how many rows."""
    with Store.open(here, read_only=True) as mine, Store.open(there, read_only=True) as theirs:
        table = mine.table(device)
        assert theirs.table(device) == table
        assert theirs.device(device).digest == mine.device(device).digest
        assert theirs.documents(device) == mine.documents(device)
        return len(list(table))


def require_told_once(client: Client, job: Job) -> None:
    """That a job's events are numbered without gaps, and tell of no row twice."""
    events = list(client.jobs.events(job.id))
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    rows = [(event["kind"], event["key"]) for event in events if event["event"] == "row"]
    assert len(rows) == len({*rows})


def test_a_job_is_measured_elsewhere(live: Live, client: Client, tmp_path: Path) -> None:
    job = client.jobs.submit("profile", NULL)
    assert run_agent(settings(tmp_path, live.url), threading.Event()) == 1
    done = client.jobs.get(job.id)
    assert (done.state, done.worker, done.attempts) == ("succeeded", "pi", 1)
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 10
    require_told_once(client, job)
    names = [event["event"] for event in client.jobs.events(job.id)]
    assert names[:4] == ["state", "state", "state", "started"]
    assert {"row", "finished"} < {*names}
    with Store.open(tmp_path / "agent.db") as store:
        digest = store.device("pi").digest
        assert client.jobs.result(job.id)["digest"] == digest
        assert JobQueue(store).list().jobs == ()  # the spool keeps rows, and nothing else
    assert client.jobs.log(job.id).count("\n") >= 0
    (device,) = [found for found in client.summaries() if found.device.name == "pi"]
    assert device.device.digest == digest
