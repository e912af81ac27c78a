"""The migrations lead to the schema that the code uses, on both databases; upgrading keeps the rows."""

import io
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql

from lutra.luts import Store, schema
from lutra.luts.dialects import insert_into
from lutra.luts.migrate import MIGRATIONS, STORE
from lutra.luts.salvage import salvage
from lutra.luts.testing import make_measurement, make_normalised
from lutra.networks.errors import SchemaTooNewError, StoreReadOnlyError

DATA = Path(__file__).with_name("data")
NEXT = '''
"""Adds a column, as some later version may."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "0005"
branch_labels = depends_on = None
def upgrade():
    op.add_column("device", sa.Column("place", sa.Text))
'''


def alembic_config(folder: Path = MIGRATIONS) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def test_revisions_are_those_of_the_migration_files() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == schema.REVISIONS


def test_migrations_lead_to_the_schema(filled: Path) -> None:
    engine = create_engine(f"sqlite:///{filled}")
    with engine.connect() as connection:
        options = {"version_table": schema.REVISION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_postgresql_gets_the_same_tables() -> None:
    config = alembic_config()
    config.set_main_option("dialect", "postgresql")
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    statements = config.output_buffer.getvalue()
    for table in schema.metadata.tables:
        assert f"CREATE TABLE {table} " in statements
    assert "BYTEA NOT NULL" in statements
    assert "BIGSERIAL NOT NULL" in statements
    assert "DOUBLE PRECISION" in statements or "FLOAT(53)" in statements


@pytest.mark.parametrize(("replace", "expected"), [(False, "DO NOTHING"), (True, "DO UPDATE SET value")])
def test_postgresql_upsert_compiles(replace: bool, expected: str) -> None:
    class Connection:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

    row = {"key": "k", "value": "v"}
    statement = insert_into(Connection(), schema.meta, row, ("key",), replace=replace)  # type: ignore[arg-type]
    assert f"ON CONFLICT (key) {expected}" in str(statement.compile(dialect=Connection.dialect))


def test_new_store_says_when_it_was_made(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    ((key, value),) = connection.execute("SELECT key, value FROM meta").fetchall()
    connection.close()
    assert key == "created_at"
    assert make_measurement(measured_at=value).measured_at == value


def test_upgrade_keeps_rows_and_a_backup(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "100% later"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_later.py").write_text(NEXT)
    with monkeypatch.context() as later:
        revisions = (*schema.REVISIONS, "9999")
        later.setattr("lutra.luts.migrate.STORE", replace(STORE, revisions=revisions, versions=folder / "versions"))
        with pytest.raises(StoreReadOnlyError, match="older schema 0005"):
            Store.open(filled, read_only=True)
        with Store.open(filled) as store:
            assert len(store.table("host")) == 40
            assert store.check().ok
        Store.open(filled).close()  # nothing more to do: no second backup
    with pytest.raises(SchemaTooNewError):
        Store.open(filled)
    (copy,) = tmp_path.glob("filled.db.*.bak")
    assert copy.name == "filled.db.schema-0005.bak"
    with Store.open(copy) as store:
        assert len(store.table("host")) == 40


def test_failed_upgrade_changes_nothing(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "later"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_later.py").write_text(NEXT + "    raise RuntimeError('half-way')\n")
    with monkeypatch.context() as later:
        revisions = (*schema.REVISIONS, "9999")
        later.setattr("lutra.luts.migrate.STORE", replace(STORE, revisions=revisions, versions=folder / "versions"))
        with pytest.raises(RuntimeError, match="half-way"):
            Store.open(filled)
    with Store.open(filled) as store:
        assert len(store.table("host")) == 40
        assert store.check().ok
    connection = sqlite3.connect(filled)
    assert "place" not in [column[1] for column in connection.execute("PRAGMA table_info(device)")]
    connection.close()


def old_store(revision: str, path: Path) -> None:
    """Make a store as the version of Lutra with that schema wrote it."""
    connection = sqlite3.connect(path)
    connection.executescript((DATA / f"store-{revision}.sql").read_text())
    connection.close()


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_a_store_of_an_older_schema_keeps_its_rows(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(revision, path)
    expected = {
        "ok": make_measurement("ok"),
        "noisy": make_measurement("noisy", status="noisy", flags=("wide", "steal")),
        "net": make_measurement("net", subject_kind="network", spec={"predicted_ns": 1.5e6}),
    } | ({"normalised": make_normalised("normalised")} if revision > "0001" else {})
    with pytest.raises(StoreReadOnlyError, match=f"older schema {revision}") as caught:
        Store.open(path, read_only=True)
    assert caught.value.hint == f"lutra table upgrade --store {path}"
    with Store.open(path) as store:
        assert store.check().ok
        rows = {row.subject_key: row for row in store.measurements("host")}
        assert rows.pop("bad").reason == "the runtime crashed"
        assert rows == expected
        assert {row.subject_key for row in store.numbers("host")} == {*expected, "bad"}
        documents = {"fusion": {"rules": [{"ops": ["conv2d", "relu"]}]}} if revision > "0002" else {}
        assert store.documents("host") == documents
        store.record("host", make_normalised("new"))
        assert store.get("host", "kernel", "new") == make_normalised("new")
        assert store.check().ok
    assert (tmp_path / f"old.db.schema-{revision}.bak").exists()


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_a_damaged_store_of_an_older_schema_gives_what_stands(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_store(revision, path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE measurement SET samples = x'00' WHERE id = 2")
    connection.commit()
    connection.close()
    found = salvage(path, tmp_path / "saved.db")
    assert found.lost == ("the samples of kernel noisy on host are damaged (too short)",)
    with Store.open(tmp_path / "saved.db") as store:
        assert store.get("host", "kernel", "ok") == make_measurement("ok")
        assert store.check().rows == found.rows == (3 if revision == "0001" else 4)
