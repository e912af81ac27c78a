"""A network with an op that its runtime lacks: everything else is measured, and that op is told by name."""

from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.luts.host import runtime_version
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import NotCoveredError, UnsupportedOpError
from lutra.networks.lowering import lower
from lutra.predictors import TablePredictor
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.runtimes import runtime_class

QUICK = Settings(min_rounds=4, max_rounds=8, patience_s=0.0)


@pytest.fixture(params=["onednn", "xnnpack"])
def runtime(request: pytest.FixtureRequest) -> str:
    if not runtime_version(request.param):
        pytest.skip(f"the library of runtime {request.param!r} is not installed")
    return str(request.param)


def with_erf() -> Network:
    b = NetworkBuilder("with erf")
    x = b.op("conv2d", b.input((1, 8, 8, 8)), out_channels=16, kernel_size=1)
    return b.build(b.op("conv2d", b.op("erf", x), out_channels=8, kernel_size=3))


def test_the_rest_is_measured_and_the_reason_recorded(runtime: str, tmp_path: Path) -> None:
    plan = make_plan(resolve_device("host", runtime=runtime), [with_erf()])
    with Store.open(tmp_path / "rows.db") as store:
        result = run_campaign(plan, store, settings=QUICK)
    reason = f"what {runtime} is to run has ops that are not supported: erf x1"
    assert result.measured == len(plan.kernels) - 1 >= 2
    assert set(result.failed.values()) == {reason}
    assert len(result.failed) == 2
    table = result.table
    assert table is not None
    whole = table.get("network", with_erf().fingerprint)
    assert whole is not None
    assert (whole.status, whole.reason) == ("failed", reason)
    with pytest.raises(NotCoveredError, match=r"lacks 1 of \d kernels.*not supported: erf") as caught:
        TablePredictor(table).predict([with_erf()])
    assert caught.value.hint == f"{runtime} cannot run this network; use another --runtime"


def test_neither_kernel_nor_network_is_prepared(runtime: str) -> None:
    running = runtime_class(runtime)(1)
    (kernel,) = (kernel for kernel in lower(with_erf(), runtime).kernels if kernel.lacks)
    with pytest.raises(UnsupportedOpError, match="erf x1"):
        running.prepare(kernel, 4, seed=0)
    with pytest.raises(UnsupportedOpError, match="erf x1"):
        running.prepare_network(with_erf(), None, seed=0)
