"""``lutra serve`` and ``lutra token`` as processes and commands."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from lutra.luts import Store
from lutra.networks.errors import UnauthenticatedError
from lutra.service.tokens import Tokens, digest_of

RUN = "from lutra.service.cli import main; main()"


def serve(folder: Path, *arguments: str, lines: int) -> tuple["subprocess.Popen[str]", list[str]]:
    """A server as a process, and the lines that it says when it is ready."""
    environment = os.environ | {
        "LUTRA_STORE": str(folder / "rows.db"),
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
    }
    server = subprocess.Popen(
        [sys.executable, "-c", RUN, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    assert server.stdout is not None
    return server, [server.stdout.readline() for _ in range(lines)]


def test_it_starts_with_nothing_and_says_how_to_get_in(tmp_path: Path) -> None:
    server, lines = serve(tmp_path, lines=3)
    try:
        url = re.fullmatch(r"serving at (http://127\.0\.0\.1:\d+)\n", lines[0])
        link = re.search(r"once: (\S+)", lines[1])
        token = re.search(r"LUTRA_TOKEN=(\S+)", lines[2])
        assert url is not None
        assert link is not None
        assert token is not None
        ask = {"authorization": f"Bearer {token[1]}"}
        assert httpx2.get(f"{url[1]}/v1/tokens", headers=ask).json()["items"] == []  # it is not in the store
        assert httpx2.get(f"{url[1]}/v1/tokens").status_code == 401
        with httpx2.Client(follow_redirects=True) as browser:
            assert "No device has a table yet" in browser.get(link[1]).text
            assert browser.get(link[1], follow_redirects=False).status_code == 401
        assert httpx2.get(f"{url[1]}/", headers={"host": "rebound.example"}).status_code == 403
        memory = Path(f"/proc/{server.pid}/maps")
        if memory.exists():
            assert "libtorch" not in memory.read_text()
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "stopped" in err
    assert token[1] not in err


def test_others_are_not_reached_without_a_token(lutra: Callable[..., object]) -> None:
    refused = lutra("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2  # type: ignore[attr-defined]
    assert "lutra token create" in refused.err  # type: ignore[attr-defined]
    expired = lutra("token", "create", "old", "--days", "1", "--json").document  # type: ignore[attr-defined]
    assert lutra("token", "revoke", expired["id"]).code == 0  # type: ignore[attr-defined]
    assert lutra("serve", "--host", "0.0.0.0", "--port", "0").code == 2  # type: ignore[attr-defined]


def test_with_a_token_others_are_served_and_none_is_printed(tmp_path: Path) -> None:
    with Store.open(tmp_path / "rows.db") as store:
        _, text = Tokens(store).create("others", "read")
    server, lines = serve(tmp_path, "--host", "0.0.0.0", lines=1)
    try:
        port = re.search(r":(\d+)\n", lines[0])
        assert port is not None
        ask = {"authorization": f"Bearer {text}"}
        assert httpx2.get(f"http://127.0.0.1:{port[1]}/v1/devices", headers=ask).status_code == 200
    finally:
        server.send_signal(signal.SIGTERM)
        out, _ = server.communicate(timeout=60)
    assert "LUTRA_TOKEN" not in out


def test_a_taken_port_is_said(lutra: Callable[..., object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = lutra("serve", "--port", taken.getsockname()[1])
    assert refused.code == 2  # type: ignore[attr-defined]
    assert "--port" in refused.err  # type: ignore[attr-defined]
    assert lutra("serve", "--host", "no such host").code == 2  # type: ignore[attr-defined]
    assert lutra("serve", "--tls-key", "key.pem").code == 2  # type: ignore[attr-defined]


def test_tokens_on_the_command_line(lutra: Callable[..., object], tmp_path: Path) -> None:
    assert "no tokens yet" in lutra("token", "list").out  # type: ignore[attr-defined]
    made = lutra("token", "create", "notebooks", "--scope", "profile", "--days", "7")
    text = made.out.strip()  # type: ignore[attr-defined]
    assert re.fullmatch(r"lutra_[0-9a-f]{12}_[\w-]{43}", text)
    assert "of scope profile" in made.err  # type: ignore[attr-defined]
    (listed,) = lutra("token", "list", "--json").document  # type: ignore[attr-defined]
    assert (listed["name"], listed["scope"], listed["valid"]) == ("notebooks", "profile", True)
    with Store.open(tmp_path / "rows.db") as store:
        tokens = Tokens(store)
        assert tokens.verify(text).id == listed["id"]
        assert tokens.find(listed["id"]).digest == digest_of(text)  # type: ignore[union-attr]
    content = b"".join(path.read_bytes() for path in tmp_path.glob("rows.db*"))
    assert text.encode() not in content
    assert text.rsplit("_", 1)[1].encode() not in content
    assert lutra("token", "revoke", text).code == 0  # type: ignore[attr-defined]
    with Store.open(tmp_path / "rows.db") as store, pytest.raises(UnauthenticatedError):
        Tokens(store).verify(text)
    assert lutra("token", "revoke", "000000000000").code == 2  # type: ignore[attr-defined]
    assert lutra("token", "create", "x", "--scope", "root").code == 2  # type: ignore[attr-defined]
    assert lutra("token", "create", "x", "--days", "-1").code == 2  # type: ignore[attr-defined]


def test_an_expired_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path / "rows.db") as store:
        tokens = Tokens(store)
        record, text = tokens.create("short", days=1.0)
        assert tokens.verify(text) == record
        assert tokens.any_valid()
        monkeypatch.setattr("lutra.service.tokens.utc_now", lambda: "2999-01-01T00:00:00.000Z")
        with pytest.raises(UnauthenticatedError):
            tokens.verify(text)
        assert not tokens.any_valid()
        assert tokens.forget() == 1


@pytest.mark.parametrize("text", ["", "x", "lutra_", "lutra_000000000000_" + "A" * 43, "lutra_ZZZ_x", "a" * 10_000])
def test_what_is_no_token(text: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "rows.db") as store, pytest.raises(UnauthenticatedError):
        Tokens(store).verify(text)
