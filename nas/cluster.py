"""Joining a Ray cluster from this process, with errors that say what to do instead of minutes of waiting."""

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any, Final

from ..networks.errors import MissingDependencyError, UnreachableFleetError, UsageError

_ANSWERS_WITHIN_S: Final = 5.0
_AUTH_MODE: Final = "RAY_AUTH_MODE"


def ray_module(purpose: str) -> Any:
    """Ray, imported when it is used.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to its makers
    # Ray reads this when it is imported, and disagrees with itself where it changes later.
    if "ray" not in sys.modules and has_token():
        os.environ.setdefault(_AUTH_MODE, "token")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("ray", "fleet", purpose) from error
    return ray


def has_token() -> bool:
    """Whether this user has a cluster's token, where Ray looks for one."""
    named = [name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if os.environ.get(name)]
    return bool(named) or token_file().is_file()


def token_file() -> Path:
    """Where Ray keeps a user's token."""
    return Path.home() / ".ray" / "auth_token"


def connect(address: str | None, purpose: str) -> bool:
    """Connect this process to a cluster, unless it is connected already.

    Args:
        address: ``HOST:PORT``; "auto" for the one that this machine is a node of (``RAY_ADDRESS`` names another);
            ``ray://HOST:PORT`` for one whose node this machine is not; None to start one here, of this machine alone.
        purpose: what Ray is wanted for, for the message where it is missing.

    Returns:
        Whether this call connected it, so that the caller is to disconnect it.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: a malformed address.
        UnreachableFleetError: no cluster answers there, or it does not take this machine.
    """
    ray = ray_module(purpose)
    if ray.is_initialized():
        return False
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address not in (None, "auto", "local"):
        require_reachable(str(address))
    options: dict[str, Any] = {"include_dashboard": False} if address in (None, "local") else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UnreachableFleetError(
            f"the cluster at {address!r} cannot be used: {str(error).strip().splitlines()[0]}",
            hint="make this machine one of its nodes: lutra fleet join --address HOST:PORT; or begin one: lutra fleet "
            "head",
        ) from error
    return True


def require_reachable(address: str) -> None:
    """Make sure that something listens at ``HOST:PORT``; Ray itself would try for minutes.

    Raises:
        UsageError: a malformed address.
        UnreachableFleetError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise UsageError(f"{address!r} is no address of a cluster", hint="write it as HOST:PORT, such as 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN_S).close()
    except OSError as error:
        raise UnreachableFleetError(
            f"nothing answers at {address}: {error.strerror or error}",
            hint="check the address and the firewall; begin a cluster on that machine with lutra fleet head",
        ) from error
