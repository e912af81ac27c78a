"""`lutra agent`: jobs of a server, measured elsewhere; networks that fail, processes that die, tokens that end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lutra.luts import Store
from lutra.luts.testing import make_measurement
from lutra.networks.errors import (
    ForbiddenError,
    NotSupportedError,
    StoreLockedError,
    UnauthenticatedError,
    UnreachableServerError,
    UsageError,
)
from lutra.profiler import resolve_device
from lutra.service import Client
from lutra.service.agent.agent import AgentSettings, run_agent
from lutra.service.api import app
from lutra.service.api.app import make_app
from lutra.service.api.settings import Settings
from lutra.service.jobs.job import Job, Worker
from lutra.service.jobs.limits import Limits
from lutra.service.jobs.queue import JobQueue
from lutra.service.tokens import Tokens, digest_of

from .cable import Cable
from .conftest import OWNER, Live, small_network

RUN = "from lutra.service.cli import main; main()"
PLUGINS = Path(__file__).parents[1] / "plugins"
NULL = {"networks": ["mobilenet_v2", "resnet18"], "device": "pi", "resolution": 32}
MANY = ["mobilenet_v2", "mobilenet_v3_large", "resnet50", "densenet121"]
SMALL = {"networks": [small_network().to_json()], "device": "pi"}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of job of another package; processes that find it, and a token."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, filter(None, sys.path))))
    monkeypatch.setenv("LUTRA_TOKEN", OWNER)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A server with an empty store."""
    with _serving(tmp_path / "rows.db") as running:
        yield running


def _serving(store: Path) -> Live:
    settings = Settings(store=str(store), heavy_per_s=1e6, failures_per_s=1e6)
    return Live(make_app(settings, own_digest=digest_of(OWNER)))


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


def start(folder: Path, url: str, *arguments: str, store: Path | None = None) -> "subprocess.Popen[str]":
    """An agent as a process that measures the null device as "pi", where there is no torch and nothing of a server."""
    absent = folder / "absent"
    absent.mkdir(exist_ok=True)
    for library in ("torch", "fastapi", "starlette", "uvicorn", "jinja2", "sklearn"):
        (absent / f"{library}.py").write_text("raise ImportError('it is not here')")
    environment = os.environ | {"PYTHONPATH": f"{absent}{os.pathsep}{os.environ['PYTHONPATH']}"}
    command = [sys.executable, "-c", RUN, "-v", "agent", "--server", url, "--store", str(store or folder / "agent.db")]
    command += ["--device", "pi=null", "--name", "pi", "--folder", str(folder / "work"), *arguments]
    with (folder / "agent.log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=folder, env=environment)


@contextmanager
def agent(folder: Path, url: str, *arguments: str, store: Path | None = None) -> "Iterator[subprocess.Popen[str]]":
    process = start(folder, url, *arguments, store=store)
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
    job = client.jobs.submit("profile", SMALL)
    assert run_agent(settings(tmp_path, live.url), threading.Event()) == 1
    done = client.jobs.get(job.id)
    assert (done.state, done.worker, done.attempts) == ("succeeded", "pi", 1)
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 2
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


@pytest.mark.slow
def test_cancelling_reaches_the_device_and_time_limits_are_kept_there(
    live: Live, client: Client, tmp_path: Path
) -> None:
    cancelled = client.jobs.submit("test-job", {"does": "waits", "device": "pi"})
    slow = client.jobs.submit("test-job", {"does": "waits", "device": "pi"}, limit_s=0.1)
    good = client.jobs.submit("test-job", {"does": "ends", "device": "pi"})
    bad = client.jobs.submit("test-job", {"does": "fails", "device": "pi"})
    thread = threading.Thread(target=run_agent, args=(settings(tmp_path, live.url), threading.Event()))
    thread.start()
    wait_for(lambda: [event for event in client.jobs.events(cancelled.id) if event["event"] == "begun"])
    assert client.jobs.cancel(cancelled.id).state == "cancelling"
    thread.join(120)
    assert client.jobs.get(cancelled.id).state == "cancelled"
    assert client.jobs.result(cancelled.id) == {"rows": 7}
    assert client.jobs.get(slow.id).state == "timed_out"
    assert client.jobs.file(good.id, "note.txt") == b"kept"
    assert client.jobs.log(good.id) == "ends with postgresql://me:[hidden]@db/x\n"
    error = client.jobs.get(bad.id).error
    assert error is not None
    assert error["message"] == "this is not done here"
    assert not [*(tmp_path / "work").iterdir()]


def test_a_network_that_is_gone_for_a_while_costs_nothing(live: Live, client: Client, tmp_path: Path) -> None:
    job = client.jobs.submit("profile", NULL)
    with Cable(int(live.url.rpartition(":")[2])) as cable, agent(tmp_path, cable.url, "--until-idle") as process:
        wait_for(lambda: client.jobs.get(job.id).events > 3)
        cable.cut()
        with Store.open(tmp_path / "agent.db") as store:  # measuring goes on
            wait_for(lambda: JobQueue(store).get(job.id).is_finished)
        assert client.jobs.get(job.id).state == "running"
        cable.mend()
        assert process.wait(120) == 0
    assert client.jobs.get(job.id).state == "succeeded"
    assert client.jobs.get(job.id).attempts == 1
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 10
    require_told_once(client, job)


@pytest.mark.slow
def test_connections_that_break_at_any_moment_double_nothing(live: Live, client: Client, tmp_path: Path) -> None:
    jobs = [client.jobs.submit("profile", NULL | {"networks": [name]}) for name in ("mobilenet_v2", "resnet18")]
    with Cable(int(live.url.rpartition(":")[2])) as cable, agent(tmp_path, cable.url, "--until-idle") as process:
        while process.poll() is None:
            passed = cable.passed
            wait_for(lambda passed=passed: cable.passed > passed + 60_000 or process.poll() is not None)
            cable.hang_up()
        assert process.returncode == 0
    for job in jobs:
        assert client.jobs.get(job.id).state == "succeeded"
        require_told_once(client, job)
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 20


def test_a_job_that_was_given_away_is_taken_back(live: Live, client: Client, tmp_path: Path) -> None:
    limits = Limits(stale_after_s=1.0)
    live.app.state.service.jobs.limits = limits
    job = client.jobs.submit("profile", NULL)
    with Cable(int(live.url.rpartition(":")[2])) as cable, agent(tmp_path, cable.url, "--until-idle") as process:
        wait_for(lambda: client.jobs.get(job.id).events > 3)
        cable.cut()
        with Store.open(tmp_path / "agent.db") as store:
            wait_for(lambda: JobQueue(store).get(job.id).is_finished)
        time.sleep(1.5)
        with Store.open(tmp_path / "rows.db") as store:  # another worker looks, and has no such device
            queue = JobQueue(store, limits=limits)
            assert queue.claim(Worker.remote("other"), ["profile"], ["another"]) is None
        assert client.jobs.get(job.id).state == "queued"
        live.app.state.service.jobs.limits = Limits()
        cable.mend()
        assert process.wait(120) == 0
    assert client.jobs.get(job.id).state == "succeeded"
    assert client.jobs.get(job.id).attempts == 2
    assert client.jobs.result(job.id)["measured"] > 10  # the end of what went on, not of another attempt
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 10
    require_told_once(client, job)


@pytest.mark.slow
def test_rows_of_a_job_that_another_has_taken_are_delivered(live: Live, client: Client, tmp_path: Path) -> None:
    job = client.jobs.submit("test-job", {"does": "waits", "device": "pi"})
    live.app.state.service.jobs.limits = limits = Limits(stale_after_s=1.0)
    with Cable(int(live.url.rpartition(":")[2])) as cable, agent(tmp_path, cable.url, "--until-idle") as process:
        wait_for(lambda: client.jobs.get(job.id).events > 3)
        cable.cut()
        with Store.open(tmp_path / "agent.db") as store:
            fingerprint = resolve_device("null").fingerprint
            store.register_device(fingerprint, "pi")
            store.record("pi", make_measurement("late"))
        time.sleep(1.5)
        with Store.open(tmp_path / "rows.db") as store:
            queue = JobQueue(store, limits=limits)
            taken = queue.claim(Worker("other", "elsewhere", None), ["test-job"], ["pi"])
            assert taken is not None
            live.app.state.service.jobs.limits = Limits()
            cable.mend()
            assert process.wait(120) == 0
            assert queue.finish(job.id, taken.token, "succeeded").state == "succeeded"
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") == 1


def test_agent_and_server_are_killed_in_the_middle(tmp_path: Path) -> None:
    port = _free_port()
    server, url = _server(tmp_path, port), f"http://127.0.0.1:{port}"
    with Store.open(tmp_path / "rows.db") as store:
        _, token = Tokens(store).create("pi", "profile")
    try:
        with Client(url, token=token) as client:
            wait_for(lambda: _answers(client))
            job = client.jobs.submit("profile", NULL | {"networks": MANY})
            (tmp_path / "token").write_text(token)
            given = ("--token-file", str(tmp_path / "token"))
            for kill_server in (False, True, False):
                before = client.jobs.get(job.id).events
                with agent(tmp_path, url, *given):
                    wait_for(lambda before=before: client.jobs.get(job.id).events > before + 4)
                    if kill_server:
                        server.kill()
                        server.wait()
                if kill_server:
                    server = _server(tmp_path, port)
                    wait_for(lambda: _answers(client))
            with agent(tmp_path, url, *given, "--until-idle") as process:
                assert process.wait(120) == 0
            assert client.jobs.get(job.id).state == "succeeded"
            require_told_once(client, job)
    finally:
        server.kill()
        server.wait()
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for a store and some of its rows."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_loses_no_row(live: Live, client: Client, small_disk: Path, tmp_path: Path) -> None:
    job = client.jobs.submit("profile", NULL | {"networks": MANY})
    (tmp_path / "token").write_text(OWNER)
    spool = small_disk / "agent.db"
    with agent(tmp_path, live.url, "--token-file", str(tmp_path / "token"), "--until-idle", store=spool) as process:
        wait_for(lambda: "no room to write" in (tmp_path / "agent.log").read_text())
        assert process.poll() is None
        before = client.jobs.get(job.id).events
        assert before > 1
        subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
        assert process.wait(120) == 0
    first = client.jobs.get(job.id)
    if first.state == "failed":  # else what lacked room was nothing that the job could not do without
        assert first.error is not None
        assert "no room to write" in first.error["message"]
    require_told_once(client, job)
    kept = require_same(spool, tmp_path / "rows.db")
    again = client.jobs.clone(job.id)
    with agent(tmp_path, live.url, "--token-file", str(tmp_path / "token"), "--until-idle", store=spool) as process:
        assert process.wait(120) == 0
    assert client.jobs.get(again.id).state == "succeeded"
    whole = require_same(spool, tmp_path / "rows.db")
    assert whole > 200
    assert whole > kept if first.state == "failed" else whole == kept


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found: int = listening.getsockname()[1]
        return found


def _server(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", RUN, "serve", "--port", str(port), "--store", str(folder / "rows.db")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)


def _answers(client: Client) -> bool:
    try:
        client.jobs.list(limit=1)
    except UnreachableServerError:
        return False
    return True


def test_told_to_stop_it_gives_the_job_back(live: Live, client: Client, tmp_path: Path) -> None:
    job = client.jobs.submit("test-job", {"does": "waits", "device": "pi"})
    with agent(tmp_path, live.url) as process:
        wait_for(lambda: [event for event in client.jobs.events(job.id) if event["event"] == "begun"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    returned = client.jobs.get(job.id)
    assert (returned.state, returned.attempts) == ("queued", 1)
    with Store.open(tmp_path / "agent.db") as store:
        assert JobQueue(store).list().jobs == ()
    assert "its agent was told to stop" in [event.get("reason") for event in client.jobs.events(job.id)]


@pytest.mark.slow
def test_a_token_that_ends_keeps_what_is_measured_for_the_next(live: Live, client: Client, tmp_path: Path) -> None:
    tokens = live.app.state.service.access.tokens
    record, text = tokens.create("first", "profile")
    place = tmp_path / "token"
    place.write_text(text)
    job = client.jobs.submit("profile", NULL)
    with agent(tmp_path, live.url, "--token-file", str(place), "--until-idle") as process:
        wait_for(lambda: client.jobs.get(job.id).events > 3)
        tokens.revoke(record.id)
        with Store.open(tmp_path / "agent.db") as store:
            wait_for(lambda: JobQueue(store).get(job.id).is_finished)
        wait_for(lambda: "not valid any more" in (tmp_path / "agent.log").read_text())
        assert process.poll() is None
        place.write_text(tokens.create("second", "profile")[1])
        assert process.wait(120) == 0
    assert client.jobs.get(job.id).state == "succeeded"
    assert text not in (tmp_path / "agent.log").read_text()
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 10


def test_what_is_refused_at_the_start(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    reader = live.app.state.service.access.tokens.create("reads", "read")[1]
    for text, expected in (("lutra_wrong", UnauthenticatedError), (reader, ForbiddenError)):
        (tmp_path / "token").write_text(text)
        with pytest.raises(expected):
            run_agent(settings(tmp_path, live.url, token_file=tmp_path / "token"), stop)
    with pytest.raises(UsageError, match="cannot be read"):
        run_agent(settings(tmp_path, live.url, token_file=tmp_path / "none"), stop)
    older = tuple(router for router in app._ROUTERS if router.prefix != "/v1/work")
    monkeypatch.setattr(app, "_ROUTERS", older)
    with _serving(tmp_path / "older.db") as server, pytest.raises(NotSupportedError, match="no work for agents"):
        run_agent(settings(tmp_path, server.url), stop)


def test_two_agents_of_one_store_are_one_too_many(live: Live, tmp_path: Path) -> None:
    with agent(tmp_path, live.url) as first:
        wait_for(lambda: (tmp_path / "agent.db.lock").exists() and (tmp_path / "agent.db").exists())
        with pytest.raises(StoreLockedError, match="another agent"):
            run_agent(settings(tmp_path, live.url), threading.Event())
        assert first.poll() is None


def test_a_server_that_has_lost_its_table_gets_all_rows_again(live: Live, client: Client, tmp_path: Path) -> None:
    for deletes in (True, False):
        job = client.jobs.submit("profile", SMALL)
        assert run_agent(settings(tmp_path, live.url), threading.Event()) == 1
        assert client.jobs.get(job.id).state == "succeeded"
        assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 2
        if deletes:
            client.delete_device("pi")


def test_a_job_of_a_device_that_is_not_measured_any_more_is_given_back(
    live: Live, client: Client, tmp_path: Path
) -> None:
    job = client.jobs.submit("test-job", {"does": "waits", "device": "pi"})
    with agent(tmp_path, live.url):
        wait_for(lambda: client.jobs.get(job.id).events > 3)
    assert client.jobs.get(job.id).state == "running"
    assert run_agent(settings(tmp_path, live.url, devices={"other": "null"}), threading.Event()) == 0
    assert client.jobs.get(job.id).state == "queued"
    client.jobs.cancel(job.id)


@pytest.mark.slow
def test_two_agents_share_the_jobs_of_a_device(live: Live, client: Client, tmp_path: Path) -> None:
    jobs = [client.jobs.submit("test-job", {"does": "ends", "device": "pi"}) for _ in range(3)]
    with ExitStack() as running:
        for name in "ab":
            (tmp_path / name).mkdir()
            running.enter_context(agent(tmp_path / name, live.url, "--name", name))
        wait_for(lambda: all(client.jobs.get(job.id).is_finished for job in jobs))
    done = [client.jobs.get(job.id) for job in jobs]
    assert [(job.state, job.attempts) for job in done] == [("succeeded", 1)] * 3
    assert {job.worker for job in done} <= {"a", "b"}


def test_a_row_that_the_server_does_not_take_keeps_none_of_the_others(
    live: Live, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lutra.service.api.routes import rows

    taken = rows._row

    def picky(document: dict[str, Any]) -> Any:
        if document["subject_kind"] == "network":
            raise UsageError("networks are not wanted", hint="send kernels")
        return taken(document)

    monkeypatch.setattr(rows, "_row", picky)
    job = client.jobs.submit("profile", SMALL)
    run_agent(settings(tmp_path, live.url), threading.Event())
    done = client.jobs.get(job.id)
    assert done.state == "failed"
    assert done.error is not None
    assert "networks are not wanted" in done.error["message"]
    assert [*client.numbers("pi", "kernel")]
    monkeypatch.setattr(rows, "_row", taken)
    run_agent(settings(tmp_path, live.url), threading.Event())  # started again, it offers the row again
    assert require_same(tmp_path / "agent.db", tmp_path / "rows.db") > 2


def test_a_device_that_somebody_has_by_hand_is_waited_for_and_the_other_way_round(
    live: Live, client: Client, tmp_path: Path
) -> None:
    run_agent(settings(tmp_path, live.url), threading.Event())
    job = client.jobs.submit("test-job", {"does": "waits", "device": "pi"})
    with client.lease("pi"):
        assert run_agent(settings(tmp_path, live.url), threading.Event()) == 0
    with agent(tmp_path, live.url, "--until-idle") as process:
        wait_for(lambda: client.jobs.get(job.id).events > 3)
        with pytest.raises(StoreLockedError), client.lease("pi"):
            pass
        client.jobs.cancel(job.id)
        assert process.wait(120) == 0
    with client.lease("pi"):
        assert client.jobs.get(job.id).state == "cancelled"


def test_the_devices_page_tells_of_the_agent(live: Live, client: Client, tmp_path: Path) -> None:
    run_agent(settings(tmp_path, live.url), threading.Event())  # before it has measured anything
    (found,) = client._transport.json("GET", "/v1/devices")["items"]
    assert (found["name"], found["agent"]) == ("pi", "pi")
    (shown,) = client._transport.json("GET", "/devices.json")["devices"]
    assert shown["health"]["agent"] == "pi"
    assert shown["health"]["state"]["kinds"] == ["profile", "test-job"]
    assert shown["health"]["state"]["rows_waiting"] == 0


def test_an_agent_needs_neither_torch_nor_a_server_s_libraries() -> None:
    code = (
        "import sys, lutra.service.agent.agent, lutra.service.jobs.child, lutra.service.jobs.profile\n"
        "from lutra.service.campaigns import measure\n"
        "from lutra.service.profiling import work_of\n"
        "heavy = {'torch', 'fastapi', 'starlette', 'uvicorn', 'sklearn', 'scipy', 'jinja2'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
