"""Having a server do what a command would do here: submit a job, follow it on standard error, show its result."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import typer

from .options import echo_json

if TYPE_CHECKING:
    from .client import Client
    from .jobs.job import Job

_INTERRUPTED: Final = 5
_LINE_EVERY_S: Final = 2.0


def run_job(server: str, kind: str, request: Mapping[str, Any], *, as_json: bool) -> None:
    """Submit a job, follow it, and print its result. Ctrl-C ends the waiting; the job goes on.

    Args:
        server: its address.
        kind: of the job.
        request: what to do; entries that are None are left to the kind.
        as_json: print the result as JSON.

    Raises:
        LutraError: the server refuses the job, or what the job failed of.
    """
    from .client import Client

    with Client(server) as client:
        job = finished_job(client, server, kind, request)
        result = client.jobs.result(job.id)
        if as_json:
            echo_json(result)
            return
        show_result(result)
        for file in client.jobs.files(job.id):
            typer.echo(f"file: {file.name} ({file.size_bytes} bytes; lutra jobs fetch gets it)")


def show_result(result: Mapping[str, Any]) -> None:
    """Print what a job's result says in one line each; what has parts is for ``--json``."""
    for name, value in result.items():
        if value is not None and not isinstance(value, dict | list):
            typer.echo(f"{name.replace('_', ' ')}: {value}")


def finished_job(client: "Client", server: str, kind: str, request: Mapping[str, Any]) -> "Job":
    """Submit a job, and follow it on standard error until it has succeeded. Ctrl-C ends the waiting; the job goes on.

    Args:
        client: of the server.
        server: its address, as the user gave it.
        kind: of the job.
        request: what to do; entries that are None are left to the kind.

    Raises:
        LutraError: the server refuses the job, or what the job failed of.
        typer.Exit: it was cancelled, or its time was up.
    """
    given = {name: value for name, value in request.items() if value is not None}
    job = client.jobs.submit(kind, given)
    sys.stderr.write(f"job {job.id} on {client.location}\n")
    try:
        _follow(client, job.id)
        done = client.jobs.wait(job.id)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nthe job goes on; stop it with: lutra jobs cancel {job.id} --server {server}\n")
        raise typer.Exit(_INTERRUPTED) from None
    if done.error is not None:
        raise _failure(done.error)
    if done.state != "succeeded":
        sys.stderr.write(f"the job was {done.state.replace('_', ' ')}\n")
        raise typer.Exit(_INTERRUPTED if done.state == "cancelled" else 1)
    return done


def refuse_local(given: Mapping[str, Any], why: str = "the job is done elsewhere") -> None:
    """Refuse options that mean this machine.

    Args:
        given: values of such options, by name; None where they are not given.
        why: they make no sense.

    Raises:
        UsageError: one is given.
    """
    from ..networks.errors import UsageError

    told = [name for name, value in given.items() if value is not None]
    if told:
        raise UsageError(f"--server and {', '.join(told)}", hint=f"leave them out: {why}")


def networks_for_a_server(names: list[str], input_shapes: list[str] | None) -> list[str | dict[str, Any]]:
    """What arguments name, as a request takes it: names of the zoo as they are, files as documents.

    Raises:
        LutraError: a file cannot be read, or a pattern matches nothing.
    """
    from ..networks import Network, load_network
    from .options import is_file_name, sources_of

    found: list[str | dict[str, Any]] = []
    for source in sources_of(names, input_shapes=input_shapes):
        network = source if isinstance(source, Network) else load_network(source)
        zoo = isinstance(source, Network) and network.name in names and not is_file_name(network.name)
        found.append(network.name if zoo else network.to_json())
    return found


def _follow(client: "Client", job_id: str) -> None:
    """Tell what happens: changes of state, and now and then how far it is."""
    told_at = 0.0
    for event in client.jobs.follow(job_id):
        if "state" in event:
            sys.stderr.write(f"{event['state']}\n")
        elif "total" in event and time.monotonic() - told_at > _LINE_EVERY_S:
            told_at = time.monotonic()
            eta = f", {event['eta_s']:.0f} s to go" if event.get("eta_s") is not None else ""
            sys.stderr.write(f"{event.get('done', 0)} of {event['total']}{eta}\n")


def _failure(error: Mapping[str, Any]) -> Exception:
    from .client.transport import error_of

    return error_of(str(error.get("code")), str(error.get("message")), error.get("hint"), {})
