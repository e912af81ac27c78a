"""A store on a PostgreSQL server keeps the contract of stores, and says what is wrong when the server does not.

The tests start a server of their own (`lutra.luts.testing_postgres`). Skipped where its programs or psycopg are not
installed.
"""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from lutra.luts import RowNumbers, Store, schema
from lutra.luts.migrate import MIGRATIONS
from lutra.luts.testing import OpenStore, StoreContract, make_fingerprint, make_measurement, make_normalised
from lutra.luts.testing_postgres import PostgresServer
from lutra.networks.errors import (
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreReadOnlyError,
    StoreUnavailableError,
    UsageError,
)

FIRST = Path(__file__).parents[1] / "unit" / "luts" / "data" / "store-0001.sql"


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def open_store(self, postgres_url: str) -> OpenStore:
        return lambda: Store.open(postgres_url)


def test_many_rows_and_their_numbers(postgres_url: str) -> None:
    rows = [make_measurement(f"k{number}") for number in range(600)]
    with Store.open(postgres_url) as store:
        store.register_device(make_fingerprint(), "host")
        assert store.record_many("host", rows) == 600
        assert store.record_many("host", [make_normalised("k0"), make_measurement("new")]) == 1
        assert store.record_many("host", [make_normalised("k0")], replace=True) == 1
        assert store.get("host", "kernel", "k0") == make_normalised("k0")
        assert len(list(store.numbers("host"))) == 601
        assert next(store.numbers("host")) == RowNumbers.of(make_normalised("k0"))
        assert store.summaries()[0].counts == {"kernel": 601}
        assert store.check().ok


def test_a_transaction_is_kept_whole_or_not_at_all(postgres_url: str) -> None:
    def half(store: Store) -> None:
        with store.transaction():
            store.record("host", make_measurement("a"))
            raise ZeroDivisionError

    with Store.open(postgres_url) as store:
        store.register_device(make_fingerprint(), "host")
        with pytest.raises(ZeroDivisionError):
            half(store)
        assert not store.has("host", "kernel", "a")


def test_damage_is_found_by_the_checksum(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.register_device(make_fingerprint(), "host")
        store.record("host", make_measurement("a"))
        with store._database.write() as connection:
            connection.exec_driver_sql("UPDATE measurement SET rel_halfwidth = 0.5")
        report = store.check()
    assert report.problems == ("the row of kernel a on host is not what was written: its checksum differs",)
    assert report.standing is None


def test_read_only_never_writes(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="is empty"):
        Store.open(postgres_url, read_only=True)
    Store.open(postgres_url).close()
    with Store.open(postgres_url, read_only=True) as store, pytest.raises(StoreReadOnlyError):
        store.register_device(make_fingerprint(), "host")


def test_what_a_server_does_itself_is_refused(postgres_url: str, tmp_path: Path) -> None:
    with Store.open(postgres_url) as store:
        with pytest.raises(UsageError, match="on a server"):
            store.backup(tmp_path / "copy.db")
        with pytest.raises(UsageError, match="on a server"):
            store.compact()


def test_a_server_without_that_database(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match=r"postgresql.*absent") as caught:
        Store.open(postgres.url("absent").replace("lutra@", "lutra:secret@"))
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        Store.open(f"postgresql://lutra:secret@/rows?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_server_that_was_killed_has_every_row_when_it_is_back(postgres: PostgresServer, postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.register_device(make_fingerprint(), "host")
        store.record("host", make_measurement("a"))
        postgres.kill()
        with pytest.raises(StoreUnavailableError):
            store.record("host", make_measurement("b"))
        postgres.start()
        assert store.keys("host", "kernel") == {"a"}  # through the same store: its connections are made anew
        store.record("host", make_measurement("b"))
        assert store.check().ok


def test_another_process_that_holds_the_lock_is_waited_for_no_longer_than_asked(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.register_device(make_fingerprint(), "host")
        with Store.open(postgres_url, timeout_s=0.2) as other, store.transaction():
            store.register_device(make_fingerprint(), "renamed")
            with pytest.raises(StoreLockedError):
                other.register_device(make_fingerprint(), "mine")
        assert store.device(make_fingerprint()).name == "renamed"


def test_a_database_of_the_first_version_keeps_its_rows(postgres_url: str) -> None:
    write_first_version(postgres_url)
    with pytest.raises(StoreReadOnlyError, match="older schema 0001"):
        Store.open(postgres_url, read_only=True)
    with Store.open(postgres_url) as store:
        assert store.check().ok
        rows = {row.subject_key: row for row in store.measurements("host")}
        assert rows["ok"] == make_measurement("ok")
        assert rows["net"] == make_measurement("net", subject_kind="network", spec={"predicted_ns": 1.5e6})
        assert rows["bad"].reason == "the runtime crashed"
        assert store.summaries()[0].counts == {"kernel": 3, "network": 1}
        store.record("host", make_normalised("new"))
        assert store.get("host", "kernel", "new") == make_normalised("new")
        with store.database.read() as connection:
            options = {"version_table": schema.REVISION_TABLE, "compare_type": True}
            assert compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata) == []


def write_first_version(url: str) -> None:
    """Make a database as the first version of Lutra wrote it: its tables, with the rows of its store in a file."""
    file = sqlite3.connect(":memory:")
    file.executescript(FIRST.read_text())
    file.row_factory = sqlite3.Row
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in file.execute(f"SELECT * FROM {table.name}")]
            if rows and table.name != schema.REVISION_TABLE:
                connection.execute(table.insert(), rows)
                if "id" in table.c:
                    connection.exec_driver_sql(f"SELECT setval('{table.name}_id_seq', {len(rows)})")
    engine.dispose()
    file.close()


def test_a_foreign_revision_is_refused(postgres_url: str) -> None:
    Store.open(postgres_url).close()
    with Store.open(postgres_url) as store, store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM lutra_schema")
    with pytest.raises(StoreCorruptError, match="0 schema revisions"):
        Store.open(postgres_url)
