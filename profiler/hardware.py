"""The families of hardware that is simulated, and what a name means among them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..networks.errors import UnknownNameError, UsageError
from .descriptions import CALIBRATION_SUFFIX, NAME_PATTERN, SUFFIX, Family, Hardware, added_folder, kind_of, own_files


def families() -> Mapping[str, Family[Any]]:
    """Every family by the ``kind`` of its files."""
    from .cpu_sim.device import CPUS
    from .gpu_sim.device import GPUS
    from .mcu.boards import BOARDS

    return {family.kind: family for family in (BOARDS, GPUS, CPUS)}


def is_described(name: str) -> bool:
    """Whether a file describes it: the name of one, or the path of a YAML file."""
    return name.endswith(SUFFIX) or any(name in family.files() for family in families().values())


def described_names() -> list[str]:
    """What all files describe, by name."""
    return sorted({name for family in families().values() for name in family.files()})


def family_of(name: str | os.PathLike[str]) -> Family[Any]:
    """The family of a name, or of a YAML file.

    Raises:
        UsageError: no family has that name; the file cannot be read, or is of no family.
    """
    text, known = os.fspath(name), families()
    if not text.endswith(SUFFIX):
        for family in known.values():
            if text in family.files():
                return family
        raise UnknownNameError("device", text, described_names())
    kind = kind_of(text)
    if kind not in known:
        raise UsageError(f"{text}: kind is {kind!r}", hint=f"use one of {', '.join(known)}")
    return known[kind]


def hardware_of(name: str | os.PathLike[str]) -> Hardware:
    """What a name, or the path of a YAML file, describes.

    Raises:
        UnknownNameError: nothing of that name.
        UsageError: the file cannot be read, or describes nothing possible.
    """
    found = family_of(name).of(name)
    assert isinstance(found, Hardware)
    return found


def add_hardware(path: str | os.PathLike[str], *, replace: bool = False) -> Path:
    """Take a file over into the user's data folder, so that its device can be asked for by name.

    Args:
        path: a YAML file.
        replace: instead of one of the same name that was added before.

    Returns:
        Where it is kept.

    Raises:
        UsageError: it describes nothing possible, or its name is taken.
    """
    if not os.fspath(path).endswith(SUFFIX):
        raise UsageError(f"{os.fspath(path)} is no {SUFFIX} file", hint="give the YAML file that describes the device")
    target = require_free(hardware_of(path).name, replace=replace)
    target.with_suffix(CALIBRATION_SUFFIX).unlink(missing_ok=True)
    return _kept(target, Path(path).expanduser().read_bytes())


def keep_hardware(hardware: Hardware, *, replace: bool = False) -> Path:
    """Write a device into the user's data folder, so that it can be asked for by name; as `add_hardware`."""
    target = require_free(hardware.name, replace=replace)
    document = hardware.model_dump(mode="json", exclude_none=True)
    return _kept(target, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())


def require_free(name: str, *, replace: bool = False) -> Path:
    """Where a device of that name would be kept.

    Raises:
        UsageError: the name is impossible, or taken.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{name!r} is no name of a device", hint="use small letters, digits, - and _; 40 at most")
    target = added_folder() / f"{name}{SUFFIX}"
    if name in ("host", "null") or any((f.folder / target.name).exists() for f in families().values()):
        raise UsageError(f"{name!r} is a device that comes with Lutra", hint="give yours another name")
    if target.exists() and not replace:
        raise UsageError(f"{name!r} has been added before", hint="give --replace, or another name")
    return target


def _kept(target: Path, content: bytes) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".part")
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", hint="set XDG_DATA_HOME") from None
    return target


def remove_hardware(name: str) -> Path:
    """Forget a device that was added; its rows stay.

    Raises:
        UsageError: it was not added.
    """
    target = added_folder() / f"{name}{SUFFIX}"
    if name not in {path.stem for path in own_files() if path.parent == target.parent}:
        added = sorted(path.stem for path in added_folder().glob(f"*{SUFFIX}"))
        raise UsageError(f"{name!r} was not added", hint=f"added are: {', '.join(added) or 'none'}")
    target.unlink()
    target.with_suffix(CALIBRATION_SUFFIX).unlink(missing_ok=True)
    return target
