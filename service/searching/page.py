"""The report of a search as one HTML file: nothing is fetched, no script runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5c6676; --paper: #fff; --line: #d9dee6; --front: #1668c4;
  --budget: #c4341c; --measured: #1d8a4f; --tried: #8a94a6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --dim: #9aa5b5; --paper: #14181f; --line: #333c49;
  --front: #64a8f5; --budget: #ff7a5f; --measured: #55c98a; --tried: #6b7686; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
p.lead { color: var(--dim); margin-top: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
div.wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; }
tr.chosen { font-weight: 600; } tr.chosen td:first-child::after { color: var(--budget); content: " ◯ chosen"; }
a { color: var(--front); } code { font-size: .9em; }
svg { height: auto; max-width: 100%; width: 100%; } svg text { fill: var(--dim); font-size: 12px; }
svg text.name { fill: var(--ink); font-size: 13px; } svg line.grid { stroke: var(--line); stroke-width: 1; }
svg circle.tried { fill: var(--tried); fill-opacity: .45; } svg circle.front { fill: var(--front); }
svg polyline.front { fill: none; stroke: var(--front); stroke-width: 1.4; }
svg line.budget { stroke: var(--budget); stroke-dasharray: 5 4; stroke-width: 1.3; }
svg text.budget { fill: var(--budget); }
svg .measured { fill: var(--measured); stroke: var(--measured); }
svg circle.chosen { fill: none; pointer-events: stroke; stroke: var(--budget); stroke-width: 2; }
svg circle:hover { stroke: var(--ink); stroke-width: 1.5; }
"""


@dataclass(frozen=True)
class Grid:
    """A table of the report.

    Attributes:
        heading: above it.
        columns: its headings.
        rows: texts, as many as columns; the first may be a link.
        links: files that first cells lead to, by row.
        chosen: row that is set off; None for none.
        note: below it.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    links: Mapping[int, str]
    chosen: int | None = None
    note: str = ""


def to_html(title: str, lead: str, svg: str, legend: str, grids: Sequence[Grid]) -> str:
    """The whole page.

    Args:
        title: its heading.
        lead: a sentence below it.
        svg: the picture, from `to_svg`.
        legend: what its marks are.
        grids: the tables, in order.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = "\n".join(map(_grid, grids))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
<figure style="margin:0">
{svg}
<figcaption>{escape(legend)}</figcaption>
</figure>
{body}
</body>
</html>
"""


def _grid(grid: Grid) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in grid.columns)
    rows = "\n".join(_row(grid, i, cells) for i, cells in enumerate(grid.rows))
    note = f"<p>{escape(grid.note)}</p>" if grid.note else ""
    return (
        f"<h2>{escape(grid.heading)}</h2>\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n{note}'
    )


def _row(grid: Grid, index: int, cells: Sequence[str]) -> str:
    first, *rest = map(escape, cells)
    if index in grid.links:
        first = f'<a href="{escape(grid.links[index])}">{first}</a>'
    kind = ' class="chosen"' if index == grid.chosen else ""
    return f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in (first, *rest)) + "</tr>"
