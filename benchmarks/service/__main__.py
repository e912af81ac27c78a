"""Figures of the service: how quick the server is, and what it and its jobs withstand.

``python -m benchmarks.service`` measures all parts that lack, ``python -m benchmarks.service PART ...`` some anew; it
writes `benchmarks/results/service.json` of the parts that are there.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .._parts import run_parts
from .._results import Figure
from . import _fleet, _fuzz, _http, _kills, _rows

COMMAND = "make bench-service"

MODULES: dict[str, ModuleType] = {
    "http": _http,
    "fuzz": _fuzz,
    "kills": _kills,
    "rows": _rows,
    "fleet": _fleet,
}


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in MODULES[part].figures(content, COMMAND)]


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    run_parts("service", {part: module.measure for part, module in MODULES.items()}, _figures, str(__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
