"""The package as a whole: what it offers, and how light it is."""

import subprocess
import sys

import pytest

import lutra.predictors as package
from lutra.networks.errors import UnknownNameError, UsageError
from lutra.predictors import LatencyPredictor, TablePredictor, predictor_class, predictor_kinds, register


def test_everything_that_is_promised_is_there() -> None:
    assert sorted(package.__all__) == package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_importing_it_brings_no_heavy_library() -> None:
    heavy = ("torch", "sklearn", "scipy", "onnx", "onnxruntime", "sqlalchemy", "alembic", "pyarrow", "lutra.profiler")
    code = f"import sys, lutra.predictors; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_kinds_are_registered_once() -> None:
    assert "table" in predictor_kinds()
    assert predictor_class("table") is TablePredictor
    with pytest.raises(UnknownNameError, match="table"):
        predictor_class("tabel")

    class Again(TablePredictor):
        pass

    with pytest.raises(UsageError, match="is there twice"):
        register("table")(Again)
    assert issubclass(predictor_class("table"), LatencyPredictor)
