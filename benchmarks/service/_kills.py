"""Kills servers, workers, what they have started, and the database with SIGKILL at random moments, and looks for loss.

Two workers run profile jobs of the null device, which a third process keeps submitting over HTTP to ``lutra serve``. An
observer reads events over HTTP too, and remembers every row that it was told of. After each kill the store must hold
each of these rows, as it was told, once; what was killed is started again, and at the end all jobs must succeed, with
all their rows.

``python -m benchmarks.service._kills --kills N --database sqlite`` prints what was found as JSON.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from lutra.luts import Store
from lutra.luts.testing_postgres import PostgresServer, postgres_is_missing
from lutra.networks.errors import ServiceError, StoreError
from lutra.profiler import make_plan, resolve_device
from lutra.service import Client
from lutra.service.jobs.job import Job
from lutra.service.jobs.queue import JobQueue
from lutra.service.tokens import Tokens

from .._results import ROOT, Figure, note
from ._submitting import network

KILLS: Final = 50
WORKERS: Final = 2
_EARLY: Final = 0.2  # share of the kills that wait for no row
_SOON_S: Final = 1.5  # these come within this time
_LATER_S: Final = 0.4  # the others within this time of a row
_PATIENCE_S: Final = 600.0
_LOOK_S: Final = 0.1


@dataclass
class Found:
    """What kills did.

    Attributes:
        kills: how many there were, by what was killed.
        jobs: how many were submitted.
        rows: rows that the observer was told of.
        lost: of these, missing or changed after a kill; and rows of jobs that succeeded which are not there.
        duplicated: rows, events or jobs that are there twice.
        unsound: stores whose check found a fault, rows that are failed, and jobs that did not succeed in the end.
        problems: what was wrong, in words.
        seconds: how long it took.
    """

    kills: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    unsound: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Hunt:
    """Kills what works on one store.

    Args:
        url: of the store, which is empty.
        folder: for files of jobs and logs.
        seed: of the moments and the victims.
        server: the database's, where it has one.
    """

    def __init__(self, url: str, folder: Path, seed: int, server: PostgresServer | None = None) -> None:
        self._url, self._folder, self._server = url, folder, server
        self._random = random.Random(seed)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._address = f"127.0.0.1:{_free_port()}"
        self._told: dict[tuple[str, str], float] = {}
        self._seen: Counter[str] = Counter()
        self.found = Found()

    def run(self, kills: int) -> Found:
        """Kill so often, then let everything come to its end."""
        started_s = time.monotonic()
        with Store.open(self._url) as self._store:
            self._queue = JobQueue(self._store)
            self._token = Tokens(self._store).create("kills", "profile", days=1)[1]
            client = Client(f"http://{self._address}", token=self._token)
            self._asked = client.jobs
            try:
                for role in self._roles():
                    self._start(role)
                for number in range(kills):
                    self._wait_for_the_moment()
                    self._kill(number)
                    self._examine()
                self._finish()
            finally:
                for process in self._processes.values():
                    _kill_tree(process.pid)
                    process.wait()
                client.close()
        self.found.seconds = time.monotonic() - started_s
        return self.found

    def _roles(self) -> list[str]:
        return ["server", "client", *(f"worker {number}" for number in range(WORKERS))]

    def _start(self, role: str) -> None:
        command = [sys.executable, "-m", "lutra.service.cli"]
        if role == "server":
            command += ["serve", "--store", self._url, "--port", self._address.rpartition(":")[2]]
        elif role == "client":
            command = [sys.executable, "-m", "benchmarks.service._submitting", f"http://{self._address}"]
        else:
            command += ["worker", "--store", self._url, "--device", "null", "--kind", "profile"]
            command += ["--folder", str(self._folder / "work")]
        env = os.environ | {"LUTRA_TOKEN": self._token}
        with (self._folder / f"{role}.log").open("ab") as log:
            self._processes[role] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)

    def _revive(self) -> None:
        """Start again what has ended."""
        for role, process in self._processes.items():
            if process.poll() is not None:
                self._start(role)

    def _victims(self) -> dict[str, Callable[[], None]]:
        """What can be killed now, and how."""
        victims: dict[str, Callable[[], None]] = {}
        for role, process in self._random.sample([*self._processes.items()], len(self._processes)):
            victims[role.partition(" ")[0]] = lambda pid=process.pid: _kill(pid)  # type: ignore[misc]
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children():
                    victims["job"] = lambda pid=child.pid: _kill(pid)  # type: ignore[misc]
                    for runtime in child.children():
                        victims["runtime"] = lambda pid=runtime.pid: _kill(pid)  # type: ignore[misc]
        if self._server is not None:
            victims["connection"] = self._server.kill_one
            victims["database"] = self._server.kill
        return victims

    def _kill(self, number: int) -> None:
        """Kill one of them, each kind as often as the others where it can be, and start it again."""
        victims = self._victims()
        if number % 2:
            least = min(self.found.kills.get(name, 0) for name in victims)
            victims = {name: kill for name, kill in victims.items() if self.found.kills.get(name, 0) == least}
        name = self._random.choice(sorted(victims))
        victims[name]()
        self.found.kills[name] = self.found.kills.get(name, 0) + 1
        if name == "database":
            assert self._server is not None
            self._server.start()
        self._revive()

    def _wait_for_the_moment(self) -> None:
        wait_s = self._random.uniform(0, _SOON_S)
        if self._random.random() >= _EARLY:
            known, ends_s = len(self._told), time.monotonic() + _PATIENCE_S
            while len(self._told) == known:
                if time.monotonic() > ends_s:
                    raise RuntimeError(f"no row for {_PATIENCE_S:.0f} s; the logs are in {self._folder}")
                self._revive()  # a server that found no database ends
                self._observe()
                time.sleep(_LOOK_S)
            wait_s = self._random.uniform(0, _LATER_S)
        time.sleep(wait_s)
        self._observe()

    def _observe(self) -> None:
        """Ask the server what happened since the last time; while it or the database is down, nothing."""
        with suppress(ServiceError, StoreError):
            page = self._asked.list(limit=200)
            for job in page.jobs:
                while new := self._asked.events(job.id, self._seen[job.id]):
                    self._take(job.id, new)

    def _take(self, job_id: str, events: Any) -> None:
        numbers = [event["number"] for event in events]
        first = self._seen[job_id] + 1
        if numbers != list(range(first, first + len(numbers))):
            self._note("duplicated", f"events of {job_id} are not numbered without gaps")
        self._seen[job_id] += len(numbers)
        for event in events:
            if event["event"] == "row" and event["kind"] != "constant":
                key = event["kind"], event["key"]
                if key in self._told:
                    self._note("duplicated", f"{key} was told twice")
                self._told[key] = event["latency_ms"]
                self.found.rows += 1

    def _examine(self) -> None:
        """Whether the store holds each row that was told, once."""
        self._observe()
        rows = list(self._patiently(lambda: list(self._store.numbers("null")) if self._store.devices() else []))
        held = Counter((row.subject_kind, row.subject_key) for row in rows)
        numbers = [row for row in rows if row.latency_ns is not None]
        values = {(row.subject_kind, row.subject_key): row.latency_ns / 1e6 for row in numbers}
        for key, latency_ms in self._told.items():
            if values.get(key) != latency_ms:
                self._note("lost", f"{key} was told as {latency_ms} ms and is {values.get(key)}")
        for key, count in held.items():
            if count > 1:
                self._note("duplicated", f"{key} is there {count} times")

    def _finish(self) -> None:
        """Submit nothing more, wait until all is done, and compare with what there should be."""
        client = self._processes.pop("client")
        _kill(client.pid)
        client.wait()
        ends_s = time.monotonic() + 5 * _PATIENCE_S
        while time.monotonic() < ends_s and self._unfinished():
            self._revive()
            self._observe()
            time.sleep(_LOOK_S)
        self._examine()
        jobs: list[Job] = self._patiently(self._all_jobs)
        self.found.jobs = len(jobs)
        have = self._patiently(lambda: self._store.keys("null", "kernel"))
        numbers = sorted(int(job.request["networks"][0]["name"].rpartition("-")[2]) for job in jobs)
        if numbers != list(range(len(jobs))):
            self._note("duplicated", f"jobs are submitted twice, or lost: {numbers}")
        for row in self._patiently(lambda: list(self._store.numbers("null"))):
            if row.latency_ns is None:
                self._note("unsound", f"{row.label} has no number")
        for job in jobs:
            if job.state != "succeeded":
                self._note("unsound", f"job {job.id} is {job.state} after {job.attempts} attempts: {job.error}")
        for number in numbers:
            lacking = set(make_plan(resolve_device("null"), [network(number)]).kernels) - have
            for key in lacking:
                self._note("lost", f"{key} of job {number} is not there")
        report = self._patiently(self._store.check)
        if not report.ok:
            self._note("unsound", report.problems[0])

    def _all_jobs(self) -> list[Job]:
        jobs: list[Job] = []
        after = None
        while True:
            page = self._queue.list(after=after, limit=200)
            jobs += page.jobs
            after = page.after
            if after is None:
                return jobs

    def _unfinished(self) -> bool:
        counts = self._patiently(self._queue.counts)
        return any(counts.get(state) for state in ("queued", "running"))

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Ask until the database answers."""
        ends_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return ask()
            except StoreError:
                if time.monotonic() > ends_s:
                    raise
                time.sleep(_LOOK_S)

    def _note(self, what: str, problem: str) -> None:
        setattr(self.found, what, getattr(self.found, what) + 1)
        if len(self.found.problems) < 20:
            self.found.problems.append(problem)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kill(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.kill()
        with suppress(psutil.TimeoutExpired):
            process.wait(10)


def _kill_tree(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@contextmanager
def _place(database: str, folder: Path) -> Iterator[tuple[str, PostgresServer | None]]:
    """An empty store: its URL, and the server that keeps it."""
    if database == "sqlite":
        yield str(folder / "rows.db"), None
        return
    with PostgresServer(durable=True) as server:
        yield server.new_database(), server


def hunt(database: str, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill so often on one kind of database; what was found, as plain JSON data."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lutra-kills-")))
        url, server = stack.enter_context(_place(database, folder))
        return asdict(Hunt(url, folder, seed, server).run(kills))


def measure() -> dict[str, Any]:
    """Kill so often on each kind of database that is there."""
    found = {}
    for database in ("sqlite", "postgresql"):
        if database == "postgresql" and (reason := postgres_is_missing()):
            note(f"skipped: {reason}")
            continue
        note(f"kills: {KILLS} on {database}")
        found[database] = hunt(database, KILLS)
    return found


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of `measure`."""
    told, bad = [], 0
    for database, one in found.items():
        victims = ", ".join(f"{name} {count}" for name, count in sorted(one["kills"].items()))
        told.append(
            f"{database}: {sum(one['kills'].values())} SIGKILLs ({victims}), {one['jobs']} jobs, {one['rows']} rows"
            f" told, {one['lost']} lost, {one['duplicated']} twice, {one['unsound']} unsound, {one['seconds']:.0f} s"
        )
        bad += one["lost"] + one["duplicated"] + one["unsound"]
    protocol = (
        "profile jobs of the null device by two workers, killed at random moments with what they start, lutra serve,"
        f" its client and the database; every row that was told is looked up after each kill. {'; '.join(told)}"
    )
    kills = sum(sum(one["kills"].values()) for one in found.values())

    def figure(name: str, value: float, unit: str, goal: float, better: Any) -> Figure:
        return Figure(
            figure=name, value=value, unit=unit, goal=goal, better=better, peer="", protocol=protocol, command=command
        )

    return [
        figure("random_kills_rows_lost", bad, "rows", 0, "lower"),
        figure("random_kills", kills, "kills", KILLS, "higher"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill what works on jobs, and look for what is lost.")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.stdout.write(json.dumps(hunt(given.database, given.kills, given.seed), indent=1) + "\n")


if __name__ == "__main__":
    main()
