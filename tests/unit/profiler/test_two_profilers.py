"""Real processes that profile at the same time: one device between two, and two devices in one store."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lutra.luts import Store
from lutra.luts.store import Lease
from lutra.networks import NetworkBuilder
from lutra.networks.errors import StoreLockedError
from lutra.profiler import CampaignEvent, Plan, Progress, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.events import Waiting
from lutra.profiler.runtimes.null import null_latency_ns

_PROFILER = """
import json, sys
from lutra.luts import Store
from lutra.networks import Network
from lutra.networks.errors import LutraError
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign

path, network, threads, wait_s = sys.argv[1:]
plan = make_plan(resolve_device("null", threads=int(threads)), [Network.load(network)])

def tell(event):
    print(json.dumps(event.to_dict()), flush=True)

with Store.open(path) as store:
    try:
        run_campaign(plan, store, events=tell, wait_s=float(wait_s), settings=Settings(group_kernels=2))
    except LutraError as error:
        print(json.dumps({"event": "error", "message": error.message, "hint": error.hint}), flush=True)
"""
LAYERS = 24


@pytest.fixture
def network(tmp_path: Path) -> Path:
    b = NetworkBuilder("chain")
    x = b.input((1, 3, 8, 8))
    for width in range(4, 4 + LAYERS):
        x = b.op("conv2d", x, out_channels=width, kernel_size=1)
    b.build(x).save(tmp_path / "chain.json")
    return tmp_path / "chain.json"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def plan_of(network: Path, threads: int = 1) -> Plan:
    from lutra.networks import Network

    return make_plan(resolve_device("null", threads=threads), [Network.load(network)])


def started(store: Store, network: Path, threads: int = 1, wait_s: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _PROFILER, store.location, str(network), str(threads), str(wait_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(process: "subprocess.Popen[str]") -> list[dict[str, object]]:
    """All events of a process that is waited for."""
    with process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def test_the_second_process_says_who_has_the_device(store: Store, network: Path) -> None:
    plan = plan_of(network)
    with store.lease(store.register_device(plan.device.fingerprint, "null")):
        (error,) = told(started(store, network))
    assert "null is being profiled by process" in str(error["message"])
    assert "wait" in str(error["hint"])
    assert store.keys(plan.device.fingerprint, "kernel") == set()


def test_the_second_process_waits_for_the_first_and_goes_on_with_its_rows(store: Store, network: Path) -> None:
    plan = plan_of(network)
    first, second = (started(store, network, wait_s=100.0) for _ in range(2))
    one, two = told(first), told(second)
    ends = [events[-1] for events in (one, two)]
    assert [end["event"] for end in ends] == ["finished"] * 2
    assert sorted((end["measured"], end["skipped"]) for end in ends) == [(0, len(plan.kernels)), (len(plan.kernels), 0)]
    rows = list(store.measurements(plan.device.fingerprint, "kernel"))
    assert len(rows) == len(plan.kernels)
    assert store.check().ok


def test_two_devices_in_one_store_do_not_disturb_each_other(store: Store, network: Path) -> None:
    processes = [started(store, network, threads) for threads in (1, 2)]
    for process, threads in zip(processes, (1, 2), strict=True):
        events, plan = told(process), plan_of(network, threads)
        assert events[-1]["event"] == "finished"
        assert events[-1]["measured"] == len(plan.kernels)
        table = store.table(plan.device.fingerprint)
        for key, kernel in plan.kernels.items():
            assert table.lookup(key).latency_ns == pytest.approx(null_latency_ns(kernel), rel=1e-12)
    assert store.check().ok


def test_who_waits_is_told_for_whom_and_can_be_cancelled(store: Store, network: Path) -> None:
    plan, cancel = plan_of(network), Event()
    events: list[CampaignEvent] = []
    shown: list[str] = []

    def stop_when_told(progress: Progress) -> None:
        shown.append(progress.current)
        if len(shown) == 3:
            cancel.set()

    with store.lease(store.register_device(plan.device.fingerprint, "null")):
        result = run_campaign(plan, store, wait_s=60.0, events=events.append, progress=stop_when_told, cancel=cancel)
    assert (result.interrupted, result.measured) == (True, 0)
    assert len(result.table) == 0
    (waiting,) = events
    assert isinstance(waiting, Waiting)
    assert "null is being profiled by process" in waiting.reason
    assert all(text.startswith("waiting: null is being profiled") for text in shown)


def test_a_wait_has_an_end(store: Store, network: Path) -> None:
    plan = plan_of(network)
    with (
        store.lease(store.register_device(plan.device.fingerprint, "null")),
        pytest.raises(StoreLockedError, match="is being profiled by process"),
    ):
        run_campaign(plan, store, wait_s=0.3)


def test_a_campaign_that_lost_its_device_writes_no_more(
    store: Store, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a long stop (SIGSTOP, a laptop that slept): another process has taken the device meanwhile."""
    plan = plan_of(network)

    def take_over(event: CampaignEvent) -> None:
        if event.name == "row" and not taken:
            taken.append(event)
            with lease_of(plan.device.fingerprint, stale_after_s=-1.0):
                pass
            held[0].beat()

    taken: list[CampaignEvent] = []
    held: list[Lease] = []
    lease_of = store.lease

    def noted(*given: Any, **more: Any) -> Lease:
        held.append(lease_of(*given, **more))
        return held[-1]

    monkeypatch.setattr(store, "lease", noted)
    with pytest.raises(StoreLockedError, match="was lost"):
        run_campaign(plan, store, events=take_over, settings=Settings(group_kernels=2))
    assert len(store.keys(plan.device.fingerprint, "kernel")) == 2
