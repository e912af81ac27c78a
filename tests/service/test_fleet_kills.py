"""Fleets of several nodes on this machine, of which one is killed midway: no row and no evaluation is lost."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lutra.luts import Store, Table
from lutra.networks import zoo
from lutra.networks.errors import NodeLostError
from lutra.profiler import make_plan, resolve_device, run_campaign
from lutra.service.fleet import Fleet, Order
from lutra.service.fleet.joining import environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]  # the warnings are Ray's own

SLOW, QUICK = {"board": "stm32f746"}, {"gpu": "h100_sxm"}
ACCURACY = """
import time

def accuracy(network):
    time.sleep(0.5)
    return float(network.macs % 9973)
"""


class Machines:
    """Nodes of a cluster, each with its own devices."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        from ray.cluster_utils import Cluster

        self._patch = patch
        self._patch.setenv("RAY_AUTH_MODE", "disabled")
        self._announce({})
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})

    def _announce(self, devices: dict[str, str]) -> None:
        for name, value in environment(devices).items():
            self._patch.setenv(name, value)

    def add(self, devices: dict[str, str], cpus: int = 0) -> Any:
        self._announce(devices)
        resources = {f"device:{name}": 1 for name in devices}
        return self.cluster.add_node(num_cpus=cpus, resources=resources)

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def machines() -> Iterator[Machines]:
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        found = Machines(patch)
        try:
            yield found
        finally:
            found.cluster.shutdown()


def contents(table: Table) -> dict[tuple[str, str], Any]:
    """Rows without when they were measured."""
    return {
        (row.subject_kind, row.subject_key): {k: v for k, v in row.to_dict().items() if k != "measured_at"}
        for row in table
    }


class Listener:
    """Remembers events, and says when a device has had so many rows."""

    def __init__(self, device: str, rows: int) -> None:
        self.events: list[tuple[str, Any]] = []
        self.enough = threading.Event()
        self._device, self._left = device, rows

    def __call__(self, device: str, event: Any) -> None:
        self.events.append((device, event))
        if device == self._device and event["event"] == "row":
            self._left -= 1
            if self._left == 0:
                self.enough.set()


def test_a_machine_that_dies_and_comes_back_loses_and_repeats_nothing(machines, tmp_path):
    dying = machines.add(SLOW)
    machines.add(QUICK)
    network = zoo.build("mobilenet_v2", resolution=64)

    listen = Listener("board", 3)
    with Store.open(tmp_path / "rows.db") as store, Fleet(machines.cluster.address) as fleet:
        order = Order.of([network], [], settings={})
        with ThreadPoolExecutor(1) as asking:  # Ray starts nodes from a main thread only
            asked = asking.submit(fleet.profile, order, ["board", "gpu"], store, listen=listen, patience_s=120.0)
            assert listen.enough.wait(120)
            machines.kill(dying)
            machines.add(SLOW)
            done = asked.result()
        assert done["board"].complete
        assert done["gpu"].complete
        assert (done["board"].losses, done["gpu"].losses) == (1, 0)
        for name, local in (SLOW | QUICK).items():
            with Store.open(tmp_path / f"{name}.db") as alone:
                here = run_campaign(make_plan(resolve_device(local), [network]), alone)
            assert contents(store.table(name)) == contents(here.table)
            assert done[name].document["measured"] == here.measured
    rows = [event["key"] for device, event in listen.events if device == "board" and event["event"] == "row"]
    assert len(rows) == len(set(rows)) == done["board"].committed
    assert [event["event"] for _, event in listen.events].count("node_lost") == 1


def test_who_is_cancelled_keeps_its_rows_and_goes_on(machines, tmp_path):
    machines.add(SLOW)
    cancel = threading.Event()
    listen = Listener("board", 2)
    listen.enough = cancel
    order = Order.of([zoo.build("mobilenet_v2", resolution=64)], [], settings={})
    with Store.open(tmp_path / "rows.db") as store, Fleet(machines.cluster.address) as fleet:
        first = fleet.profile(order, ["board"], store, listen=listen, cancel=cancel)["board"]
        assert first.interrupted
        assert len(store.table("board")) == first.committed >= 2
        rest = fleet.profile(order, ["board"], store)["board"]
    assert rest.complete
    assert rest.document["skipped"] == first.document["measured"] > 0


def test_a_machine_that_stays_away_fails_alone(machines, tmp_path):
    dying = machines.add(SLOW)
    machines.add(QUICK)
    listen = Listener("board", 2)
    order = Order.of([zoo.build("mobilenet_v2", resolution=128)], [], settings={})  # long enough to be killed in it
    with Store.open(tmp_path / "rows.db") as store, Fleet(machines.cluster.address) as fleet:
        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(fleet.profile, order, ["board", "gpu"], store, listen=listen, patience_s=3.0)
            assert listen.enough.wait(120)
            machines.kill(dying)
            done = asked.result()
        assert isinstance(done["board"].error, NodeLostError)
        assert done["gpu"].complete
        assert len(store.table("board")) == done["board"].committed >= 2


def test_a_search_finds_the_same_when_a_machine_dies(machines, lutra, tmp_path):
    machines.add({}, cpus=1)
    dying = machines.add({}, cpus=1)
    (tmp_path / "mine.py").write_text(ACCURACY)
    asked = ("--space", "nasbench201", "--device", "h100_sxm", "--max-ms", "50", "--accuracy", "mine.py:accuracy")
    asked += ("--evaluations", "24", "--strategy", "random", "--batch", "12")
    journal = tmp_path / "there" / "journal.jsonl"
    stop = threading.Event()

    def strike() -> None:
        while not stop.wait(0.1):
            if journal.exists() and journal.read_text().count("\n") > 6:
                machines.kill(dying)
                return

    thread = threading.Thread(target=strike)
    thread.start()
    there = lutra("search", *asked, "--out", "there", "--fleet", machines.cluster.address)
    stop.set()
    thread.join()
    here = lutra("search", *asked, "--out", "here")
    assert there.code == here.code == 0, there.err
    assert sorted(journal.read_text().splitlines()) == sorted(
        (tmp_path / "here" / "journal.jsonl").read_text().splitlines()
    )
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("here", "there")]
    assert results[0] == results[1]
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
