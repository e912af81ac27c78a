"""Hardware as data: one YAML file each, read strictly, refused with the place in the file."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ..networks.errors import UsageError

SUFFIX: Final = ".yaml"
_MOST_FILE_BYTES: Final = 1 << 16
_SHOWN = 5  # problems of a file that are told at once


class Description(BaseModel):
    """Base of what a file describes: unknown keys, values of another type, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


D = TypeVar("D", bound=Description)


def read_description(path: str | os.PathLike[str], model: type[D], what: str, page: str) -> D:
    """What a YAML file describes.

    Args:
        path: the file.
        model: what it is to describe.
        what: the same in words, for messages ("board").
        page: the page of the docs that shows such a file.

    Raises:
        UsageError: the file cannot be read, or describes nothing possible; names the fields.
    """
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=f"give the path of a {what}'s file") from None
    described = _parsed(str(path), content, model, what, page)
    assert isinstance(described, model)
    return described


@lru_cache(maxsize=128)
def _parsed(where: str, content: bytes, model: type[Description], what: str, page: str) -> Description:
    document = parse_yaml(where, content, what, page)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        told = "; ".join(_told(problem, what) for problem in error.errors()[:_SHOWN])
        raise UsageError(f"{where} describes no possible {what}: {told}", hint=f"{page} lists the fields") from None


def parse_yaml(where: str, content: bytes, what: str, page: str) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        UsageError: it is too large, no YAML, or no mapping.
    """
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
