"""A fleet of one machine: what it measures and evaluates is what would come of it here, and what it refuses."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.luts import Store, Table
from lutra.nas import RayExecutor
from lutra.nas.cluster import require_reachable
from lutra.networks import zoo
from lutra.networks.errors import (
    MissingDependencyError,
    NodeMismatchError,
    UnknownNameError,
    UnreachableFleetError,
    UsageError,
    WorkerCrashedError,
)
from lutra.profiler import make_plan, resolve_device, run_campaign
from lutra.service.fleet import Fleet, Order
from lutra.service.fleet import cluster as cluster_module
from lutra.service.fleet.joining import environment, require_measurable, start_command
from lutra.service.fleet.names import DEVICES_VARIABLE

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own

DEVICES = {"stand-in": "null", "big-gpu": "h100_sxm"}
ACCURACY = "def accuracy(network):\n    return float(network.macs % 9973)\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with two devices and two cores."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        for name, value in environment(DEVICES).items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        resources = {f"device:{name}": 1 for name in DEVICES}
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "resources": resources, "include_dashboard": False},
        )
        try:
            yield cluster.address
        finally:
            cluster.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "rows.db") as opened:
        yield opened


def contents(table: Table) -> dict[tuple[str, str], Any]:
    """What rows say, without when and in which state of the machine they were measured."""
    rows = {}
    for row in table:
        told = row.to_dict()
        for name in ("measured_at", "conditions", "versions"):
            told.pop(name)
        if table.fingerprint.kind == "null":  # on a fake clock; the references are timed on the real one
            told = {name: told[name] for name in ("label", "status", "samples_ns", "spec", "flags")}
            if row.subject_key.startswith("reference"):
                told = {"label": told["label"]}
        rows[row.subject_kind, row.subject_key] = told
    return rows


def test_it_measures_what_the_devices_would_here(address, store, tmp_path):
    network, events = zoo.build("mobilenet_v2", resolution=32), []
    order = Order.of([network], [], settings={})
    with Fleet(address) as fleet:
        assert [*fleet.devices()] == ["big-gpu", "stand-in"]
        done = fleet.profile(order, [*DEVICES], store, listen=lambda name, event: events.append((name, event)))
        again = fleet.profile(order, [*DEVICES], store)
    for name, local in DEVICES.items():
        assert done[name].complete
        assert done[name].error is None
        with Store.open(tmp_path / f"{name}.db") as alone:
            here = run_campaign(make_plan(resolve_device(local), [network]), alone)
        assert (done[name].document["measured"], done[name].document["skipped"]) == (here.measured, here.skipped)
        assert contents(store.table(name)).keys() == contents(here.table).keys()
        assert done[name].committed == len(store.table(name))
        if local != "null":
            assert contents(store.table(name)) == contents(here.table)
        told = {(event["kind"], event["key"]) for who, event in events if who == name and event["event"] == "row"}
        assert told == contents(here.table).keys()
        assert (again[name].document["measured"], again[name].document["skipped"]) == (0, here.measured)
    kernels = [row for row in store.table("stand-in") if row.subject_kind == "kernel"]
    with Store.open(tmp_path / "stand-in.db") as alone:
        for row in kernels:
            assert row.samples_ns.tolist()[:5] == alone.get("null", "kernel", row.subject_key).samples_ns.tolist()[:5]


def test_devices_that_are_not_there_are_refused_before_anything_is_measured(address, store):
    order = Order.of([zoo.build("mobilenet_v2", resolution=32)], [], settings={})
    with Fleet(address) as fleet:
        with pytest.raises(UnknownNameError, match=r"unknown device of the fleet 'pi4'") as refused:
            fleet.profile(order, ["stand-in", "pi4"], store)
        with pytest.raises(UsageError, match="named 2 times"):
            fleet.profile(order, ["stand-in", "stand-in"], store)
        with pytest.raises(UsageError, match="no machine of the fleet has what an evaluation needs"):
            fleet.executor({"gpus": 3})
    assert "big-gpu, stand-in" in refused.value.hint
    assert store.devices() == []


@pytest.mark.slow
def test_what_a_device_cannot_do_is_told_and_the_others_go_on(address, store):
    order = Order.of([zoo.build("mobilenet_v2", resolution=32)], [], settings={"precision": "bfloat16"})
    with Fleet(address) as fleet:
        done = fleet.profile(order, [*DEVICES], store)
    assert done["big-gpu"].complete
    assert done["stand-in"].error is not None
    assert "bfloat16" in done["stand-in"].error.message


@pytest.mark.slow
def test_other_versions_on_a_node_are_refused(address, store, monkeypatch):
    monkeypatch.setattr(cluster_module, "versions", lambda: {"Lutra": "9.9", "Python": "3.99"})
    order = Order.of([zoo.build("mobilenet_v2", resolution=32)], [], settings={})
    with Fleet(address) as fleet:
        done = fleet.profile(order, ["stand-in"], store)
        with pytest.raises(NodeMismatchError, match=r"Lutra: 9\.9 -> "):
            fleet.executor()
    assert isinstance(done["stand-in"].error, NodeMismatchError)
    assert len(done["stand-in"].error.differences) == 2


@pytest.mark.slow
def test_the_command_line(address, lutra, tmp_path):
    listed = lutra("fleet", "list", "--address", address, "--json").document
    assert listed["nodes"][0]["devices"] == sorted(DEVICES)
    assert listed["devices"] == {name: {"free": True} for name in sorted(DEVICES)}
    asked = ("mobilenet_v2", "--resolution", "32", "--address", address, "--events", tmp_path / "events", "--json")
    done = lutra("fleet", "profile", *asked)
    assert done.code == 0, done.err
    assert {name: told["device"].split()[0] for name, told in done.document.items()} == {n: n for n in DEVICES}
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert {event["name"] for event in events if event["event"] == "finished"} == set(DEVICES)
    refused = lutra("fleet", "profile", "mobilenet_v2", "--address", address, "--device", "pi4")
    assert refused.code == 2
    assert "known: big-gpu, stand-in" in refused.err
    shown = lutra("predict", "mobilenet_v2", "--resolution", "32", "--device", "big-gpu")
    assert shown.code == 0, shown.err


@pytest.mark.slow
def test_a_search_finds_the_same(address, lutra, tmp_path):
    (tmp_path / "mine.py").write_text(ACCURACY)
    asked = ("--space", "nasbench201", "--device", "h100_sxm", "--max-ms", "50", "--accuracy", "mine.py:accuracy")
    asked += ("--evaluations", "12", "--strategy", "random", "--batch", "6")
    here = lutra("search", *asked, "--out", "here")
    there = lutra("search", *asked, "--out", "there", "--fleet", address)
    assert here.code == there.code == 0, there.err
    journals = [(tmp_path / name / "journal.jsonl").read_text().splitlines() for name in ("here", "there")]
    assert sorted(journals[0]) == sorted(journals[1])
    refused = lutra("search", *asked, "--out", "both", "--fleet", address, "--workers", "2")
    assert refused.code == 2
    counted = lutra("search", *asked[:6], "--out", "counted", "--fleet", address)
    assert "a fleet has nothing to evaluate" in counted.err


def dies(path: str, times: int) -> int:
    """Kills its process as often as that, and counts how often it was called."""
    with Path(path).open("ab") as file:
        file.write(b"x")
    if Path(path).stat().st_size <= times:
        os._exit(1)
    return Path(path).stat().st_size


def raises() -> None:
    raise KeyError("mine")


@pytest.mark.slow
def test_a_call_whose_process_dies_is_made_again(address, tmp_path):
    with RayExecutor(address) as fleet:
        once, always = fleet.submit(dies, str(tmp_path / "once"), 1), fleet.submit(dies, str(tmp_path / "always"), 9)
        assert once.result(timeout=120) == 2
        with pytest.raises(WorkerCrashedError, match="died 3 times"):
            always.result(timeout=120)
        with pytest.raises(KeyError, match="mine"):
            fleet.submit(raises).result(timeout=120)
    assert (tmp_path / "always").stat().st_size == 3


def test_addresses_where_nothing_answers(monkeypatch):
    with pytest.raises(UnreachableFleetError, match=r"nothing answers at 127\.0\.0\.1:1"):
        require_reachable("127.0.0.1:1")
    for wrong in ("somewhere", "host:port", "host:99999", ":1"):
        with pytest.raises(UsageError, match="no address of a cluster"):
            require_reachable(wrong)
    with pytest.raises(UsageError, match="outside of a cluster"):
        Fleet("ray://127.0.0.1:10001")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match="needs ray") as refused:
        Fleet("127.0.0.1:1")
    assert refused.value.hint == "pip install 'lutra[fleet]'"


def test_how_a_node_is_started():
    pytest.importorskip("ray")
    command = start_command({"pi4": "host"}, address=None, port=7000, cpus=None, host="10.0.0.5")
    assert {"--head", "--port=7000", "--num-cpus=0", "--node-ip-address=10.0.0.5"} <= set(command)
    assert '--resources={"device:pi4": 1}' in command
    assert "--disable-usage-stats" in command
    assert json.loads(environment({"pi4": "host"})[DEVICES_VARIABLE]) == {"pi4": "host"}
    with pytest.raises(UsageError, match="cannot be called"):
        require_measurable({"a,b": "null"})
    with pytest.raises(UnknownNameError):
        require_measurable({"pi4": "pixle3"})
    with pytest.raises(UnreachableFleetError):
        start_command({}, address="127.0.0.1:1", port=0, cpus=None, host=None)


def test_orders_hold_no_code(tmp_path):
    with pytest.raises(UsageError, match="is code"):
        Order.of([], ["mine.py"], settings={})
    with pytest.raises(UsageError, match="no network is named"):
        Order.of([], [], settings={})
    network = zoo.build("mobilenet_v2", resolution=32)
    order = Order.of([network], ["nasbench201"], settings={"threads": 2}, budget_s=60.0)
    read = Order.from_json(order.to_json(), order.sources)
    assert read == Order(**{**vars(order), "settings": {"threads": 2}, "spaces": ["nasbench201"]})
    assert read.networks(tmp_path)[0].fingerprint == network.fingerprint
    assert np.isfinite(read.budget_s)
