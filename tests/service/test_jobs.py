"""Workers with real processes: what becomes of jobs that end, wait, fail, break, die, or do not listen."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
from sqlalchemy import update

from lutra.luts import Store
from lutra.networks.errors import StoreError
from lutra.service.jobs import attempt
from lutra.service.jobs.job import Job
from lutra.service.jobs.queue import JobQueue
from lutra.service.jobs.worker import WorkerSettings, devices_of, work
from lutra.service.schema import job

PLUGINS = Path(__file__).with_name("plugins")
NULL = {"networks": ["mobilenet_v2"], "device": "null", "resolution": 32}

Run = Callable[[], int]


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kind of job of another package, found here and by child processes; a store of one's own."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))
    monkeypatch.setenv("LUTRA_STORE", str(tmp_path / "rows.db"))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with Store.open(tmp_path / "rows.db") as store:
        yield JobQueue(store)


def settings(tmp_path: Path, **others: Any) -> WorkerSettings:
    given: dict[str, Any] = {
        "store": str(tmp_path / "rows.db"),
        "kinds": ["profile", "fit", "search", "test-job"],
        "devices": {"null": "null", "d": "d"},
        "folder": tmp_path / "work",
        "until_idle": True,
    }
    return WorkerSettings(**given | others)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Takes all jobs that there are."""
    return lambda: work(settings(tmp_path), threading.Event())


def do(queue: JobQueue, does: str, **options: Any) -> Job:
    return queue.submit("test-job", {"does": does}, **options)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    ends_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.05)
    return found


def event_of(queue: JobQueue, job: Job, name: str) -> dict[str, Any]:
    """The first event of that name, which is waited for."""
    found: dict[str, Any] = wait_for(lambda: next((e for e in queue.events(job.id) if e["event"] == name), None))
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def states(queue: JobQueue, job: Job) -> list[str]:
    return [event["state"] for event in queue.events(job.id) if event["event"] == "state"]


def test_jobs_that_end(queue: JobQueue, run: Run, tmp_path: Path) -> None:
    good, bad, broken = do(queue, "ends"), do(queue, "fails"), do(queue, "breaks")
    assert run() == 3
    assert queue.get(good.id).state == "succeeded"
    assert queue.result(good.id) == {"does": "ends"}
    assert queue.file(good.id, "note.txt") == b"kept"
    assert queue.log(good.id) == "ends with postgresql://me:[hidden]@db/x\n"
    assert states(queue, good) == ["created", "queued", "running", "succeeded"]
    assert queue.get(bad.id).error == {
        "code": "LUTRA-E200",
        "message": "this is not done here",
        "hint": "do it elsewhere",
    }
    error = queue.get(broken.id).error
    assert error is not None
    assert (error["code"], error["message"]) == ("LUTRA-E900", "ZeroDivisionError: by nothing")
    assert "Traceback" in queue.log(broken.id)
    assert [*(tmp_path / "work").iterdir()] == []


def test_a_request_that_is_not_known_here_fails_at_once(queue: JobQueue, run: Run, tmp_path: Path) -> None:
    newer = queue.submit("profile", NULL)
    with Store.open(tmp_path / "rows.db") as store, store.database.write() as connection:
        connection.execute(update(job).values(request='{"networks": ["mobilenet_v2"], "newer": 1}'))
    assert run() == 1
    ended = queue.get(newer.id)
    assert (ended.state, ended.attempts) == ("failed", 1)
    assert ended.error is not None
    assert (ended.error["code"], "newer" in ended.error["message"]) == ("LUTRA-E902", True)


def test_a_process_that_dies_is_tried_again_from_where_it_stopped(queue: JobQueue, run: Run) -> None:
    once, always = do(queue, "dies-once"), do(queue, "dies")
    assert run() == 2 + 1 + queue.limits.losses
    assert queue.get(once.id).state == "succeeded"
    assert queue.get(once.id).attempts == 2
    ended = queue.get(always.id)
    assert (ended.state, ended.attempts) == ("failed", 1 + queue.limits.losses)
    assert ended.error is not None
    assert ended.error["code"] == "LUTRA-E501"
    assert "signal 9" in ended.error["message"]


def test_a_job_that_could_not_reach_the_store_goes_on_later(queue: JobQueue, run: Run) -> None:
    job = do(queue, "loses-store")
    assert run() == 2
    assert queue.get(job.id).state == "succeeded"


def test_a_worker_that_is_to_end_does_not_wait_for_a_store_that_is_away(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_LEAVE_S", 0.5)
    monkeypatch.setattr(attempt, "_BEAT_S", 0.1)
    job, stop, away = do(queue, "waits"), threading.Event(), StoreError("no room to write", hint="make some")
    thread = threading.Thread(target=work, args=(settings(tmp_path), stop))
    thread.start()
    event_of(queue, job, "begun")
    with monkeypatch.context() as patched:
        for method in ("append_log", "heartbeat", "get"):
            patched.setattr(JobQueue, method, Mock(side_effect=away))
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    assert (tmp_path / "work" / job.id / "left.txt").exists()


def test_time_limits_end_a_job_politely_or_not(
    queue: JobQueue, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(attempt.GRACE_S, "time", 60)  # type: ignore[attr-defined]
    polite = do(queue, "waits", limit_s=0.1)
    assert run() == 1
    assert (queue.get(polite.id).state, queue.result(polite.id)) == ("timed_out", {"rows": 7})
    monkeypatch.setitem(attempt.GRACE_S, "time", 0.1)  # type: ignore[attr-defined]
    deaf = do(queue, "ignores", limit_s=0.1)
    assert run() == 1
    assert queue.get(deaf.id).state == "timed_out"
    assert [*(tmp_path / "work").iterdir()] == []


def test_cancelling_ends_a_job_politely_or_not(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polite, deaf = do(queue, "waits"), do(queue, "leaves-child")
    thread = threading.Thread(target=work, args=(settings(tmp_path), threading.Event()))
    thread.start()
    event_of(queue, polite, "begun")
    assert queue.cancel(polite.id).state == "cancelling"
    event_of(queue, deaf, "child")
    monkeypatch.setitem(attempt.GRACE_S, "cancel", 0.1)  # type: ignore[attr-defined]
    assert queue.cancel(deaf.id).state == "cancelling"
    thread.join(timeout=60)
    assert (queue.get(polite.id).state, queue.result(polite.id)) == ("cancelled", {"rows": 7})
    assert queue.get(deaf.id).state == "cancelled"
    assert all(gone(event_of(queue, deaf, name)["pid"]) for name in ("begun", "child"))  # with the whole group


def test_a_worker_that_is_told_to_stop_gives_its_job_back(queue: JobQueue, tmp_path: Path) -> None:
    job, stop = do(queue, "waits"), threading.Event()
    thread = threading.Thread(target=work, args=(settings(tmp_path, until_idle=False), stop))
    thread.start()
    event_of(queue, job, "begun")
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert queue.get(job.id).state == "queued"
    assert states(queue, job)[-2:] == ["running", "queued"]
    assert (tmp_path / "work" / job.id / "left.txt").exists()  # for the next attempt


def worker(tmp_path: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "lutra.service.cli", "worker", "--folder", str(tmp_path / "work"), *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def test_a_killed_worker_takes_its_job_along_and_another_goes_on(queue: JobQueue, tmp_path: Path, run: Run) -> None:
    job = do(queue, "leaves-child")
    first = worker(tmp_path)
    pids = [event_of(queue, job, name)["pid"] for name in ("begun", "child")]
    first.kill()
    first.wait()
    wait_for(lambda: all(map(gone, pids)))
    queue.cancel(job.id)
    other = do(queue, "ends")
    assert run() == 1
    assert queue.get(job.id).state == "cancelled"  # it was to be cancelled, and nobody has it
    assert queue.get(other.id).state == "succeeded"


def test_a_worker_ends_by_sigterm(queue: JobQueue, tmp_path: Path) -> None:
    job = do(queue, "waits")
    process = worker(tmp_path, "--kind", "test-job")
    event_of(queue, job, "begun")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert queue.get(job.id).state == "queued"


def test_a_profile_measures_what_the_command_measures(queue: JobQueue, run: Run, tmp_path: Path) -> None:
    from lutra.networks import zoo
    from lutra.profiler import make_plan, resolve_device

    device = resolve_device("null")
    plan = make_plan(device, [zoo.build("mobilenet_v2", resolution=32)])
    job = queue.submit("profile", NULL)
    assert run() == 1
    assert queue.get(job.id).state == "succeeded", queue.log(job.id)
    result = queue.result(job.id)
    assert (result["measured"], result["digest"]) == (len(plan.kernels), device.fingerprint.digest)
    assert [network["network"] for network in result["networks"]["predictions"]] == ["mobilenet_v2"]
    with Store.open(tmp_path / "rows.db") as store:
        assert store.keys("null", "kernel") == set(plan.kernels)
    told = [event["key"] for event in queue.events(job.id) if event["event"] == "row" and event["kind"] == "kernel"]
    assert sorted(told) == sorted(plan.kernels)
    again = queue.clone(job.id)
    assert run() == 1
    assert (queue.result(again.id)["measured"], queue.result(again.id)["skipped"]) == (0, len(plan.kernels))


def test_a_device_under_another_name(queue: JobQueue, tmp_path: Path) -> None:
    job = queue.submit("profile", NULL | {"device": "board-7"})
    assert work(settings(tmp_path), threading.Event()) == 0
    assert work(settings(tmp_path, devices=devices_of(["board-7=null"])), threading.Event()) == 1
    assert queue.get(job.id).state == "succeeded", queue.log(job.id)
    with Store.open(tmp_path / "rows.db") as store:
        assert [record.name for record in store.devices()] == ["board-7"]


def test_a_fit_and_a_search_by_what_it_found(queue: JobQueue, run: Run) -> None:
    import numpy as np

    from lutra.nas import spaces

    space = spaces.build("nasbench201")
    codes = np.unique(space.sample(60, np.random.default_rng(0)), axis=0)
    data: dict[str, Any] = {f"c{i}": column.tolist() for i, column in enumerate(codes.T)}
    data["latency_ms"] = (1 + codes.sum(axis=1)).astype(float).tolist()
    fit = queue.submit("fit", {"data": data, "models": ["additive"], "device": "made-up"})
    search = queue.submit(
        "search", {"space": "nasbench201", "model": fit.id, "max_ms": 12.0, "evaluations": 30, "strategy": "random"}
    )
    assert search.state == "created"
    assert run() == 2, queue.log(fit.id)
    assert queue.get(fit.id).state == "succeeded"
    assert queue.result(fit.id)["best"] == "additive"
    assert all(file.name.startswith("predictor/") for file in queue.files(fit.id))
    assert queue.get(search.id).state == "succeeded", queue.log(search.id)
    assert queue.result(search.id)["evaluated"] == 30
    assert {"best.json", "report.html", "result.json"} <= {file.name for file in queue.files(search.id)}
    tried = [event for event in queue.events(search.id) if event["event"] == "tried"]
    assert (tried[-1]["done"], tried[-1]["total"]) == (30, 30)
    found = [item for event in tried for item in event["items"]]
    assert len({item["name"] for item in found}) == len(found) == 30
    assert all(item["latency_ms"] <= 12 for item in found)
    assert max(item["accuracy"] for item in found) == tried[-1]["best"]


def test_what_waits_for_a_job_that_fails_is_cancelled(queue: JobQueue, run: Run) -> None:
    fit = queue.submit("fit", {"table": "no-such-device"})
    search = queue.submit("search", {"space": "nasbench201", "model": fit.id, "max_ms": 1.0})
    assert run() == 1
    assert queue.get(fit.id).state == "failed"
    assert queue.get(search.id).state == "cancelled"
    assert fit.id in queue.events(search.id)[-1]["reason"]
