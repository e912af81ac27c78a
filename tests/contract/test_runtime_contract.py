"""Every built-in runtime keeps the runtimes' contract."""

from lutra.profiler.runtimes import runtime_classes
from lutra.profiler.testing import RuntimeContract


class TestNative(RuntimeContract):
    name = "native"


class TestNull(RuntimeContract):
    name = "null"


class TestOneDnn(RuntimeContract):
    name = "onednn"


class TestOnnxRuntime(RuntimeContract):
    name = "onnxruntime"


class TestXnnpack(RuntimeContract):
    name = "xnnpack"


def test_no_runtime_is_left_out() -> None:
    assert {cls.name for cls in RuntimeContract.__subclasses__()} == set(runtime_classes())
