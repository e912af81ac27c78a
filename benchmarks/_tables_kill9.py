"""Kills a campaign with SIGKILL at random moments, again and again, and looks for what is lost.

The null device is profiled, so that rows come as fast as they can be committed. After each kill the store must open
and be sound, hold every row that was told to be committed, and hold none twice; then the same campaign goes on in the
same store, until it is complete, and another store begins.

``python -m benchmarks._tables_kill9 --kills N --folder FOLDER`` prints what was found as JSON. It is a program of its
own because it forks: one warm process makes all victims, so that a kill costs a fraction of a second.
"""

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from lutra.luts import Store
from lutra.networks import NetworkBuilder
from lutra.networks.errors import LutraError
from lutra.profiler import CampaignEvent, Plan, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.events import RowCommitted

from ._results import ROOT, Figure

KILLS = 500

_HUNTS = 2  # side by side; each kill is mostly the start of two processes
_LAYERS = 600
_SOON_S = 1.0  # kills before the first row come within this time of the start
_LATER_S = 0.4  # others within this time of a row
_EARLY = 0.2  # share of the kills that do not wait for a row
_FIRST_ROW_S = 60.0


@dataclass
class Found:
    """What kills did.

    Attributes:
        kills: how many processes were killed.
        idle_kills: of these, before the first row of their run.
        completed: campaigns that were complete before the kill came; each began another store.
        rows: rows that were committed and told, over all stores.
        lost: of these, missing or changed after a kill.
        duplicated: rows that a store held more than once.
        unsound: stores that did not open, or whose check found a fault.
        problems: what was wrong, in words.
        seconds: how long it took.
    """

    kills: int = 0
    idle_kills: int = 0
    completed: int = 0
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    unsound: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __add__(self, other: "Found") -> "Found":
        """What two hunts found that ran side by side."""
        both = {name: mine + theirs for name, mine, theirs in _pairs(self, other)}
        return Found(**both | {"seconds": max(self.seconds, other.seconds)})


def _pairs(one: Found, other: Found) -> Iterator[tuple[str, Any, Any]]:
    for item in fields(Found):
        yield item.name, getattr(one, item.name), getattr(other, item.name)


def measure(kills: int = KILLS, seed: int = 0) -> dict[str, Any]:
    """Kill so many campaigns, in processes of their own; what was found, as plain JSON data."""
    with tempfile.TemporaryDirectory(prefix="lutra-kill9-") as folder, ExitStack() as running:
        hunts = []
        for number in range(_HUNTS):
            mine = Path(folder) / str(number)
            mine.mkdir()
            share = kills // _HUNTS + (number < kills % _HUNTS)
            command = [sys.executable, "-m", "benchmarks._tables_kill9", "--folder", str(mine)]
            command += ["--kills", str(share), "--seed", str(seed + number)]
            hunts.append(running.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)))
        outputs = [hunt.communicate()[0] for hunt in hunts]
    if any(hunt.returncode for hunt in hunts):
        raise RuntimeError("a hunt failed; its traceback is above")
    return asdict(sum((Found(**json.loads(output)) for output in outputs), Found()))


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of `measure`."""
    protocol = (
        f"{found['kills']} SIGKILLs of profiler and worker at random moments while the null device is profiled; after "
        f"each, every row told to be committed is looked up in the store. Stores that did not open or were unsound: "
        f"{found['unsound']}; rows held twice: {found['duplicated']}; {found['seconds']:.0f} s in all"
    )

    def figure(name: str, value: float, unit: str, goal: float | None, better: Any) -> Figure:
        return Figure(
            figure=name, value=value, unit=unit, goal=goal, better=better, peer="", protocol=protocol, command=command
        )

    return [
        figure("kill9_rows_lost", found["lost"] + found["duplicated"] + found["unsound"], "rows", 0, "lower"),
        figure("kill9_kills", found["kills"], "kills", KILLS, "higher"),
        figure("kill9_rows_committed", found["rows"], "rows", None, "higher"),
    ]


def chain(layers: int) -> Plan:
    """A plan for the null device: so many layers, each a kernel of its own."""
    b = NetworkBuilder("chain")
    x = b.input((1, 1, 4, 4))
    for channels in range(1, layers + 1):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=1)
    return make_plan(resolve_device("null"), [b.build(x)], check=False)


class Hunt:
    """Kills campaigns of one plan in stores of one folder.

    Args:
        plan: what the victims measure.
        folder: where the stores are.
        seed: of the moments of the kills.
    """

    def __init__(self, plan: Plan, folder: Path, seed: int) -> None:
        self._plan, self._folder = plan, folder
        self._random = random.Random(seed)
        self._told: dict[str, float] = {}
        self.found = Found()

    def run(self, kills: int) -> Found:
        """Kill until so many have been killed."""
        started_s = time.monotonic()
        while self.found.kills < kills:
            self._one()
        self.found.seconds = time.monotonic() - started_s
        return self.found

    @property
    def _store(self) -> Path:
        return self._folder / f"{self.found.completed}.db"

    def _one(self) -> None:
        """One victim, and what it left."""
        known = len(self._told)
        complete = self._kill_one()
        self.found.rows += len(self._told) - known
        if not complete:
            self.found.kills += 1
            self.found.idle_kills += len(self._told) == known
        self._examine(complete)
        if complete:
            self.found.completed += 1
            self._told = {}

    def _kill_one(self) -> bool:
        """Start a victim and kill it; returns whether it had already ended by itself."""
        read, write = os.pipe()
        settings = Settings(group_kernels=self._random.randint(1, 48), seed=self._random.randint(0, 999))
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._be_the_victim(write, settings)
        os.close(write)
        try:
            self._listen_until_the_moment(read)
            workers = psutil.Process(pid).children(recursive=True)
            os.kill(pid, signal.SIGKILL)
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            while self._listen(read, _FIRST_ROW_S):
                pass
        finally:
            os.close(read)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 0:
            raise RuntimeError("the victim failed before it was killed; its traceback is above")
        return not os.WIFSIGNALED(status)

    def _be_the_victim(self, write: int, settings: Settings) -> None:
        """In the child: profile, and tell of each row when it is committed."""

        def tell(event: CampaignEvent) -> None:
            if isinstance(event, RowCommitted):
                os.write(write, f"{event.kind} {event.key}\t{event.latency_ms!r}\n".encode())

        status = 1
        try:
            os.setsid()
            with Store.open(self._store) as store:
                run_campaign(self._plan, store, events=tell, settings=settings)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _listen_until_the_moment(self, read: int) -> None:
        """Take in what the victim tells, until the random moment of its end."""
        self._rest = b""
        wait_s = self._random.uniform(0, _SOON_S)
        if self._random.random() >= _EARLY:
            if not self._listen(read, _FIRST_ROW_S):
                return
            wait_s = self._random.uniform(0, _LATER_S)
        ends_s = time.monotonic() + wait_s
        while (left_s := ends_s - time.monotonic()) > 0:
            if not self._listen(read, left_s):
                break

    def _listen(self, read: int, most_s: float) -> bool:
        """Wait for the victim to tell something; returns whether there may be more."""
        ready, _, _ = select.select([read], [], [], most_s)
        if not ready:
            return False
        data = os.read(read, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            subject, _, latency_ms = line.decode().partition("\t")
            self._told[subject] = float(latency_ms)
        return bool(data)

    def _examine(self, complete: bool) -> None:
        """Whether the store opens, is sound, and holds every row that was told, once."""
        if not self._told and not self._store.exists():
            return
        try:
            with Store.open(self._store) as store:
                report = store.check()
                rows = list(store.measurements(self._plan.device.fingerprint)) if store.devices() else []
        except LutraError as error:
            self.found.unsound += 1
            self._note(f"{self._store.name}: {error.message}")
            return
        if not report.ok:
            self.found.unsound += 1
            self._note(f"{self._store.name}: {report.problems[0]}")
        held = Counter(f"{row.subject_kind} {row.subject_key}" for row in rows)
        values = {f"{row.subject_kind} {row.subject_key}": row.latency_ns / 1e6 for row in rows}
        lost = [subject for subject, latency_ms in self._told.items() if values.get(subject) != latency_ms]
        twice = [subject for subject, count in held.items() if count > 1]
        short = set(self._plan.kernels) - store_keys(held) if complete else set()
        self.found.lost += len(lost) + len(short)
        self.found.duplicated += len(twice)
        for subject in (*lost, *twice, *short):
            self._note(f"{self._store.name}: {subject}")

    def _note(self, problem: str) -> None:
        if len(self.found.problems) < 20:
            self.found.problems.append(problem)


def store_keys(held: Counter[str]) -> set[str]:
    """Keys of the kernels among the subjects of a store."""
    return {subject.partition(" ")[2] for subject in held if subject.startswith("kernel ")}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill campaigns and look for what is lost.")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are made")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = Hunt(chain(_LAYERS), given.folder, given.seed).run(given.kills)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
