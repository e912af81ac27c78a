"""``--events`` and what surrounds a campaign on the command line."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lutra.luts import Store
from lutra.networks import NetworkBuilder
from lutra.networks.errors import UsageError
from lutra.profiler import CampaignEvent, CampaignResult, Plan, Progress, make_plan, resolve_device
from lutra.profiler.events import Requeued
from lutra.service import campaigns


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


@pytest.fixture
def plan() -> Plan:
    b = NetworkBuilder("chain")
    x = b.input((1, 3, 8, 8))
    for width in range(4, 12):
        x = b.op("conv2d", x, out_channels=width, kernel_size=1)
    return make_plan(resolve_device("null"), [b.build(x)], check=False)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_events_are_added_to_a_file(store: Store, plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    campaigns.run(plan, store, fresh=False, events=str(path))
    first = lines(path.read_text())
    assert [first[0]["event"], first[-1]["event"]] == ["started", "finished"]
    campaigns.run(plan, store, fresh=False, events=str(path))
    assert [line["event"] for line in lines(path.read_text())[len(first) :]] == ["started", "finished"]


def test_standard_output_carries_only_events(store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    campaigns.run(plan, store, fresh=False, events="-")
    told = lines(capsys.readouterr().out)
    assert [line["key"] for line in told if line["event"] == "row" and line["kind"] == "kernel"] == list(plan.kernels)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is(store: Store, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="events cannot be written"):
        campaigns.run(plan, store, fresh=False, events=str(tmp_path / "absent" / "events"))
    assert store.devices() == []


class Full(io.RawIOBase):
    """A stream that takes a few bytes at a time, and then none."""

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(data[:7])
        self.room -= len(part)
        self.taken += part
        return len(part)


def test_a_stream_that_fills_up_ends_the_events_alone(caplog: pytest.LogCaptureFixture) -> None:
    stream = Full(150)
    write = campaigns._Lines(stream)
    for _ in range(5):
        write(Requeued(at="2026-01-31T12:00:00.000Z", labels=("a kernel",)))
    first, *_ = stream.taken.splitlines()
    assert json.loads(first) == {"event": "requeued", "at": "2026-01-31T12:00:00.000Z", "labels": ["a kernel"]}
    assert [record.message for record in caplog.records] == [f"no more events are written: {os.strerror(errno.ENOSPC)}"]


_PROFILE = """
import sys
from lutra.luts import Store
from lutra.networks import Network
from lutra.profiler import make_plan, resolve_device
from lutra.service import campaigns

plan = make_plan(resolve_device("null"), [Network.load(sys.argv[2])], check=False)
with Store.open(sys.argv[1]) as store:
    campaigns.summarise(campaigns.run(plan, store, fresh=False, events="-"), "here")
"""


def test_a_reader_that_goes_away_costs_no_row(plan: Plan, tmp_path: Path) -> None:
    plan.subjects[0].network.save(tmp_path / "chain.json")
    command = [sys.executable, "-c", _PROFILE, str(tmp_path / "rows.db"), str(tmp_path / "chain.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["event"] == "started"
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0, err
    assert f"{len(plan.kernels)} kernels measured" in err
    assert "Traceback" not in err
    with Store.open(tmp_path / "rows.db") as store:
        assert store.keys("null", "kernel") == set(plan.kernels)


def test_progress_shows_how_many_are_noisy(capsys: pytest.CaptureFixture[str]) -> None:
    from lutra.service.render import campaign_progress

    with campaign_progress() as show:
        show(Progress(0, 20, None, "Conv a", 0))
        show(Progress(20, 20, 0.0, "Conv b", 3, 0.012))
    assert capsys.readouterr().err.splitlines() == [
        "0/20 kernels: Conv a",
        "20/20 kernels, about 0 s to go, 3 noisy: Conv b",
    ]


def test_the_summary_tells_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    result = CampaignResult(measured=5, skipped=2, requeued=3, interpolated=40, held_out_error=0.021)
    campaigns.summarise(result, "rows.db")
    assert capsys.readouterr().err == (
        "5 kernels measured, 2 known before, 40 left to interpolation (held-out error 2.1%), 3 measured again; "
        "table in rows.db\n"
    )


def test_listeners_are_none_where_nobody_listens() -> None:
    with campaigns.event_writer(None) as listener:
        assert listener is None


def test_event_of_a_campaign_is_a_line_at_once(tmp_path: Path) -> None:
    event: CampaignEvent = Requeued(labels=())
    with campaigns.event_writer(str(tmp_path / "events")) as listener:
        listener(event)
        assert lines((tmp_path / "events").read_text()) == [{"event": "requeued", "at": event.at, "labels": []}]
