"""Figures of estimating accuracy: scores without training, growing networks, predicted weights, images, training.

``python -m benchmarks.estimation`` measures all parts that lack, ``python -m benchmarks.estimation PART ...`` some
anew; writes `benchmarks/results/accuracy.json` and `docs/estimation-figures.md` of the parts that are there. An hour on
two cores. Needs the measured data in ``../shared/data``, or where ``LUTRA_SHARED_DATA`` says.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .._parts import run_parts
from .._results import ROOT, Figure, note
from ..facts import SHARED
from . import _data, _hypernetwork, _inherited, _loops, _net2net, _once_for_all, _proxies, _training, _zen

COMMAND = "make bench-estimation"
PAGE: Final = ROOT / "docs" / "estimation-figures.md"

PARTS = {
    "zen": _zen.measure,
    "synflow": _proxies.measure_synflow,
    "proxies": _proxies.measure,
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


def write_page(sections: Mapping[str, str], page: Path = PAGE) -> None:
    """Write the page: sections by part, and those of the earlier page of all other parts, which stay as they are."""
    earlier = page.read_text(encoding="utf-8") if page.exists() else ""
    pieces = re.split(r"^<!-- part ([a-z0-9-]+) -->\n", earlier, flags=re.MULTILINE)[1:]
    kept = {part: text.strip() for part, text in zip(pieces[::2], pieces[1::2], strict=True)}
    kept |= {part: text.strip() for part, text in sections.items()}
    texts = [f"<!-- part {part} -->\n{kept[part]}\n" for part in _TABLES if kept.get(part)]
    page.write_text("\n".join([_HEAD, *texts]), encoding="utf-8")


def main() -> int:
    """Measure the parts that are asked for, or all that lack; returns the exit status."""
    if not SHARED.is_dir():
        note(f"skipped: measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
        return 0
    found = run_parts("accuracy", PARTS, _figures, str(__doc__))
    write_page({part: table(found[part]) for part, table in _TABLES.items() if part in found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
