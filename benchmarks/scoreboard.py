"""Renders every `benchmarks/results/<area>.json` as the tables of `docs/scoreboard.md`.

``python -m benchmarks.scoreboard`` writes the page; with ``--check`` it only says whether the page is current.
"""

import argparse
import sys
from pathlib import Path

from ._results import RESULTS, ROOT, Area, Figure, ResultsError, Session, read

PAGE = ROOT / "docs" / "scoreboard.md"

_INTRODUCTION = """\
<!-- Made by `make scoreboard` from benchmarks/results; do not edit. -->
# Scoreboard

Every figure that Lutra sets itself a goal for, as last measured, goals that were missed included. The command beside a
figure measures it again; the protocol says how.
"""


def areas(folder: Path = RESULTS) -> list[Area]:
    """All areas with results, by name.

    Raises:
        ResultsError: a file is not of the agreed form.
    """
    return [read(path) for path in sorted(folder.glob("*.json"))]


def render(found: list[Area]) -> str:
    """The page as Markdown."""
    figures = [figure for area in found for figure in area.figures]
    met = sum(figure.met is True for figure in figures)
    missed = sum(figure.met is False for figure in figures)
    summary = f"{len(figures)} figures: {met} goals met, {missed} missed, {len(figures) - met - missed} without a goal."
    return "\n".join([_INTRODUCTION, summary, *(_section(area) for area in found)]).rstrip() + "\n"


def _section(area: Area) -> str:
    return "\n".join([f"\n## {area.name}\n", "\n\n".join(map(_session, area.sessions))])


def _session(session: Session) -> str:
    return "\n".join(
        [
            f"Measured {session.measured_at} on {_machine(session)}.\n",
            "| | figure | value | goal | peer |",
            "|---|---|---:|---:|---|",
            *map(_row, session.figures),
            "\nProtocols:\n",
            *(f"- **{figure.figure}**: {figure.protocol} `{figure.command}`" for figure in session.figures),
        ]
    )


def _row(figure: Figure) -> str:
    mark = {True: "✓ met", False: "✗ missed", None: "no goal"}[figure.met]
    sign = "≥" if figure.better == "higher" else "≤"
    goal = "" if figure.goal is None else f"{sign} {_number(figure.goal, 6)} {figure.unit}"
    # As many digits as the goal has, so that one can see whether it is met.
    digits = 3 if figure.goal is None else max(3, len(f"{figure.goal:.6g}".replace(".", "").lstrip("-0")))
    cells = (mark, figure.figure, f"{_number(figure.value, digits)} {figure.unit}", goal, figure.peer)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:,}" if float(value).is_integer() else f"{value:.{digits}g}"


def _machine(session: Session) -> str:
    known = session.machine
    packages = ", ".join(f"{name} {found}" for name, found in known.get("packages", {}).items())
    parts = (
        f"{known.get('model')} ({known.get('architecture')})",
        f"{known.get('logical_cores')} logical cores",
        f"{known.get('system')} {known.get('kernel')}",
        f"Python {known.get('python')}",
        packages,
    )
    return ", ".join(part for part in parts if part)


def main() -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is out of date")
    arguments = parser.parse_args()
    try:
        page = render(areas())
    except ResultsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not arguments.check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date; run 'make scoreboard'\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
