"""What a campaign tells other programs."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.luts.testing import make_failed, make_measurement
from lutra.networks import NetworkBuilder
from lutra.networks.errors import MeasurementError
from lutra.profiler import CampaignEvent, Plan, make_plan, resolve_device, run_campaign
from lutra.profiler.events import Failed, RowCommitted, event_of_row
from lutra.profiler.session import Session


@pytest.fixture
def plan() -> Plan:
    b = NetworkBuilder("chain")
    x = b.input((1, 3, 8, 8))
    for width in (4, 5, 6):
        x = b.op("conv2d", x, out_channels=width, kernel_size=1)
    return make_plan(resolve_device("null"), [b.build(x)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def test_a_campaign_tells_its_whole_course(store: Store, plan: Plan) -> None:
    events: list[CampaignEvent] = []
    run_campaign(plan, store, events=events.append)
    told = [json.loads(json.dumps(event.to_dict(), allow_nan=False)) for event in events]
    assert (told[0]["event"], told[-1]["event"]) == ("started", "finished")
    assert all(datetime.fromisoformat(line["at"]).tzinfo for line in told)
    started = told[0]
    assert (started["device"], started["digest"]) == (str(plan.device), plan.device.fingerprint.digest)
    assert (started["kernels"], started["total"], started["networks"]) == (len(plan.kernels), len(plan.kernels), 1)
    rows = [line for line in told if line["event"] == "row"]
    assert [line["done"] for line in rows if line["kind"] == "kernel"] == list(range(1, len(plan.kernels) + 1))
    assert {line["kind"] for line in rows} == {"constant", "kernel", "network"}
    assert [line["label"] for line in told if line["event"] == "preparing"][1:] == [
        kernel.label for kernel in plan.kernels.values()
    ]
    assert {key: told[-1][key] for key in ("measured", "skipped", "failed", "noisy", "interrupted")} == {
        "measured": len(plan.kernels),
        "skipped": 0,
        "failed": 0,
        "noisy": 0,
        "interrupted": False,
    }


def test_a_row_is_on_disk_when_it_is_told(store: Store, plan: Plan) -> None:
    seen = []

    def look(event: CampaignEvent) -> None:
        if isinstance(event, RowCommitted):
            row = store.get(plan.device.fingerprint, event.kind, event.key)
            seen.append((row.latency_ns / 1e6, row.status) == (event.latency_ms, event.status))

    run_campaign(plan, store, events=look)
    assert len(seen) >= len(plan.kernels) + 2
    assert all(seen)


def test_nothing_to_do_is_told_too(store: Store, plan: Plan) -> None:
    run_campaign(plan, store)
    events: list[CampaignEvent] = []
    run_campaign(plan, store, events=events.append)
    assert [event.name for event in events] == ["started", "finished"]


def test_rows_become_events() -> None:
    row = make_measurement("k", status="noisy", flags=("wide", "load"))
    event = event_of_row(row, 3, 7, 2.5)
    assert isinstance(event, RowCommitted)
    assert event.to_dict() | {"at": ""} == {
        "event": "row",
        "at": "",
        "kind": "kernel",
        "key": "k",
        "label": row.label,
        "status": "noisy",
        "latency_ms": row.latency_ns / 1e6,
        "rel_halfwidth": 0.015,
        "flags": ("load", "wide"),
        "done": 3,
        "total": 7,
        "eta_s": 2.5,
    }
    failed = event_of_row(make_failed("bad", "it crashed"), 1, 2, None)
    assert isinstance(failed, Failed)
    assert (failed.key, failed.reason) == ("bad", "it crashed")


def test_every_event_has_a_name_of_its_own() -> None:
    names = [cls.name for cls in CampaignEvent.__subclasses__()]
    assert all(names)
    assert len(set(names)) == len(names)


def test_a_failure_is_told_with_its_reason(store: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    key, kernel = next(iter(plan.kernels.items()))

    def refused(session: Session, name: str) -> None:
        if name == f"kernel {key}":
            raise MeasurementError("it does not fit")
        prepare(session, name)

    prepare = Session.prepare
    monkeypatch.setattr(Session, "prepare", refused)
    events: list[CampaignEvent] = []
    result = run_campaign(plan, store, events=events.append)
    assert result.failed == {kernel.label: "it does not fit"}
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.key, failed.reason, failed.done) == (key, "it does not fit", 1)
    assert store.get(plan.device.fingerprint, "kernel", key).status == "failed"
