"""What tests and benchmarks of the API share: made-up requests that name things which are there."""

from collections.abc import Mapping
from typing import Any, Final

SPACE: Final = "ofa-small"
"""A small search space; `naming_what_is_there` takes it for granted, and the table of the null device."""

_THERE: Final[Mapping[str, Any]] = {
    "device": "null",
    "left": "null",
    "right": "null",
    "space": SPACE,
    "kind": "kernel",
    "network": "resnet18",
    "code": [0] * 9,
    "codes": [[0] * 9],
}
_IN_PATHS: Final[Mapping[str, str]] = {"device": "null", "space": SPACE, "kind": "conv2d"}


def naming_what_is_there(case: Any, others: Mapping[str, str]) -> Any:
    """A made-up request, changed so that it names what the server has: most names that are made up lead nowhere.

    Args:
        case: a schemathesis case; changed in place, and returned.
        others: more parameters of paths by name, such as the id of a job.
    """
    paths = {**_IN_PATHS, **others}
    for given, known in ((case.path_parameters, paths), (case.query, _THERE), (case.body, _THERE)):
        if isinstance(given, dict):
            given.update({name: known[name] for name in given if name in known and given[name] is not None})
    return case
