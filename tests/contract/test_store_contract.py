"""The SQLite store keeps the contract of stores."""

from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.luts.testing import OpenStore, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: Store.open(tmp_path / "new folder" / "lutra.db")


class TestSqliteStoreByUrl(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: Store.open(f"sqlite:///{tmp_path}/lutra.db")
