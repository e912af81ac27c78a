"""Campaigns on the null device: every number follows from a formula, so everything can be checked to the digit."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from lutra.luts import Store
from lutra.luts.compose import compose
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import NotSupportedError, StoreLockedError, UnknownNameError
from lutra.networks.lowering import lower
from lutra.profiler import Plan, Progress, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.events import CampaignEvent, RowCommitted
from lutra.profiler.runtimes.null import RUN_OVERHEAD_NS, NullRuntime, null_latency_ns


def tiny(channels: int = 8, name: str = "tiny") -> Network:
    b = NetworkBuilder(name)
    x = b.input((1, 3, 16, 16))
    for _ in range(2):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=3, padding=1, bias=False)
        x = b.op("relu", b.op("batch_norm", x))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


@pytest.fixture
def plan() -> Plan:
    return make_plan(resolve_device("null"), [tiny()])


def test_each_kernel_gets_its_exact_latency(store: Store, plan: Plan) -> None:
    result = run_campaign(plan, store)
    assert result.table is not None
    assert (result.measured, result.skipped, result.failed, result.noisy) == (len(plan.kernels), 0, {}, [])
    for key, kernel in plan.kernels.items():
        assert result.table.lookup(key).latency_ns == pytest.approx(null_latency_ns(kernel), rel=1e-12)
    assert result.table.constant("run").latency_ns == RUN_OVERHEAD_NS


def test_the_table_carries_its_own_error(store: Store, plan: Plan) -> None:
    (check,) = run_campaign(plan, store).table.self_checks()
    kernels = plan.subjects[0].lowered.kernels
    assert check.measured_ms == pytest.approx((RUN_OVERHEAD_NS + sum(map(null_latency_ns, kernels))) / 1e6)
    assert check.error_pct == pytest.approx(0, abs=1e-9)


def test_the_sum_over_kernels_is_the_network(store: Store, plan: Plan) -> None:
    table = run_campaign(plan, store, settings=Settings(group_kernels=2)).table
    kernels = plan.subjects[0].lowered.kernels
    assert compose(table, kernels).total_ns == pytest.approx(table.self_checks()[0].measured_ms * 1e6)
    unknown = replace(kernels[0], opset=99)
    assert compose(table, [*kernels, unknown]).missing == (unknown.key,)


def test_what_is_there_is_not_measured_again(store: Store, plan: Plan) -> None:
    first = run_campaign(plan, store)
    again = run_campaign(plan, store)
    assert (again.measured, again.skipped) == (0, first.measured)
    wider = run_campaign(make_plan(plan.device, [tiny(), tiny(12, "wider")]), store)
    assert wider.skipped == first.measured
    assert wider.measured > 0


def test_fresh_measures_everything_again(store: Store, plan: Plan) -> None:
    before = run_campaign(plan, store).table
    after = run_campaign(plan, store, fresh=True)
    assert after.measured == len(plan.kernels)
    assert len(after.table) == len(before)
    key = next(iter(plan.kernels))
    assert after.table.get("kernel", key).measured_at >= before.get("kernel", key).measured_at


def test_whole_networks_can_be_left_out(store: Store) -> None:
    plan = make_plan(resolve_device("null"), [tiny()], check=False)
    assert run_campaign(plan, store).table.self_checks() == []


def test_progress_counts_up_to_all(store: Store, plan: Plan) -> None:
    seen: list[Progress] = []
    run_campaign(plan, store, progress=seen.append, settings=Settings(group_kernels=1))
    assert {p.total for p in seen} == {len(plan.kernels)}
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert all(p.current for p in seen)


def test_a_cancelled_campaign_keeps_its_rows_and_goes_on_later(store: Store, plan: Plan) -> None:
    cancel = Event()

    def stop_at_two(progress: Progress) -> None:
        if progress.done >= 2:
            cancel.set()

    settings = Settings(group_kernels=1)
    first = run_campaign(plan, store, progress=stop_at_two, cancel=cancel, settings=settings)
    assert first.interrupted
    assert 0 < first.measured < len(plan.kernels)
    rest = run_campaign(plan, store, settings=settings)
    assert rest.skipped == first.measured
    assert rest.measured == len(plan.kernels) - first.measured
    assert rest.table.self_checks()[0].error_pct == pytest.approx(0, abs=1e-9)


def test_a_device_is_profiled_by_one_campaign_at_a_time(store: Store, plan: Plan) -> None:
    device = store.register_device(plan.device.fingerprint, "null")
    with store.lease(device), pytest.raises(StoreLockedError):
        run_campaign(plan, store)


def test_an_unknown_runtime_is_an_error_of_its_own() -> None:
    from lutra.profiler.client import WorkerClient

    with pytest.raises(UnknownNameError, match="unknown runtime"):
        WorkerClient("nonesuch", 1)


_VICTIM = """
import sys
from lutra.luts import Store
from lutra.networks import NetworkBuilder
from lutra.profiler import Settings, make_plan, resolve_device, run_campaign
b = NetworkBuilder("chain")
x = b.input((1, 1, 8, 8))
for i in range(1, 40):
    x = b.op("conv2d", x, out_channels=i, kernel_size=1)
plan = make_plan(resolve_device("null"), [b.build(x)], check=False)
with Store.open(sys.argv[1]) as store:
    seen = set()
    def tell(progress):
        for key in store.keys(plan.device.fingerprint, "kernel") - seen:
            seen.add(key)
            print(key, flush=True)
    run_campaign(plan, store, progress=tell, settings=Settings(group_kernels=1))
print("complete", len(plan.kernels), flush=True)
"""


@pytest.mark.parametrize("rows_before_the_kill", [1, 5, 17])
def test_kill_minus_nine_loses_no_committed_row(tmp_path: Path, rows_before_the_kill: int) -> None:
    """Rows that another process saw committed are there after SIGKILL, and the campaign completes later."""
    path = tmp_path / "rows.db"
    command = [sys.executable, "-c", _VICTIM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as victim:
        committed = [victim.stdout.readline().strip() for _ in range(rows_before_the_kill)]
        os.killpg(victim.pid, signal.SIGKILL)
        committed += [line.strip() for line in victim.stdout]
    assert not any("complete" in line for line in committed)
    with Store.open(path) as store:
        assert store.check().ok
        assert store.keys("null", "kernel") >= set(filter(None, committed))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    last, total = done.stdout.split()[-2:]
    assert last == "complete"
    with Store.open(path) as store:
        assert len(list(store.measurements("null", "kernel"))) == int(total) >= 39


def test_the_worker_ends_with_its_profiler() -> None:
    """A profiler that is killed leaves no process behind."""
    import psutil

    code = (
        "import time; from lutra.profiler.client import WorkerClient; "
        "w = WorkerClient('null', 1); print(w.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as profiler:
        worker = int(profiler.stdout.readline())
        profiler.kill()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlived its profiler"
        time.sleep(0.05)


def test_kernels_in_the_order_of_a_network_get_their_latency_too(
    store: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NullRuntime, "in_sequence", True)
    result = run_campaign(plan, store)
    assert result.table is not None
    for key, kernel in plan.kernels.items():
        assert result.table.lookup(key).latency_ns == pytest.approx(null_latency_ns(kernel), rel=1e-9)


def test_neighbours_that_have_rows_are_run_in_the_sequence_and_their_rows_stay(
    store: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NullRuntime, "in_sequence", True)
    first = run_campaign(plan, store)
    before = {row.subject_key: row.measured_at for row in store.measurements(plan.device.fingerprint, "kernel")}
    wider = make_plan(plan.device, [tiny(12, "wider")])
    shared = set(wider.kernels) & set(plan.kernels)
    again = run_campaign(wider, store)
    after = {row.subject_key: row.measured_at for row in store.measurements(plan.device.fingerprint, "kernel")}
    assert again.measured == len(wider.kernels) - len(shared)
    assert again.failed == first.failed == {}
    assert all(after[key] == moment for key, moment in before.items())


def test_rounds_are_shared_between_processes(store: Store, plan: Plan) -> None:
    result = run_campaign(plan, store, settings=Settings(processes=3, min_rounds=6, samples_per_visit=2))
    row = result.table.get("kernel", next(iter(plan.kernels)))
    assert sorted(set(row.rounds.tolist())) == list(range(6))
    assert row.n == 12
    assert row.latency_ns == pytest.approx(null_latency_ns(plan.kernels[row.subject_key]), rel=1e-12)


def test_the_table_holds_the_speed_its_rows_are_given_at(store: Store, plan: Plan) -> None:
    table = run_campaign(plan, store).table
    row = table.get("kernel", next(iter(plan.kernels)))
    for name, nominal in (("reference compute", "nominal_compute_ns"), ("reference memory", "nominal_memory_ns")):
        assert table.constant(name).latency_ns == getattr(row.normalisation, nominal)
    again = run_campaign(plan, store, fresh=True).table
    assert (
        again.get("constant", "reference compute").measured_at == table.get("constant", "reference compute").measured_at
    )


def busy(*_: object) -> dict[str, float]:
    return {"others_share": 0.9, "steal_share": 0.0, "load1": 9.0, "seconds": 0.2}


def test_a_busy_machine_is_waited_for_and_then_its_rows_are_flagged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lutra.luts.host import host_fingerprint
    from lutra.networks.lowering import lower
    from lutra.profiler import Device, Subject

    network = tiny()
    device = Device("host", host_fingerprint("native"))
    plan = Plan(device, (Subject(network, None, lower(network, "native")),), check=False)
    monkeypatch.setattr("lutra.profiler.groups.conditions_between", busy)
    monkeypatch.setattr("lutra.profiler.waiting.conditions_between", busy)
    seen: list[Progress] = []
    result = run_campaign(plan, store, progress=seen.append, settings=Settings(patience_s=0.4, max_rounds=8))
    assert [p.current for p in seen if "waiting" in p.current] == [
        "waiting: other programs use 90% of the processor"
    ] * 2
    assert 0 < result.measured_share < 1
    rows = list(result.table.rows("kernel"))
    assert all("load" in row.flags and row.status == "noisy" for row in rows)
    assert all(row.conditions["priority"] in ("fifo", "normal") for row in rows)


def test_whole_networks_alone_are_measured_when_asked(store: Store) -> None:
    networks = [tiny(), tiny(12, "wider"), tiny(16, "widest")]
    plan = make_plan(resolve_device("null"), networks, whole=True)
    cancel = Event()
    assert not plan.kernels

    def stop_behind_the_first(event: CampaignEvent) -> None:
        if isinstance(event, RowCommitted) and event.kind == "network":
            cancel.set()

    first = run_campaign(plan, store, events=stop_behind_the_first, cancel=cancel)
    assert first.interrupted
    assert [row.label for row in first.table.rows("network")] == ["tiny"]
    rest = run_campaign(plan, store).table
    for network, row in zip(networks, sorted(rest.rows("network"), key=lambda row: row.latency_ns), strict=True):
        kernels = lower(network, "null").kernels
        assert row.subject_key == network.fingerprint
        assert row.latency_ns == pytest.approx(RUN_OVERHEAD_NS + sum(map(null_latency_ns, kernels)))
    assert not list(rest.rows("kernel"))
    assert not rest.self_checks()


def test_a_board_has_no_whole_networks_to_measure() -> None:
    with pytest.raises(NotSupportedError, match="kernel by kernel"):
        make_plan(resolve_device("stm32f746"), [tiny()], whole=True)
