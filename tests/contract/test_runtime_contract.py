"""Every built-in runtime keeps the runtimes' contract."""

import pytest

from lutra.profiler.runtimes import runtime_classes
from lutra.profiler.testing import RuntimeContract


class TestCuda(RuntimeContract):
    """On the stand-in of a GPU, where there may be none."""

    name = "cuda"

    @pytest.fixture(autouse=True)
    def _stand_in(self, fake_gpu: pytest.MonkeyPatch) -> None:
        fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=1")


class TestTorchOnGpu(RuntimeContract):
    name = "torch-cuda"


class TestTorchCaptured(RuntimeContract):
    name = "torch-cudagraph"


class TestTorchCompiledOnGpu(RuntimeContract):
    name = "torch-cuda-compile"


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


class TestTorch(RuntimeContract):
    name = "torch"


@pytest.mark.slow  # compiles for a minute or two
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
class TestTorchCompile(RuntimeContract):
    name = "torch-compile"


def test_no_runtime_is_left_out() -> None:
    assert {cls.name for cls in RuntimeContract.__subclasses__()} == set(runtime_classes())
