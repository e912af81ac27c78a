"""What the package gives, and what a worker does not load: one starts for each campaign, and after each crash."""

import subprocess
import sys

import pytest

import lutra.profiler


def test_every_exported_name_exists_and_is_listed() -> None:
    for name in lutra.profiler.__all__:
        assert getattr(lutra.profiler, name) is not None
        assert name in dir(lutra.profiler)
    assert sorted(lutra.profiler.__all__) == lutra.profiler.__all__


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'run_campain'"):
        lutra.profiler.run_campain  # noqa: B018


def test_a_worker_loads_neither_store_nor_libraries_it_does_not_run() -> None:
    code = "import sys, lutra.profiler.worker\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & {"torch", "sqlalchemy", "alembic", "onnx", "onnxruntime", "pyarrow", "typer", "rich"} == set()
    assert "lutra.profiler.campaign" not in loaded
