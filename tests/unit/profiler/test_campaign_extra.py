"""Kernels that are wanted for themselves, a budget, a target, and noisy rows that get a second chance."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lutra.luts import Measurement, Store
from lutra.networks import Network, NetworkBuilder
from lutra.networks.errors import UsageError
from lutra.networks.lowering import Kernel, lower
from lutra.profiler import CampaignEvent, Plan, Settings, make_plan, resolve_device, run_campaign
from lutra.profiler.budget import Budget
from lutra.profiler.events import Finished, GroupEnded, Preparing, Requeued, RowCommitted
from lutra.profiler.runtimes.null import NullRuntime, null_latency_ns

PAIRS = Settings(group_kernels=2)


def chain(*widths: int, name: str = "chain") -> Network:
    b = NetworkBuilder(name)
    x = b.input((1, 3, 8, 8))
    for width in widths:
        x = b.op("conv2d", x, out_channels=width, kernel_size=1)
    return b.build(x)


def kernels_of(*widths: int) -> dict[str, Kernel]:
    return dict(lower(chain(*widths), "null").distinct)


def many(widest: int) -> dict[str, Kernel]:
    """Two families of kernels of all widths."""
    return {key: kernel for width in range(8, widest) for key, kernel in kernels_of(width, 16).items()}


def plan_of(extra: dict[str, Kernel], *networks: Network, check: bool = True) -> Plan:
    plan = make_plan(resolve_device("null"), networks, check=check)
    return replace(plan, extra={key: kernel for key, kernel in extra.items() if key not in plan.kernels})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def rows_of(events: list[CampaignEvent]) -> list[str]:
    return [event.key for event in events if isinstance(event, RowCommitted) and event.kind == "kernel"]


def test_extra_kernels_are_measured_in_groups_after_the_networks(store: Store) -> None:
    plan = plan_of(kernels_of(4, 5, 6, 7), chain(8, 9), check=True)
    events: list[CampaignEvent] = []
    result = run_campaign(plan, store, events=events.append, settings=PAIRS)
    assert (result.measured, result.interpolated, result.held_out_error) == (len(plan.kernels), 0, None)
    assert rows_of(events) == list(plan.kernels)
    networks = len(plan.subjects[0].lowered.distinct)
    sizes = [event.kernels for event in events if isinstance(event, GroupEnded)]
    assert sizes == [2] * (networks // 2) + [1] * (networks % 2) + [2] * (len(plan.extra) // 2) + [1] * (
        len(plan.extra) % 2
    )
    for key, kernel in plan.kernels.items():
        assert result.table.lookup(key).latency_ns == pytest.approx(null_latency_ns(kernel), rel=1e-12)
    assert result.table.self_checks()[0].error_pct == pytest.approx(0, abs=1e-9)


def test_a_plan_without_networks_is_measured_and_not_measured_again(store: Store) -> None:
    plan = plan_of(kernels_of(4, 5, 6))
    assert run_campaign(plan, store).measured == len(plan.kernels)
    again = run_campaign(plan, store)
    assert (again.measured, again.skipped) == (0, len(plan.kernels))


def test_extra_kernels_of_a_runtime_that_times_in_sequence_are_a_sequence_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NullRuntime, "in_sequence", True)
    plan = plan_of(kernels_of(4, 5, 6), chain(8, 9))
    table = run_campaign(plan, store, settings=PAIRS).table
    for key, kernel in plan.kernels.items():
        assert table.lookup(key).latency_ns == pytest.approx(null_latency_ns(kernel), rel=1e-9)


def test_a_cancelled_campaign_goes_on_with_the_extra_kernels(store: Store) -> None:
    plan, cancel = plan_of(kernels_of(*range(4, 14))), Event()

    def stop(event: CampaignEvent) -> None:
        if isinstance(event, GroupEnded):
            cancel.set()

    first = run_campaign(plan, store, events=stop, cancel=cancel, settings=PAIRS)
    assert (first.interrupted, first.measured) == (True, 2)
    rest = run_campaign(plan, store, settings=PAIRS)
    assert (rest.skipped, rest.measured) == (2, len(plan.kernels) - 2)


class Clock:
    """Stands in for the monotonic clock of a budget: moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("lutra.profiler.budget.time.monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_budget_affords_what_it_has_learnt(clock: Clock) -> None:
    budget = Budget(100.0, 1.0)
    clock.now_s += 1000  # waiting for the device is free
    assert budget.affordable(48) == 48
    budget.begin()
    assert budget.affordable(48) == 48
    budget.spent(4, 40.0)
    assert budget.affordable(48) == 9  # ten seconds each, and some are kept for the end
    assert budget.affordable(48, noisy=1) == 8
    assert budget.affordable(48, noisy=1000) == 8  # no more than a part is held back
    clock.now_s += 98
    assert budget.affordable(48) == 0
    assert budget.remaining_s == 0


def test_no_budget_affords_everything() -> None:
    budget = Budget(None, 1.0)
    budget.begin()
    budget.spent(1, 1e9)
    assert budget.affordable(48) == 48


@pytest.mark.parametrize("budget_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_positive_number_of_seconds(store: Store, budget_s: float) -> None:
    with pytest.raises(UsageError, match="budget"):
        run_campaign(plan_of(kernels_of(4)), store, budget_s=budget_s)
    assert store.devices() == []


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_is_a_share(store: Store, target: float) -> None:
    with pytest.raises(UsageError, match="target error"):
        run_campaign(plan_of(kernels_of(4)), store, target_error=target)
    assert store.devices() == []


def test_a_budget_that_is_spent_leaves_the_rest_to_interpolation(store: Store, clock: Clock) -> None:
    plan = plan_of(kernels_of(*range(4, 64)), chain(3, 5))

    def one_second_each(event: CampaignEvent) -> None:
        clock.now_s += isinstance(event, Preparing)

    first = run_campaign(plan, store, budget_s=20.0, events=one_second_each, settings=PAIRS)
    assert not first.interrupted
    assert len(plan.subjects[0].lowered.distinct) <= first.measured <= 20
    assert first.interpolated == len(plan.kernels) - first.measured
    more = run_campaign(plan, store, budget_s=20.0, events=one_second_each, settings=PAIRS)
    assert more.skipped == first.measured
    assert more.measured > 0
    assert more.interpolated == len(plan.kernels) - first.measured - more.measured


def test_a_target_stops_when_interpolation_is_good_enough(store: Store) -> None:
    plan = plan_of(many(200))
    result = run_campaign(plan, store, target_error=0.05, settings=Settings(group_kernels=24))
    assert 0 < result.measured < len(plan.kernels)
    assert result.interpolated == len(plan.kernels) - result.measured
    assert result.held_out_error is not None
    assert result.held_out_error < 0.05
    again = run_campaign(plan, store, target_error=0.05)
    assert (again.skipped, again.interpolated) == (
        result.measured,
        len(plan.kernels) - result.measured - again.measured,
    )


def test_what_the_networks_brought_is_not_measured_again(store: Store) -> None:
    plan = plan_of(
        {key: kernel for width in range(8, 60) for key, kernel in kernels_of(width, 16).items()}, chain(9, 16)
    )
    events: list[CampaignEvent] = []
    result = run_campaign(plan, store, target_error=0.05, events=events.append)
    measured = rows_of(events)
    assert len(measured) == len(set(measured)) == result.measured
    assert set(plan.subjects[0].lowered.distinct) <= set(measured)


def test_a_fresh_campaign_learns_from_no_old_row(store: Store) -> None:
    plan = plan_of(many(60))
    first = run_campaign(plan, store, target_error=0.05)
    again = run_campaign(plan, store, target_error=0.05, fresh=True)
    assert (again.measured, again.skipped) == (first.measured, 0)
    assert again.held_out_error == pytest.approx(first.held_out_error)


def doubtful(
    monkeypatch: pytest.MonkeyPatch, halfwidths: list[float], chosen: Callable[[str], bool] = lambda _: True
) -> None:
    """Let kernels come out noisy: each time one is measured it takes the next of these half-widths; 0 is in order."""
    from lutra.profiler import campaign

    real, counts = campaign.measured_row, dict[str, int]()

    def measured(subject: tuple[str, str, str], *rest: Any) -> Measurement:
        row = real(subject, *rest)
        if subject[0] != "kernel" or not chosen(subject[1]):
            return row
        time = counts[subject[1]] = counts.get(subject[1], -1) + 1
        halfwidth = halfwidths[min(time, len(halfwidths) - 1)]
        return replace(row, status="noisy", rel_halfwidth=halfwidth) if halfwidth else row

    monkeypatch.setattr(campaign, "measured_row", measured)


def test_noisy_rows_are_measured_again_and_the_better_one_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(kernels_of(4, 5, 6), chain(8, 9))
    first = next(iter(plan.kernels))
    doubtful(monkeypatch, [0.3, 0.0], lambda key: key == first)
    events: list[CampaignEvent] = []
    result = run_campaign(plan, store, events=events.append)
    assert (result.measured, result.requeued, result.noisy) == (len(plan.kernels), 1, [])
    assert [event.labels for event in events if isinstance(event, Requeued)] == [(plan.kernels[first].label,)]
    assert rows_of(events).count(first) == 2
    assert result.table.get("kernel", first).status == "ok"
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.measured, end.requeued, end.noisy) == (len(plan.kernels), 1, 0)


@pytest.mark.parametrize(("halfwidths", "kept"), [([0.3, 0.2], 0.2), ([0.2, 0.3], 0.2)])
def test_a_row_that_stays_noisy_is_kept_with_its_doubt(
    store: Store, monkeypatch: pytest.MonkeyPatch, halfwidths: list[float], kept: float
) -> None:
    plan = plan_of(kernels_of(4, 5))
    doubtful(monkeypatch, halfwidths)
    result = run_campaign(plan, store)
    assert len(result.noisy) == result.requeued == result.measured == len(plan.kernels)
    for key in plan.kernels:
        row = result.table.get("kernel", key)
        assert (row.status, row.rel_halfwidth) == ("noisy", kept)
        assert store.get(plan.device.fingerprint, "kernel", key) == row


def test_a_network_is_predicted_anew_when_its_kernels_were_measured_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of({}, chain(8, 9))
    key = plan.subjects[0].lowered.kernels[0].key
    doubtful(monkeypatch, [0.3, 0.0], lambda other: other == key)
    from lutra.profiler import campaign

    wrong, asked = campaign.measured_row, []

    def slow_at_first(subject: tuple[str, str, str], *rest: Any) -> Measurement:
        row = wrong(subject, *rest)
        if subject[1] != key or asked.append(key) or len(asked) > 1:
            return row
        return replace(row, samples_ns=row.samples_ns * 1000, normalisation=None)

    monkeypatch.setattr(campaign, "measured_row", slow_at_first)
    (check,) = run_campaign(plan, store).table.self_checks()
    assert len(asked) == 2
    assert check.error_pct == pytest.approx(0, abs=1e-9)


def test_noisy_kernels_of_a_sequence_are_measured_again_in_their_network(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NullRuntime, "in_sequence", True)
    plan = plan_of({}, chain(8, 9))
    key = plan.subjects[0].lowered.kernels[0].key
    doubtful(monkeypatch, [0.3, 0.0], lambda other: other == key)
    result = run_campaign(plan, store)
    assert (result.requeued, result.noisy) == (1, [])
    assert result.table.lookup(key).latency_ns == pytest.approx(null_latency_ns(plan.kernels[key]), rel=1e-9)
