"""The report of a search as one HTML file: nothing is fetched, no script runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..drawing import style_sheet


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
<style>{style_sheet()}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="lead">{escape(lead)}</p>
<figure>
<div class="wide">{svg}</div>
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
