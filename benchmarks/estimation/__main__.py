"""Figures of estimating accuracy: scores without training, growing networks, predicted weights, images, training.

``python -m benchmarks.estimation`` measures all parts that lack, ``python -m benchmarks.estimation PART ...`` some
anew; writes `benchmarks/results/accuracy.json` and `docs/estimation-figures.md`, whose sections on parts that were not
measured here stay as they are. An hour on two cores. Needs the measured data in ``../shared/data``, or where
``LUTRA_SHARED_DATA`` says.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .._parts import run_parts
from .._results import ROOT, Figure, note
from ..facts import SHARED
from . import _data, _hypernetwork, _inherited, _loops, _net2net, _once_for_all, _proxies, _training, _zen

COMMAND = "make bench-estimation"

PARTS = {
    "zen": _zen.measure,
    "synflow": _proxies.measure_synflow,
    "proxies": _proxies.measure,
    "proxies-others": _proxies.measure_others,
    "net2net": _net2net.measure,
    "data": _data.measure,
    "training": _training.SMALL.measure,
    "training-gpu": _training.RESNET.measure,
    "inherited": _inherited.measure,
    "once-for-all": _once_for_all.measure,
    "hypernetwork": _hypernetwork.measure,
    "loop-once-for-all": _loops.ONCE_FOR_ALL.measure,
    "loop-proxyless": _loops.PROXYLESS.measure,
}
_FIGURES = {
    "zen": _zen.figures,
    "synflow": _proxies.figures_synflow,
    "proxies": _proxies.figures,
    "proxies-others": _proxies.figures,
    "net2net": _net2net.figures,
    "data": _data.figures,
    "training": _training.SMALL.figures,
    "training-gpu": _training.RESNET.figures,
    "inherited": _inherited.figures,
    "once-for-all": _once_for_all.figures,
    "hypernetwork": _hypernetwork.figures,
    "loop-once-for-all": _loops.ONCE_FOR_ALL.figures,
    "loop-proxyless": _loops.PROXYLESS.figures,
}
_TABLES = {
    "proxies": _proxies.table,
    "proxies-others": _proxies.table,
    "zen": _zen.table,
    "net2net": _net2net.table,
    "training": _training.SMALL.table,
    "training-gpu": _training.RESNET.table,
    "inherited": _inherited.table,
    "once-for-all": _once_for_all.table,
    "hypernetwork": _hypernetwork.table,
    "data": _data.table,
    "loop-once-for-all": _loops.ONCE_FOR_ALL.table,
    "loop-proxyless": _loops.PROXYLESS.table,
}

_HEAD = """# Figures of estimating accuracy

<!-- Written by `make bench-estimation`; edit benchmarks/estimation instead. -->

What [estimating accuracy](accuracy-estimation.md) reaches, measured by `make bench-estimation`.
"""


def _figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    return [figure for part, content in found.items() for figure in _FIGURES[part](content, COMMAND)]


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    if not SHARED.is_dir():
        note(f"skipped: measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
        return 0
    found = run_parts("accuracy", PARTS, _figures, str(__doc__))
    page = ROOT / "docs" / "estimation-figures.md"
    tables = [text for part, table in _TABLES.items() if part in found and (text := table(found[part]))]
    page.write_text(_page(tables, page.read_text(encoding="utf-8") if page.exists() else ""), encoding="utf-8")
    return 0


def _page(tables: Sequence[str], before: str) -> str:
    """The page with new sections in place of those of the same heading, and the others as they were."""
    sections = {text.splitlines()[0]: text.strip() for text in before.split("\n## ")[1:]}
    sections |= {text.splitlines()[0]: text.strip() for text in (table.removeprefix("## ") for table in tables)}
    return "\n".join([_HEAD, *(f"## {text}\n" for text in sections.values())])


if __name__ == "__main__":
    sys.exit(main())
