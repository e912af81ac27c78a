"""Opening a store: where it is, and everything that can stand in the way."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lutra.luts import Store, default_store_path
from lutra.luts.schema import REVISIONS
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.networks.errors import (
    LutraError,
    NotSupportedError,
    SchemaTooNewError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreReadOnlyError,
    UsageError,
)


def test_default_is_in_the_users_data_folder(tmp_path: Path) -> None:
    assert default_store_path() == tmp_path / "data-home" / "lutra" / "lutra.db"
    with Store.open() as store:
        assert store.location == str(default_store_path())
    assert default_store_path().is_file()


def test_environment_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUTRA_STORE", f"sqlite:///{tmp_path}/a%b 100%.db")
    with Store.open() as store:
        assert store.location == str(tmp_path / "a%b 100%.db")
    with Store.open(tmp_path / "argument.db") as store:
        assert store.location == str(tmp_path / "argument.db")


@pytest.mark.parametrize("name", ["50% done?.db", "ä#1.db", "with space.db"])
def test_awkward_file_names(tmp_path: Path, name: str) -> None:
    with Store.open(tmp_path / name) as store:
        store.register_device(make_fingerprint(), "host")
    assert (tmp_path / name).is_file()
    with Store.open(tmp_path / name, read_only=True) as store:
        assert store.device("host").name == "host"


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (":memory:", UsageError, "in memory"),
        ("", UsageError, "in memory"),
        ("sqlite://", UsageError, "in memory"),
        ("sqlite:///x.db?mode=ro", UsageError, "has options"),
        ("://", UsageError, "malformed"),
        ("mysql://host/lutra", NotSupportedError, "a store on mysql"),
        ("oracle://host/lutra", NotSupportedError, "a store on oracle"),
    ],
)
def test_places_that_make_no_sense(where: str, error: type[LutraError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        Store.open(where)
    assert caught.value.hint


def test_postgresql_without_its_driver_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NotSupportedError, match="psycopg") as caught:
        Store.open("postgres://user:secret@localhost/lutra")
    assert caught.value.hint == "pip install 'lutra[postgres]'"


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_missing_store_is_not_made_unasked(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "folder" / "no.db"
    with pytest.raises(StoreError, match="there is no store at"):
        Store.open(path, **options)
    assert not path.parent.exists()


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_empty_file_is_not_filled_unasked(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        Store.open(path, **options)
    assert path.stat().st_size == 0
    with Store.open(path) as store:
        assert store.devices() == []


def test_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be a store") as caught:
        Store.open(tmp_path / "file" / "lutra.db")
    assert "LUTRA_STORE" in str(caught.value)


def test_path_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreCorruptError, match="is not a file"):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"not a database\n" * 500, b"x", b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 4096, bytes(5000)],
)
def test_garbage_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.db"
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=r"damaged, or not a Lutra store"):
        Store.open(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1, 0.01])
def test_truncated_file_is_refused(filled: Path, kept: float) -> None:
    content = filled.read_bytes()[: int(kept * filled.stat().st_size)]
    filled.write_bytes(content)
    with pytest.raises(StoreCorruptError):
        Store.open(filled)
    assert filled.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photo (id INTEGER)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match=r"another program \(it has photo\)"):
        Store.open(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [False, True])
def test_newer_schema_is_refused_and_left_alone(filled: Path, read_only: bool) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("UPDATE lutra_schema SET version_num = '9999'")
    connection.commit()
    connection.close()
    content = filled.read_bytes()
    with pytest.raises(SchemaTooNewError, match=rf"'9999'.*'{REVISIONS[-1]}'") as caught:
        Store.open(filled, read_only=read_only)
    assert (caught.value.found, caught.value.known) == ("9999", REVISIONS[-1])
    assert "upgrade" in str(caught.value.hint)
    assert filled.read_bytes() == content


def test_schema_without_revision_is_damage(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("DELETE FROM lutra_schema")
    connection.commit()
    connection.close()
    with pytest.raises(StoreCorruptError, match="0 schema revisions"):
        Store.open(filled)


def test_read_only_store_reads_and_never_writes(filled: Path) -> None:
    content = filled.read_bytes()
    with Store.open(filled, read_only=True) as store:
        assert len(store.table("host")) == 40
        assert store.check().ok
        for write in (
            lambda: store.record("host", make_measurement("new")),
            lambda: store.register_device(make_fingerprint(threads=2), "two"),
            lambda: store.delete_device("host"),
            lambda: store.lease("host").__enter__(),
        ):
            with pytest.raises(StoreReadOnlyError, match="was opened read-only"):
                write()
    assert filled.read_bytes() == content


def test_read_only_sees_rows_that_another_process_still_holds_in_its_journal(filled: Path) -> None:
    with Store.open(filled) as writer:
        writer.record("host", make_measurement("fresh"))
        with Store.open(filled, read_only=True) as reader:
            assert reader.has("host", "kernel", "fresh")


def test_write_protected_file(unprivileged: Path) -> None:
    path = unprivileged / "lutra.db"
    path.chmod(0o444)
    with pytest.raises(StoreReadOnlyError, match="cannot be written"):
        Store.open(path)


def test_write_protected_folder(unprivileged: Path) -> None:
    path = unprivileged / "lutra.db"
    unprivileged.chmod(0o555)
    with pytest.raises(StoreReadOnlyError, match="the folder"):
        Store.open(path)
    with pytest.raises(StoreReadOnlyError, match="the folder"):
        Store.open(unprivileged / "new.db")
    with pytest.raises(StoreReadOnlyError, match="cannot be reached or made"):
        Store.open(unprivileged / "new folder" / "new.db")
    with Store.open(path, read_only=True) as store:
        assert store.device("host").name == "host"
    assert [item.name for item in unprivileged.iterdir()] == ["lutra.db"]
    unprivileged.chmod(0o755)


def test_locked_by_another_process(filled: Path) -> None:
    blocker = sqlite3.connect(filled, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with Store.open(filled, timeout_s=0.05) as store:
        assert store.has("host", "kernel", "k1")  # reading goes on
        with pytest.raises(StoreLockedError, match="another process is writing"):
            store.record("host", make_measurement("new"))
        blocker.execute("ROLLBACK")
        assert store.record("host", make_measurement("new"))
    blocker.close()


def test_moved_journal_mode_is_restored(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    Store.open(filled).close()
    connection = sqlite3.connect(filled)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_many_open_a_new_store_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from lutra.luts import Store; from lutra.luts.testing import *\n"
        "store = Store.open(sys.argv[1]); sys.stdin.read()\n"
        "store.register_device(make_fingerprint(), 'host'); store.record('host', make_measurement(sys.argv[2]))\n"
    )

    def run(number: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(tmp_path / "new.db"), f"k{number}"]
        return subprocess.run(command, input="", capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert [result.stderr for result in results if result.returncode] == []
    with Store.open(tmp_path / "new.db") as store:
        assert store.keys("host", "kernel") == {"k0", "k1", "k2", "k3"}


def test_copy_of_a_live_store_by_backup(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with Store.open(filled) as store:
        store.record("host", make_measurement("fresh"))
        store.backup(copy)
        with pytest.raises(StoreError, match="exists already"):
            store.backup(copy)
        with pytest.raises(StoreError, match="cannot be opened"):
            store.backup(tmp_path / "no such folder" / "copy.db")
    with Store.open(copy) as store:
        assert len(store.table("host")) == 41
        assert store.check().ok
