"""Figures of searching: strategies on real accuracies, the exactness of the bridge, one device against others.

``python -m benchmarks.search`` measures all parts that lack, ``python -m benchmarks.search PART ...`` some anew; writes
`benchmarks/results/search.json` and `docs/search-figures.md` of the parts that are there. Needs the measured data in
``../shared/data``, or where ``LUTRA_SHARED_DATA`` says.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from .._parts import run_parts
from .._results import ROOT, Figure, note
from ..facts import SHARED
from . import _devices, _gradient, _nb201, _ofa, _oracle, _pareto

COMMAND: Final = "make bench-search"

MODULES: dict[str, ModuleType] = {
    "nb201": _nb201,
    "pareto": _pareto,
    "ofa": _ofa,
    "oracle": _oracle,
    "gradient": _gradient,
    "devices": _devices,
}
_HEAD: Final = """\
# Searches on real data

<!-- Written by `make bench-search`; edit benchmarks/search instead. -->

What the strategies of [`lutra search`](search.md) reach where the true answer is known, beside other libraries in the
same run. The goals stand in the [scoreboard](scoreboard.md).
"""


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in MODULES[part].figures(content, COMMAND)]


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    if not SHARED.is_dir():
        note(f"skipped: measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
        return 0
    found = run_parts("search", {part: module.measure for part, module in MODULES.items()}, _figures, str(__doc__))
    page = "\n".join([_HEAD, *(MODULES[part].table(content) for part, content in found.items())])
    (ROOT / "docs" / "search-figures.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
