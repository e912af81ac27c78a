"""Figures of predictors: new devices from few samples, whole spaces, intervals, speed, and what a search picks.

``python -m benchmarks.predictors`` measures all parts that lack, ``python -m benchmarks.predictors PART ...`` some
anew; writes `benchmarks/results/predictors.json` and `docs/transfer.md` of the parts that are there. Ten minutes on
two cores. Needs the measured data in ``../shared/data``, or where ``LUTRA_SHARED_DATA`` says.
"""

import sys
from collections.abc import Mapping
from typing import Any

from .._parts import run_parts
from .._results import ROOT, Figure, note
from ..facts import SHARED
from . import _coverage, _fewshot, _hat, _heads, _page, _speed, _whole

COMMAND = "make bench-predictors"

PARTS = {
    "fbnet": _fewshot.measure_fbnet,
    "nb201": _fewshot.measure_nb201,
    "help": _fewshot.measure_help,
    "heads": _heads.measure,
    "hat": _hat.measure,
    "whole": _whole.measure,
    "speed": _speed.measure,
}
_FIGURES = {
    "fbnet": _fewshot.figures_fbnet,
    "nb201": _fewshot.figures_nb201,
    "help": _fewshot.figures_help,
    "heads": _heads.figures,
    "hat": _hat.figures,
    "whole": _whole.figures,
    "speed": _speed.figures,
}


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    made = [figure for part, content in found.items() for figure in _FIGURES[part](content, COMMAND)]
    if {"fbnet", "nb201", "help", "hat", "whole"} <= set(found):
        made += _coverage.figures(found, COMMAND)
    return made


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    if not SHARED.is_dir():
        note(f"skipped: measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
        return 0
    found = run_parts("predictors", PARTS, _figures, str(__doc__))
    if {"fbnet", "nb201", "help", "heads", "hat", "whole"} <= set(found):
        (ROOT / "docs" / "transfer.md").write_text(_page.page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
