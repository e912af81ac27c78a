"""A build whose GPU kernels are compiled ahead of time: it loads them without NVRTC, on the stand-in of a GPU."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # builds half of the native part, and kernels four times


def cmake(*arguments: str) -> str:
    done = subprocess.run(["cmake", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_kernels_compiled_by_nvcc_run_without_a_compiler(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None or shutil.which("cmake") is None:
        pytest.skip("no nvcc or no cmake")
    options = ["-DLUTRA_CUDA_AHEAD=ON", "-DLUTRA_BUILD_PYTHON=OFF", "-DLUTRA_BUILD_TESTS=ON"]
    told = cmake("-S", str(ROOT), "-B", str(tmp_path), *options)
    assert "GPU kernels are compiled ahead of time by nvcc" in told
    cmake("--build", str(tmp_path), "--parallel", "2", "--target", "gpu_ahead_test", "fake_gpu")
    program, stand_in = (next(tmp_path.rglob(name)) for name in ("gpu_ahead_test", "libfake_gpu.so"))
    ran = subprocess.run([program, stand_in], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert program.stat().st_size > 4_000_000  # they are in it


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    options = ["-DLUTRA_CUDA_AHEAD=YES", "-DLUTRA_BUILD_PYTHON=OFF"]
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(tmp_path), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "give OFF, ON or AUTO" in done.stderr
