"""Where NVIDIA's libraries are looked for, and what is said of what is missing."""

from pathlib import Path

import pytest

from lutra.networks import NetworkBuilder
from lutra.networks.errors import NotSupportedError, UnsupportedDtypeError, UsageError
from lutra.networks.lowering import lower
from lutra.networks.lowering.cuda import MATH, PRECISIONS
from lutra.networks.lowering.cuda_eight import EIGHT_BITS
from lutra.profiler import resolve_device
from lutra.profiler._native import gpu
from lutra.profiler.nvidia import GpuReport, find_libraries, gpu_report
from lutra.profiler.nvidia.discovery import require_precision
from lutra.profiler.nvidia.libraries import cudnn_parts
from lutra.profiler.runtimes import runtime_class

ARCHITECTURES = (80, 90, 100, 120)


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose driver is no library, which is what is found first."""
    (tmp_path / "libcuda.so.1").write_text("no library")
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))


def test_a_folder_of_ones_own_comes_before_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("libcublasLt.so.12", "libcublasLt.so.13", "libnvrtc-builtins.so.13.1"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))
    found = find_libraries()
    assert found["cublaslt"].places == ([], [str(tmp_path / f"libcublasLt.so.{major}") for major in (13, 12)])
    assert found["builtins"].paths == (str(tmp_path / "libnvrtc-builtins.so.13.1"),)


def test_libraries_are_those_that_the_driver_runs() -> None:
    assert find_libraries(13)["cublaslt"].names == ("libcublasLt.so.13", "libcublasLt.so.12")
    assert find_libraries(12)["cublaslt"].names == ("libcublasLt.so.12",)
    assert find_libraries(12)["cublaslt"].package == "nvidia-cublas-cu12"
    assert find_libraries(14)["cudnn"].package == "nvidia-cudnn-cu13"


def test_the_parts_of_cudnn_begin_with_what_the_others_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("libcudnn.so.9", "libcudnn_cnn.so.9", "libcudnn_graph.so.9", "libcudnn_ops.so.9"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))
    parts = [Path(part).name for part in cudnn_parts(find_libraries()["cudnn"])]
    assert parts == ["libcudnn_graph.so.9", "libcudnn_cnn.so.9", "libcudnn_ops.so.9"]


@pytest.mark.usefixtures("no_gpu")
def test_without_a_driver_the_report_says_what_to_install() -> None:
    report = gpu_report()
    assert not report.usable
    assert "no NVIDIA driver" in report.problems[0]
    info = runtime_class("cuda").info()
    assert not info.available
    assert "install the driver" in info.note
    with pytest.raises(NotSupportedError, match="no NVIDIA driver"):
        resolve_device("cuda")


def test_what_is_missing_beside_a_gpu_is_named_with_its_package(
    tmp_path: Path, fake_gpu_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("libcuda.so.1", "libnvrtc.so.13"):
        (tmp_path / name).symlink_to(fake_gpu_folder / "libfake_gpu.so")
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))
    monkeypatch.setattr("lutra.profiler.nvidia.libraries._wheels", list)
    monkeypatch.setattr("lutra.profiler.nvidia.libraries._SYSTEM", ())
    problems = gpu_report().problems
    assert problems == (
        "cuBLASLt is missing: pip install nvidia-cublas",
        "cuDNN is missing: pip install nvidia-cudnn-cu13",
    )


def test_kernels_compiled_ahead_of_time_need_no_nvrtc(
    tmp_path: Path, fake_gpu_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("libcuda.so.1", "libcublasLt.so.13", "libcudnn.so.9"):
        (tmp_path / name).symlink_to(fake_gpu_folder / "libfake_gpu.so")
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))
    monkeypatch.setattr("lutra.profiler.nvidia.libraries._wheels", list)
    monkeypatch.setattr("lutra.profiler.nvidia.libraries._SYSTEM", ())
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(gpu, "ahead_runs", lambda *given: not asked.append(given))
    monkeypatch.setattr(gpu, "ahead_compiler", lambda: "13.0")
    report = gpu_report()
    assert asked == [(90, 13000)]
    assert report.usable
    assert "our kernels compiled by nvcc 13.0, ahead of time" in runtime_class("cuda").info().note
    assert runtime_class("cuda").device_version().endswith(", nvcc 13.0")


def test_what_compiles_our_kernels_is_told(fake_gpu: pytest.MonkeyPatch) -> None:
    del fake_gpu
    if gpu.ahead_compiler():
        pytest.skip("this build has kernels that were compiled ahead of time")
    assert not gpu.ahead_runs(90, 99000)
    assert "our kernels compiled by NVRTC" in runtime_class("cuda").info().note
    assert runtime_class("cuda")(1).describe()["kernels"] == "NVRTC 13.0"


def test_a_gpu_is_a_device_with_its_own_identity(fake_gpu: pytest.MonkeyPatch) -> None:
    del fake_gpu
    device = resolve_device("cuda", precision="float16")
    hardware, runtime = dict(device.fingerprint.hardware), dict(device.fingerprint.runtime)
    assert hardware["model"] == "Fake GPU"
    assert hardware["architecture"] == "sm_90"
    assert hardware["last_level_cache_kib"] == 1024
    assert runtime == {"name": "cuda", "version": "cublaslt 130002, cudnn 92801", "driver": "580.65.06"}
    assert dict(device.fingerprint.settings)["power_limit_w"] == 300
    assert device.fingerprint != resolve_device("cuda", precision="bfloat16").fingerprint
    assert not device.on_host


def test_runtimes_belong_to_their_device(fake_gpu: pytest.MonkeyPatch) -> None:
    del fake_gpu
    with pytest.raises(UsageError, match="device 'host' has no runtime 'cuda'"):
        resolve_device("host", runtime="cuda")
    with pytest.raises(UsageError, match="device 'cuda' has no runtime 'native'"):
        resolve_device("cuda", runtime="native")
    with pytest.raises(UsageError, match="runtime 'torch-cuda' does not run in 'int8'"):
        runtime_class("torch-cuda").check_precision("int8")


@pytest.mark.parametrize(
    ("architecture", "precision", "able"),
    [
        (80, "float8", "float32, float16, tf32, bfloat16, int8"),
        (75, "bfloat16", "float32, float16, int8"),
        (70, "int8", "float32, float16"),
    ],
)
def test_a_precision_that_the_gpu_lacks_is_refused_with_those_it_has(
    architecture: int, precision: str, able: str
) -> None:
    report = GpuReport({"name": "Old GPU", "architecture": architecture}, "13.0", (), {})
    wanted = rf"Old GPU \(sm_{architecture}\) does not multiply in {precision}"
    with pytest.raises(UnsupportedDtypeError, match=wanted) as caught:
        require_precision(report, precision)
    assert caught.value.hint == f"it does in {able}"
    require_precision(report, "float16")


def test_math_modes_are_rows_of_their_own(fake_gpu: pytest.MonkeyPatch) -> None:
    del fake_gpu
    b = NetworkBuilder("product")
    product = b.build(b.op("linear", b.op("relu", b.input((16, 32))), out_features=16))
    keys: dict[str, str] = {}
    for precision in PRECISIONS:
        assert resolve_device("cuda", precision=precision).precision == precision
        (kernel,) = [k for k in lower(product, "cuda", precision=precision).kernels if k.nodes[0].op == "linear"]
        keys[precision] = kernel.key
        assert dict(kernel.nodes[0].attrs)["math"] == (MATH | EIGHT_BITS)[precision]
    assert len(set(keys.values())) == len(PRECISIONS)
    assert keys["float32"] != keys["tf32"]  # the same shapes and types


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_without_a_gpu(architecture: int) -> None:
    found = find_libraries()
    if not found["nvrtc"].found:
        pytest.skip("nvidia-cuda-nvrtc is not installed")
    compiler = gpu.Compiler(found["nvrtc"].places, found["builtins"].places)
    if architecture not in compiler.architectures:
        pytest.skip(f"NVRTC {compiler.version} does not know sm_{architecture}")
    assert compiler.compile(architecture, None).startswith(b"\x7fELF")
    assert compiler.compile(architecture, "bfloat16").startswith(b"\x7fELF")
    assert compiler.compile(architecture, "int8").startswith(b"\x7fELF")
