"""What XNNPACK refuses, or computes nonsense of, costs its own kernel and is told by name."""

import importlib.util
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.networks import Network, NetworkBuilder
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign

if importlib.util.find_spec("executorch") is None:
    pytest.skip("executorch, which brings XNNPACK, is not installed", allow_module_level=True)

QUICK = Settings(min_rounds=4, max_rounds=8)


def faulty() -> Network:
    """Three kernels: one that is fine, one with bounds that XNNPACK refuses, one that takes the root of -|x|."""
    b = NetworkBuilder("faulty")
    x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=8, kernel_size=1)
    x = b.op("clip", b.op("conv2d", x, out_channels=16, kernel_size=1), low=1.0, high=0.5)
    return b.build(b.op("add", x, b.op("sqrt", b.op("neg", b.op("abs", x)))))


def test_refused_and_nonsensical_kernels_fail_alone(tmp_path: Path) -> None:
    plan = make_plan(resolve_device("host", runtime="xnnpack"), [faulty()], check=False)
    with Store.open(tmp_path / "rows.db") as store:
        result = run_campaign(plan, store, settings=QUICK)
    assert result.measured == 1
    refused, nonsense = (next(r for label, r in result.failed.items() if word in label) for word in ("16", "Sqrt"))
    assert "xnn_define_convolution_2d: invalid parameter" in refused
    assert "NaN" in nonsense


def test_networks_are_predicted_from_their_kernels(tmp_path: Path) -> None:
    b = NetworkBuilder("tiny")
    x = b.op("relu", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=8, kernel_size=3))
    plan = make_plan(
        resolve_device("host", runtime="xnnpack"), [b.build(b.op("linear", b.op("flatten", x), out_features=4))]
    )
    with Store.open(tmp_path / "rows.db") as store:
        result = run_campaign(plan, store, settings=QUICK)
        assert not result.failed
        assert result.table is not None
        assert result.table.fingerprint.runtime_name == "xnnpack"
        assert result.table.constant("run").latency_ns is not None
