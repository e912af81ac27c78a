"""`Frame`: a rectangle with two axes, where values lie in it, and its grid and numbers as SVG."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

Number = float

_TICKS: Final = 6
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_DECADE: Final = (1.0, 2.0, 5.0)  # ticks within a power of ten, where there are few of them


def escaped(text: str) -> str:
    """Text as it may stand in an element or in an attribute."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\n", "&#10;")):
        text = text.replace(character, entity)
    return text


def title(text: str) -> str:
    """What is shown under the pointer, and read out."""
    return f"<title>{escaped(text)}</title>"


def linked(mark: str, href: str | None) -> str:
    """A mark that leads somewhere, or just the mark."""
    return mark if href is None else f'<a href="{escaped(href)}">{mark}</a>'


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Round numbers inside an interval, evenly spaced, at most about ``most``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Round numbers inside an interval of positive numbers, even in logarithms: powers of ten, or 1, 2, 5 of each."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [step * 10.0**power for power in powers for step in _DECADE]
    inside = [value for value in fine if low <= value <= high]
    if len(inside) < 2:
        return ticks(low, high, most)
    if len(inside) <= 2 * most:
        return inside
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    return tens[:: math.ceil(len(tens) / most)]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what it is, with its unit.
        low: value at its beginning.
        high: value at its end, above ``low``.
        log: whether distances on it are ratios; then values are positive.
    """

    label: str
    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, label: str, values: Iterable[float], *, log: bool = False) -> "Axis":
        """The axis on which values lie with a margin; that of no values is from 0 to 1 (1 to 10 if ``log``)."""
        found = list(values)
        if log:
            logs = [math.log(value) for value in found] or [0.0, math.log(10)]
            low, high = _with_margin(min(logs), max(logs))
            return cls(label, math.exp(low), math.exp(high), log=True)
        low, high = _with_margin(min(found, default=0.0), max(found, default=1.0))
        return cls(label, low, high)

    @property
    def ticks(self) -> list[float]:
        """Where its numbers stand."""
        return (log_ticks if self.log else ticks)(self.low, self.high)

    def share(self, value: float) -> float:
        """How far along the axis a value lies: 0 at its beginning, 1 at its end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


@dataclass(frozen=True)
class Frame:
    """A rectangle in which values are drawn.

    Attributes:
        x: its horizontal axis.
        y: its vertical one, upwards.
        width: of the whole picture, in units of the SVG.
        height: the same.
        left, right, top, bottom: margins around the rectangle.
    """

    x: Axis
    y: Axis
    width: int = 860
    height: int = 480
    left: int = 78
    right: int = 16
    top: int = 14
    bottom: int = 52

    def at_x(self, value: float) -> float:
        """Where a value of the horizontal axis lies."""
        return self.left + (self.width - self.left - self.right) * self.x.share(value)

    def at_y(self, value: float) -> float:
        """Where a value of the vertical axis lies."""
        base = self.height - self.bottom
        return base - (base - self.top) * self.y.share(value)

    def picture(self, described: str, marks: Sequence[str]) -> str:
        """The whole ``<svg>``: grid, numbers, labels, and marks over them.

        Args:
            described: what the picture shows, for those who do not see it.
            marks: elements, in the order in which they are painted.
        """
        head = f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escaped(described)}">'
        return "\n".join([head, *self._grid(), *marks, "</svg>"])

    def _grid(self) -> list[str]:
        foot, right = self.height - self.bottom, self.width - self.right
        parts: list[str] = []
        for value in self.x.ticks:
            at = self.at_x(value)
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{self.top}" y2="{foot}"/>')
            parts.append(f'<text x="{at:.1f}" y="{foot + 17}" text-anchor="middle">{value:.6g}</text>')
        for value in self.y.ticks:
            at = self.at_y(value)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{at + 4:.1f}" text-anchor="end">{value:.6g}</text>')
        middle = (self.top + foot) / 2
        across, up = f'x="{(self.left + right) / 2:.0f}" y="{self.height - 10}"', f'x="14" y="{middle:.0f}"'
        turned = f'transform="rotate(-90 14 {middle:.0f})"'
        parts.append(f'<text class="name" {across} text-anchor="middle">{escaped(self.x.label)}</text>')
        parts.append(f'<text class="name" {up} text-anchor="middle" {turned}>{escaped(self.y.label)}</text>')
        return parts

    def dots(self, points: Iterable[tuple[float, float]], mark: Callable[[int, float, float], str]) -> list[str]:
        """A mark for each point, by its index and where it lies."""
        return [mark(i, self.at_x(x), self.at_y(y)) for i, (x, y) in enumerate(points)]
