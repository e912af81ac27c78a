"""A kernel faster than the clock can tell is timed in batches, and its doubts are noted; it never takes no time."""

from pathlib import Path

import pytest

from lutra.luts import QualityFlag, Store
from lutra.networks import Network, NetworkBuilder
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.copies import copies_of

QUICK = Settings(min_rounds=6, max_rounds=8, patience_s=0.0)


def on_four_numbers() -> Network:
    b = NetworkBuilder("four numbers")
    return b.build(b.op("relu", b.input((1, 4))))


@pytest.mark.parametrize("device", ["host", "null"])
def test_it_is_batched_and_flagged_and_above_zero(device: str, tmp_path: Path) -> None:
    runtime = "native" if device == "host" else None
    plan = make_plan(resolve_device(device, runtime=runtime), [on_four_numbers()])
    ((key, kernel),) = plan.kernels.items()
    with Store.open(tmp_path / "rows.db") as store:
        table = run_campaign(plan, store, settings=QUICK).table
    assert table is not None
    row = table.get("kernel", key)
    assert row is not None
    assert row.status in ("ok", "noisy")
    assert row.latency_ns > 0
    calls = row.executions_per_sample / copies_of(kernel)
    assert calls == int(calls)
    if device == "host":
        # A sample is to last a thousand steps of the clock, and some nanoseconds a call are far below that.
        assert calls >= 10
    else:
        # A call of 2 us is longer than a sample of the exact clock need be, but hardly any of it is the kernel.
        assert QualityFlag.OVERHEAD in row.flags
