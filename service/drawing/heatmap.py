"""A grid of coloured cells, each of which may lead somewhere: latencies of ops by their shapes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .axes import escaped, linked, title

LEVELS: Final = 9
"""Colours there are, from the least value to the largest, evenly in logarithms."""

_CELL_HEIGHT: Final = 24
_CELL_WIDTH: Final = 62  # at least
_TOP: Final = 30
_CHARACTER: Final = 7.2  # width of one, at the size of the text
_LEAST_LABEL: Final = 60


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        value: what its colour shows; above 0.
        text: what stands in it.
        name: shown under the pointer.
        href: where it leads; None for nowhere.
        doubtful: whether it is marked as such.
    """

    value: float
    text: str
    name: str
    href: str | None = None
    doubtful: bool = False


def heatmap_svg(
    rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[int, int], Cell], described: str
) -> str:
    """The grid as an ``<svg>`` element.

    Args:
        rows: headings, from above.
        columns: headings, from the left.
        cells: by row and column; where there is none the grid is empty.
        described: the picture in a sentence.
    """
    left = max(_LEAST_LABEL, round(_CHARACTER * max(map(len, rows), default=0)) + 14)
    wide = max(_CELL_WIDTH, round(_CHARACTER * max(map(len, columns), default=0)) + 8)
    width = left + wide * len(columns) + 4
    height = _TOP + _CELL_HEIGHT * len(rows) + 4
    # Text has to stay readable, so a wide grid is scrolled, not shrunk.
    head = f'<svg class="grid" viewBox="0 0 {width} {height}" width="{width}" role="img"'
    parts = [f'{head} aria-label="{escaped(described)}">']
    for number, heading in enumerate(columns):
        x = left + wide * (number + 0.5)
        parts.append(f'<text x="{x:.0f}" y="{_TOP - 9}" text-anchor="middle">{escaped(heading)}</text>')
    for number, heading in enumerate(rows):
        y = _TOP + _CELL_HEIGHT * (number + 0.5) + 4
        parts.append(f'<text class="name" x="{left - 8}" y="{y:.0f}" text-anchor="end">{escaped(heading)}</text>')
    values = [cell.value for cell in cells.values()]
    for (row, column), cell in sorted(cells.items()):
        x, y = left + wide * column, _TOP + _CELL_HEIGHT * row
        level = _level(cell.value, min(values), max(values))
        kind = f"cell l{level}{' doubtful' * cell.doubtful}"
        box = f'<rect class="{kind}" x="{x}" y="{y}" width="{wide - 2}" height="{_CELL_HEIGHT - 2}" rx="3"/>'
        at = f'x="{x + wide / 2 - 1:.0f}" y="{y + _CELL_HEIGHT / 2 + 3:.0f}"'
        text = f'<text class="in l{level}" {at} text-anchor="middle">{escaped(cell.text)}</text>'
        parts.append(linked(f"<g>{title(cell.name)}{box}{text}</g>", cell.href))
    return "\n".join([*parts, "</svg>"])


def _level(value: float, least: float, most: float) -> int:
    """Which colour a value has."""
    if most <= least:
        return LEVELS // 2
    share = math.log(value / least) / math.log(most / least)
    return min(int(share * LEVELS), LEVELS - 1)
