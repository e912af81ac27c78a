"""Figures of tables: how quick they are to ask, how long to build, how safe to keep, and what the field's own sum to.

``python -m benchmarks.tables`` measures all parts that lack, ``python -m benchmarks.tables PART ...`` some anew, and
writes `benchmarks/results/tables.json` of the parts that are there. Half an hour on a quiet machine, most of it the
tables of whole search spaces.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from . import (
    _tables_exchange,
    _tables_interpolation,
    _tables_kill9,
    _tables_queries,
    _tables_spaces,
    _tables_store,
)
from ._parts import run_parts
from ._results import Figure

COMMAND = "make bench-tables"

MODULES: dict[str, ModuleType] = {
    "queries": _tables_queries,
    "exchange": _tables_exchange,
    "store": _tables_store,
    "kill9": _tables_kill9,
    "spaces": _tables_spaces,
    "interpolation": _tables_interpolation,  # judges the tables that `spaces` leaves
}


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in MODULES[part].figures(content, COMMAND)]


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    run_parts("tables", {part: module.measure for part, module in MODULES.items()}, _figures, str(__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
