"""An area whose figures take long: measured part by part, each kept until all are there."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._results import ROOT, Figure, note, write

WORK = ROOT / "build" / "bench"

Part = Callable[[], dict[str, Any]]
_VERDICTS = {True: "met", False: "MISSED", None: "no goal"}


def part_path(area: str, part: str) -> Path:
    """Where what a part measured is kept."""
    return WORK / f"{area}-{part}.json"


def run_parts(
    area: str,
    parts: Mapping[str, Part],
    figures: Callable[[Mapping[str, dict[str, Any]]], Sequence[Figure]],
    description: str,
) -> dict[str, dict[str, Any]]:
    """Measure the parts that the command line names, or all that lack; write the area's figures of those there are.

    Args:
        area: whose figures they are.
        parts: what measures each; the result is plain JSON.
        figures: makes the figures of what was measured, by part.
        description: of the command.

    Returns:
        What was measured, by part.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="measure these anew; all that lack if omitted")
    asked: list[str] = parser.parse_args().parts
    WORK.mkdir(parents=True, exist_ok=True)
    for part in asked or [part for part in parts if not part_path(area, part).exists()]:
        note(f"== {part}")
        part_path(area, part).write_text(json.dumps(parts[part](), indent=1), encoding="utf-8")
    found = {part: json.loads(path.read_text()) for part in parts if (path := part_path(area, part)).exists()}
    if missing := [part for part in parts if part not in found]:
        note(f"not measured yet, and left out: {', '.join(missing)}")
    made = figures(found)
    for figure in made:
        note(f"{_VERDICTS[figure.met]}: {figure.figure}: {figure.value:.3g} {figure.unit}")
    note(f"wrote {write(area, made)}")
    return found
