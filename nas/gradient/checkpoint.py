"""The file of an interrupted gradient search: one npz, numbers as arrays and the rest as JSON in one of them."""

import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ...networks.errors import FormatVersionError, SearchStateError

FORMAT: Final = "lutra.gradient-search"
FORMAT_VERSION: Final = 1
"""Raised whenever an older reader could misread a newer file."""

_CARD: Final = "card"
_BEGIN_ANEW: Final = "delete it to begin anew, or give another file"


@dataclass(frozen=True)
class State:
    """All that a search has learned.

    Attributes:
        identity: which search it is, as JSON data.
        numbers: what has a JSON form.
        arrays: what is large.
    """

    identity: Mapping[str, Any]
    numbers: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)


def write_state(path: Path, state: State) -> None:
    """Write the file: all of it, or nothing.

    Raises:
        SearchStateError: the place cannot be written.
    """
    card = {"format": FORMAT, "version": FORMAT_VERSION, "identity": state.identity, "numbers": state.numbers}
    packed = np.frombuffer(json.dumps(card).encode(), np.uint8)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            np.savez(stream, **{_CARD: packed, **state.arrays})  # type: ignore[arg-type]  # numpy's stub
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SearchStateError(
            f"{path} cannot be written ({error.strerror})", hint="choose a file in a folder you can write to, with room"
        ) from error


def read_state(path: Path) -> State:
    """Read what `write_state` wrote.

    Raises:
        SearchStateError: not such a file, damaged, or it cannot be read.
        FormatVersionError: written by a newer version.
    """
    try:
        with np.load(path, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        card = json.loads(arrays.pop(_CARD).tobytes())
        if card["format"] != FORMAT:
            raise ValueError("another format")
        version, identity, numbers = int(card["version"]), dict(card["identity"]), dict(card["numbers"])
    except OSError as error:
        raise SearchStateError(f"{path} cannot be read ({error.strerror})", hint=_BEGIN_ANEW) from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise SearchStateError(f"{path} is no state of a gradient search ({error})", hint=_BEGIN_ANEW) from None
    if version > FORMAT_VERSION:
        raise FormatVersionError(f"the search state {path}", version, FORMAT_VERSION)
    return State(identity, numbers, arrays)


def optimiser_arrays(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, NDArray[Any]]:
    """What an optimiser remembers of each parameter, under ``prefix.number.name``."""
    remembered: dict[int, dict[str, torch.Tensor]] = optimiser.state_dict()["state"]
    return {
        f"{prefix}.{number}.{name}": value.cpu().numpy()
        for number, values in remembered.items()
        for name, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give back what `optimiser_arrays` took."""
    remembered: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        head, _, rest = key.partition(".")
        if head == prefix:
            number, _, name = rest.partition(".")
            remembered.setdefault(int(number), {})[name] = torch.from_numpy(array.copy())
    state = optimiser.state_dict()
    optimiser.load_state_dict({**state, "state": remembered})
