"""Parses an ONNX file from a stranger in a child process with limits, and brings the network back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import errors
from ..errors import CorruptModelError, LutraError, ModelTooLargeError, UnsupportedOpError
from ._onnx_read import MAX_FILE_BYTES
from .result import Imported

COMMAND = (sys.executable, "-P", "-m", "lutra.networks.importers._child")

TIMEOUT_S = 120
"""Wall time of the child; it has half as much CPU time."""


def import_in_child(
    source: str | Path | bytes, *, name: str | None, input_shapes: Mapping[str, tuple[int, ...]]
) -> Imported:
    """What `lutra.networks.importers.onnx.parse` returns or raises, from a child process.

    Raises:
        CorruptModelError: the child died of what it read.
        ModelTooLargeError: it ran out of memory or time.
    """
    if isinstance(source, bytes) and len(source) > MAX_FILE_BYTES:
        raise ModelTooLargeError(f"the ONNX file has {len(source):,} bytes; the limit is {MAX_FILE_BYTES:,}")
    path = None if isinstance(source, bytes) else os.path.abspath(source)
    request = {"path": path, "name": name, "input_shapes": {key: list(shape) for key, shape in input_shapes.items()}}
    content = source if isinstance(source, bytes) else b""
    try:
        child = subprocess.run(
            COMMAND,
            input=json.dumps(request).encode() + b"\n" + content,
            capture_output=True,
            timeout=TIMEOUT_S,
            env=environment(),
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_slow() from None
    return _answer(child)


def environment() -> dict[str, str]:
    """The child finds the same packages, and starts no threads that would reserve memory."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _answer(child: "subprocess.CompletedProcess[bytes]") -> Imported:
    if child.returncode == -signal.SIGXCPU:
        raise _too_slow()
    if child.returncode:
        how = signal.strsignal(-child.returncode) if child.returncode < 0 else f"exit code {child.returncode}"
        last = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CorruptModelError(
            f"the process that read the ONNX file died ({how}){': ' if last else ''}{last}",
            hint="check the file; if you trust it, trusted=True reads it in this process",
        )
    try:
        document = json.loads(child.stdout)
    except ValueError:
        raise CorruptModelError("the process that read the ONNX file gave no answer") from None
    if "error" in document:
        raise _error(document["error"])
    return Imported.from_json(document)


def _too_slow() -> ModelTooLargeError:
    return ModelTooLargeError(
        f"reading the ONNX file took over {TIMEOUT_S // 2} s of CPU time or {TIMEOUT_S} s in all",
        hint="check the file; if you trust it, trusted=True reads it without limits",
    )


def _error(document: Mapping[str, Any]) -> LutraError:
    """The error that the child raised."""
    kind, message, hint = document["class"], document["message"], document["hint"]
    if kind == UnsupportedOpError.__name__:
        return UnsupportedOpError(document["where"], document["counts"], hint=hint)
    cls = getattr(errors, kind, LutraError)
    result: LutraError = cls(message, hint=hint)
    return result
