"""Torch on a GPU: what is lowered, and how calls are repeated and timed; the processor stands in for the GPU."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import pytest

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import MeasurementError, MissingDependencyError, NotSupportedError, UnsupportedOpError
from lutra.networks.lowering import lower
from lutra.networks.lowering.torch_eager import ops_of
from lutra.profiler import resolve_device
from lutra.profiler._native import Fatal, gpu, measure_interleaved
from lutra.profiler.nvidia import GpuReport
from lutra.profiler.runtimes import runtime_class, torch_gpu
from lutra.profiler.runtimes.torch_gpu_replay import ROW_NS, GpuTorch

CALL_NS = 20_000


def network() -> Network:
    b = NetworkBuilder("small")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=3))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=5))


class OnProcessor(GpuTorch):
    """Torch on the processor under a clock of its own: each timing takes so long, whatever was called."""

    def __init__(self, precision: str, *, captured: bool, compiled: bool = False) -> None:
        self.clock = gpu.DeviceClock()
        self.captures = self.freed = 0
        self.failing: Exception | None = None
        self.broken = False
        super().__init__("cpu", precision, captured=captured, compiled=compiled, clock=self.clock)

    def _time(self, work: Callable[[], Any]) -> int:
        work()
        if self.failing:
            raise self.failing
        return CALL_NS

    def _synchronize(self) -> None:
        if self.broken:
            raise RuntimeError("CUDA error: unspecified launch failure")

    def _free(self) -> None:
        self.freed += 1

    def _capture(self, row: Callable[[], None]) -> Callable[[], None]:
        self.captures += 1
        return row


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_kernels_are_those_of_eager_torch_in_another_type(precision: str) -> None:
    eager = lower(network(), "torch")
    for runtime in ("torch-cuda", "torch-cudagraph"):
        kernels = lower(network(), runtime, precision=precision).kernels
        assert [k.label for k in kernels] == [k.label for k in eager.kernels]
        assert {k.runtime for k in kernels} == {runtime}
        dtypes = {type_.dtype for k in kernels for _, type_ in k.outputs}
        assert dtypes == {"bfloat16" if precision == "bfloat16" else "float32"}
    keys = {p: {k.key for k in lower(network(), "torch-cuda", precision=p).kernels} for p in ("float32", "tf32")}
    assert keys["float32"].isdisjoint(keys["tf32"])


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_sample_is_a_row_of_calls_under_the_gpus_clock(precision: str, captured: bool) -> None:
    torch = OnProcessor(precision, captured=captured)
    runtime = "torch-cudagraph" if captured else "torch-cuda"
    for kernel in lower(network(), runtime, precision=precision).distinct.values():
        prepared = torch.kernel(kernel, 3, seed=0)
        assert prepared.executions == 3 * -(-ROW_NS // (3 * CALL_NS))
        before = torch.clock.device_ns
        prepared.runnable.run()
        assert torch.clock.device_ns - before == CALL_NS
        assert prepared.finite()
        assert prepared.observed()["dispatch_ns"] > 0
    assert (torch.captures > 0) == captured


def test_whole_networks_are_one_call() -> None:
    torch = OnProcessor("bfloat16", captured=False)
    prepared = torch.network(network(), seed=0)
    assert prepared.executions == 1
    assert not prepared.overheads
    assert prepared.finite()
    options: dict[str, Any] = {"seed": 0, "max_rounds": 8, "min_sample_ns": 1, "metric": "cpu"}
    measured = measure_interleaved([prepared.runnable], clock=torch.clock, **options)
    samples = measured.entries[0].samples
    assert (samples.cpu_ns == CALL_NS * samples.batch).all()


def residual() -> Network:
    """Two library calls with what fuses between and behind them, a view among it."""
    b = NetworkBuilder("residual")
    x = b.op(
        "relu", b.op("batch_norm", b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=3, padding=1))
    )
    y = b.op("relu6", b.op("add", b.op("conv2d", x, out_channels=4, kernel_size=1), x))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", y)), out_features=5))


def test_what_the_compiler_may_fuse_is_one_kernel() -> None:
    kernels = lower(residual(), "torch-cuda-compile").kernels
    assert [[node.op for node in kernel.nodes] for kernel in kernels] == [
        ["conv2d"],
        ["batch_norm", "relu"],
        ["conv2d"],
        ["add", "relu6", "global_avg_pool2d", "flatten"],
        ["linear"],
    ]
    eager = lower(residual(), "torch-cuda")
    assert sum(kernel.macs for kernel in kernels) == eager.macs
    assert [op.kind for op in ops_of(kernels[3])] == ["add", "relu6", "global_avg_pool2d", "flatten"]
    assert len(kernels[1].outputs) == len(kernels[3].outputs) == 1
    assert len(kernels[3].inputs) == 2  # the sum of a convolution and of what it read


def test_parts_that_share_nothing_and_views_alone_stay_apart() -> None:
    b = NetworkBuilder("branches")
    x = b.op("conv2d", b.input((1, 4, 4, 4)), out_channels=4, kernel_size=1)
    left, right = b.op("sigmoid", b.op("exp", x)), b.op("tanh", x)
    y = b.op("linear", b.op("flatten", b.op("conv2d", left, out_channels=2, kernel_size=4)), out_features=3)
    kernels = lower(b.build(y, right), "torch-cuda-compile").kernels
    assert [[node.op for node in kernel.nodes] for kernel in kernels] == [
        ["conv2d"],
        ["exp", "sigmoid"],
        ["tanh"],
        ["conv2d"],
        ["linear"],
    ]


@pytest.mark.slow  # the compiler starts and makes a few kernels
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_kernels_and_networks_are_what_eager_ones_are() -> None:
    torch = pytest.importorskip("torch")
    compiled = OnProcessor("float32", captured=True, compiled=True)
    for kernel in lower(residual(), "torch-cuda-compile").distinct.values():
        prepared = compiled.kernel(kernel, 3, seed=0)
        assert prepared.executions % 3 == 0
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        prepared.runnable.run()
        assert prepared.finite()
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before  # nothing is compiled within a sample
    whole = compiled.network(residual(), seed=0)
    assert whole.executions == 1
    assert whole.finite()


def test_what_does_not_compile_is_refused_and_never_run_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def refuse(_: Any, **options: Any) -> Callable[..., Any]:
        assert options["fullgraph"] is True

        def call(*_: Any) -> Any:
            raise RuntimeError("graph break")

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    compiled = OnProcessor("float32", captured=True, compiled=True)
    with pytest.raises(UnsupportedOpError, match=r"torch\.compile refuses the network.*graph break"):
        compiled.kernel(lower(network(), "torch-cuda-compile").kernels[0], 2, seed=0)
    with pytest.raises(UnsupportedOpError, match="graph break"):
        compiled.network(network(), seed=0)


def test_the_three_ways_are_three_devices(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setattr(torch_gpu, "_cuda_torch", lambda: ("2.9.0", 13))
    fake_gpu.setattr(torch_gpu, "_version_of", lambda _: "3.5.0")
    ways = [runtime_class(name) for name in ("torch-cuda", "torch-cudagraph", "torch-cuda-compile")]
    devices = [resolve_device("cuda", runtime=way.name) for way in ways]
    assert len({device.fingerprint for device in devices}) == 3
    assert dict(devices[2].fingerprint.runtime)["version"] == "2.9.0, triton 3.5.0, mode default"
    assert len({way.mode for way in ways}) == 3  # type: ignore[attr-defined]
    keys = [{kernel.key for kernel in lower(network(), way.name).kernels} for way in ways]
    assert not set.intersection(*keys)


def test_without_triton_nothing_is_compiled(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setattr(torch_gpu, "_cuda_torch", lambda: ("2.9.0", 13))
    fake_gpu.setattr(torch_gpu, "_version_of", lambda _: "")
    info = runtime_class("torch-cuda-compile").info()
    assert not info.available
    assert "pip install triton" in info.note
    assert runtime_class("torch-cuda").info().available


@pytest.mark.parametrize("name", ["torch-cuda", "torch-cudagraph", "torch-cuda-compile"])
def test_a_driver_that_is_older_than_torch_is_told(fake_gpu: pytest.MonkeyPatch, name: str) -> None:
    import torch

    fake_gpu.setenv("LUTRA_FAKE_GPU", "driver=12020")
    fake_gpu.setattr(torch_gpu, "gpu_report", lambda: GpuReport({"name": "Fake GPU"}, "12.2", (), {}))
    fake_gpu.setattr(torch_gpu, "_cuda_torch", lambda: ("2.9.0", 13))
    wanted = "torch is for CUDA 13, but the driver runs 12.2: install a newer driver, or a torch built for CUDA 12"
    info = runtime_class(name).info()
    assert not info.available
    assert info.note == wanted
    fake_gpu.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(NotSupportedError, match="install a newer driver"):
        runtime_class(name)(1)


@pytest.mark.parametrize(
    ("version", "requires", "found"),
    [
        ("2.9.0+cu128", [], ("2.9.0+cu128", 12)),
        ("2.9.0", ["nvidia-cublas-cu12==12.8"], ("2.9.0", 12)),
        ("2.11.0", ["cuda-toolkit[cublas]==13.0.2"], ("2.11.0", 13)),
        ("2.9.0+cpu", [], ("", 0)),
        ("2.9.0", ["numpy"], ("", 0)),
    ],
)
def test_which_cuda_torch_was_built_for(
    monkeypatch: pytest.MonkeyPatch, version: str, requires: list[str], found: tuple[str, int]
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: requires)
    assert torch_gpu._cuda_torch() == found


def test_out_of_memory_is_told_with_the_size_and_gives_back_what_was_kept() -> None:
    import torch

    way = OnProcessor("float32", captured=False)
    way.failing = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.50 GiB free.")
    with pytest.raises(MeasurementError, match=r"out of GPU memory: .*Tried to allocate 2\.00 GiB"):
        way.kernel(lower(network(), "torch-cuda").kernels[0], 1, seed=0)
    assert way.freed == 1


def test_a_gpu_that_disappears_ends_the_measurement() -> None:
    way = OnProcessor("float32", captured=False)
    prepared = way.kernel(lower(network(), "torch-cuda").kernels[0], 1, seed=0)
    way.failing = RuntimeError("CUDA error: an illegal instruction was encountered")
    options: dict[str, Any] = {"seed": 0, "max_rounds": 8, "min_sample_ns": 1, "metric": "cpu"}
    measured = measure_interleaved([prepared.runnable], clock=way.clock, **options)
    assert "illegal instruction" in measured.entries[0].error  # this one failed; the GPU is there
    way.broken = True
    with pytest.raises(gpu.GpuLost, match="the GPU is lost: CUDA error"):
        way.kernel(lower(network(), "torch-cuda").kernels[0], 1, seed=0)
    with pytest.raises(Fatal, match="the GPU is lost"):
        measure_interleaved([prepared.runnable], clock=way.clock, **options)


def test_without_a_gpu_it_says_why() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    info = runtime_class("torch-cuda").info()
    assert not info.available
    assert info.note
    with pytest.raises(MissingDependencyError, match="torch on a GPU"):
        runtime_class("torch-cuda")(1)
