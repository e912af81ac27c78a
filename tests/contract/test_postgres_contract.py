"""A store on a PostgreSQL server keeps the contract of stores, and says what is wrong when the server does not.

The tests start a server of their own in a temporary folder, as a user without rights where they run as root, because
PostgreSQL refuses to run as root. Skipped where its programs or psycopg are not installed.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from lutra.luts import RowNumbers, Store
from lutra.luts.testing import OpenStore, StoreContract, make_fingerprint, make_measurement, make_normalised
from lutra.networks.errors import StoreCorruptError, StoreError, StoreLockedError, StoreReadOnlyError, UsageError

Database = Callable[[], str]


def program(name: str) -> str | None:
    """The path of one of the server's programs; Debian keeps them away from the search path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))


def own_user() -> dict[str, object]:
    """Arguments of subprocess.run that give up root's rights."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The folder of a running server's socket, which is also its host name."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'lutra[postgres]'")
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("the programs of a PostgreSQL server are not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="lutra-pg-"))  # not pytest's: nobody but its owner may enter that
    data, user = folder / "data", own_user()
    if user:
        os.chown(folder, int(str(user["user"])), int(str(user["group"])))

    def run(*command: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120, **user)  # type: ignore[call-overload]

    quick = f"-c fsync=off -c listen_addresses='' -c unix_socket_directories='{folder}' -c max_connections=50"
    try:
        run(initdb, "--pgdata", str(data), "--username", "lutra", "--auth", "trust", "--no-sync", "--encoding", "UTF8")
        run(pg_ctl, "--pgdata", str(data), "--log", str(folder / "log"), "--options", quick, "--wait", "start")
        try:
            yield str(folder)
        finally:
            run(pg_ctl, "--pgdata", str(data), "--mode", "immediate", "--wait", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: str) -> str:
    """The URL of an empty database."""
    import psycopg

    name = f"lutra_{uuid4().hex}"
    with psycopg.connect(host=server, user="lutra", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://lutra@/{name}?host={server}"


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def open_store(self, url: str) -> OpenStore:
        return lambda: Store.open(url)


def test_many_rows_and_their_numbers(url: str) -> None:
    rows = [make_measurement(f"k{number}") for number in range(600)]
    with Store.open(url) as store:
        store.register_device(make_fingerprint(), "host")
        assert store.record_many("host", rows) == 600
        assert store.record_many("host", [make_normalised("k0"), make_measurement("new")]) == 1
        assert store.record_many("host", [make_normalised("k0")], replace=True) == 1
        assert store.get("host", "kernel", "k0") == make_normalised("k0")
        assert len(list(store.numbers("host"))) == 601
        assert next(store.numbers("host")) == RowNumbers.of(make_normalised("k0"))
        assert store.summaries()[0].counts == {"kernel": 601}
        assert store.check().ok


def test_a_transaction_is_kept_whole_or_not_at_all(url: str) -> None:
    def half(store: Store) -> None:
        with store.transaction():
            store.record("host", make_measurement("a"))
            raise ZeroDivisionError

    with Store.open(url) as store:
        store.register_device(make_fingerprint(), "host")
        with pytest.raises(ZeroDivisionError):
            half(store)
        assert not store.has("host", "kernel", "a")


def test_damage_is_found_by_the_checksum(url: str) -> None:
    with Store.open(url) as store:
        store.register_device(make_fingerprint(), "host")
        store.record("host", make_measurement("a"))
        with store._database.write() as connection:
            connection.exec_driver_sql("UPDATE measurement SET rel_halfwidth = 0.5")
        report = store.check()
    assert report.problems == ("the row of kernel a on host is not what was written: its checksum differs",)
    assert report.standing is None


def test_read_only_never_writes(url: str) -> None:
    with pytest.raises(StoreError, match="is empty"):
        Store.open(url, read_only=True)
    Store.open(url).close()
    with Store.open(url, read_only=True) as store, pytest.raises(StoreReadOnlyError):
        store.register_device(make_fingerprint(), "host")


def test_what_a_server_does_itself_is_refused(url: str, tmp_path: Path) -> None:
    with Store.open(url) as store:
        with pytest.raises(UsageError, match="on a server"):
            store.backup(tmp_path / "copy.db")
        with pytest.raises(UsageError, match="on a server"):
            store.compact()


def test_a_server_that_is_not_there(server: str) -> None:
    with pytest.raises(StoreError, match=r"postgresql.*failed") as caught:
        Store.open(f"postgresql://lutra:secret@/absent?host={server}")
    assert "secret" not in str(caught.value)


def test_another_process_that_holds_the_lock_is_waited_for_no_longer_than_asked(url: str) -> None:
    with Store.open(url) as store:
        store.register_device(make_fingerprint(), "host")
        with Store.open(url, timeout_s=0.2) as other, store.transaction():
            store.register_device(make_fingerprint(), "renamed")
            with pytest.raises(StoreLockedError):
                other.register_device(make_fingerprint(), "mine")
        assert store.device(make_fingerprint()).name == "renamed"


def test_a_foreign_revision_is_refused(url: str) -> None:
    Store.open(url).close()
    with Store.open(url) as store, store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM lutra_schema")
    with pytest.raises(StoreCorruptError, match="0 schema revisions"):
        Store.open(url)
