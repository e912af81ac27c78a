"""Fixtures for tests of tables and stores."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.luts.testing import make_fingerprint, make_measurement


@pytest.fixture(autouse=True)
def no_store_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep tests away from the user's own store."""
    monkeypatch.delenv("LUTRA_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The path of a closed store with the device "host" and 40 kernels."""
    path = tmp_path / "filled.db"
    with Store.open(path) as store:
        store.register_device(make_fingerprint(), "host")
        for number in range(40):
            store.record("host", make_measurement(f"k{number}"))
    return path


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder with a store of one device, while this process has lost root's right to pass over permission bits.

    The store is made before, because a user without rights may not be able to read the installed package.
    """
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    with Store.open(folder / "lutra.db") as store:
        store.register_device(make_fingerprint(), "host")
    was_root = os.geteuid() == 0
    try:
        if was_root:
            for path in (folder, *folder.iterdir()):
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        shutil.rmtree(folder)
