"""A PostgreSQL server for tests and benchmarks: in a temporary folder, reached by its socket alone, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

_USER: Final = "lutra"
_TIMEOUT_S: Final = 120


def postgres_is_missing() -> str | None:
    """Why no server can be started here; None where one can."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install 'lutra[postgres]'"
    if _program("initdb") is None or _program("pg_ctl") is None:
        return "the programs of a PostgreSQL server are not installed (Debian: apt-get install postgresql)"
    return None


class PostgresServer:
    """A server of one's own, as a context manager. It runs as "nobody" where this process is root's: it refuses root.

    Args:
        durable: wait for the disk at each commit, as a server does unless told not to.
    """

    def __init__(self, *, durable: bool = False) -> None:
        # Not a folder of pytest's: nobody but its owner may enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="lutra-pg-"))
        self._durable = durable
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)

    def __enter__(self) -> Self:
        try:
            options = ("--username", _USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8")
            self._run("initdb", "--pgdata", str(self._data), *options)
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(subprocess.CalledProcessError):  # where it was killed
                self._run("pg_ctl", "--pgdata", str(self._data), "--mode", "immediate", "--wait", "stop")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def host(self) -> str:
        """The folder of its socket, which is also its host name."""
        return str(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def url(self, name: str) -> str:
        """The URL of a database, which need not be there."""
        return f"postgresql://{_USER}@/{name}?host={self.host}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        name = f"lutra_{uuid4().hex}"
        with psycopg.connect(host=self.host, user=_USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers; after `kill` it puts itself in order first."""
        places = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c max_connections=100"
        options = f"{places} -c fsync={'on' if self._durable else 'off'}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--log", log, "--options", options, "--wait", "start")

    def kill(self) -> None:
        """Kill it with all its processes at once, as a power cut would."""
        import psutil

        parent = int((self._data / "postmaster.pid").read_text().split()[0])
        with suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(parent)
            postmaster.suspend()  # so that it starts no others meanwhile
            every = [*postmaster.children(recursive=True), postmaster]
            for process in every:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(every, timeout=_TIMEOUT_S)

    def kill_one(self) -> None:
        """Kill one of the processes that serve connections; the server ends all others and recovers by itself."""
        import psutil

        parent = int((self._data / "postmaster.pid").read_text().split()[0])
        serving = [p for p in psutil.Process(parent).children() if _USER in " ".join(p.cmdline()).split()]
        for process in serving[:1]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def _run(self, name: str, *arguments: str) -> None:
        program = _program(name)
        assert program is not None, postgres_is_missing()
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        command = [program, *arguments]
        # Not to a pipe: the server would hold it open, and the reader wait for its end.
        with (self._folder / f"{name}.out").open("wb") as out:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, timeout=_TIMEOUT_S, stdout=out, stderr=out, **self._as
            )
        if done.returncode:
            told = (self._folder / f"{name}.out").read_text(errors="replace")
            raise subprocess.CalledProcessError(done.returncode, command, told)


def _program(name: str) -> str | None:
    """The path of one of the server's programs; Debian keeps them away from the search path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
