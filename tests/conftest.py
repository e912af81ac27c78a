"""What all tests share: where measured data lies, and that no test depends on the clock."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from lutra.luts.testing_postgres import PostgresServer, postgres_is_missing

settings.register_profile("lutra", deadline=None)  # no test asserts a wall time
settings.load_profile("lutra")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured data: ``LUTRA_SHARED_DATA``, or ``../shared/data`` beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LUTRA_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"measured data is not here ({folder}); set LUTRA_SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server; skips where there is none to run."""
    if reason := postgres_is_missing():
        pytest.skip(reason)
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database on a PostgreSQL server."""
    return postgres.new_database()
