"""The service's tables: the migrations lead to what the code uses, on both databases, beside rows of any age."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.networks.errors import SchemaTooNewError, StoreReadOnlyError
from lutra.service import schema
from lutra.service.jobs.queue import JobQueue

FIRST = Path(__file__).parents[1] / "luts" / "data" / "store-0001.sql"
NULL = {"networks": ["mobilenet_v2"], "device": "null"}


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "rows.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_migrations_lead_to_the_schema(place: str) -> None:
    from lutra.luts.schema import metadata as rows

    with Store.open(place) as store:
        schema.require_service_schema(store)
        schema.require_service_schema(store)  # nothing more to do
        with store.database.read() as connection:

            def mine(_: object, name: str | None, kind: str, *others: object) -> bool:
                del others
                return not (kind == "table" and (name in rows.tables or name in ("lutra_schema", "lutra_service")))

            options = {"version_table": schema.SERVICE.table, "compare_type": True, "include_object": mine}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, schema.metadata) == []


def test_rows_and_jobs_live_side_by_side(place: str) -> None:
    with Store.open(place) as store:
        store.register_device(make_fingerprint(), "host")
        store.record("host", make_measurement("a"))
        job = JobQueue(store).submit("profile", NULL)
        assert store.check().ok
    with Store.open(place) as store:
        assert JobQueue(store).get(job.id) == job
        assert store.keys("host", "kernel") == {"a"}


def test_a_store_of_the_first_version_takes_jobs(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST.read_text())
    connection.close()
    with Store.open(path) as store:
        assert JobQueue(store).submit("profile", NULL).state == "queued"
        assert store.keys("host", "kernel") == {"ok", "noisy", "bad"}
        assert store.check().ok
    assert len(list(tmp_path.glob("*.bak"))) == 1  # of the rows; there were no jobs to keep


def test_a_newer_schema_and_a_store_to_be_read_are_refused(place: str) -> None:
    Store.open(place).close()
    with Store.open(place, read_only=True) as store, pytest.raises(StoreReadOnlyError, match="must be upgraded"):
        JobQueue(store)
    with Store.open(place) as store:
        JobQueue(store)
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE lutra_service SET version_num = '9999'")
        with pytest.raises(SchemaTooNewError):
            JobQueue(store)
