"""`Fleet`: the machines of a Ray cluster, their devices, and what is done on them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ...nas.cluster import connect, ray_module
from ...networks.errors import NodeMismatchError, UnknownNameError, UsageError
from . import node as on_the_node
from .names import devices_in, resource_of
from .node import versions
from .order import Order
from .outcome import Outcome

if TYPE_CHECKING:
    from ...luts import Store
    from ...nas import RayExecutor

_PURPOSE: Final = "a fleet of machines"
_STARTS_WITHIN_S: Final = 120.0

Listener = Callable[[str, Mapping[str, Any]], None]
"""Told what happened on a device of that name: an event as plain JSON data."""


@dataclass(frozen=True)
class FleetNode:
    """A machine of a fleet.

    Attributes:
        id: Ray's.
        host: the machine's name.
        address: its IP address.
        alive: it answers. Of one that does not, nothing more is known.
        devices: what it can measure.
        cpus: cores for evaluations.
        gpus: the same.
    """

    id: str
    host: str
    address: str
    alive: bool
    devices: tuple[str, ...]
    cpus: float
    gpus: float


class Fleet:
    """The machines of a Ray cluster, as a context manager. This machine has to be one of them.

    Args:
        address: of the cluster, ``HOST:PORT``; "auto" for the one that this machine is in.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: a malformed address.
        UnreachableFleetError: no cluster answers there, or this machine is none of its nodes.
    """

    def __init__(self, address: str = "auto") -> None:
        if address.startswith("ray://"):
            raise UsageError(
                f"{address} is for clients outside of a cluster, which cannot take rows as they come",
                hint="let this machine join the cluster: lutra fleet join --address HOST:PORT",
            )
        self._ray = ray_module(_PURPOSE)
        self._ours = connect(address, _PURPOSE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, if it was joined here; what still runs there for this process ends."""
        if self._ours:
            self._ray.shutdown()

    def nodes(self) -> list[FleetNode]:
        """All machines, those that answer first."""
        found = []
        for node in self._ray.nodes():
            resources = node.get("Resources") or {}
            cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
            host, address = str(node["NodeManagerHostname"]), str(node["NodeManagerAddress"])
            devices = devices_in(resources)
            found.append(FleetNode(node["NodeID"], host, address, bool(node["Alive"]), devices, cpus, gpus))
        return sorted(found, key=lambda node: (not node.alive, node.host, node.id))

    def devices(self) -> dict[str, list[FleetNode]]:
        """The devices that can be measured now, each with the machines that have it."""
        found: dict[str, list[FleetNode]] = {}
        for node in self.nodes():
            for device in node.devices if node.alive else ():
                found.setdefault(device, []).append(node)
        return dict(sorted(found.items()))

    def is_free(self, device: str) -> bool:
        """Whether a device is there and nobody measures it just now."""
        return bool(self._ray.available_resources().get(resource_of(device), 0.0) >= 1)

    def require(self, devices: Sequence[str]) -> None:
        """Make sure that devices are there.

        Raises:
            UsageError: one is named twice, or none at all.
            UnknownNameError: no machine has one; lists those that are there.
        """
        known = self.devices()
        if not devices:
            there = f"name some of: {', '.join(known)}" if known else "let a machine with one join: lutra fleet join"
            raise UsageError("no device is named", hint=there)
        for device, count in Counter(devices).items():
            if count > 1:
                raise UsageError(f"the device {device} is named {count} times", hint="name each device once")
            if device not in known:
                raise UnknownNameError("device of the fleet", device, known)

    def require_same_versions(self) -> None:
        """Make sure that all machines that evaluate have the Lutra and the Python that are here.

        Raises:
            NodeMismatchError: one has not; says what differs.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._ray.remote(on_the_node.versions)
        for node in self.nodes():
            if node.alive and node.cpus:
                here = NodeAffinitySchedulingStrategy(node.id, soft=False)
                asked = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here).remote()
                require_versions(node.host, partial(self._ray.get, asked, timeout=_STARTS_WITHIN_S))

    def executor(self, needs: Mapping[str, float] | None = None) -> "RayExecutor":
        """Evaluates on the machines of the fleet (`lutra.nas.search`).

        Args:
            needs: what one evaluation needs: "cpus", "gpus"; one CPU if omitted.

        Raises:
            UsageError: no machine has that much.
            NodeMismatchError: a machine has another Lutra or Python.
        """
        from ...nas import RayExecutor

        wanted = {"cpus": 1.0, **(needs or {})}
        nodes = [node for node in self.nodes() if node.alive]
        if not any(node.cpus >= wanted["cpus"] and node.gpus >= wanted.get("gpus", 0) for node in nodes):
            asked = ", ".join(f"{number:g} {name}" for name, number in wanted.items())
            raise UsageError(
                f"no machine of the fleet has what an evaluation needs: {asked}",
                hint="let one join: lutra fleet join --address HOST:PORT --cpus N; lutra fleet list shows them",
            )
        self.require_same_versions()
        return RayExecutor(resources={f"num_{name}": number for name, number in wanted.items()})

    def profile(
        self,
        order: Order,
        devices: Sequence[str],
        store: "Store",
        *,
        new_table: bool = False,
        patience_s: float = 600.0,
        listen: Listener | None = None,
        cancel: Event | None = None,
    ) -> dict[str, Outcome]:
        """Measure on several devices at once, each on its own machine; rows are committed to ``store`` as they come.

        Of a device whose machine is lost the rest is measured when a machine with it joins again; the others go on.

        Args:
            order: what to measure.
            devices: on what.
            store: where rows go; it has to be open for writing.
            new_table: begin a new table where a device has changed.
            patience_s: how long to wait for a machine that was lost.
            listen: told of each event, from several threads; of a row once it is committed.
            cancel: set it to stop: rows that are good enough are still committed.

        Returns:
            What became of each device, in order; one that broke off has an error, and raises nothing.

        Raises:
            UsageError: no device is named, or one twice.
            UnknownNameError: no machine has one of them; lists those that are there.
        """
        from .measuring import DeviceRun

        self.require(devices)
        cancel, listen = cancel or Event(), listen or _unheard
        runs = [
            DeviceRun(self, self._ray, name, order, store, new_table, patience_s, listen, cancel) for name in devices
        ]
        with ThreadPoolExecutor(len(runs), thread_name_prefix="lutra-fleet") as threads:
            try:
                return dict(zip(devices, threads.map(DeviceRun.run, runs), strict=True))
            except BaseException:
                cancel.set()
                raise


def _unheard(device: str, event: Mapping[str, Any]) -> None:
    del device, event


def require_versions(host: str, ask: Callable[[], Mapping[str, str]]) -> None:
    """Make sure that a machine has the Lutra and the Python that are here.

    Args:
        host: its name, for the message.
        ask: gives its versions.

    Raises:
        NodeMismatchError: it has not, or no Lutra at all.
    """
    here = versions()
    try:
        there = ask()
    except Exception as error:  # Ray wraps what goes wrong in several ways
        if "No module named 'lutra" not in str(error):
            raise
        there = {**here, "Lutra": "not installed, or too old"}
    differences = [f"{name}: {here[name]} -> {there.get(name, '?')}" for name in here if here[name] != there.get(name)]
    if differences:
        raise NodeMismatchError(host, differences)
