"""A runtime that crashes, hangs, throws or computes nonsense costs its own kernel, never the campaign.

The faulty runtime is a third party's: a module with an entry point, as an installed package has it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.luts.host import host_fingerprint
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import WorkerCrashedError, WorkerTimeoutError
from lutra.networks.lowering import lower
from lutra.profiler import Device, Plan, Subject, run_campaign
from lutra.profiler.client import WorkerClient
from lutra.profiler.runtimes import runtime_class

_MODULE = """
import os, pathlib, signal, time
from lutra.profiler.runtimes import Prepared, RuntimeInfo
from lutra.profiler.runtimes.null import NullRuntime

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def die_once():
    killed = pathlib.Path(__file__).with_name("killed")
    if not killed.exists():
        killed.touch()
        die()
    return True

class Faulty(NullRuntime):
    name, kind = "faulty", "real"

    @classmethod
    def info(cls):
        return RuntimeInfo(cls.name, cls.kind, True, "1", "breaks on purpose")

    def prepare(self, kernel, copies, seed):
        width = dict(kernel.nodes[0].attrs).get("out_channels")
        if width == 5:
            os.write(2, b"assertion failed: width != 5\\n")
            os.abort()
        if width == 6:
            time.sleep(3600)
        if width == 7:
            raise RuntimeError("no kernel for width 7")
        if width == 12:
            die_once()
        if width == 13:
            die()
        good = super().prepare(kernel, copies, seed)
        if width == 14:
            return Prepared(good.runnable, good.executions, die_once, good.overheads)
        if width == 9:
            return Prepared(good.runnable, good.executions, lambda: False, good.overheads)
        if width == 10:
            return Prepared(good.runnable, good.executions, os.abort, good.overheads)
        return good
"""


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "faulty_runtime.py").write_text(_MODULE)
    info = tmp_path / "faulty_runtime-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lutra.runtimes]\nfaulty = faulty_runtime:Faulty\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *filter(None, sys.path)]))
    yield
    from lutra.profiler.runtimes import _base

    _base._RUNTIMES.pop("faulty", None)


def chain(*widths: int) -> Network:
    b = NetworkBuilder("chain")
    x = b.input((1, 3, 8, 8))
    for width in widths:
        x = b.op("conv2d", x, out_channels=width, kernel_size=1)
    return b.build(x)


def campaign(tmp_path: Path, *widths: int, check: bool = False) -> dict[str, str]:
    """Reasons of failure by label; every other kernel must have a number."""
    network = chain(*widths)
    device = Device("host", host_fingerprint("faulty", version="1"))
    plan = Plan(device, (Subject(network, None, lower(network, "null")),), check)
    with Store.open(tmp_path / "rows.db") as store:
        result = run_campaign(plan, store)
        assert result.table is not None
        for key, kernel in plan.kernels.items():
            row = result.table.get("kernel", key)
            assert row is not None
            assert (row.status == "failed") == (kernel.label in result.failed)
            assert row.status == "failed" or row.latency_ns > 0
        assert result.measured + len(result.failed) == len(plan.kernels)
    return result.failed


@pytest.mark.usefixtures("faulty")
def test_a_third_party_runtime_is_found_by_its_entry_point() -> None:
    assert runtime_class("faulty").info().note == "breaks on purpose"


@pytest.mark.usefixtures("faulty")
def test_nothing_fails_without_faults(tmp_path: Path) -> None:
    assert campaign(tmp_path, 4, 8) == {}


@pytest.mark.usefixtures("faulty")
def test_a_crash_while_preparing_costs_one_kernel(tmp_path: Path) -> None:
    (reason,) = campaign(tmp_path, 4, 5, 8).values()
    assert "SIGABRT" in reason
    assert "width != 5" in reason


@pytest.mark.usefixtures("faulty")
def test_what_the_runtime_throws_is_the_reason(tmp_path: Path) -> None:
    (reason,) = campaign(tmp_path, 4, 7, 8).values()
    assert "no kernel for width 7" in reason


@pytest.mark.usefixtures("faulty")
def test_nan_is_no_number(tmp_path: Path) -> None:
    (reason,) = campaign(tmp_path, 4, 9, 8).values()
    assert "NaN" in reason


@pytest.mark.usefixtures("faulty")
def test_a_crash_while_measuring_is_traced_to_its_kernel(tmp_path: Path) -> None:
    (label,) = campaign(tmp_path, 4, 10, 8)
    assert "4->10" in label


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("width", [12, 14], ids=["preparing", "measuring"])
def test_one_kill_from_outside_costs_nothing(tmp_path: Path, width: int) -> None:
    assert campaign(tmp_path, 4, width, 8) == {}
    assert (tmp_path / "killed").exists()


@pytest.mark.usefixtures("faulty")
def test_what_is_killed_again_has_no_number(tmp_path: Path) -> None:
    ((label, reason),) = campaign(tmp_path, 4, 13, 8).items()
    assert "4->13" in label
    assert "SIGKILL" in reason


@pytest.mark.usefixtures("faulty")
def test_several_faults_at_once(tmp_path: Path) -> None:
    assert len(campaign(tmp_path, 4, 5, 7, 8, 9, 10, 11)) == 4


@pytest.mark.usefixtures("faulty")
def test_a_worker_that_hangs_is_killed() -> None:
    with WorkerClient("faulty", 1, silence_timeout_s=0.5) as worker:
        kernel = lower(chain(6), "null").kernels[0]
        with pytest.raises(WorkerTimeoutError, match="said nothing"):
            worker.prepare("kernel x", kernel, 1, 0)
        with pytest.raises(WorkerCrashedError, match="SIGKILL"):
            worker.describe()
