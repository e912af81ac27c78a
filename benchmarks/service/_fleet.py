"""Kills nodes of a fleet at random moments while they measure, and looks for rows that are lost or measured twice.

The fleet is a Ray cluster on this machine: a head, and a node for each of two simulated devices. A killed node is
replaced by another one with the same device. At the end the tables must be those that a campaign on one machine makes.
"""

import os
import queue
import random
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from lutra.luts import Store, Table
from lutra.networks import zoo
from lutra.profiler import make_plan, resolve_device, run_campaign
from lutra.service.fleet import Fleet, Order
from lutra.service.fleet.joining import environment

from .._results import Figure, note

KILLS: Final = 12
_DEVICES: Final = {"board": "stm32f746", "other-board": "stm32l4r5"}
_RESOLUTION: Final = 64
_LOOK_S: Final = 0.2
_MOST_ROWS: Final = 8  # between two kills


@dataclass
class Found:
    """What kills did.

    Attributes:
        kills: nodes killed while they measured.
        losses: of these, how many the asking machine saw.
        rows: rows that were told to be in the store.
        lost: of these, not there at the end; and rows of the plan that are missing or other than on one machine.
        twice: rows that were measured twice.
        failed: devices that did not come to their end.
        seconds: how long it took.
    """

    kills: int = 0
    losses: int = 0
    rows: int = 0
    lost: int = 0
    twice: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


class _Nodes:
    """A cluster with one node a device; kills that of a device which has had enough rows."""

    def __init__(self, seed: int) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_AUTH_MODE"] = "disabled"
        self._random = random.Random(seed)
        self.cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self._nodes = {name: self._add(name) for name in _DEVICES}
        self._left = {name: self._random.randint(1, _MOST_ROWS) for name in _DEVICES}
        self._due: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.kills = 0
        self.told: list[tuple[str, str, str]] = []

    def _add(self, device: str) -> Any:
        os.environ.update(environment({device: _DEVICES[device]}))
        return self.cluster.add_node(num_cpus=0, resources={f"device:{device}": 1})

    def listen(self, device: str, event: Mapping[str, Any]) -> None:
        if event["event"] == "row":
            self.told.append((device, event["kind"], event["key"]))
            self._left[device] -= 1
            if self._left[device] == 0:
                self._due.put(device)

    def strike_while(self, working: "Future[Any]") -> None:
        """Kill and replace nodes while something works. By the main thread: Ray starts nodes from no other."""
        while not working.done():
            try:
                device = self._due.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if self.kills < KILLS:
                self.kills += 1
                self.cluster.remove_node(self._nodes[device], allow_graceful=False)
                self._nodes[device] = self._add(device)
                self._left[device] = self._random.randint(1, _MOST_ROWS)


def measure() -> dict[str, Any]:
    """Kill nodes until there are enough kills; returns what was found."""
    started_s, found = time.monotonic(), Found()
    network = zoo.build("mobilenet_v2", resolution=_RESOLUTION)
    with tempfile.TemporaryDirectory() as folder:
        alone = {name: _alone(Path(folder) / f"{name}.db", local, network) for name, local in _DEVICES.items()}
        nodes = _Nodes(seed=0)
        try:
            while nodes.kills < KILLS:
                _round(nodes, network, Path(folder) / f"{nodes.kills}.db", alone, found)
                note(f"fleet: {nodes.kills} of {KILLS} kills, {found.rows} rows, {found.lost} lost")
        finally:
            nodes.cluster.shutdown()
    found.kills, found.seconds = nodes.kills, time.monotonic() - started_s
    return asdict(found)


def _round(nodes: _Nodes, network: Any, path: Path, alone: Mapping[str, Any], found: Found) -> None:
    """Fill an empty store, and compare it with what one machine measures."""
    nodes.told.clear()
    with Store.open(path) as store, Fleet(nodes.cluster.address) as fleet:
        order = Order.of([network], [], settings={})
        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(fleet.profile, order, [*_DEVICES], store, listen=nodes.listen)
            nodes.strike_while(asked)
            done = asked.result()
        tables = {name: _contents(store.table(name)) for name in _DEVICES}
    found.losses += sum(outcome.losses for outcome in done.values())
    found.failed += [f"{name}: {outcome.error}" for name, outcome in done.items() if not outcome.complete]
    found.rows += len(set(nodes.told))
    found.twice += len(nodes.told) - len(set(nodes.told))
    found.lost += sum((kind, key) not in tables[name] for name, kind, key in set(nodes.told))
    for name, rows in alone.items():
        found.lost += sum(tables[name].get(subject) != told for subject, told in rows.items())


def _alone(path: Path, device: str, network: Any) -> dict[tuple[str, str], Any]:
    """The rows that a campaign on this machine alone makes."""
    with Store.open(path) as store:
        result = run_campaign(make_plan(resolve_device(device), [network]), store)
        assert result.table is not None
        return _contents(result.table)


def _contents(table: Table) -> dict[tuple[str, str], Any]:
    """Rows without when they were measured."""
    rows = {}
    for row in table:
        told = row.to_dict()
        del told["measured_at"]
        rows[row.subject_kind, row.subject_key] = told
    return rows


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of `measure`."""
    protocol = (
        f"MobileNetV2 at {_RESOLUTION} x {_RESOLUTION} on two simulated boards, each a node of a Ray cluster on this"
        f" machine; {found['kills']} raylets killed with SIGKILL 1 to {_MOST_ROWS} rows after the last, and replaced;"
        f" {found['losses']} losses seen, {found['rows']} rows told, {found['twice']} measured twice;"
        f" tables compared row by row with those of one machine; {found['seconds']:.0f} s"
    )

    def figure(name: str, value: float, unit: str, goal: float, better: Any) -> Figure:
        return Figure(
            figure=name, value=value, unit=unit, goal=goal, better=better, peer="", protocol=protocol, command=command
        )

    bad = found["lost"] + found["twice"] + len(found["failed"])
    return [
        figure("fleet_node_kills_rows_lost", bad, "rows", 0, "lower"),
        figure("fleet_node_kills", found["kills"], "kills", KILLS, "higher"),
    ]
