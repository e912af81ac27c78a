"""The queue of jobs keeps its contract on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.service.jobs.testing import OpenStore, QueueContract


class TestQueueOnSqlite(QueueContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: Store.open(tmp_path / "rows.db")


class TestQueueOnPostgres(QueueContract):
    @pytest.fixture
    def open_store(self, postgres_url: str) -> OpenStore:
        return lambda: Store.open(postgres_url)
