"""``lutra fleet``: machines that measure and evaluate together, in a Ray cluster."""

import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..options import (
    BatchOption,
    BudgetOption,
    CacheOption,
    CheckNetworksOption,
    EventsOption,
    InputShapesOption,
    JsonOption,
    NewTableOption,
    OptionalNetworksArgument,
    PrecisionOption,
    ResolutionOption,
    RuntimeOption,
    SpacesOption,
    StoreOption,
    TargetErrorOption,
    ThreadsOption,
    echo_json,
    seconds_of,
    share_of,
    sources_of,
)

if TYPE_CHECKING:
    from ..fleet import Outcome

app = typer.Typer(no_args_is_help=True, help="Measure and evaluate on many machines at once.")

_PORT: Final = 6379
_LINE_EVERY_S: Final = 5.0
_LINE_EVERY: Final = 10  # rows

AddressOption = Annotated[
    str,
    typer.Option(
        "--address", metavar="HOST:PORT", help="The cluster; if omitted that of RAY_ADDRESS, else this machine's."
    ),
]
OwnDevicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME[=HERE]",
        help="A device that this machine measures; pi4=host calls it pi4; may be repeated.",
    ),
]
CpusOption = Annotated[
    int | None,
    typer.Option(
        "--cpus",
        metavar="N",
        min=0,
        help="Cores for evaluations; if omitted none where devices are measured, else all.",
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="IP", help="This machine's address for the others; if omitted what Ray finds."),
]


@app.command()
def head(
    port: Annotated[int, typer.Option("--port", metavar="N", min=1, max=65535, help="Where the others join.")] = _PORT,
    device: OwnDevicesOption = None,
    cpus: CpusOption = None,
    host: HostOption = None,
) -> None:
    """Begin a cluster on this machine, until Ctrl-C. Whoever has its token can run anything on its machines."""
    _become_a_node(None, port, device, cpus, host)


@app.command()
def join(
    address: Annotated[str, typer.Option("--address", metavar="HOST:PORT", help="Where lutra fleet head runs.")],
    device: OwnDevicesOption = None,
    cpus: CpusOption = None,
    host: HostOption = None,
) -> None:
    """Let this machine join a cluster, until Ctrl-C: to be measured, to evaluate, or to ask from."""
    _become_a_node(address, _PORT, device, cpus, host)


def _become_a_node(
    address: str | None, port: int, device: list[str] | None, cpus: int | None, host: str | None
) -> None:
    """Become Ray's process that starts a node and stays."""
    from ..fleet.joining import environment, require_measurable, require_token, start_command
    from ..jobs.worker import devices_of

    devices = devices_of(device or ())
    require_measurable(devices)
    command = start_command(devices, address=address, port=port, cpus=cpus, host=host)
    require_token(make=address is None)
    sys.stderr.write(f"{shlex.join(command[2:])}\n")
    if address is None:
        sys.stderr.write(
            f"others join with: lutra fleet join --address {host or socket.gethostname()}:{port} --device NAME=host\n"
        )
    sys.stderr.flush()
    os.execve(command[0], command, os.environ | environment(devices))


@app.command("list")
def list_(address: AddressOption = "auto", as_json: JsonOption = False) -> None:
    """The machines of a cluster, and the devices that they measure."""
    from dataclasses import asdict

    from ..fleet import Fleet
    from ..fleet.quiet import ray_in_the_log
    from ..render import console, grid

    with ray_in_the_log(), Fleet(address) as fleet:
        nodes = fleet.nodes()
        free = {device: fleet.is_free(device) for device in fleet.devices()}
    if as_json:
        echo_json({"nodes": [asdict(node) for node in nodes], "devices": {n: {"free": f} for n, f in free.items()}})
        return
    rows = []
    for node in nodes:
        devices = ", ".join(name if free.get(name) else f"{name} (in use)" for name in node.devices)
        state = "there" if node.alive else "gone"
        rows.append([node.host, node.address, state, devices or "-", f"{node.cpus:g}", f"{node.gpus:g}"])
    console().print(grid(["machine", "address", "state", "devices", "CPUs", "GPUs"], rows, left=4))


@app.command()
def profile(
    networks: OptionalNetworksArgument = None,
    space: SpacesOption = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", "-d", metavar="NAME", help="A device of the fleet; may be repeated; all if omitted."),
    ] = None,
    address: AddressOption = "auto",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = 1,
    precision: PrecisionOption = "float32",
    cache: CacheOption = "cold-weights",
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Measure the whole networks among the kernels too.")
    ] = True,
    check_networks: CheckNetworksOption = 8,
    budget: BudgetOption = None,
    target_error: TargetErrorOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what the tables have already.")] = False,
    new_table: NewTableOption = False,
    patience: Annotated[
        str, typer.Option("--patience", metavar="TIME", help="How long to wait for a machine that was lost: 90s, 10m.")
    ] = "10m",
    events: EventsOption = None,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Profile several devices of a fleet at once, each on its own machine; rows come into the store of this machine.

    Rows are committed as they come. Of a machine that is lost nothing is measured twice: when it joins again the rest
    is, and meanwhile the others go on. Ctrl-C ends all after the rows that are good enough.
    """
    from ..campaigns import STANDARD_OUTPUT, cancel_on_interrupt, event_writer, require_one_on_output
    from ..fleet import Fleet, Order
    from ..fleet.quiet import ray_in_the_log
    from ..stores import open_store, require_store

    require_one_on_output(as_json, events)
    patience_s = seconds_of(patience)
    assert patience_s is not None
    order = Order.of(
        sources_of(networks, batch=batch, resolution=resolution, input_shapes=input_shape) if networks else [],
        list(dict.fromkeys(space or ())),
        settings={"runtime": runtime, "threads": threads, "precision": precision, "cache": cache},
        check=check,
        check_networks=check_networks,
        budget_s=seconds_of(budget),
        target_error=share_of(target_error),
        fresh=fresh,
    )
    with (
        event_writer(events) as writer,
        ray_in_the_log(),
        Fleet(address) as fleet,
        open_store(store, read_only=False, create=True) as opened,
        cancel_on_interrupt() as cancel,
    ):
        outcomes = fleet.profile(
            order,
            device or [*fleet.devices()],
            require_store(opened),
            new_table=new_table,
            patience_s=patience_s,
            listen=_Told(None if writer is None else writer.write),
            cancel=cancel,
        )
    _show(outcomes, as_json, quiet=events == STANDARD_OUTPUT)
    if any(outcome.interrupted for outcome in outcomes.values()):
        raise typer.Exit(5)
    if not all(outcome.complete for outcome in outcomes.values()):
        raise typer.Exit(1)


class _Told:
    """Tells people and other programs what happens on the devices.

    Args:
        writer: takes events; None where nobody wants them.
    """

    def __init__(self, writer: Callable[[Mapping[str, Any]], None] | None) -> None:
        self._writer, self._lock = writer, Lock()
        self._shown: dict[str, tuple[int, float]] = {}

    def __call__(self, device: str, event: Mapping[str, Any]) -> None:
        with self._lock:  # devices tell from threads of their own
            if self._writer is not None:
                self._writer({"name": device, **event})
            if line := self._line(device, event):
                sys.stderr.write(f"{device}: {line}\n")

    def _line(self, device: str, event: Mapping[str, Any]) -> str:
        name = event["event"]
        if name == "node_lost":
            return (
                f"{event['node'] or 'its machine'} is lost ({event['reason']}); {event['rows']} rows are in the store"
            )
        if name == "broke_off":
            return str(event["message"])
        if name == "waiting":
            return f"waiting: {event['reason']}"
        if name == "finished":
            return f"{event['measured']} kernels measured, {event['skipped']} known before"
        return self._progress(device, event) if "total" in event else ""

    def _progress(self, device: str, event: Mapping[str, Any]) -> str:
        """How far it is, every few rows or seconds."""
        done, now_s = int(event.get("done", 0)), time.monotonic()
        shown, shown_at_s = self._shown.get(device, (-_LINE_EVERY, 0.0))
        if done < shown or done >= shown + _LINE_EVERY or now_s > shown_at_s + _LINE_EVERY_S:
            self._shown[device] = done, now_s
            eta = f", about {event['eta_s']:.0f} s to go" if event.get("eta_s") is not None else ""
            return f"{done}/{event['total']} kernels{eta}"
        return ""


def _show(outcomes: "Mapping[str, Outcome]", as_json: bool, *, quiet: bool) -> None:
    """What became of the devices: the result on standard output, faults on standard error."""
    if as_json:
        echo_json({name: outcome.to_dict() for name, outcome in outcomes.items()})
    for name, outcome in outcomes.items():
        for label, reason in outcome.document.get("failed", {}).items():
            sys.stderr.write(f"{name}: failed: {label}: {reason}\n")
        if outcome.error is not None:
            sys.stderr.write(f"{name}: {outcome.error.message}  [{outcome.error.code}]\n")
            sys.stderr.write(f"  fix: {outcome.error.hint}\n" if outcome.error.hint else "")
        if not as_json and not quiet and outcome.error is None:
            typer.echo(_summary(outcome))


def _summary(outcome: "Outcome") -> str:
    """What was done on a device, and its networks predicted and measured."""
    done = outcome.document
    parts = [f"{done.get('measured', 0)} kernels measured, {done.get('skipped', 0)} known before"]
    if done.get("interpolated"):
        parts.append(f"{done['interpolated']} left to interpolation")
    if done.get("noisy"):
        parts.append(f"{len(done['noisy'])} noisy")
    if outcome.losses:
        parts.append(f"its machine was lost {outcome.losses} times")
    if outcome.interrupted:
        parts.append("interrupted; the same command goes on")
    head = f"{done.get('device', outcome.device)} on {outcome.node}: {', '.join(parts)}"
    return f"{head}\n\n{outcome.shown}\n" if outcome.shown else head
