"""What a search tried, as a picture: latency x accuracy, with the front, the budget and what was chosen.

`to_svg` needs nothing and shows each network's name under the pointer; `to_png` needs matplotlib.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...predictors.prediction import significant
from ..render import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_WIDTH, _HEIGHT = 860, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 16, 14, 52
_TICKS: Final = 6
_DRAWN: Final = 3000  # networks beside the front that the SVG shows
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scatter:
    """n networks that a search tried, f of them its front, r of them measured afterwards.

    Attributes:
        x_label: what the x axis is, with its unit.
        y_label: what the y axis is.
        x: its values, [n].
        y: its values, [n].
        names: of the networks, [n].
        front: indices of the front, by rising x, [f].
        chosen: index of the network that was chosen; None where there is none.
        budget: largest x that was allowed; None where there is no bound.
        measured: index and measured x of networks that were measured, [r].
    """

    x_label: str
    y_label: str
    x: Floats
    y: Floats
    names: Sequence[str]
    front: NDArray[np.int64]
    chosen: int | None = None
    budget: float | None = None
    measured: Sequence[tuple[int, float]] = field(default=())

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ends of the axes: all that is drawn, and a margin."""
        marks = [x for _, x in self.measured]
        if self.budget is not None and self.shows_budget:
            marks.append(self.budget)
        return _limits(np.append(self.x, marks)), _limits(self.y)

    @property
    def shows_budget(self) -> bool:
        """Whether there is a budget that is not so far off that the networks would shrink to a line beside it."""
        return self.budget is not None and self.budget <= self.x.max() + np.ptp(self.x)


def _limits(values: Floats) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Round numbers inside an interval, evenly spaced, at most about ``most``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def to_svg(scatter: Scatter) -> str:
    """The picture as an ``<svg>`` element; classes give its colours, titles the names under the pointer."""
    (x_low, x_high), (y_low, y_high) = scatter.limits()
    across = (_WIDTH - _LEFT - _RIGHT) / (x_high - x_low)
    up = (_HEIGHT - _TOP - _BOTTOM) / (y_high - y_low)
    xs = _LEFT + (np.asarray(scatter.x) - x_low) * across
    ys = _HEIGHT - _BOTTOM - (np.asarray(scatter.y) - y_low) * up
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{_escaped(_described(scatter))}">']
    parts += _axes(scatter, across, up)
    rest = np.setdiff1d(np.arange(len(xs)), scatter.front)
    parts += [_dot(scatter, i, xs[i], ys[i], "tried", 2.2) for i in _thinned(rest, xs, ys)]
    if scatter.budget is not None and scatter.shows_budget:
        at = _LEFT + (scatter.budget - x_low) * across
        parts.append(f'<line class="budget" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        label = f"budget {significant(scatter.budget)}"
        at_bottom = f'x="{at - 5:.1f}" y="{_HEIGHT - _BOTTOM - 8}" text-anchor="end"'
        parts.append(f'<text class="budget" {at_bottom}>{_escaped(label)}</text>')
    if len(scatter.front) > 1:
        line = " ".join(f"{xs[i]:.1f},{ys[i]:.1f}" for i in scatter.front)
        parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [_dot(scatter, i, xs[i], ys[i], "front", 4.0) for i in scatter.front]
    for i, measured in scatter.measured:
        at = _LEFT + (measured - x_low) * across
        parts.append(f'<line class="measured" x1="{xs[i]:.1f}" x2="{at:.1f}" y1="{ys[i]:.1f}" y2="{ys[i]:.1f}"/>')
        title = f"{scatter.names[i]}: measured {significant(measured)}"
        parts.append(f'<circle class="measured" cx="{at:.1f}" cy="{ys[i]:.1f}" r="4">{_title(title)}</circle>')
    if scatter.chosen is not None:
        parts.append(_dot(scatter, scatter.chosen, xs[scatter.chosen], ys[scatter.chosen], "chosen", 7.0))
    return "\n".join([*parts, "</svg>"])


def _axes(scatter: Scatter, across: float, up: float) -> list[str]:
    """Grid, numbers and names of the axes."""
    (x_low, x_high), (y_low, y_high) = scatter.limits()
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in ticks(x_low, x_high, 8):
        at = _LEFT + (value - x_low) * across
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{value:.6g}</text>')
    for value in ticks(y_low, y_high):
        at = bottom - (value - y_low) * up
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text class="name" x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 10}" text-anchor="middle">'
        f"{_escaped(scatter.x_label)}</text>"
    )
    parts.append(
        f'<text class="name" x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"{_escaped(scatter.y_label)}</text>"
    )
    return parts


def _dot(scatter: Scatter, index: int, x: float, y: float, kind: str, radius: float) -> str:
    values = f"{scatter.x_label} {significant(scatter.x[index])}, {scatter.y_label} {number(scatter.y[index])}"
    title = _title(f"{scatter.names[index]}\n{values}")
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{title}</circle>'


def _title(text: str) -> str:
    return f"<title>{_escaped(text)}</title>"


def _thinned(indices: NDArray[np.int64], xs: Floats, ys: Floats) -> list[int]:
    """Those of networks that can be told apart on the picture, and no more than `_DRAWN`, evenly chosen."""
    pixels = np.stack([np.rint(xs[indices]), np.rint(ys[indices])], axis=1)
    _, first = np.unique(pixels, axis=0, return_index=True)
    kept = indices[np.sort(first)]
    if len(kept) > _DRAWN:
        kept = kept[np.linspace(0, len(kept) - 1, _DRAWN).round().astype(np.int64)]
    return [int(i) for i in kept]


def _described(scatter: Scatter) -> str:
    return f"{scatter.y_label} over {scatter.x_label} of {len(scatter.x)} networks, {len(scatter.front)} on the front"


def _escaped(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\n", "&#10;")):
        text = text.replace(character, entity)
    return text


def to_png(scatter: Scatter, path: Path, title: str) -> None:
    """Draw the picture with matplotlib.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from ...networks.errors import MissingDependencyError

    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingDependencyError("matplotlib", "plots", "a picture as PNG") from None
    figure = Figure(figsize=(8.6, 4.8), layout="constrained")
    _draw(scatter, figure.subplots())
    figure.suptitle(title, size=11)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw(scatter: Scatter, axes: "Axes") -> None:
    x, y, front = np.asarray(scatter.x), np.asarray(scatter.y), scatter.front
    rest = np.setdiff1d(np.arange(len(x)), front)
    axes.scatter(x[rest], y[rest], s=7, color="#8a94a6", alpha=0.45, label=f"tried ({len(x):,})", linewidths=0)
    axes.plot(x[front], y[front], "-o", color="#1668c4", markersize=4.5, linewidth=1.3, label=f"front ({len(front)})")
    if scatter.budget is not None and scatter.shows_budget:
        label = f"budget ({significant(scatter.budget)})"
        axes.axvline(scatter.budget, color="#c4341c", linestyle="--", linewidth=1.2, label=label)
    for i, measured in scatter.measured:
        axes.plot([x[i], measured], [y[i], y[i]], color="#1d8a4f", linewidth=1)
    if scatter.measured:
        at = [i for i, _ in scatter.measured]
        axes.scatter([m for _, m in scatter.measured], y[at], s=26, color="#1d8a4f", label="measured", zorder=3)
    if scatter.chosen is not None:
        where = x[scatter.chosen], y[scatter.chosen]
        axes.scatter(*where, s=110, facecolors="none", edgecolors="#c4341c", linewidths=1.8, label="chosen", zorder=4)
    limits = scatter.limits()
    axes.set(xlabel=scatter.x_label, ylabel=scatter.y_label, xlim=limits[0], ylim=limits[1])
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=9)
