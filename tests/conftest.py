"""What all tests share: where measured data lies, and that no test depends on the clock."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
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


_NVIDIA_NAMES = ("libcuda.so.1", "libnvidia-ml.so.1", "libnvrtc.so.13", "libcublasLt.so.13", "libcudnn.so.9")


@pytest.fixture(scope="session")
def fake_gpu_folder() -> Path:
    """A folder with a stand-in for NVIDIA's driver and libraries (``tests/native/gpu/fake``), compiled once a version.

    It runs our GPU kernels on the processor, with a clock of its own.
    """
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler for the stand-in of a GPU")
    root = Path(__file__).resolve().parents[1]
    sources = sorted((root / "tests/native/gpu/fake").glob("*.cpp"))
    read = [*sources, *(root / "tests/native/gpu/fake").glob("*.hpp"), *(root / "csrc/gpu").glob("*/*.*")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(read))).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"lutra-fake-gpu-{digest}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as building:
            library = Path(building) / "libfake_gpu.so"
            flags = ["-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden"]
            includes = ["-I", str(root / "csrc"), "-I", str(root / "tests/native/gpu/fake")]
            subprocess.run([compiler, *flags, *includes, *map(str, sources), "-o", str(library)], check=True)
            for name in _NVIDIA_NAMES:
                (Path(building) / name).symlink_to(library.name)
            with suppress(FileExistsError):  # where another test process was quicker
                shutil.copytree(building, folder, symlinks=True)
    return folder


@pytest.fixture
def fake_gpu(fake_gpu_folder: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process and those that it starts see the stand-in of a GPU; set ``LUTRA_FAKE_GPU`` to make it fail."""
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(fake_gpu_folder))
    return monkeypatch


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
