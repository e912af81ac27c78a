"""The files that a finished search leaves in its folder."""

import csv
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..drawing.scatter import to_png, to_svg
from .page import Grid, to_html
from .settings import RESULT

if TYPE_CHECKING:
    from .report import SearchReport

logger = logging.getLogger(__name__)

BEST, FRONT, TRIED, PICTURE, PAGE, TEXT = "best", "front", "tried.csv", "plot.png", "report.html", "report.txt"
_LEGEND: Final = (
    "Grey: tried. Blue: the front, more accurate than everything that is as quick. Red ring: chosen. Green: measured. "
    "Dashed: the budget. The pointer shows names and numbers."
)


def write_files(report: "SearchReport", folder: Path) -> list[str]:
    """Write result, table of all that was tried, architectures, picture and page; names of the files.

    The chosen architecture is written as JSON, ONNX and torch code, the others of the front as JSON. What needs a
    package that is not installed is left out, with a warning.
    """
    from ...networks.errors import MissingDependencyError

    written = [RESULT, TRIED, *_architectures(report, folder), PAGE, TEXT]
    (folder / RESULT).write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _tried(report, folder / TRIED)
    scatter = report.scatter()
    title = report.heading()[0]
    try:
        to_png(scatter, folder / PICTURE, title)
        written.append(PICTURE)
    except MissingDependencyError as error:
        logger.warning("no %s: %s; %s", PICTURE, error.message, error.hint)
    page = to_html(title, ". ".join(report.heading()[1:]), to_svg(scatter), _LEGEND, [_grid(report)])
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / TEXT).write_text(f"{report}\n", encoding="utf-8")
    return written


def _architectures(report: "SearchReport", folder: Path) -> list[str]:
    from ...networks.errors import MissingDependencyError
    from ...networks.exporters import to_onnx, to_torch_code

    (folder / FRONT).mkdir(exist_ok=True)
    for rank, row in enumerate(report.rows, 1):
        report.network(row).save(folder / FRONT / f"{rank:03d}.json")
    best = report.network(report.chosen)
    best.save(folder / f"{BEST}.json")
    (folder / f"{BEST}.onnx").write_bytes(to_onnx(best).SerializeToString())
    written = [f"{BEST}.json", f"{BEST}.onnx", f"{FRONT}/"]
    try:
        (folder / f"{BEST}.py").write_text(to_torch_code(best), encoding="utf-8")
    except MissingDependencyError as error:
        logger.warning("no %s.py: %s; %s", BEST, error.message, error.hint)
        return written
    return [*written, f"{BEST}.py"]


def _tried(report: "SearchReport", path: Path) -> None:
    """All architectures in the order in which they were tried, with why some failed, and how others did not."""
    prepared, result = report.run.prepared, report.run.result
    names = [objective.name for objective in prepared.problem.objectives]
    others = [name for name in names if name != "latency_ms"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        how = prepared.accuracy.how
        writer.writerow(["network", *others, "latency_ms", "failure", *(["how"] if how else [])])
        for code, values, latency_ms, failure in zip(
            result.codes, result.values, report.latencies_ms, result.evaluations.failures, strict=True
        ):
            known = ["" if failure is not None else f"{values[names.index(name)]:.9g}" for name in others]
            told = [how(code) if failure is None else ""] if how else []
            writer.writerow([prepared.space.label(code), *known, f"{latency_ms:.9g}", failure or "", *told])


def _grid(report: "SearchReport") -> Grid:
    return Grid(
        heading="Front",
        columns=report.columns()[:-1],
        rows=[report.cells(row)[:-1] for row in report.rows],
        links={i: f"{FRONT}/{i + 1:03d}.json" for i in range(len(report.rows))},
        chosen=next(i for i, row in enumerate(report.rows) if row.chosen),
        note=" ".join(note.removeprefix("note: ") for note in report.notes()),
    )
