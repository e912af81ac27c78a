"""The same products in torch by other tools: Triton's ``do_bench`` and CUPTI, through torch's profiler."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

LARGE = 2048
"""From this side on a product takes so long that launches and caches hardly matter: there all tools must agree."""


def other_times_us(size: int) -> dict[str, float]:
    """Median times of a product of two float16 matrices of ``size`` x ``size``, by tool, in us.

    Raises:
        ImportError: triton is not installed.
        RuntimeError: as torch raises it.
    """
    import torch
    from triton.testing import do_bench, do_bench_cudagraph  # type: ignore[import-not-found]

    a, b = (torch.randn(size, size, device="cuda", dtype=torch.float16) for _ in range(2))

    def call() -> torch.Tensor:
        return torch.matmul(a, b)

    return {
        "do_bench": float(do_bench(call, return_mode="median")) * 1e3,
        "do_bench_cudagraph": float(do_bench_cudagraph(call, return_mode="median")) * 1e3,
        "cupti": _by_cupti(call),
    }


def _by_cupti(call: Callable[[], Any], times: int = 50) -> float:
    """Median time of the kernel behind ``call``, in us, as the GPU's own activity records have it."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as traced:
        for _ in range(times):
            call()
        torch.cuda.synchronize()
    return statistics.median(float(event.device_time) for event in traced.events() if event.device_time > 0)


def differences_pct(cases: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Median difference of our times from each tool's, in %, over products of at least `LARGE`.

    Args:
        cases: with ``size``, ``ours_us`` and ``others_us`` by tool.
    """
    apart: dict[str, list[float]] = {}
    for case in cases:
        if case["size"] >= LARGE:
            for tool, time_us in case["others_us"].items():
                apart.setdefault(tool, []).append(abs(case["ours_us"] / time_us - 1) * 100)
    return {f"{tool}_difference_pct": statistics.median(values) for tool, values in apart.items()}
