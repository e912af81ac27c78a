"""The folder a predictor is saved in: a JSON card, arrays without pickle, and a checksum over all of it."""

import hashlib
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..luts import Fingerprint
from ..networks.errors import ArtifactError, CorruptArtifactError, FormatVersionError, UsageError

FORMAT: Final = "lutra.predictor"
FORMAT_VERSION: Final = 1
"""Raised whenever an older reader could misread a newer folder."""

CARD: Final = "predictor.json"
TABLE_FILE: Final = "table.json"
"""Name of the text that holds a predictor's table, where it has one."""

_ARRAYS: Final = "arrays.npz"
_LIBRARIES: Final = ("lutra", "numpy", "scikit-learn", "torch")  # told in the card, whichever of them is used
_MAX_BYTES: Final = 1 << 30  # of one file, and of the arrays once unpacked
_DAMAGED: Final = "save the predictor again, or fetch the folder again from where it came"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a predictor consists of once it is saved.

    Attributes:
        kind: the name its class is registered under.
        params: constructor parameters that have a JSON form.
        state: what was learned, as plain JSON data.
        device: the device's identity, plain JSON data; for people and for comparisons.
        training: what it was fitted to and how well, plain JSON data; for people.
        arrays: what was learned, as arrays of numbers.
        texts: larger texts, by file name.
    """

    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The device's, where it was saved; what is no fingerprint raises as `Fingerprint.from_dict` does."""
        saved = self.device.get("fingerprint")
        return None if saved is None else Fingerprint.from_dict(saved)


def device_entry(name: str, fingerprint: Fingerprint | None) -> dict[str, Any]:
    """`Artifact.device` of a predictor that knows its device by name, and perhaps by fingerprint."""
    return {"name": name} if fingerprint is None else {"name": name, "fingerprint": fingerprint.to_dict()}


def write_artifact(artifact: Artifact, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the folder: all of it, or nothing.

    Args:
        artifact: what to write.
        path: the folder to make; its parents are made too.
        overwrite: replace an earlier predictor. Anything else is never replaced.

    Raises:
        UsageError: the path exists.
        ArtifactError: the disk is full, or the place cannot be written.
    """
    target = Path(path).expanduser().absolute()
    if target.exists() and not (target / CARD).is_file():
        raise UsageError(f"{target} exists and is not a saved predictor", hint="give another path")
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists", hint="give another path, or overwrite=True")
    files = _files(artifact)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        beside.mkdir(parents=True)
        for name, content in files.items():
            (beside / name).write_bytes(content)
        _move_into_place(beside, target)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise ArtifactError(
            f"{target} cannot be written ({error.strerror})", hint="choose a folder you can write to, with room"
        ) from error
    return target


def _move_into_place(beside: Path, target: Path) -> None:
    old = target.with_name(f"{beside.name}.old")
    if target.exists():
        target.rename(old)
    try:
        beside.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read what `write_artifact` wrote.

    Raises:
        ArtifactError: there is no saved predictor, or it cannot be read.
        FormatVersionError: a newer version of Lutra wrote it.
        CorruptArtifactError: damaged, or altered after it was saved.
    """
    folder = Path(path).expanduser().absolute()
    if not (folder / CARD).is_file():
        raise ArtifactError(
            f"there is no saved predictor at {folder}", hint=f"give the folder that holds {CARD}; save() makes one"
        )
    card = _card(folder)
    try:
        contents = {name: _checked(folder, name, digest) for name, digest in card["files"].items()}
        arrays = _unpacked(folder, contents.pop(_ARRAYS))
        return Artifact(
            kind=card["kind"],
            params=card["params"],
            state=card["state"],
            device=card["device"],
            training=card.get("training", {}),
            arrays=arrays,
            texts={name: content.decode() for name, content in contents.items()},
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise CorruptArtifactError(f"the predictor at {folder} is damaged: {error!r}", hint=_DAMAGED) from None


def _files(artifact: Artifact) -> dict[str, bytes]:
    packed = io.BytesIO()
    for name, array in artifact.arrays.items():
        if array.dtype.kind not in "biuf":  # anything else would be pickled
            raise UsageError(f"array {name!r} has type {array.dtype}", hint="save numbers only")
    np.savez(packed, **dict(artifact.arrays))  # type: ignore[arg-type]  # numpy's stub takes allow_pickle for one
    files = {_ARRAYS: packed.getvalue(), **{name: text.encode() for name, text in artifact.texts.items()}}
    card = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "kind": artifact.kind,
        "params": dict(artifact.params),
        "state": dict(artifact.state),
        "device": dict(artifact.device),
        "training": dict(artifact.training),
        "libraries": {name: _library(name) for name in _LIBRARIES},
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps(card | {"checksum": _checksum(card)}, indent=1, allow_nan=False)
    return {**files, CARD: f"{text}\n".encode()}


def _card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(_content(folder, CARD))
    except ValueError as error:
        raise CorruptArtifactError(f"{folder / CARD} is not JSON: {error}", hint=_DAMAGED) from None
    found = card.get("version") if isinstance(card, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or card.get("format") != FORMAT:
        raise CorruptArtifactError(f"{folder / CARD} does not describe a predictor", hint=_DAMAGED)
    if found > FORMAT_VERSION:
        raise FormatVersionError(f"the predictor at {folder}", found, FORMAT_VERSION)
    claimed = card.pop("checksum", None)
    if claimed != _checksum(card):
        raise CorruptArtifactError(f"{folder / CARD} was altered after it was saved", hint=_DAMAGED)
    return card


def _checked(folder: Path, name: str, digest: str) -> bytes:
    if Path(name).name != name:
        raise CorruptArtifactError(f"{folder / CARD} names a file elsewhere: {name!r}", hint=_DAMAGED)
    content = _content(folder, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorruptArtifactError(f"{folder / name} was altered after it was saved", hint=_DAMAGED)
    return content


def _content(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CorruptArtifactError(f"{path} is larger than {_MAX_BYTES >> 20} MiB", hint=_DAMAGED)
        return path.read_bytes()
    except FileNotFoundError:
        raise CorruptArtifactError(f"{path} is missing", hint=_DAMAGED) from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror})", hint="make it readable") from error


def _unpacked(folder: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            total = sum(member.file_size for member in packed.infolist())
        if total > _MAX_BYTES:
            raise ValueError(f"{total} bytes once unpacked")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise CorruptArtifactError(f"{folder / _ARRAYS} is damaged: {error}", hint=_DAMAGED) from None


def _checksum(card: Mapping[str, Any]) -> str:
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
