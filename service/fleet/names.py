"""How a node says what devices it has: a resource for each, and its own name for it in the environment."""

import json
import os
import re
from collections.abc import Mapping
from typing import Final

from ...networks.errors import UsageError

_RESOURCE: Final = "device:"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]*", re.ASCII)  # Ray keeps resources in lists with commas
DEVICES_VARIABLE: Final = "LUTRA_FLEET_DEVICES"
"""JSON object on a node: what the fleet calls a device, and what the node does."""


def resource_of(device: str) -> str:
    """The resource that a device is to Ray."""
    return _RESOURCE + device


def devices_in(resources: Mapping[str, float]) -> tuple[str, ...]:
    """The devices among a node's resources."""
    return tuple(sorted(name.removeprefix(_RESOURCE) for name in resources if name.startswith(_RESOURCE)))


def require_names(devices: Mapping[str, str]) -> None:
    """Check what the fleet is to call devices.

    Raises:
        UsageError: a name with other characters than letters, digits and ``_.:+-``.
    """
    for name in devices:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"a device cannot be called {name!r} in a fleet", hint="use letters, digits and _ . : + -, such as pi4"
            )


def local_name(device: str) -> str:
    """What this node calls a device of the fleet."""
    named: Mapping[str, str] = json.loads(os.environ.get(DEVICES_VARIABLE, "{}"))
    return named.get(device, device)
