"""GPUs as data: the shipped files, and what is refused."""

import csv
from pathlib import Path

import pytest
import yaml

from lutra.networks.errors import UnsupportedDtypeError, UsageError
from lutra.profiler.gpu_sim.device import read_gpu

FOLDER = Path(__file__).parents[3] / "profiler" / "gpu_sim" / "devices"
NUMBERS = ["sm_count", "boost_mhz", "bandwidth_gb_s", "l2_mb", "memory_gb", "tdp_w", "launch_us"]
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture
def described():
    return yaml.safe_load((FOLDER / "h100_sxm.yaml").read_text())


def refusal(tmp_path, document):
    path = tmp_path / "mine.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with pytest.raises(UsageError) as caught:
        read_gpu(path)
    assert "mine.yaml" in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_sixteen_are_shipped():
    assert len(FILES) == 16


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_peaks_follow_from_multiprocessors_and_clock(path):
    device = read_gpu(path)
    assert device.name == path.stem
    for dtype in device.dtypes:
        assert device.peak(dtype) == pytest.approx(device.dense_tflops(dtype), rel=0.08), dtype
    assert len(device.sources) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_figures_are_those_of_the_compiled_table(path, shared_data):
    with (shared_data / "gpu" / "gpu_devices.csv").open() as file:
        row = {row["gpu"]: row for row in csv.DictReader(file)}[path.stem]
    device = read_gpu(path)
    found = (device.sm_count, device.boost_mhz, device.peak("fp32"), device.bandwidth_gb_s, device.l2_mb)
    assert found == tuple(float(row[name]) for name in ("sm", "boost_mhz", "fp32_tflops", "bw_gbs", "l2_mb"))
    found = (device.memory_gb, device.tdp_w, device.node_nm, device.arch)
    assert found == (*(float(row[name]) for name in ("mem_gb", "tdp_w", "node_nm")), row["arch"])
    if row["bf16_tc_tflops"]:
        assert device.peak("fp16") == float(row["bf16_tc_tflops"])


def test_every_field_is_needed_but_for_discrepancies(described, tmp_path):
    for name in set(described) - {"discrepancies"}:
        lacking = {key: value for key, value in described.items() if key != name}
        assert name in refusal(tmp_path, lacking)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "fast", None, True])
def test_impossible_numbers_name_their_field(described, tmp_path, name, value):
    assert name in refusal(tmp_path, described | {name: value})


@pytest.mark.parametrize("value", [-989, 0, float("nan"), float("inf"), "989", None])
def test_impossible_peaks_name_their_format(described, tmp_path, value):
    described["peak_tflops"]["bf16"] = value
    assert "bf16" in refusal(tmp_path, described)


def test_unknown_keys_are_refused(described, tmp_path):
    assert "sms" in refusal(tmp_path, described | {"sms": 3})
    described["peak_tflops"]["fp4"] = 4000
    assert "fp4" in refusal(tmp_path, described)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_peaks_with_sparsity_are_refused_with_the_dense_ones(path, tmp_path):
    document = yaml.safe_load(path.read_text())
    for dtype in set(document["peak_tflops"]) - {"fp32"}:
        peaks = document["peak_tflops"] | {dtype: 2 * document["peak_tflops"][dtype]}
        told = refusal(tmp_path, document | {"peak_tflops": peaks})
        assert "sparsity" in told
        assert f"write {document['peak_tflops'][dtype]:g}" in told


def test_peaks_of_other_magnitudes_are_refused(described, tmp_path):
    described["peak_tflops"]["fp8"] = 1.979
    assert "PFLOPS" in refusal(tmp_path, described)
    described["peak_tflops"]["fp8"], described["peak_tflops"]["fp32"] = 1979, 134
    assert "check sm_count" in refusal(tmp_path, described)


def test_formats_that_the_architecture_lacks_are_refused_with_its_own(tmp_path):
    volta = yaml.safe_load((FOLDER / "v100_pcie_32gb.yaml").read_text())
    volta["peak_tflops"]["bf16"] = 112
    told = refusal(tmp_path, volta)
    assert "does not compute in bf16" in told
    assert "fp32, fp16" in told


def test_architecture_and_capability_agree(described, tmp_path):
    assert "is of hopper" in refusal(tmp_path, described | {"arch": "ada"})
    assert "known: 5.2" in refusal(tmp_path, described | {"compute_capability": "3.5"})


@pytest.mark.parametrize("content", ["", "- 1", "a: [", "x" * 70_000, "\x00", "name: " + "[" * 3000])
def test_files_that_are_no_description(tmp_path, content):
    refusal(tmp_path, content)


def test_asking_for_a_format_that_it_lacks_lists_those_it_has():
    with pytest.raises(UnsupportedDtypeError) as caught:
        read_gpu(FOLDER / "t4.yaml").peak("bf16")
    assert "fp32, fp16, int8" in str(caught.value)
