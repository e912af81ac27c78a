"""The model of GPUs: beside a plain twin, under calibration, and with bad input."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import FormatVersionError, ShapeError, UnsupportedDtypeError, UsageError
from lutra.profiler.gpu_sim.calibrate import calibrate
from lutra.profiler.gpu_sim.calibration import LEAST_SAMPLES, Calibration
from lutra.profiler.gpu_sim.constants import PARTS, SHIPPED, generation_of, native_device, read_constants
from lutra.profiler.gpu_sim.device import GpuDevice, read_gpu
from lutra.profiler.gpu_sim.model import BOUNDS, GpuModel, simulate
from lutra.profiler.gpu_sim.ops import GpuOp, encode
from lutra.profiler.gpu_sim.residual import FEATURES, MOST_TILES, SIZE_FEATURES, residual_features
from lutra.profiler.gpu_sim.simulator import GpuSimulator

DEVICES = SHIPPED.parent / "devices"
SIZES = st.integers(1, 1 << 14)


def gpu(name: str = "h100_sxm") -> GpuDevice:
    return read_gpu(DEVICES / f"{name}.yaml")


def products(count: int, seed: int = 0) -> list[GpuOp]:
    sizes = np.exp(np.random.default_rng(seed).uniform(np.log(64), np.log(4096), (count, 3))).astype(int)
    return [GpuOp.linear(int(m), int(n), int(k)) for m, n, k in sizes]


def stream_twin_ns(device: GpuDevice, elements: int, reads: int) -> float:
    """An element-wise kernel in a graph, as the compiled model has it, in plain words."""
    generation = generation_of(read_constants(), device)
    part, native = generation["parts"]["elementwise"], native_device(device, gddr_efficiency=0.84)
    rate = native["sm_count"] * native["clock_ghz"]
    moved = elements * (reads + 1) * 4
    dram = max(0.0, moved - part["warm_share"] * native["l2_bytes"]) / (native["bandwidth"] * part["dram_efficiency"])
    l2 = moved / (part["l2_bytes_per_clock"] * rate)
    lanes = native["peak"][0] / (2 * rate)
    compute = elements * part["element_cycles"] / (lanes * rate)
    kernel = (dram**4 + l2**4 + compute**4) ** 0.25 + part["ramp_ns"]
    floor = native["launch_ns"]
    return float((floor**8 + (part["hosts"]["graph"]["unhidden"] * floor + kernel) ** 8) ** 0.125)


@given(elements=st.integers(1, 1 << 30), reads=st.integers(1, 3), name=st.sampled_from(["v100_pcie_32gb", "h100_sxm"]))
def test_elementwise_kernels_are_as_the_twin_has_them(elements: int, reads: int, name: str) -> None:
    device = gpu(name)
    answer = simulate(device, [GpuOp.elementwise(elements, reads=reads)])
    assert answer.latency_ns[0] == pytest.approx(stream_twin_ns(device, elements, reads), rel=1e-9)


@given(m=SIZES, n=SIZES, k=SIZES, dtype=st.sampled_from(["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]))
def test_products_take_no_less_than_peak_allows(m: int, n: int, k: int, dtype: Any) -> None:
    device = gpu()
    answers = simulate(device, [GpuOp.gemm(m, n, k, dtype=dtype), GpuOp.linear(m, n, k, dtype=dtype)])
    least_ns = 2 * m * n * k / (1e3 * device.peak(dtype))
    assert (answers.latency_ns > 0.85 * least_ns).all()
    assert np.isfinite(answers.latency_ns).all()
    assert (answers.low_ns <= answers.high_ns).all()
    assert set(answers.bounds) <= set(BOUNDS)


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_class_has_an_answer_on_every_gpu_that_ships(path: Path) -> None:
    device = read_gpu(path)
    ops = [
        GpuOp.gemm(512, 512, 64, batch=12),
        GpuOp.linear(512, 512, 512),
        GpuOp.conv2d(8, 64, 56, 56, 64, kernel=(3, 3), padding=(1, 1)),
        GpuOp.conv2d(8, 64, 56, 56, 64, kernel=(3, 3), padding=(1, 1), groups=64),
        GpuOp.conv2d(8, 64, 56, 56, 128, kernel=(1, 1), stride=(2, 2), groups=2),
        GpuOp.elementwise(10**6),
        GpuOp.softmax(10**4, 512),
        GpuOp.norm(10**4, 768),
        GpuOp.pooling(10**6, 10**5, 9),
        GpuOp.movement(10**6, 10**6),
    ]
    for launch in ("graph", "eager"):
        answers = simulate(device, ops, launch=launch)  # type: ignore[arg-type]
        assert len(answers) == len(ops)
        assert (answers.latency_ns >= 1e3 * device.launch_us * 0.9).all()


def test_what_a_launch_hides_behind_is_the_bound() -> None:
    answers = simulate(gpu(), [GpuOp.elementwise(1), GpuOp.elementwise(10**9), GpuOp.linear(8192, 8192, 8192)])
    assert answers.bounds == ("launch", "dram", "compute")


def test_number_formats_that_a_gpu_lacks_are_refused() -> None:
    with pytest.raises(UnsupportedDtypeError, match="bf16"):
        simulate(gpu("v100_pcie_32gb"), [GpuOp.gemm(8, 8, 8, dtype="bf16")])
    with pytest.raises(UnsupportedDtypeError, match="float32"):
        GpuOp.gemm(8, 8, 8, dtype="float32")  # type: ignore[arg-type]


def test_negative_sizes_are_refused() -> None:
    with pytest.raises(ShapeError):
        GpuOp.gemm(8, -8, 8)


def test_ten_measurements_show_a_gpu_that_is_slower_than_its_datasheet() -> None:
    device, ops = gpu("a100_pcie_80gb"), products(LEAST_SAMPLES)
    asked = products(50, seed=1)
    plain, measured = simulate(device, asked).latency_ns, 1.5 * simulate(device, ops).latency_ns
    calibration = calibrate(device, ops, measured)
    found = simulate(device, asked, calibration=calibration)
    assert np.abs(found.latency_ns / (1.5 * plain) - 1).mean() < 0.08
    assert set(calibration.parts) == {"linear.simt"}


def test_trees_learn_what_factors_cannot() -> None:
    device, ops = gpu("a100_pcie_80gb"), products(400)

    def strange(some: list[GpuOp]) -> Any:
        slow = np.array([op.sizes[3] < 512 for op in some])
        return simulate(device, some).latency_ns * np.where(slow, 1.6, 1.0)

    calibration = calibrate(device, ops, strange(ops))
    asked = products(200, seed=1)
    answers = simulate(device, asked, calibration=calibration)
    assert np.abs(answers.latency_ns / strange(asked) - 1).mean() < 0.05
    inside = (answers.low_ns <= strange(asked)) & (strange(asked) <= answers.high_ns)
    assert 0.6 < inside.mean() <= 1


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    device, ops = gpu("a100_pcie_80gb"), products(320)
    calibration = calibrate(device, ops, 1.2 * simulate(device, ops).latency_ns)
    calibration.save(tmp_path / "a100.json")
    again = Calibration.load(tmp_path / "a100.json")
    expected = simulate(device, ops, calibration=calibration).latency_ns
    np.testing.assert_array_equal(simulate(device, ops, calibration=again).latency_ns, expected)


def test_what_trees_learned_is_part_of_the_fingerprint() -> None:
    device, ops = gpu("a100_pcie_80gb"), products(320)
    learned = calibrate(device, ops, simulate(device, ops).latency_ns)
    part = learned.parts["linear.simt"]
    assert part.residual is not None
    other = replace(part.residual, high=part.residual.high + 1)
    changed = replace(learned, parts={"linear.simt": replace(part, residual=other)})
    prints = [GpuSimulator(device, calibration=one).fingerprint for one in (learned, learned, changed)]
    assert prints[0] == prints[1] != prints[2]


def test_what_trees_learned_fades_beyond_the_sizes_they_saw() -> None:
    device, ops = gpu("a100_pcie_80gb"), products(320)
    few_rows = np.array([op.sizes[1] < 512 for op in ops])
    calibration = calibrate(device, ops, simulate(device, ops).latency_ns * np.where(few_rows, 0.7, 1.4))
    without = replace(calibration, parts={k: replace(v, residual=None) for k, v in calibration.parts.items()})
    most = max(op.sizes[1] for op in ops)
    asked = [GpuOp.linear(factor * most, 1024, 1024) for factor in (1, 2, 4, 1024)]
    learned = np.log(
        simulate(device, asked, calibration=calibration).latency_ns
        / simulate(device, asked, calibration=without).latency_ns
    )
    assert abs(learned[0]) > 0.1
    assert abs(learned[3]) < 0.01
    assert np.abs(learned[1:3]).max() < abs(learned[0])


def test_calibrations_of_version_1_are_read(tmp_path: Path) -> None:
    device, path = gpu("a100_pcie_80gb"), tmp_path / "old.json"
    step = {"feature": [[1, 0, 0]], "threshold": [[math.log(1000), 0, 0]], "left": [[1, 1, 2]], "right": [[2, 1, 2]]}
    trees = {"scalars": [0.0, 1], **step, "value": [[0.0, math.log(2), math.log(3)]]}
    part = {"compute": 1.0, "memory": 1.0, "floor_ns": 2500.0, "band": [0.9, 1.1], "samples": 300, "residual": trees}
    content = {"version": 1, "device": device.name, "launch": "graph", "parts": {"linear.simt": part}}
    path.write_text(json.dumps(content), encoding="utf-8")
    asked = [GpuOp.linear(512, 4096, 4096), GpuOp.linear(1 << 20, 512, 512)]
    found = simulate(device, asked, calibration=Calibration.load(path)).latency_ns
    assert found / simulate(device, asked).latency_ns == pytest.approx([2, 3])
    trees["feature"] = [[SIZE_FEATURES, 0, 0]]  # of version 2
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match="ask for what there is not"):
        Calibration.load(path)


def test_trees_are_told_how_products_divide_into_tiles_and_waves() -> None:
    device, rows = gpu("a100_pcie_80gb"), encode([GpuOp.linear(128, 256, 64), GpuOp.linear(129, 256 * 108, 64)])
    asked: list[int] = []

    def model(some: Any) -> Any:
        asked.append(int(some[0, 6]))
        return np.full(len(some), 2000.0 if some[0, 6] == 2 else 4000.0)

    features = residual_features(device, rows, np.full(2, 4000.0), model, tiles=3)
    assert features.shape == (2, FEATURES)
    assert asked == [1, 2, 3]
    waves, filled = features[:, SIZE_FEATURES + 4], features[:, SIZE_FEATURES + 5]  # blocks of 128 x 256
    assert waves == pytest.approx([-math.log2(108), 1])
    assert filled == pytest.approx([1 / 108, 1])
    assert features[:, -1].tolist() == [1, 1]
    assert features[0, -1 - MOST_TILES : -1][:4] == pytest.approx([0, -math.log(2), 0, 0])
    streams = encode([GpuOp.elementwise(1000)])
    assert not residual_features(device, streams, np.ones(1), model, tiles=0)[0, SIZE_FEATURES:].any()


def test_calibrations_are_of_one_gpu_and_one_way_to_launch() -> None:
    device, ops = gpu("a100_pcie_80gb"), products(LEAST_SAMPLES)
    calibration = calibrate(device, ops, simulate(device, ops).latency_ns)
    with pytest.raises(UsageError, match="h100"):
        GpuModel(gpu("h100_sxm"), calibration=calibration)
    with pytest.raises(UsageError, match="eager"):
        GpuModel(device, launch="eager", calibration=calibration)


def test_too_few_or_impossible_measurements_are_refused() -> None:
    device, ops = gpu(), products(LEAST_SAMPLES)
    with pytest.raises(UsageError, match=f"{LEAST_SAMPLES} measurements"):
        calibrate(device, ops[1:], np.ones(len(ops) - 1))
    for bad in (np.zeros(len(ops)), np.full(len(ops), np.nan), np.ones(3)):
        with pytest.raises(UsageError, match="positive number"):
            calibrate(device, ops, bad)


@given(st.data())
def test_damaged_calibrations_are_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("calibration") / "a.json"
    part = {"compute": 1.0, "memory": 1.0, "floor_ns": 1.0, "band": [0.9, 1.1], "samples": 10, "residual": None}
    content: dict[str, Any] = {"version": 1, "device": "x", "launch": "graph", "parts": {"norm": part}}
    key = data.draw(st.sampled_from([*part, "version", "device", "launch", "parts"]))
    broken = data.draw(st.sampled_from([None, "text", [], -1.0, {"a": 1}]))
    where = part if key in part else content
    where[key] = broken
    path.write_text(json.dumps(content), encoding="utf-8")
    if (key, broken) in (("residual", None), ("samples", -1.0), ("version", -1.0)) or key == "device":
        return
    if key == "parts" and broken == []:
        return
    with pytest.raises(UsageError):
        Calibration.load(path)


def test_newer_files_are_told_from_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    path.write_text('{"version": 99}', encoding="utf-8")
    with pytest.raises(FormatVersionError):
        Calibration.load(path)
    with pytest.raises(FormatVersionError):
        read_constants(path)


def test_constants_name_what_they_lack(tmp_path: Path) -> None:
    content = read_constants()
    del content["generations"][0]["parts"]["norm"]
    path = tmp_path / "constants.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match="norm"):
        read_constants(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UsageError):
        read_constants(path)


def test_generations_go_by_capability() -> None:
    constants = read_constants()
    assert generation_of(constants, gpu("p4"))["capability"] < 7
    assert generation_of(constants, gpu("b200_sxm"))["capability"] == 7
    for generation in constants["generations"]:
        assert set(generation["parts"]) == set(PARTS)


def test_batches_name_the_op_that_is_none() -> None:
    rows = encode(products(3))
    rows[1, 4] = 0
    with pytest.raises(ValueError, match="op 1"):
        GpuModel(gpu()).estimate_encoded(rows)
    with pytest.raises(ValueError, match="shape"):
        GpuModel(gpu()).estimate_encoded(rows[:, :5])


def test_larger_streams_are_never_quicker() -> None:
    ops = [GpuOp.elementwise(int(1.5**step)) for step in range(1, 50)]
    latency = simulate(gpu(), ops).latency_ns
    assert (np.diff(latency) >= -1e-6).all()
    assert math.isfinite(latency[-1])


@pytest.mark.parametrize("name", ["p4", "v100_pcie_32gb", "h100_sxm"])
def test_larger_batches_of_convolutions_are_hardly_ever_quicker(name: str) -> None:
    for size, edge in ((3, 7), (3, 56), (1, 28), (5, 14)):
        ops = [
            GpuOp.conv2d(batch, 64, edge, edge, 96, kernel=(size, size), padding=(size // 2, size // 2))
            for batch in range(1, 130)
        ]
        latency = simulate(gpu(name), ops).latency_ns
        assert (latency[1:] > 0.98 * np.maximum.accumulate(latency[:-1])).all()
        assert latency[-1] > 2 * latency[0]


@pytest.mark.parametrize("name", ["p4", "p100_pcie_16gb", "h100_sxm"])
@given(m=SIZES, n=SIZES, k=st.integers(64, 1 << 15))
def test_longer_products_take_longer(name: str, m: int, n: int, k: int) -> None:
    k = 64 * math.ceil(k / 64)
    latency = simulate(gpu(name), [GpuOp.linear(m, n, k), GpuOp.linear(m, n, 8 * k)]).latency_ns
    assert latency[1] > latency[0]
