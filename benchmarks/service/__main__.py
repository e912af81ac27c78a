"""Figures of the service.

``python -m benchmarks.service`` measures all parts that lack, ``python -m benchmarks.service PART ...`` some anew;
writes `benchmarks/results/service.json` of the parts that are there.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from .._parts import run_parts
from .._results import Figure
from . import _kills, _rows

COMMAND: Final = "make bench-service"

MODULES: dict[str, ModuleType] = {"kills": _kills, "rows": _rows}


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in MODULES[part].figures(content, COMMAND)]


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    run_parts("service", {part: module.measure for part, module in MODULES.items()}, _figures, str(__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
