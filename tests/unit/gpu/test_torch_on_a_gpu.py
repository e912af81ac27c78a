"""Torch on a GPU: what is lowered, and how calls are repeated and timed; the processor stands in for the GPU."""

from collections.abc import Callable
from typing import Any

import pytest

from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import MissingDependencyError
from lutra.networks.lowering import lower
from lutra.profiler._native import gpu, measure_interleaved
from lutra.profiler.runtimes import runtime_class
from lutra.profiler.runtimes.torch_gpu_replay import ROW_NS, GpuTorch

CALL_NS = 20_000


def network() -> Network:
    b = NetworkBuilder("small")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=4, kernel_size=3))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=5))


class OnProcessor(GpuTorch):
    """Torch on the processor under a clock of its own: each timing takes so long, whatever was called."""

    def __init__(self, precision: str, *, captured: bool) -> None:
        self.clock = gpu.DeviceClock()
        self.captures = 0
        super().__init__("cpu", precision, captured=captured, clock=self.clock)

    def _time(self, work: Callable[[], Any]) -> int:
        work()
        return CALL_NS

    def _synchronize(self) -> None:
        pass

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


def test_without_a_gpu_it_says_why() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    info = runtime_class("torch-cuda").info()
    assert not info.available
    assert info.note
    with pytest.raises(MissingDependencyError, match="torch on a GPU"):
        runtime_class("torch-cuda")(1)
