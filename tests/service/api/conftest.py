"""A server in this process, over a store with one small table of the null device."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lutra.luts import Store
from lutra.nas import spaces
from lutra.networks import Network, NetworkBuilder
from lutra.profiler import resolve_device, run_campaign
from lutra.service.api.app import make_app
from lutra.service.api.settings import Settings
from lutra.service.plans import plan_of
from lutra.service.tokens import Tokens, digest_of

OWNER = "the-owner-of-the-server"
SPACE = "ofa-small"


def small_network(name: str = "small", width: int = 8) -> Network:
    """Three ops."""
    build = NetworkBuilder(name)
    value = build.input((1, 3, 16, 16))
    value = build.op("conv2d", value, out_channels=width, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    value = build.op("relu", value)
    return build.build(build.op("global_avg_pool2d", value))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the kernels of a small network and of a space, on the null device."""
    path = tmp_path_factory.mktemp("filled") / "rows.db"
    plan, _ = plan_of(resolve_device("null"), [small_network()], [spaces.build(SPACE)], check=True, check_networks=1)
    with Store.open(path) as store:
        assert not run_campaign(plan, store).failed
    return path


@pytest.fixture
def store_path(filled: Path, tmp_path: Path) -> Path:
    """A store of one's own with that content."""
    return Path(shutil.copy(filled, tmp_path / "rows.db"))


class Api:
    """Clients of one server.

    Attributes:
        app: the server.
        owner: a client that may do everything.
    """

    def __init__(self, client: TestClient) -> None:
        self.app = client.app
        self.owner = client
        self.owner.headers["Authorization"] = f"Bearer {OWNER}"

    @property
    def service(self) -> Any:
        return self.app.state.service  # type: ignore[attr-defined]

    def client(self, scope: str | None) -> TestClient:
        """A client with a token of that scope, or with none."""
        client = TestClient(self.app, base_url="http://localhost", follow_redirects=False)
        if scope is not None:
            _, text = self.service.access.tokens.create(f"a test of {scope}", scope)
            client.headers["Authorization"] = f"Bearer {text}"
        return client

    def tokens(self) -> Tokens:
        """The server's tokens."""
        found: Tokens = self.service.access.tokens
        return found


@pytest.fixture
def serving(store_path: Path) -> Iterator[Callable[..., Api]]:
    """Starts servers over the store; settings may be changed."""
    with ExitStack() as running:

        def start(**changed: Any) -> Api:
            settings = replace(Settings(store=str(store_path), heavy_per_s=1000.0), **changed)
            app = make_app(settings, own_digest=digest_of(OWNER))
            client = running.enter_context(TestClient(app, base_url="http://localhost", follow_redirects=False))
            return Api(client)

        yield start


@pytest.fixture
def api(serving: Callable[..., Api]) -> Api:
    """A server as it comes."""
    return serving()


@pytest.fixture(scope="module")
def running(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server for tests that ask it many things and change nothing."""
    path = Path(shutil.copy(filled, tmp_path_factory.mktemp("running") / "rows.db"))
    app = make_app(Settings(store=str(path)), own_digest=digest_of(OWNER))
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        yield Api(client)


class Live:
    """A server that listens.

    Attributes:
        url: where.
        app: what answers there.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],), daemon=True)

    def __enter__(self) -> "Live":
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def serve_copy(filled: Path, folder: Path, **changed: Any) -> Live:
    """A server over a copy of a store in an empty folder; limits on rates are out of the way."""
    path = Path(shutil.copy(filled, folder / "rows.db"))
    settings = replace(Settings(store=str(path), heavy_per_s=1e6, failures_per_s=1e6), **changed)
    return Live(make_app(settings, own_digest=digest_of(OWNER)))


@pytest.fixture(scope="module")
def live(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that listens on a port, over a store of its own."""
    with serve_copy(filled, tmp_path_factory.mktemp("live")) as running:
        yield running
