"""What a kernel finds in the caches is a setting of the device: rows of different modes never mix."""

from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import UsageError
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler._native import FakeClock, NullRunnable, ScrubbedRunnable, Scrubber, measure_interleaved

QUICK = Settings(min_rounds=2, max_rounds=2, samples_per_visit=2, patience_s=0.0)


def tiny() -> Network:
    b = NetworkBuilder("tiny")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=32, kernel_size=3, padding=1))
    return b.build(b.op("conv2d", x, out_channels=32, kernel_size=3, padding=1))


def test_the_default_is_not_part_of_the_identity_and_others_are() -> None:
    default = resolve_device("null")
    assert default.cache == "cold-weights"
    assert resolve_device("null", cache="cold-weights").fingerprint == default.fingerprint
    warm = resolve_device("null", cache="warm")
    assert default.fingerprint.differences(warm.fingerprint) == ["cache: (absent) -> warm"]
    assert "caches warm" in str(warm)


def test_an_unknown_mode_names_the_known() -> None:
    with pytest.raises(UsageError, match="cache mode is 'hot'") as caught:
        resolve_device("host", runtime="native", cache="hot")
    assert "cold-all" in str(caught.value.hint)


def test_warm_weights_are_refused_where_kernels_run_in_the_order_of_their_network() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="never warm"):
        resolve_device("host", runtime="torch", cache="warm")


@pytest.mark.parametrize("cache", ["warm", "cold-all"])
def test_other_modes_run_one_copy_and_say_so(tmp_path: Path, cache: str) -> None:
    plan = make_plan(resolve_device("host", runtime="native", cache=cache), [tiny()])
    with Store.open(tmp_path / "rows.db") as store:
        result = run_campaign(plan, store, settings=QUICK)
    assert result.failed == {}
    rows = list(result.table.rows("kernel"))
    assert {row.conditions["cache"] for row in rows} == {cache}
    assert {row.conditions["copies"] for row in rows} == {1}
    if cache == "cold-all":
        assert {row.executions_per_sample for row in rows} == {1}
    assert not list(result.table.rows("resident"))


def test_scrubbing_is_not_timed() -> None:
    clock = FakeClock()
    entry = ScrubbedRunnable(NullRunnable(clock, 1_000_000), Scrubber(1 << 16))
    measured = measure_interleaved([entry], seed=0, min_rounds=2, max_rounds=2, clock=clock)
    assert set(measured.entries[0].samples.wall_ns.tolist()) == {1_000_000}
