"""``lutra agent``: take jobs of a server, and measure here."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def agent(
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Whose jobs it takes; as LUTRA_SERVER says if omitted."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Holds the token, of scope profile; LUTRA_TOKEN if omitted."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME[=HERE]",
            help="Measure only this device; NAME=host takes jobs for NAME and measures this machine; may be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What it is called; as this machine if omitted.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="FILE", help="Where rows are kept, and wait for the server; its own file."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where jobs keep files until they are finished."),
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End as soon as there is nothing to do, and all is delivered.")
    ] = False,
) -> None:
    """Take profile jobs of a server, measure on this machine, and send the rows, until Ctrl-C.

    Rows are on this machine's disk before they are sent. While the server is out of reach, measuring goes on; what is
    not delivered waits, through restarts too.
    """
    import logging
    import socket

    from ..agent.agent import AgentSettings, default_store, run_agent
    from ..jobs.worker import default_folder, devices_here, devices_of, stopped_by_signals

    settings = AgentSettings(
        server=server,
        token_file=token_file,
        name=name or socket.gethostname(),
        store=(store or default_store()).expanduser().absolute(),
        devices=devices_of(device) if device else devices_here(),
        folder=(folder or default_folder()).absolute(),
        until_idle=until_idle,
    )
    for talkative in ("alembic", "httpx2"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    sys.stderr.write(f"{settings.name} measures {', '.join(settings.devices)}; spool: {settings.store}\n")
    with stopped_by_signals() as stop:
        taken = run_agent(settings, stop)
    sys.stderr.write(f"{taken} job{'s' * (taken != 1)} taken\n")
