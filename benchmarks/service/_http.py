"""How quick the server is: predictions one by one and in batches, many clients at once, memory, the first page."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import numpy as np
import psutil

from lutra.luts import Store
from lutra.nas import spaces
from lutra.profiler import resolve_device, run_campaign
from lutra.service.plans import plan_of
from lutra.service.tokens import Tokens

from .._results import Figure, note, spread

SPACE: Final = "proxyless"
CODES: Final = 20_000  # different ones, sent round and round: no answer is remembered
BATCH: Final = 10_000
CONNECTIONS: Final = 16
SECONDS: Final = 10.0
CLIENTS: Final = 200
CLIENTS_S: Final = 60.0
PAGES: Final = 5
_MB: Final = 1e6


@dataclass(frozen=True)
class Running:
    """A server as a process.

    Attributes:
        port: where it listens, on 127.0.0.1.
        token: of scope read.
        process: looked at from outside.
        login: one-time path that logs a browser in.
    """

    port: int
    token: str
    process: psutil.Process
    login: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(store: Path, token: str) -> Iterator[Running]:
    """``lutra serve`` over a store, as anybody would start it."""
    command = (sys.executable, "-c", "from lutra.service.cli import main; main()", "serve", "--port", "0")
    environment = os.environ | {"LUTRA_STORE": str(store), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        port, login = re.search(r":(\d+)\n", lines[0]), re.search(r"(/login\S+)", lines[1])
        assert port is not None, lines
        assert login is not None, lines
        yield Running(int(port[1]), token, psutil.Process(server.pid), login[1])
    finally:
        server.terminate()
        server.wait()


def _filled(folder: Path) -> tuple[Path, str]:
    """A store with the kernels of a space on the null device, and a token for it."""
    path = folder / "rows.db"
    with Store.open(path) as store:
        plan, _ = plan_of(resolve_device("null"), [], [spaces.build(SPACE)], check=True, check_networks=8)
        run_campaign(plan, store)
        return path, Tokens(store).create("benchmark", "read")[1]


def measure() -> dict[str, Any]:
    """Measure all of it."""
    folder = Path(tempfile.mkdtemp(prefix="lutra-bench-"))
    try:
        store, token = _filled(folder)
        codes = spaces.build(SPACE).sample(CODES, np.random.default_rng(0)).tolist()
        found: dict[str, Any] = {"pages_ms": [_first_page(store, token) for _ in range(PAGES)]}
        with serving(store, token) as server:
            found |= _idle(server)
            one = [{"device": "null", "space": SPACE, "code": code, "detail": False} for code in codes]
            note("one by one")
            found["single"] = _loaded(server, "/v1/predictions", one, CONNECTIONS, SECONDS)
            note("in batches")
            many = [
                {"device": "null", "space": SPACE, "codes": codes[start : start + BATCH]}
                for start in range(0, CODES, BATCH)
            ]
            found["batch"] = _loaded(server, "/v1/predictions/batch", many, 1, SECONDS)
            note(f"{CLIENTS} clients for {CLIENTS_S:.0f} s")
            found["clients"] = _loaded(server, "/v1/predictions", one, CLIENTS, CLIENTS_S)
            found["loaded_mb"] = server.process.memory_info().rss / _MB
        found["load_average"] = os.getloadavg()[1]
        return found
    finally:
        shutil.rmtree(folder)


def _first_page(store: Path, token: str) -> float:
    """Milliseconds from logging in to the whole first page, of a server that has answered nothing before."""
    with serving(store, token) as server, httpx2.Client(base_url=server.url, follow_redirects=True) as browser:
        begun = time.perf_counter()
        answer = browser.get(server.login)
        seconds = time.perf_counter() - begun
        assert answer.status_code == 200
        assert "<html" in answer.text
        return 1e3 * seconds


def _idle(server: Running) -> dict[str, Any]:
    """Memory of a server that waits, after it has answered a little, and whether torch is in it."""
    with httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {server.token}"}) as client:
        for path in ("/healthz", "/readyz", "/v1/devices", "/v1/ops"):
            assert client.get(path).status_code == 200
    time.sleep(2.0)
    maps = Path(f"/proc/{server.process.pid}/maps")
    torch = "libtorch" in maps.read_text(encoding="utf-8") if maps.exists() else None
    return {"idle_mb": server.process.memory_info().rss / _MB, "torch": torch}


def _loaded(
    server: Running, path: str, documents: list[dict[str, Any]], connections: int, seconds: float
) -> dict[str, Any]:
    """What a client of its own process found, and the server's CPU time for each answer."""
    wanted = {
        "host": "127.0.0.1",
        "port": server.port,
        "path": path,
        "token": server.token,
        "documents": documents,
        "connections": connections,
        "seconds": seconds,
        "warm_up_s": 2.0,
    }
    before = server.process.cpu_times()
    client = subprocess.run(
        (sys.executable, "-m", "benchmarks.service._load"),
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
    )
    after = server.process.cpu_times()
    found: dict[str, Any] = json.loads(client.stdout)
    cpu_s = after.user + after.system - before.user - before.system
    # The warm-up's answers are in the CPU time, but not in their number.
    return found | {"cpu_us": 1e6 * cpu_s / max(1.0, found["answers"] * (seconds + 2.0) / seconds)}


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of what `measure` found."""
    single, batch, clients = found["single"], found["batch"], found["clients"]
    setting = (
        f"Server and client are processes on the same two cores; the null device's table of the space {SPACE}, a token "
        f"from the store; load average over 5 minutes {found['load_average']:.1f}, that is other work too. {CODES:,} "
        "different architectures, each predicted with its interval, none remembered."
    )
    kept = f"{CONNECTIONS} kept-alive connections for {SECONDS:.0f} s, {single['errors']} errors"
    own = f"the server's own CPU time {single['cpu_us']:.0f} us a request"
    pages = spread(found["pages_ms"])
    many = f"{CLIENTS} kept-alive connections for {CLIENTS_S:.0f} s: {clients['answers']:,} answers, "
    many += f"{clients['per_s']:.0f} a second, p99 {clients['p99_ms']:.0f} ms"
    return [
        _figure("http_predictions_per_s", single["per_s"], "1/s", 2000, f"{setting} {kept}, {own}.", command),
        _figure(
            "http_predictions_per_cpu_s",
            1e6 / single["cpu_us"],
            "1/s",
            None,
            f"{setting} By the server's own CPU time, in which other work has little part.",
            command,
        ),
        _figure("http_p99_ms", single["p99_ms"], "ms", 20, f"{setting} {kept}: latency of an answer.", command),
        _figure(
            "http_batch_predictions_per_s",
            batch["per_s"] * BATCH,
            "1/s",
            50_000,
            f"{setting} Batches of {BATCH:,} on one connection; {batch['cpu_us'] / BATCH:.1f} us CPU time each.",
            command,
        ),
        _figure(
            "idle_memory_mb",
            found["idle_mb"],
            "MB",
            150,
            f"Resident memory after /readyz, /v1/devices and /v1/ops; torch loaded: {found['torch']}. After all the "
            f"load {found['loaded_mb']:.0f} MB.",
            command,
        ),
        _figure(
            "first_page_ms",
            pages.median,
            "ms",
            300,
            f"From the one-time link to the whole first page of a server that has answered nothing before: {pages}.",
            command,
        ),
        _figure("concurrent_clients_errors", clients["errors"], "count", 0, f"{many}.", command),
    ]


def _figure(name: str, value: float, unit: str, goal: float | None, protocol: str, command: str) -> Figure:
    return Figure(
        figure=name,
        value=value,
        unit=unit,
        goal=goal,
        better="higher" if unit == "1/s" else "lower",
        peer="",
        protocol=protocol,
        command=command,
    )
