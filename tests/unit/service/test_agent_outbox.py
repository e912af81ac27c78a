"""What an agent's store notes for the server: each row that is written, until exactly that was delivered."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement
from lutra.service.agent import schema
from lutra.service.agent.outbox import Outbox
from lutra.service.client.work import TableThere


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "agent.db") as store:
        store.register_device(make_fingerprint(), "pi")
        yield store


def deliver(outbox: Outbox) -> list[str]:
    """Delivers everything; the keys of the rows, in order."""
    keys = []
    while (waiting := outbox.next()) is not None:
        keys += [row.subject_key for row in waiting.rows]
        outbox.delivered(waiting.sequences)
    return keys


def there(store: Store, rows: int, created_at: str = "2026-01-01T00:00:00.000Z") -> TableThere:
    return TableThere(digest=store.device("pi").digest, created_at=created_at, counts={"kernel": rows})


def test_migrations_lead_to_the_schema(store: Store) -> None:
    schema.require_agent_schema(store)
    schema.require_agent_schema(store)
    with store.database.read() as connection:

        def mine(_: object, name: str | None, kind: str, *others: object) -> bool:
            del others
            return kind != "table" or (name or "").startswith("agent_")

        options = {"version_table": schema.AGENT.table, "compare_type": True, "include_object": mine}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def test_each_change_of_a_row_waits_until_it_was_delivered(store: Store) -> None:
    store.record("pi", make_measurement("before"))
    outbox = Outbox(store)
    store.record_many("pi", [make_measurement(key) for key in "ab"])
    assert deliver(outbox) == ["before", "a", "b"]
    store.record("pi", make_measurement("a"), replace=True)
    store.record("pi", make_measurement("b"))  # the earlier one is kept
    waiting = outbox.next()
    assert waiting is not None
    assert waiting.rows == (store.get("pi", "kernel", "a"),)
    store.record("pi", replace(make_measurement("a"), label="changed on the way"), replace=True)
    outbox.delivered(waiting.sequences)
    assert deliver(outbox) == ["a"]
    assert len(outbox) == 0


def test_what_is_deleted_is_not_delivered(store: Store) -> None:
    outbox = Outbox(store)
    store.record("pi", make_measurement("a"))
    store.delete_device("pi")
    assert outbox.next() is None
    assert len(outbox) == 0


def test_what_was_refused_comes_again_when_asked_for_or_changed(store: Store) -> None:
    outbox = Outbox(store)
    store.record_many("pi", [make_measurement(key) for key in "ab"])
    waiting = outbox.next()
    assert waiting is not None
    outbox.refuse(waiting.sequences, "not wanted")
    assert (outbox.next(), outbox.refused(), len(outbox)) == (None, "not wanted", 2)
    store.record("pi", make_measurement("b"), replace=True)
    assert deliver(outbox) == ["b"]
    outbox.retry()
    assert (deliver(outbox), outbox.refused()) == (["a"], None)


def test_a_table_that_is_another_one_or_lacks_rows_gets_all_of_them(store: Store) -> None:
    outbox = Outbox(store)
    store.record_many("pi", [make_measurement(key) for key in "ab"])
    outbox.goes_into(there(store, 0))
    assert deliver(outbox) == ["a", "b"]
    outbox.goes_into(there(store, 2))
    assert deliver(outbox) == []
    outbox.goes_into(there(store, 1))  # restored from a backup
    assert deliver(outbox) == ["a", "b"]
    store.record("pi", make_measurement("c"))
    outbox.goes_into(there(store, 2))
    assert deliver(outbox) == ["c"]
    outbox.goes_into(there(store, 9, created_at="2026-02-02T00:00:00.000Z"))
    assert deliver(outbox) == ["a", "b", "c"]
    assert outbox.tables() == [store.device("pi").digest]


def test_documents_wait_until_they_are_delivered(store: Store) -> None:
    outbox, fingerprint = Outbox(store), store.device("pi").fingerprint
    outbox.goes_into(there(store, 0))
    assert outbox.documents_of(fingerprint) is None
    store.set_document("pi", "fusion", {"x": 1})
    found = outbox.documents_of(fingerprint)
    assert found == {"fusion": {"x": 1}}
    outbox.documents_delivered(fingerprint.digest, found)
    assert outbox.documents_of(fingerprint) is None
    store.set_document("pi", "fusion", {"x": 2})
    assert outbox.documents_of(fingerprint) == {"fusion": {"x": 2}}


def test_triggers_that_are_gone_are_made_again_and_miss_nothing(store: Store) -> None:
    outbox = Outbox(store)
    store.record("pi", make_measurement("a"))
    assert deliver(outbox) == ["a"]
    with store.database.write() as connection:  # as a migration does that copies the table
        connection.exec_driver_sql("DROP TRIGGER agent_row_written")
    store.record("pi", make_measurement("b"))
    assert deliver(Outbox(store)) == ["a", "b"]


def test_a_damaged_row_holds_up_no_other(store: Store) -> None:
    outbox = Outbox(store)
    store.record_many("pi", [make_measurement(key) for key in "ab"])
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE measurement SET samples = x'00' WHERE id = 1")
    assert deliver(outbox) == ["b"]
    assert "damaged" in str(outbox.refused())
