"""Bars beside each other, as wide as their shares: where the time of a network goes, kernel by kernel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .axes import escaped, linked, title

_WIDTH: Final = 860
_ROW: Final = 18
_VALUE: Final = 70
_LABEL: Final = 370
_LONGEST: Final = 48  # characters of a label that fit


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: what it is.
        value: its length, 0 or more.
        text: what stands behind it.
        name: shown under the pointer.
        kind: class of its colour.
        href: where it leads; None for nowhere.
    """

    label: str
    value: float
    text: str
    name: str
    kind: str = ""
    href: str | None = None


def bars_svg(bars: Sequence[Bar], described: str) -> str:
    """The bars from above as an ``<svg>`` element, the longest as long as there is room."""
    longest = max((bar.value for bar in bars), default=0.0) or 1.0
    height = _ROW * len(bars) + 4
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escaped(described)}">']
    room = _WIDTH - _LABEL - _VALUE
    for number, bar in enumerate(bars):
        y = 2 + _ROW * number
        length = max(room * bar.value / longest, 0.5)
        label = bar.label if len(bar.label) <= _LONGEST else bar.label[: _LONGEST - 1] + "…"
        inner = (
            f"{title(bar.name)}"
            f'<text class="name" x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">{escaped(label)}</text>'
            f'<rect class="bar {escaped(bar.kind)}" x="{_LABEL}" y="{y + 2}" width="{length:.1f}" height="{_ROW - 4}"/>'
            f'<text x="{_LABEL + length + 6:.1f}" y="{y + 13}">{escaped(bar.text)}</text>'
        )
        parts.append(linked(f"<g>{inner}</g>", bar.href))
    return "\n".join([*parts, "</svg>"])
