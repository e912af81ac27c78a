"""The saved state of whatever trains: one .npz file, arrays and a card of JSON, replaced in one step."""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import CheckpointError, FormatVersionError
from .arrays import read_arrays

FORMAT_VERSION: Final = 1
"""Raised whenever an older reader could misread a newer file."""

_CARD: Final = "card"  # "state/" stands before the names of all other arrays
_HINT: Final = "resume with what it was begun with, or give another file"


@dataclass(frozen=True)
class Checkpoint:
    """Where a training or a search is.

    Attributes:
        identity: what is trained, on what and how; plain JSON data.
        progress: what is done and what became of it; plain JSON data.
        state: weights, momenta and the like, by name.
    """

    identity: Mapping[str, Any]
    progress: Mapping[str, Any]
    state: Mapping[str, NDArray[Any]]


def write_checkpoint(checkpoint: Checkpoint, path: Path, what: str) -> None:
    """Write it; an earlier file stays until the new one is on the disk.

    Args:
        checkpoint: what is written.
        path: the file.
        what: is going on: "training", "search".

    Raises:
        CheckpointError: the place cannot be written.
    """
    card = {
        "format": f"lutra.{what}",
        "version": FORMAT_VERSION,
        "identity": checkpoint.identity,
        "progress": checkpoint.progress,
    }
    arrays: dict[str, Any] = {f"state/{name}": array for name, array in checkpoint.state.items()}
    arrays[_CARD] = np.array(json.dumps(card))
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror})", hint="choose a place you can write to, with room"
        ) from error


def read_checkpoint(path: Path, identity: Mapping[str, Any], what: str) -> Checkpoint | None:
    """What was saved for a training or search of this identity; None where there is no file.

    Args:
        path: the file.
        identity: what is to go on.
        what: as `write_checkpoint`.

    Raises:
        CheckpointError: damaged, or of another one; says what differs.
        FormatVersionError: a newer version of Lutra wrote it.
    """
    if not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        card = json.loads(str(arrays.pop(_CARD)))
        version, saved, progress = card["version"], card["identity"], card["progress"]
        if card["format"] != f"lutra.{what}" or not isinstance(version, int):
            raise ValueError(f"it is no {what}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no checkpoint, or damaged ({error})", hint=_HINT) from None
    if version > FORMAT_VERSION:
        raise FormatVersionError("the checkpoint", version, FORMAT_VERSION)
    # As JSON has it, so that tuples and lists are the same.
    if lines := differences(saved, json.loads(json.dumps(identity))):
        raise CheckpointError(f"{path} is of another {what}: {'; '.join(lines)}", hint=_HINT)
    return Checkpoint(saved, progress, {name.removeprefix("state/"): array for name, array in arrays.items()})


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two nested descriptions, one line an entry."""
    lines = []
    for name in sorted({*saved, *wanted}):
        one, other = saved.get(name), wanted.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            lines += differences(one, other, f"{prefix}{name}.")
        elif one != other:
            lines.append(f"{prefix}{name} was {one!r}, is {other!r}")
    return lines
