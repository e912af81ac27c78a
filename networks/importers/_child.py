"""``python -m lutra.networks.importers._child``: reads one ONNX file under limits; see `_sandbox`.

Standard input is a line of JSON and, where that names no path, the file. Standard output is one JSON document: the
imported network, or the error.
"""

import json
import os
import resource
import sys
from typing import Any

from ..errors import LutraError, ModelTooLargeError, UnsupportedOpError
from .onnx import parse

_CPU_S = 60
_BASE_BYTES = 2 << 30
"""Address space for the interpreter, numpy and onnx; the file comes on top."""


def main() -> None:
    """Answers one request."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    request = json.loads(sys.stdin.buffer.readline())
    source: str | bytes = request["path"] or sys.stdin.buffer.read()
    _limit(os.path.getsize(source) if isinstance(source, str) and os.path.isfile(source) else len(source))
    document = json.dumps(_respond(source, request)).encode()
    answer.write(document)
    answer.close()


def _limit(size: int) -> None:
    """Caps what this process may take from here on; files cannot be written at all."""
    for what, value in (
        (resource.RLIMIT_AS, _BASE_BYTES + 3 * size),
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        _, most = resource.getrlimit(what)
        resource.setrlimit(what, (value, value) if most == resource.RLIM_INFINITY else (min(value, most), most))


def _respond(source: str | bytes, request: dict[str, Any]) -> dict[str, Any]:
    shapes = {key: tuple(shape) for key, shape in request["input_shapes"].items()}
    try:
        return parse(source, name=request["name"], input_shapes=shapes).to_json()
    except LutraError as error:
        return {"error": _described(error)}
    except MemoryError:
        return {"error": _described(ModelTooLargeError("reading the ONNX file takes too much memory"))}


def _described(error: LutraError) -> dict[str, Any]:
    document: dict[str, Any] = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, UnsupportedOpError):
        document |= {"counts": error.counts, "where": error.where}
    return document


if __name__ == "__main__":
    main()
