"""Making this machine a node of a fleet: the command of Ray's that does it, and the environment that it needs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from ...nas.cluster import has_token, ray_module, require_reachable, token_file
from ...networks.errors import FleetError
from .names import DEVICES_VARIABLE, require_names, resource_of

_STARTS: Final = (sys.executable, "-m", "ray.scripts.scripts", "start")
_OBJECTS_BYTES: Final = 200_000_000  # of shared memory; Ray would take a third of a small board's, and rows are small
_AUTH_MODE: Final = "RAY_AUTH_MODE"
_PURPOSE: Final = "a fleet of machines"


def require_measurable(devices: Mapping[str, str]) -> None:
    """Check that this machine has devices, before others are told of them.

    Args:
        devices: what the fleet is to call each, and what this machine does.

    Raises:
        LutraError: it has no such device, or the name cannot be used.
    """
    from ...profiler import resolve_device

    require_names(devices)
    for local in devices.values():
        resolve_device(local)


def start_command(
    devices: Mapping[str, str], *, address: str | None, port: int, cpus: int | None, host: str | None
) -> list[str]:
    """Ray's command that begins a cluster, or joins one, and stays until it is stopped.

    Args:
        devices: what this machine measures, by what the fleet calls it.
        address: of the cluster; None to begin one.
        port: of a cluster that is begun.
        cpus: how many evaluations may run here at a time; None for none where something is measured, else for as many
            as there are cores.
        host: this machine's address for the others; None for what Ray finds.

    Raises:
        MissingDependencyError: Ray is not installed.
        UnreachableFleetError: nothing answers at the address.
    """
    ray_module(_PURPOSE)
    if address is not None:
        require_reachable(address)
    where = ["--head", f"--port={port}", "--include-dashboard=false"] if address is None else [f"--address={address}"]
    cpus = 0 if devices and cpus is None else cpus
    return [
        *_STARTS,
        *where,
        "--block",
        "--disable-usage-stats",
        f"--object-store-memory={_OBJECTS_BYTES}",
        f"--resources={json.dumps({resource_of(name): 1 for name in devices})}",
        *([] if cpus is None else [f"--num-cpus={cpus}"]),
        *([] if host is None else [f"--node-ip-address={host}"]),
    ]


def environment(devices: Mapping[str, str]) -> dict[str, str]:
    """What a node's processes are started with, beside what is there."""
    return {
        DEVICES_VARIABLE: json.dumps(dict(devices)),
        "RAY_worker_niceness": "0",  # Ray's own 15 would measure how patient a process is
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or a GPU is hidden from what does not reserve it
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def require_token(*, make: bool) -> None:
    """Make sure that only those who have the cluster's token can use it, unless ``RAY_AUTH_MODE`` says otherwise.

    Args:
        make: make a token where there is none.

    Raises:
        FleetError: there is none, or it cannot be made.
    """
    if os.environ.setdefault(_AUTH_MODE, "token") != "token" or has_token():
        return
    if not make:
        raise FleetError(
            f"this machine has no token of the cluster: there is no {token_file()}",
            hint="copy that file from the machine on which lutra fleet head runs, to be read by you alone; "
            "RAY_AUTH_MODE=disabled joins a cluster that has none",
        )
    command = [*_STARTS[:-1], "get-auth-token", "--generate"]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if made.returncode or not has_token():
        raise FleetError(
            f"no token can be made: {made.stderr.strip()[-200:]}",
            hint=f"write 64 random hexadecimal digits into {token_file()}, to be read by you alone",
        )
    token_file().chmod(0o600)
