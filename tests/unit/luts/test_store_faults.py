"""Full disks, damaged rows, lost processes: nothing half-written, nothing lost, nothing silently wrong."""

import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lutra.luts import Measurement, Store
from lutra.luts.faults import translate
from lutra.luts.testing import make_failed, make_fingerprint, make_measurement
from lutra.networks.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

WRITER = """
import sys
from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement
with Store.open(sys.argv[1]) as store:
    store.register_device(make_fingerprint(), "host")
    with store.lease("host"):
        for number in range(int(sys.argv[2]), 1_000_000):
            store.record("host", make_measurement(f"k{number}"))
            print(number, flush=True)
"""

FILLER = """
import sys
from lutra.luts import Store
from lutra.luts.testing import make_measurement
from lutra.networks.errors import StoreFullError
with Store.open(sys.argv[1]) as store:
    number = 0
    try:
        while True:
            store.record("host", make_measurement(f"new{number}", spec={"pad": "x" * 2000}))
            number += 1
    except StoreFullError as error:
        print(number, error.message)
"""


def edit(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def test_killed_writers_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "lutra.db"
    rng = random.Random(7)
    acknowledged = 0
    for _ in range(20):
        command = [sys.executable, "-c", WRITER, str(path), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]  # the first row is in; now any moment will do
            time.sleep(rng.uniform(0, 0.08))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        assert writer.returncode == -signal.SIGKILL
        numbers = [int(line) for line in lines if line.endswith("\n")]
        assert numbers == list(range(acknowledged, acknowledged + len(numbers)))
        acknowledged += len(numbers)
        with Store.open(path) as store:
            rows = list(store.measurements("host"))
        keys = [row.subject_key for row in rows]
        # A row may be committed just before its acknowledgement could be printed.
        assert keys in ([f"k{n}" for n in range(acknowledged)], [f"k{n}" for n in range(acknowledged + 1)])
        assert rows[-1] == make_measurement(keys[-1])
        acknowledged = len(keys)
    with Store.open(path) as store:
        assert store.check().ok
        with store.lease("host"):  # the last writer died holding it
            pass


def test_size_limit_stops_cleanly(filled: Path) -> None:
    limit = filled.stat().st_size + 60_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", FILLER, str(filled)]
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=True)
    written, message = result.stdout.split(maxsplit=1)
    assert "no room to write to" in message
    with Store.open(filled) as store:
        assert len(store.keys("host", "kernel")) == 40 + int(written)
        assert store.check().ok


def test_full_disk_keeps_what_was_there(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sqlite3.connect

    def cramped(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*args, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count=1")  # SQLite raises it to the present size: no page is free
        return connection

    monkeypatch.setattr("lutra.luts.database.sqlite3.connect", cramped)
    big = make_measurement("big", spec={"pad": "x" * 100_000})
    with Store.open(filled) as store:
        with pytest.raises(StoreFullError, match="no room to write to") as caught:
            store.record("host", big)
        assert "free some space" in str(caught.value)
        assert not store.has("host", "kernel", "big")
        assert store.check().ok
    monkeypatch.undo()
    with Store.open(filled) as store:
        assert store.record("host", big)
        assert store.check().rows == 41


def test_full_disk_in_the_middle_of_many_rows_leaves_none_of_them(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sqlite3.connect

    def cramped(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*args, **options)  # type: ignore[call-overload]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + 40}")
        return connection

    monkeypatch.setattr("lutra.luts.database.sqlite3.connect", cramped)
    rows = [make_measurement(f"new{number}", spec={"pad": "x" * 400}) for number in range(600)]
    with Store.open(filled) as store:
        with pytest.raises(StoreFullError, match="no room to write to"):
            store.record_many("host", rows)
        assert store.record_many("host", rows[:10]) == 10
    monkeypatch.undo()
    with Store.open(filled) as store:
        assert store.check().rows == 50
        assert store.record_many("host", rows) == 590
        assert store.check().ok


def test_full_disk_at_creation_leaves_nothing_that_hinders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sqlite3.connect

    def cramped(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain(*args, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count=4")
        return connection

    monkeypatch.setattr("lutra.luts.database.sqlite3.connect", cramped)
    with pytest.raises(StoreFullError):
        Store.open(tmp_path / "new.db")
    monkeypatch.undo()
    with Store.open(tmp_path / "new.db") as store:
        assert store.devices() == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE measurement SET samples = x'00ff' WHERE id = 7", "the samples of kernel k6 on host are damaged"),
        ("UPDATE measurement SET rounds = x'' WHERE id = 7", "the samples of kernel k6 on host are damaged"),
        ("UPDATE measurement SET status = 'great' WHERE id = 7", "the row of kernel k6 on host is damaged: status"),
        ("UPDATE measurement SET conditions = '{' WHERE id = 7", "the row of kernel k6 on host is damaged"),
        ("UPDATE measurement SET flags = '7' WHERE id = 7", "the row of kernel k6 on host is damaged"),
        ("UPDATE measurement SET overhead_ns = 'x' WHERE id = 7", "the row of kernel k6 on host is damaged: overhead"),
    ],
)
def test_damaged_row_is_named_and_the_others_stand(filled: Path, statement: str, problem: str) -> None:
    edit(filled, statement)
    with Store.open(filled) as store:
        with pytest.raises(StoreCorruptError) as caught:
            store.table("host")
        assert caught.value.message.startswith(problem)
        assert caught.value.hint
        report = store.check()
        assert (report.rows, report.ok, len(report.problems)) == (40, False, 1)
        assert report.problems[0].startswith(problem)
        assert store.get("host", "kernel", "k7") == make_measurement("k7")


@pytest.mark.parametrize("column", ["latency_ns", "p10_ns", "median_ns", "p90_ns", "iqr_ns", "sample_count"])
def test_check_finds_statistics_that_contradict_the_samples(filled: Path, column: str) -> None:
    edit(filled, f"UPDATE measurement SET {column} = {column} + 1 WHERE id = 3")
    with Store.open(filled) as store:
        assert store.check().problems == (f"{column} of kernel k2 on host is not what its samples give",)


def test_check_finds_a_number_on_a_failed_row(tmp_path: Path) -> None:
    path = tmp_path / "lutra.db"
    with Store.open(path) as store:
        store.register_device(make_fingerprint(), "host")
        store.record("host", make_failed("bad"))
    edit(path, "UPDATE measurement SET latency_ns = 5")
    with Store.open(path) as store:
        assert store.check().problems == ("latency_ns of kernel bad on host is not what its samples give",)


@pytest.mark.parametrize(
    ("fingerprint", "problem"),
    [("{}", "is damaged"), (make_fingerprint(threads=8).to_json(), "does not match its digest")],
)
def test_damaged_fingerprint_is_named(filled: Path, fingerprint: str, problem: str) -> None:
    edit(filled, "UPDATE device SET fingerprint = ?", fingerprint)
    with Store.open(filled) as store:
        with pytest.raises(StoreCorruptError, match=problem):
            store.device("host")
        report = store.check()
        assert report.rows == 40
        assert problem in report.problems[0]


def test_check_finds_rows_without_a_subject(filled: Path) -> None:
    edit(filled, "DELETE FROM subject WHERE key = 'k3'")
    with Store.open(filled) as store:
        assert store.check().problems == ("database: row 4 of measurement refers to a missing subject",)


def test_overwritten_page_is_found(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    for start in range(len(content) // 2 // page * page, len(content), page):
        content[start : start + page] = b"\x5a" * page
    filled.write_bytes(content)
    with Store.open(filled) as store:
        report = store.check()
        assert not report.ok
        with pytest.raises(StoreError):
            store.table("host")


def test_transaction_that_fails_leaves_no_trace(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> dict[str, object]:
        raise RuntimeError

    with Store.open(filled) as store:
        monkeypatch.setattr("lutra.luts.writing.measurement_columns", broken)
        with pytest.raises(RuntimeError):
            store.record("host", make_measurement("new"))
        monkeypatch.undo()
        connection = sqlite3.connect(filled)
        assert connection.execute("SELECT count(*) FROM subject WHERE key = 'new'").fetchone() == (0,)
        connection.close()
        assert store.record("host", make_measurement("new"))


def test_child_after_fork_has_its_own_connection(filled: Path) -> None:
    script = (
        "import os, sys\n"
        "from lutra.luts import Store\n"
        "from lutra.luts.testing import make_measurement\n"
        "store = Store.open(sys.argv[1])\n"
        "store.has('host', 'kernel', 'k0')\n"
        "child = os.fork()\n"
        "store.record('host', make_measurement('parent' if child else 'child'))\n"
        "if child:\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(filled)], check=True)
    with Store.open(filled) as store:
        assert {"parent", "child"} <= store.keys("host", "kernel")
        assert store.check().ok


NEIGHBOUR = """
import sys
from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement
threads, rows = int(sys.argv[2]), int(sys.argv[3])
device = make_fingerprint(threads=threads)
with Store.open(sys.argv[1]) as store:
    store.register_device(device, f"device {threads}")
    with store.lease(device):
        print("holding", flush=True)
        sys.stdin.readline()
        for number in range(rows):
            assert store.record(device, make_measurement(f"k{number}", overhead_ns=float(threads)))
        sys.stdin.readline()
"""


def test_two_devices_in_one_store_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, rows = tmp_path / "lutra.db", 60
    commands = [[sys.executable, "-c", NEIGHBOUR, str(path), str(threads), str(rows)] for threads in (1, 2)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = [subprocess.Popen(command, text=True, **pipes) for command in commands]  # type: ignore[call-overload]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "holding\n"
        holder = rf"device 1 is being profiled by process {writers[0].pid} on"
        with Store.open(path) as store, pytest.raises(StoreLockedError, match=holder):  # a third wants one of them
            store.lease("device 1").__enter__()
        outcomes = [writer.communicate("go on\nend\n", timeout=60) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [errors for _, errors in outcomes] == ["", ""]
    with Store.open(path) as store:
        assert store.check().ok
        for threads in (1, 2):
            found = {row.subject_key: row.overhead_ns for row in store.measurements(f"device {threads}")}
            assert found == {f"k{number}": float(threads) for number in range(rows)}


def test_lease_of_a_dead_process_is_free_at_once(filled: Path) -> None:
    script = (
        "import os, sys\nfrom lutra.luts import Store\nStore.open(sys.argv[1]).lease('host').__enter__()\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(filled)], check=True)
    connection = sqlite3.connect(filled)
    assert connection.execute("SELECT count(*) FROM lease").fetchone() == (1,)
    connection.close()
    with Store.open(filled) as store, store.lease("host"):
        pass


def test_lease_on_another_host_is_respected_until_it_falls_silent(filled: Path) -> None:
    with Store.open(filled) as store:
        with store.lease("host"):
            edit(filled, "UPDATE lease SET host = 'elsewhere', pid = 1, token = 'theirs'")
        with pytest.raises(StoreLockedError, match="process 1 on elsewhere"):
            store.lease("host").__enter__()
        edit(filled, "UPDATE lease SET heartbeat_ms = heartbeat_ms - 61000")
        with store.lease("host"):
            pass


class FakeServerError(Exception):
    """What a PostgreSQL driver raises."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("server says no")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("53100", StoreFullError),
        ("25006", StoreReadOnlyError),
        ("55P03", StoreLockedError),
        ("XX001", StoreCorruptError),
        ("08006", StoreUnavailableError),
        ("57P01", StoreUnavailableError),
        (None, StoreError),
    ],
)
def test_server_faults_are_translated(sqlstate: str | None, expected: type[StoreError]) -> None:
    error = translate("postgresql://host/lutra", FakeServerError(sqlstate))
    assert type(error) is expected
    assert "postgresql://host/lutra" in error.message
    assert error.hint


def test_huge_counts_in_a_spec_are_no_obstacle(filled: Path) -> None:
    row: Measurement = make_measurement("huge", spec={"macs": 2**70, "bytes_moved": -1})
    with Store.open(filled) as store:
        assert store.record("host", row)
        assert store.get("host", "kernel", "huge") == row


def test_opening_a_store_again_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    """Another process that opens and closes the store meanwhile must not take the journal away."""
    path = tmp_path / "rows.db"
    program = "import sys; from lutra.luts import Store; Store.open(sys.argv[1]).close()"
    with Store.open(path) as first, Store.open(path) as second:
        first.register_device(make_fingerprint(), "host")
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        second.record("host", make_measurement("a"))
        look = (
            "import sys; from lutra.luts import Store; sys.exit(not Store.open(sys.argv[1]).has('host', 'kernel', 'a'))"
        )
        subprocess.run([sys.executable, "-c", look, str(path)], check=True)
