"""What a search tried, as a picture: latency x accuracy, with the front, the budget and what was chosen.

`to_svg` needs nothing and shows each network's name under the pointer; `to_png` needs matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...predictors.prediction import significant
from ..render import number
from .axes import Axis, Frame, escaped, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_DRAWN: Final = 3000  # networks beside the front that the SVG shows


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

    @property
    def frame(self) -> Frame:
        """The axes: all that is drawn, and a margin."""
        marks = [x for _, x in self.measured]
        if self.budget is not None and self.shows_budget:
            marks.append(self.budget)
        x = Axis.over(self.x_label, [*map(float, self.x), *marks])
        return Frame(x, Axis.over(self.y_label, map(float, self.y)))

    @property
    def shows_budget(self) -> bool:
        """Whether there is a budget that is not so far off that the networks would shrink to a line beside it."""
        return self.budget is not None and self.budget <= self.x.max() + np.ptp(self.x)


def to_svg(scatter: Scatter) -> str:
    """The picture as an ``<svg>`` element; classes give its colours, titles the names under the pointer."""
    frame = scatter.frame
    xs = np.array([frame.at_x(x) for x in scatter.x])
    ys = np.array([frame.at_y(y) for y in scatter.y])
    rest = np.setdiff1d(np.arange(len(xs)), scatter.front)
    parts = [_dot(scatter, i, xs[i], ys[i], "tried", 2.2) for i in _thinned(rest, xs, ys)]
    if scatter.budget is not None and scatter.shows_budget:
        at, foot = frame.at_x(scatter.budget), frame.height - frame.bottom
        parts.append(f'<line class="budget" x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{foot}"/>')
        label = f"budget {significant(scatter.budget)}"
        at_bottom = f'x="{at - 5:.1f}" y="{foot - 8}" text-anchor="end"'
        parts.append(f'<text class="budget" {at_bottom}>{escaped(label)}</text>')
    if len(scatter.front) > 1:
        line = " ".join(f"{xs[i]:.1f},{ys[i]:.1f}" for i in scatter.front)
        parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [_dot(scatter, i, xs[i], ys[i], "front", 4.0) for i in scatter.front]
    for i, measured in scatter.measured:
        at = frame.at_x(measured)
        parts.append(f'<line class="measured" x1="{xs[i]:.1f}" x2="{at:.1f}" y1="{ys[i]:.1f}" y2="{ys[i]:.1f}"/>')
        told = title(f"{scatter.names[i]}: measured {significant(measured)}")
        parts.append(f'<circle class="measured" cx="{at:.1f}" cy="{ys[i]:.1f}" r="4">{told}</circle>')
    if scatter.chosen is not None:
        parts.append(_dot(scatter, scatter.chosen, xs[scatter.chosen], ys[scatter.chosen], "chosen", 7.0))
    return frame.picture(_described(scatter), parts)


def _dot(scatter: Scatter, index: int, x: float, y: float, kind: str, radius: float) -> str:
    values = f"{scatter.x_label} {significant(scatter.x[index])}, {scatter.y_label} {number(scatter.y[index])}"
    told = title(f"{scatter.names[index]}\n{values}")
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{told}</circle>'


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
    x_axis, y_axis = scatter.frame.x, scatter.frame.y
    axes.set(xlabel=x_axis.label, ylabel=y_axis.label)
    axes.set(xlim=(x_axis.low, x_axis.high), ylim=(y_axis.low, y_axis.high))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=9)
