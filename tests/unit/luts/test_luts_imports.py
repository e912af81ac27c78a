"""What the package gives, and what it does not load."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lutra.luts


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_every_exported_name_exists_and_is_listed() -> None:
    for name in lutra.luts.__all__:
        assert getattr(lutra.luts, name) is not None
        assert name in dir(lutra.luts)
    assert sorted(lutra.luts.__all__) == lutra.luts.__all__


def test_lazy_names_are_exactly_those_of_the_store() -> None:
    public = importlib.import_module("lutra.luts.store").__all__
    assert set(public) == lutra.luts._IN_STORE


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Stroe'"):
        lutra.luts.Stroe  # noqa: B018


def test_import_is_light() -> None:
    loaded = loaded_after("import lutra.luts")
    heavy = {"torch", "sqlalchemy", "alembic", "onnx", "onnxruntime", "pyarrow", "platformdirs", "pytest"}
    assert loaded & heavy == set()
    assert "lutra.luts.store" not in loaded


def test_opening_a_current_store_leaves_alembic_alone(filled: Path) -> None:
    loaded = loaded_after(f"from lutra.luts import Store\nStore.open({str(filled)!r}).close()")
    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded


def test_folder_name_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(lutra.luts.__file__).resolve().parent
    monkeypatch.syspath_prepend(str(folder.parent))
    with pytest.raises(ImportError, match=r"import lutra\.luts, not luts"):
        importlib.import_module("luts")


def test_queries_are_light() -> None:
    pytest.importorskip("lutra.luts._native", reason="the extension module is not built")
    loaded = loaded_after("import lutra.luts.dense, lutra.luts.query")
    assert loaded & {"torch", "sqlalchemy", "onnx", "onnxruntime", "pyarrow"} == set()
