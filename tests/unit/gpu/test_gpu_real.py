"""The benchmark of real GPUs: what it would measure, and the way of it on the stand-in, where no figure is true."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import _gpu_cases, gpu_real
from benchmarks._gpu_protocols import differences_pct


def test_a_dry_run_lists_what_would_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    gpu_real.main(["networks", "protocol", "--dry-run"])
    listed = json.loads(capsys.readouterr().out)
    networks = listed["networks"]["cases"]
    assert {case["network"] for case in networks} == {"mobilenet_v2", "resnet50", "vit_b_16", "shufflenet_v2_x1_0"}
    assert {case["batch"] for case in networks} == {1, 8, 64}
    assert {case["precision"] for case in networks} == {"float32", "float16", "bfloat16"}
    assert listed["networks"]["runtimes"] == ["torch-cuda", "torch-cuda-compile", "torch-cudagraph"]
    assert {"do_bench", "cupti"} <= set(listed["protocol"]["tools"])


def test_kernels_cover_depthwise_and_grouped_convolutions_and_eight_bits() -> None:
    cases = list(_gpu_cases.kernel_cases())
    assert {case.precision for case in cases} == {"float32", "tf32", "float16", "bfloat16", "int8", "float8"}
    assert {case.network for case in cases} == {"depthwise and grouped", *_gpu_cases.NETWORKS}
    network = _gpu_cases.convolutions(8)
    groups = [(node.op["groups"], node.op.inputs[0].shape[1]) for node in network]
    assert any(own == channels for own, channels in groups)
    assert any(1 < own < channels for own, channels in groups)


def test_kernels_are_measured_within_the_time_and_what_is_not_is_listed(
    fake_gpu: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0")
    written: list[Any] = []
    fake_gpu.setattr(gpu_real, "RESULTS", tmp_path)
    fake_gpu.setattr(gpu_real, "write", lambda area, figures: written.append((area, figures)))
    cases = [_gpu_cases.Case("depthwise and grouped", 1, "float16"), _gpu_cases.Case("resnet50", 64, "int8")]
    fake_gpu.setattr(gpu_real, "kernel_cases", lambda: iter(cases))
    begun = iter([0.0, 0.0, 0.0, 1e9])  # the second case is never reached
    fake_gpu.setattr(gpu_real, "monotonic", lambda: next(begun))
    gpu_real.main(["kernels"])
    kept = json.loads((tmp_path / "gpu_real" / "kernels.json").read_text())
    assert kept["gpu"] == "Fake GPU"
    assert [case["network"] for case in kept["cases"]] == ["depthwise and grouped"]
    labels = {kernel["label"] for kernel in kept["cases"][0]["kernels"]}
    assert len({label for label in labels if "Conv" in label}) == len(_gpu_cases.CONVOLUTIONS)
    assert kept["left_out"] == [cases[1].to_json()]
    ((area, figures),) = written
    assert (area, [figure.figure for figure in figures]) == ("gpu", ["cudagraph_sum_error_pct"])
    assert figures[0].goal == 5.0
    assert figures[0].value == kept["cudagraph_sum_error_pct"]


def test_a_mode_that_fails_is_told_and_the_others_go_on(fake_gpu: pytest.MonkeyPatch) -> None:
    from lutra.networks.errors import UnsupportedOpError

    def campaign(case: _gpu_cases.Case, runtime: str) -> tuple[list[Any], float, float]:
        assert case.batch == 1
        if runtime == "torch-cuda-compile":
            raise UnsupportedOpError("torch.compile refuses the network; it", {"GraphBreak": 1})
        return [], 1.1, 1.0

    fake_gpu.setattr(gpu_real, "campaign", campaign)
    fake_gpu.setattr(gpu_real, "network_cases", lambda: iter([_gpu_cases.Case("vit_b_16", 1, "float16")]))
    found = gpu_real.measure_networks(1e18)
    assert "torch.compile refuses" in found["cases"][0]["torch-cuda-compile"]["failed"]
    assert found["eager_sum_error_pct"] == pytest.approx(10.0)
    assert found["compile_sum_error_pct"] is None


def test_large_products_alone_must_agree_with_other_tools() -> None:
    cases = [
        {"size": 1024, "ours_us": 9.0, "others_us": {"cupti": 6.0}},
        {"size": 4096, "ours_us": 101.0, "others_us": {"cupti": 100.0, "do_bench": 102.0}},
    ]
    assert differences_pct(cases) == pytest.approx({"cupti_difference_pct": 1.0, "do_bench_difference_pct": 100 / 102})


def test_without_a_gpu_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    monkeypatch.setenv("LUTRA_CUDA_PATH", str(tmp_path))
    monkeypatch.setattr(gpu_real, "RESULTS", tmp_path)
    gpu_real.main(["kernels"])
    assert "skipped: no NVIDIA driver" in capsys.readouterr().err
    assert not (tmp_path / "gpu_real").exists()
