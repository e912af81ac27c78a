"""Commands whose work a server's worker does: submitted, followed, concluded."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.luts import Store
from lutra.predictors import load_predictor
from lutra.service.jobs.job import Worker
from lutra.service.jobs.queue import JobQueue
from lutra.service.jobs.worker import WorkerSettings, work

from .conftest import OWNER, SPACE, Live, serve_copy, small_network


@pytest.fixture
def live(filled: Path, tmp_path: Path) -> Iterator[Live]:
    """A server of one's own."""
    with serve_copy(filled, tmp_path) as running:
        yield running


class Doing(threading.Thread):
    """Takes the next job, and ends it as it is told, as a worker would."""

    def __init__(self, store: Path, how: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._store, self._how = store, how
        self.request: dict[str, Any] = {}

    def run(self) -> None:
        with Store.open(self._store) as store:
            queue = JobQueue(store)
            while (claim := queue.claim(Worker.here(), {"profile"})) is None:
                time.sleep(0.05)
            self.request = dict(claim.job.request)
            mine = (claim.job.id, claim.token)
            queue.append_events(*mine, [{"event": "kernel", "done": 1, "total": 2, "eta_s": 3.0}])
            queue.append_log(*mine, "measured one\n")
            queue.put_file(*mine, "note.txt", b"found")
            queue.finish(*mine, **self._how)


def run(
    lutra: Callable[..., Any], live: Live, folder: Path, how: dict[str, Any], *arguments: str
) -> tuple[Any, dict[str, Any]]:
    """A command beside a worker."""
    worker = Doing(folder / "rows.db", how)
    worker.start()
    outcome = lutra(*arguments, "--server", live.url)
    worker.join(60)
    return outcome, worker.request


def test_a_profile_on_a_server(
    lutra: Callable[..., Any], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    (tmp_path / "small.json").write_text(json.dumps(small_network().to_json()))
    done = {"state": "succeeded", "result": {"measured": 3, "noisy": [], "device": "null"}}
    command = ("profile", "small.json", "resnet18", "--device", "null", "--budget", "90s", "--target-error", "3%")
    outcome, request = run(lutra, live, tmp_path, done, *command)
    assert (outcome.code, outcome.out) == (
        0,
        "device: null\nmeasured: 3\nfile: note.txt (5 bytes; lutra jobs fetch gets it)\n",
    )
    assert "running\n" in outcome.err
    assert request["networks"] == [json.loads(json.dumps(small_network().to_json())), "resnet18"]
    assert (request["device"], request["budget_s"], request["target_error"]) == ("null", 90.0, 0.03)
    outcome, _ = run(lutra, live, tmp_path, done, *command, "--json")
    assert outcome.document == done["result"]


def test_a_profile_that_fails_there_fails_here(
    lutra: Callable[..., Any], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    error = {"code": "LUTRA-E401", "message": "another machine", "hint": "measure there"}
    outcome, _ = run(
        lutra, live, tmp_path, {"state": "failed", "error": error}, "profile", "resnet18", "--device", "null"
    )
    assert outcome.code == 1
    assert "error: another machine  [LUTRA-E401]" in outcome.err
    assert "fix: measure there" in outcome.err
    refused = lutra("profile", "resnet18", "--server", live.url, "--dry-run")
    assert (refused.code, "--dry-run" in refused.err) == (2, True)


def test_jobs_of_a_server(
    lutra: Callable[..., Any], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    server = ("--server", live.url)
    (tmp_path / "request.json").write_text(json.dumps({"networks": ["resnet18"], "device": "null"}))
    job = lutra("jobs", "submit", "profile", "request.json", "--key", "k", "--json", *server).document["id"]
    assert lutra("jobs", "submit", "profile", "request.json", "--key", "k", "--json", *server).document["id"] == job
    worker = Doing(tmp_path / "rows.db", {"state": "succeeded", "result": {"measured": 1}})
    worker.start()
    worker.join(60)
    assert lutra("jobs", "list", "--json", *server).document[0]["state"] == "succeeded"
    shown = lutra("jobs", "show", job[:8], "--json", *server).document
    assert (shown["result"], shown["files"][0]["name"]) == ({"measured": 1}, "note.txt")
    assert lutra("jobs", "logs", job, *server).out == "measured one\n"
    assert lutra("jobs", "fetch", job, "note.txt", "--out", "note.txt", *server).code == 0
    assert (tmp_path / "note.txt").read_text() == "found"
    clone = lutra("jobs", "clone", job, "--json", *server).document["id"]
    assert lutra("jobs", "cancel", clone, "--json", *server).document["state"] == "cancelled"
    (tmp_path / "request.json").write_text("[1]")
    assert lutra("jobs", "submit", "profile", "request.json", *server).code == 2
    assert lutra("jobs", "submit", "profile", "none.json", *server).code == 2
    assert lutra("jobs", "show", "ffff", *server).code != 0


@pytest.fixture
def worker(live: Live, tmp_path: Path) -> Iterator[None]:
    """A worker of the server's store, which does whatever comes."""
    assert live.url  # the store is there
    stop = threading.Event()
    settings = WorkerSettings(
        store=str(tmp_path / "rows.db"), kinds=["search", "fit"], devices={"null": "null"}, folder=tmp_path / "work"
    )
    thread = threading.Thread(target=work, args=(settings, stop), daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(60)


@pytest.mark.usefixtures("worker")
def test_a_search_on_a_server_leaves_the_folder_of_one_here(
    lutra: Callable[..., Any], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    asked = ("search", "--space", SPACE, "--device", "null", "--strategy", "random", "-n", "20", "--max-ms", "9")
    there = lutra(*asked, "--server", live.url, "--out", "there")
    assert there.code == 0, there.err
    here = lutra(*asked, "--store", str(tmp_path / "rows.db"), "--out", "here")
    assert there.out.splitlines()[0] == here.out.splitlines()[0]
    assert there.out.replace("there", "here").splitlines()[:-1] == here.out.splitlines()[:-1]
    for name in ("result.json", "tried.csv", "best.json", "best.onnx", "front/001.json"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
    assert "20 of 20" in there.err
    again = lutra(*asked, "--server", live.url, "--out", "there")
    assert (again.code, "there exists" in again.err) == (2, True)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A file of 40 networks as numbers, with latencies that these tell."""
    path = tmp_path / "samples.csv"
    rows = [f"{width},{depth},{width * depth / 8 + 1}" for width in range(8) for depth in range(5)]
    path.write_text("\n".join(["width,depth,latency_ms", *rows]) + "\n")
    return path


@pytest.mark.usefixtures("worker")
def test_a_fit_on_a_server_leaves_the_predictor_of_one_here(
    lutra: Callable[..., Any], live: Live, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    asked = ("fit", samples.name, "--device", "board", "--models", "additive,quadratic", "--seed", "3", "--json")
    there = lutra(*asked, "--server", live.url, "--out", "there").document
    here = lutra(*asked, "--out", "here").document
    assert there["saved"] == str(tmp_path / "there")
    assert there["best"] == here["best"] == "quadratic"
    assert there["encoding"] == here["encoding"] == ["width", "depth"]
    codes = np.array([[3.0, 4.0], [7.0, 1.0]])
    loaded = [load_predictor(tmp_path / name) for name in ("there", "here")]
    assert loaded[0].device == loaded[1].device == "board"
    assert loaded[0].predict_batch(codes).tolist() == loaded[1].predict_batch(codes).tolist()

    again = lutra(*asked, "--server", live.url, "--out", "there")
    assert (again.code, "there exists" in again.err) == (2, True)
    replaced = lutra(*asked[:-1], "--server", live.url, "--out", "there", "--overwrite")
    assert replaced.code == 0, replaced.err
    assert f"saved: {tmp_path / 'there'}\n" in replaced.out


@pytest.mark.usefixtures("worker")
def test_a_fit_on_a_server_from_its_own_measurements(
    lutra: Callable[..., Any], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)
    asked = ("fit", "--samples", "56", "--space", SPACE, "--device", "null", "--out", "few", "--server", live.url)
    done = lutra(*asked)
    assert done.code == 0, done.err
    assert load_predictor(tmp_path / "few").device == "null"
    refused = lutra(*asked, "--overwrite", "--test-share", "0.5")
    assert (refused.code, "--test-share does not apply with --samples" in refused.err) == (2, True)


def test_a_fit_on_a_server_refuses_what_is_of_this_machine(lutra: Callable[..., Any], samples: Path) -> None:
    nobody = ("--server", "http://127.0.0.1:9")
    refused = lutra("fit", samples.name, "--store", "rows.db", *nobody)
    assert (refused.code, "--server and --store" in refused.err) == (2, True)
    samples.write_text("width,latency_ms\n3,1.5\n4,nan\n")
    refused = lutra("fit", samples.name, *nobody)
    assert (refused.code, "row 2" in refused.err, "latency_ms" in refused.err) == (2, True, True)
    samples.write_text("width,latency_ms\n3,1.5\n,2\n")
    assert "the cell is empty" in lutra("fit", samples.name, *nobody).err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--space", "mine.py"),
        ("--accuracy", "mine.py:accuracy"),
        ("--supernet", "net.npz"),
        ("--also", "mine.csv=3"),
        ("--store", "rows.db"),
        ("--resume", "run"),
        ("--workers", "2"),
    ],
)
def test_a_search_on_a_server_takes_nothing_of_this_machine(
    option: str, value: str, lutra: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "mine.csv").write_text("")
    space = () if option == "--space" else ("--space", SPACE)
    refused = lutra("search", *space, option, value, "--server", "http://127.0.0.1:9")
    assert refused.code == 2, refused.err
    assert f"--server and {option}" in refused.err
    assert not (tmp_path / "lutra-search").exists()
