"""``lutra worker``: take jobs from a store and run them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import StoreOption


def worker(
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Take only such jobs: profile, fit, search; may be repeated."),
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
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where jobs keep files until they are finished."),
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End as soon as there is nothing to do.")] = False,
    store: StoreOption = None,
) -> None:
    """Take jobs from a store, one after the other, until Ctrl-C.

    Each job runs in a process group of its own, which is killed when its time is up. A job whose worker dies is taken
    by another one, and goes on where it stopped. Start as many workers as there are things to be done at the same time;
    a device is measured by one job at a time.
    """
    from ..jobs.kinds import JOB_KINDS
    from ..jobs.worker import WorkerSettings, default_folder, devices_here, devices_of, stopped_by_signals, work

    settings = WorkerSettings(
        store=store,
        kinds=kind or JOB_KINDS.names(),
        devices=devices_of(device) if device else devices_here(),
        folder=(folder or default_folder()).absolute(),
        until_idle=until_idle,
    )
    sys.stderr.write(f"taking {', '.join(settings.kinds)} jobs; devices: {', '.join(settings.devices)}\n")
    with stopped_by_signals() as stop:
        taken = work(settings, stop)
    sys.stderr.write(f"{taken} job{'s' * (taken != 1)} taken\n")
