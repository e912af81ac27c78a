"""``python -m lutra.service.api.importing``: takes a table from a stranger over into the store, under limits.

A file may unpack to far more than it is, or set a library's parser off; then this process dies, and the transaction
with it, and the server does not. Standard input is one JSON document, standard output another: reports, or an error.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from ...networks import errors
from ...networks.errors import LutraError, TableFileError

TIMEOUT_S: Final = 600
_CPU_S: Final = 300
_BASE_BYTES: Final = 3 << 30
"""Address space for the interpreter, pyarrow and the database; four times the file comes on top."""

_COMMAND: Final = (sys.executable, "-P", "-m", "lutra.service.api.importing")


def import_in_child(
    path: Path, *, store: str, format_name: str, name: str | None, replace: bool
) -> list[dict[str, Any]]:
    """Take the table in a file over into a store, all of it or nothing.

    Args:
        path: the file; where it lies is in no message.
        store: path or URL of the store.
        format_name: ``"parquet"``, ``"csv"`` or ``"json"``.
        name: what the device is called; as in the file if None.
        replace: let rows of the file take the place of those that disagree.

    Returns:
        For each device its name, digest, rows, and how many of them were written.

    Raises:
        TableFileError: what is wrong with the file; or reading it takes too much memory or time.
        LutraError: as `lutra.luts.exchange.stores.import_file` raises.
    """
    request = {"path": str(path), "store": store, "format": format_name, "name": name, "replace": replace}
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        child = subprocess.run(
            _COMMAND,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            env=environment,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_much("time") from None
    if child.returncode == -signal.SIGXCPU:
        raise _too_much("time")
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        raise _too_much("memory") from None
    if "error" in answer:
        raise _error(answer["error"], str(path))
    reports: list[dict[str, Any]] = answer["reports"]
    return reports


def _too_much(what: str) -> TableFileError:
    return TableFileError("the file", f"reading it takes too much {what}", hint="send it in parts")


def _error(document: dict[str, Any], path: str) -> LutraError:
    """The child's error, without the place where the server keeps the file."""
    cls = getattr(errors, document["class"], LutraError)
    error: LutraError = cls.__new__(cls)
    message = document["message"].replace(path, "the file").replace(Path(path).stem, "the file")
    LutraError.__init__(error, message, hint=document["hint"])
    vars(error).update(document["data"])
    return error


def main() -> None:
    """Answers one request."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    request = json.load(sys.stdin)
    _limit(Path(request["path"]).stat().st_size)
    answer.write(json.dumps(_respond(request)).encode())
    answer.close()


def _limit(size: int) -> None:
    for what, value in (
        (resource.RLIMIT_AS, _BASE_BYTES + 4 * size),
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(what)
        resource.setrlimit(what, (value, value) if most == resource.RLIM_INFINITY else (min(value, most), most))


def _respond(request: dict[str, Any]) -> dict[str, Any]:
    from ...luts import Store
    from ...luts.exchange.stores import prepare

    try:
        prepared = prepare(request["path"], format=request["format"], name=request["name"])
        with Store.open(request["store"], create=False) as store:
            reports = prepared.into(store, replace=request["replace"])
    except LutraError as error:
        return {"error": _described(error)}
    except MemoryError:
        return {"error": _described(_too_much("memory"))}
    return {
        "reports": [
            {"name": report.device.name, "digest": report.device.digest, "rows": report.rows, "written": report.written}
            for report in reports
        ]
    }


def _described(error: LutraError) -> dict[str, Any]:
    data = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float)}
    data = {name: value for name, value in data.items() if name not in ("message", "hint", "path")}
    return {"class": type(error).__name__, "message": error.message, "hint": error.hint, "data": data}


if __name__ == "__main__":
    main()
