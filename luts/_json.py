"""JSON as the tables need it: one canonical text per value, and no NaN or infinity."""

import json
from collections.abc import Mapping
from typing import Any, Final

from ..networks.errors import UsageError

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)  # once: rows are many
_IN_ORDER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def canonical(value: object) -> str:
    """Return the one text of a JSON value: sorted keys, no spaces, ASCII.

    Raises:
        UsageError: the value has no JSON form (NaN, infinity, an object that is not plain data).
    """
    return _encoded(_ENCODER, value)


def in_order(value: object) -> str:
    """Return the text of a JSON value whose order of keys matters: as they come, no spaces, ASCII.

    Raises:
        UsageError: as `canonical` raises.
    """
    return _encoded(_IN_ORDER, value)


def _encoded(encoder: json.JSONEncoder, value: object) -> str:
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"not representable as JSON: {error}", hint="use plain str, int, finite float, bool, list and dict"
        ) from error


def plain_dict(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return a private copy of a mapping in the form that comes back from storage (tuples become lists).

    Raises:
        UsageError: not a mapping with text keys, or a value has no JSON form.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{what} is {value!r}", hint="give a dict with text keys")
    copy: dict[str, Any] = json.loads(canonical(dict(value))) if value else {}
    return copy


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        UsageError: the text is not JSON, or not an object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} is not valid JSON: {error}", hint="export it again") from error
    if not isinstance(value, dict):
        raise UsageError(f"{what} is a JSON {type(value).__name__}, not an object", hint="export it again")
    return value
