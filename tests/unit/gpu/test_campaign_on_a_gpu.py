"""Campaigns on a GPU from end to end, on the stand-in: rows, conditions, and what happens when it goes wrong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lutra.luts import Store
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import GpuLostError, MeasurementError
from lutra.networks.lowering import lower
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.client import WorkerClient

QUICK = Settings(min_rounds=2, max_rounds=3, samples_per_visit=2, group_budget_s=20.0)


def network(width: int = 16) -> Network:
    b = NetworkBuilder("small")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=8, kernel_size=3, padding=1))
    y = b.op("conv2d", x, out_channels=8, kernel_size=3, padding=1, groups=8)
    x = b.op("flatten", b.op("global_avg_pool2d", b.op("add", y, x)))
    return b.build(b.op("linear", x, out_features=width))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


@pytest.mark.parametrize("cache", ["cold-weights", "cold-all"])
def test_rows_hold_the_gpus_time_and_what_was_seen(fake_gpu: pytest.MonkeyPatch, store: Store, cache: str) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0")
    device = resolve_device("cuda", precision="float16", cache=cache)
    result = run_campaign(make_plan(device, [network()]), store, settings=QUICK)
    assert not result.failed
    assert result.table is not None
    rows = list(result.table.rows("kernel"))
    assert len(rows) == len(lower(network(), "cuda", precision="float16").distinct)
    for row in rows:
        assert row.status == "ok"
        assert row.latency_ns < 50_000  # of the stand-in's clock, whatever this machine does
        assert row.conditions["dispatch_ns"] > 0
        assert row.conditions["sm_mhz"] == pytest.approx(1500, rel=0.05)
        assert row.conditions["implementation"]
    whole = list(result.table.rows("network"))
    assert len(whole) == 1
    if cache == "cold-weights":  # a graph of all kernels takes what they take, launched once
        by_key = {row.subject_key: row.latency_ns for row in rows}
        total = sum(by_key[kernel.key] for kernel in lower(network(), "cuda", precision="float16").kernels)
        launch = next(row.latency_ns for row in result.table.rows("constant") if row.subject_key == "run")
        assert launch == pytest.approx(5000, rel=0.02)
        assert whole[0].latency_ns == pytest.approx(total + launch, rel=0.02)


@pytest.mark.parametrize("precision", ["int8", "float8"])
def test_eight_bits_are_measured_and_add_up(fake_gpu: pytest.MonkeyPatch, store: Store, precision: str) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=1")
    b = NetworkBuilder("eight")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=16, kernel_size=3, padding=1))
    y = b.op("relu", b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1))
    eight = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", y)), out_features=16))
    device = resolve_device("cuda", precision=precision)
    result = run_campaign(make_plan(device, [eight]), store, settings=QUICK)
    assert not result.failed
    assert result.table is not None
    rows = {row.subject_key: row for row in result.table.rows("kernel")}
    kernels = lower(eight, "cuda", precision=precision).kernels
    math = {"int8": "int8", "float8": "fp8"}[precision]
    products = [k for k in kernels if dict(k.nodes[0].attrs).get("math") == math]
    assert len(products) == {"int8": 2, "float8": 1}[precision]
    assert all("cublasLt" in rows[k.key].conditions["implementation"] for k in products if k.nodes[0].op == "linear")
    (check,) = result.table.self_checks()
    assert check.predicted_ms == pytest.approx(check.measured_ms, rel=0.02)


def test_a_gpu_that_disappears_ends_the_job_and_keeps_the_rows(fake_gpu: pytest.MonkeyPatch, store: Store) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0")
    device = resolve_device("cuda")
    run_campaign(make_plan(device, [network(16)]), store, settings=QUICK)
    before = store.table(device.fingerprint)
    kept = len(list(before.rows()))
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0,fail_after=2000")
    with pytest.raises(GpuLostError, match="the GPU is lost") as caught:
        run_campaign(make_plan(device, [network(24)]), store, settings=QUICK)
    assert caught.value.hint is not None
    after = store.table(device.fingerprint)
    assert len(list(after.rows())) >= kept
    assert not any(row.status == "failed" for row in after.rows())


def test_what_does_not_fit_is_a_failed_row_with_the_size(fake_gpu: pytest.MonkeyPatch, store: Store) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0,memory_mib=1000")
    b = NetworkBuilder("large")
    large = b.build(b.op("linear", b.op("relu", b.input((1, 16384))), out_features=16384))
    result = run_campaign(make_plan(resolve_device("cuda"), [large], check=False), store, settings=QUICK)
    assert len(result.failed) == 1
    (reason,) = result.failed.values()
    assert "out of GPU memory" in reason
    assert "GiB" in reason


def test_what_waits_for_the_host_has_no_cold_time(fake_gpu: pytest.MonkeyPatch, store: Store) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0,hang=1")
    device = resolve_device("cuda", cache="cold-all")
    result = run_campaign(make_plan(device, [network()], check=False), store, settings=QUICK)
    assert result.failed
    assert all("waits for the host" in reason for reason in result.failed.values())


def test_an_old_driver_is_told_before_anything_is_measured(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "driver=12020")
    with pytest.raises(MeasurementError, match=r"is for CUDA 13, but the driver runs 12\.2: install a newer driver"):
        WorkerClient("cuda", 1)


def test_samples_are_exact_where_nothing_disturbs(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setenv("LUTRA_FAKE_GPU", "compute=0")
    kernel = max(lower(network(), "cuda").kernels, key=lambda k: k.macs)
    with WorkerClient("cuda", 1) as worker:
        prepared = worker.prepare("kernel", kernel, 4, 0)
        assert prepared.executions % 4 == 0
        options = {"min_rounds": 3, "max_rounds": 3, "metric": "cpu", "seed": 0}
        entry = worker.measure(["kernel"], options, lambda _: None).entries["kernel"]
    assert np.ptp(entry.samples["cpu_ns"]) == 0
    assert entry.observed["discarded"] == 0
