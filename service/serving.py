"""Running the server: the address it listens to, whom it lets in, and what it says when it is ready."""

import gc
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..networks.errors import MissingDependencyError, UsageError
from .api.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_GRACE_S = 5


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a server listens.

    Attributes:
        host: address of an interface; ``127.0.0.1`` is this machine alone.
        port: 0 for any that is free.
        tls_certificate: file of the certificate chain, for HTTPS; None for HTTP.
        tls_key: file of its private key.
        behind_proxy: believe a proxy on this machine what it says of clients (``X-Forwarded-For``, ``-Proto``).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tls_certificate: str | None = None
    tls_key: str | None = None
    behind_proxy: bool = False

    @property
    def is_private(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    def url(self, port: int) -> str:
        """What to open."""
        scheme = "https" if self.tls_certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}"


def serve(listening: Listening, settings: Settings, announce: Callable[[str, str | None, str | None], None]) -> None:
    """Run a server until it is told to stop (Ctrl-C, SIGTERM).

    On an address that only this machine reaches, a token of full scope is made that is valid while the server runs, and
    a link that logs a browser in once. Elsewhere a token must exist already.

    Args:
        listening: where.
        settings: what it is told.
        announce: called when requests are answered, with the URL, the token and the path of the link; the last two are
            None on an address that others reach.

    Raises:
        MissingDependencyError: the extra ``serve`` is not installed.
        UsageError: the address is taken, or not one of this machine; or others reach it, and no token exists.
        StoreError: the store cannot be opened.
    """
    try:
        import uvicorn

        from .api.app import make_app
    except ImportError as error:
        raise MissingDependencyError(error.name or "fastapi", "serve", "lutra serve") from error
    from .tokens import new_secret

    _require_somebody(listening, settings)
    text = digest = None
    if listening.is_private:
        _, text, digest = new_secret()
        names = settings.host_names or (*LOOPBACK, listening.host)
        settings = replace(settings, host_names=names)
    settings = replace(settings, secure_cookies=settings.secure_cookies or listening.tls_certificate is not None)
    app = make_app(settings, own_digest=digest)
    with _bound(listening) as bound:
        port = bound.getsockname()[1]
        config = uvicorn.Config(
            app,
            access_log=False,  # service/api/gate.py has its own, without queries
            log_config=None,
            server_header=False,
            proxy_headers=listening.behind_proxy,
            forwarded_allow_ips="127.0.0.1" if listening.behind_proxy else "",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            backlog=_BACKLOG,
            ssl_certfile=listening.tls_certificate,
            ssl_keyfile=listening.tls_key,
            ws="none",
        )
        _server(uvicorn, config, lambda: announce(listening.url(port), text, _login(app, text))).run(sockets=[bound])


def _login(app: "FastAPI", text: str | None) -> str | None:
    if text is None:
        return None
    return f"/login?code={app.state.service.access.new_code()}"


def _server(uvicorn: Any, config: Any, ready: Callable[[], None]) -> Any:
    class Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn is imported where it is used
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and not self.should_exit:
                # What was imported stays until the end: looking through it again and again takes a tenth of the time.
                gc.collect()
                gc.freeze()
                ready()

    return Server(config)


def _require_somebody(listening: Listening, settings: Settings) -> None:
    """Refuse to be reached by others while nobody has a token: then nobody, or everybody, would have to be let in."""
    if listening.is_private:
        return
    from ..luts import Store
    from ..luts.location import locate
    from .tokens import Tokens

    found = False
    if not locate(settings.store).missing:
        with Store.open(settings.store) as store:
            found = Tokens(store).any_valid()
    if not found:
        raise UsageError(
            f"{listening.host} is reached by others, and there is no token yet",
            hint="make one first: lutra token create NAME; or listen to 127.0.0.1",
        )


def _bound(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listening.host, listening.port))
    except OSError as error:
        bound.close()
        raise UsageError(
            f"{listening.host}:{listening.port} cannot be listened to: {error.strerror or error}",
            hint="choose another with --port (0 takes any that is free), or --host",
        ) from error
    bound.set_inheritable(False)
    return bound
