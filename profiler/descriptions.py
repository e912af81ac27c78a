"""Hardware as data: one YAML file each, in folders of ours and of the user, read strictly.

There are families of such files: boards, GPUs, CPUs (`lutra.profiler.hardware`). A file says of which it is with
``kind``; one that does not say is a board's. What is impossible is refused with the place in the file.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

import yaml
from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..networks.errors import UnknownNameError, UsageError

FOLDERS_VARIABLES: Final = ("LUTRA_DEVICES", "LUTRA_BOARDS")
"""Environment variables with folders of the user's own files, separated as in PATH; the second is the older name."""

SUFFIX: Final = ".yaml"
CALIBRATION_SUFFIX: Final = ".calibration.json"
"""Of what lies beside a file where a calibration is too much for it."""
DEFAULT_KIND: Final = "board"
_MOST_FILE_BYTES: Final = 1 << 16
_SHOWN: Final = 5  # problems of a file that are told at once
_FILE: Final = "device"  # what a file of any family is called

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Description(BaseModel):
    """Base of what a file describes: unknown keys, values of another type, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Hardware(Description):
    """What every family has.

    Attributes:
        name: what to ask for.
        note: what it is.
    """

    name: Name
    note: str = Field(min_length=1, max_length=200)


D = TypeVar("D", bound=Hardware)


@dataclass(frozen=True)
class Family(Generic[D]):
    """A kind of hardware that files describe.

    Attributes:
        kind: what the files have for ``kind``.
        what: the same in words.
        model: what they are read into.
        folder: those that are shipped.
        page: of the docs, with the fields.
    """

    kind: str
    what: str
    model: type[D]
    folder: Path
    page: str

    def of(self, name: str | os.PathLike[str]) -> D:
        """The one called ``name``, or that the YAML file of that path describes.

        Raises:
            UnknownNameError: none of that name.
            UsageError: the file cannot be read, or describes nothing possible.
        """
        text = os.fspath(name)
        return self.read(text) if text.endswith(SUFFIX) else self._named(text, self.path(text))

    def path(self, name: str | os.PathLike[str]) -> Path:
        """The file behind a name, or the path that it is.

        Raises:
            UnknownNameError: none of that name.
        """
        text, files = os.fspath(name), self.files()
        if text.endswith(SUFFIX):
            return Path(text).expanduser()
        if text not in files:
            raise UnknownNameError(self.what, text, files)
        return files[text]

    def all(self) -> dict[str, D]:
        """Every one by name; the user's own take precedence over those that are shipped.

        Raises:
            UsageError: a file describes nothing possible, or its name is not the file's.
        """
        return {name: self._named(name, path) for name, path in sorted(self.files().items())}

    def files(self) -> Mapping[str, Path]:
        """The files of this family by name."""
        own = ((path.stem, path) for path in own_files() if kind_of(path) == self.kind)
        return {path.stem: path for path in self.folder.glob(f"*{SUFFIX}")} | dict(own)

    def read(self, path: str | os.PathLike[str]) -> D:
        """What a file describes.

        Raises:
            UsageError: it cannot be read, or describes nothing possible; names the fields.
        """
        described = _parsed(os.fspath(path), _content(path), self.model, self.what, self.page)
        assert isinstance(described, self.model)
        return described

    def _named(self, name: str, path: Path) -> D:
        described = self.read(path)
        if described.name != name:
            raise UsageError(
                f"{path} describes a {self.what} called {described.name!r}", hint=f"rename the file or the {self.what}"
            )
        return described


def own_folders() -> list[Path]:
    """Folders of the user's own files; what stands in a later one takes precedence."""
    named = [os.environ.get(variable, "").split(os.pathsep) for variable in reversed(FOLDERS_VARIABLES)]
    return [added_folder(), *(Path(folder) for folders in named for folder in folders if folder)]


def added_folder() -> Path:
    """Where ``lutra devices add`` puts files: in the user's data folder."""
    return user_data_path("lutra", appauthor=False) / "devices"


def own_files() -> Iterator[Path]:
    """The user's own files, in order of precedence."""
    for folder in own_folders():
        yield from sorted(folder.glob(f"*{SUFFIX}"))


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a file has for ``kind``.

    Raises:
        UsageError: it cannot be read, or is no YAML.
    """
    kind = _document(os.fspath(path), _content(path), _FILE, "docs/simulated-devices.md").get("kind", DEFAULT_KIND)
    return str(kind)


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        hint = "give the path of a device's file"
        raise UsageError(f"{os.fspath(path)} cannot be read: {error.strerror}", hint=hint) from None


@lru_cache(maxsize=128)
def _parsed(where: str, content: bytes, model: type[Hardware], what: str, page: str) -> Hardware:
    document = _document(where, content, what, page)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        told = "; ".join(_told(problem, what) for problem in error.errors()[:_SHOWN])
        raise UsageError(f"{where} describes no possible {what}: {told}", hint=f"{page} lists the fields") from None


@lru_cache(maxsize=128)
def _document(where: str, content: bytes, what: str, page: str) -> dict[str, Any]:
    hint = f"{page} shows a {what}'s file"
    if len(content) > _MOST_FILE_BYTES:
        raise UsageError(f"{where} is too large for a {what}'s file", hint=hint)
    try:
        document: Any = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is no YAML: {error}", hint=hint) from None
    if not isinstance(document, dict):
        raise UsageError(f"{where} describes no {what}", hint=hint)
    return document


def _told(problem: Any, what: str) -> str:
    place = ".".join(map(str, problem["loc"])) or f"the {what}"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
