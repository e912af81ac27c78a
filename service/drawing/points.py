"""Points of one or several series in a frame, with guide lines: predicted beside measured, work beside latency."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .axes import Axis, Frame, escaped, linked, title

SERIES_COLOURS: Final = 6
"""Series after so many have the colours of the first again."""


@dataclass(frozen=True)
class Point:
    """One mark.

    Attributes:
        x: where it lies.
        y: where it lies.
        name: shown under the pointer.
        href: where it leads; None for nowhere.
        y_low: lower end of what is known of ``y``; None where that is not drawn.
        y_high: upper end, beside ``y_low``.
    """

    x: float
    y: float
    name: str
    href: str | None = None
    y_low: float | None = None
    y_high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one colour.

    Attributes:
        name: in the legend; empty for none.
        points: its marks.
    """

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Points:
    """A picture of points.

    Attributes:
        x_label: of the horizontal axis.
        y_label: of the vertical one.
        series: drawn in order, each in the colour of its place.
        log: whether both axes are logarithmic.
        band: share by which ``y`` may differ from ``x`` inside a band around ``y = x``; None for no band. The axes
            then have one range.
        lines: horizontal lines, as value and label.
        described: the picture in a sentence, for those who do not see it.
    """

    x_label: str
    y_label: str
    series: Sequence[Series]
    log: bool = False
    band: float | None = None
    lines: Sequence[tuple[float, str]] = field(default=())
    described: str = ""


def points_svg(picture: Points) -> str:
    """The picture as an ``<svg>`` element with its legend."""
    every = [point for series in picture.series for point in series.points]
    xs = [point.x for point in every]
    ys = [value for p in every for value in (p.y, p.y_low, p.y_high) if value is not None]
    ys += [value for value, _ in picture.lines]
    if picture.band is not None:
        xs = ys = xs + ys
    x_axis = Axis.over(picture.x_label, xs, log=picture.log)
    frame = Frame(x_axis, Axis.over(picture.y_label, ys, log=picture.log))
    marks = [] if picture.band is None else _band(frame, picture.band)
    for value, label in picture.lines:
        at = frame.at_y(value)
        right = frame.width - frame.right
        marks.append(f'<line class="budget" x1="{frame.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        marks.append(f'<text class="budget" x="{right - 4}" y="{at - 5:.1f}" text-anchor="end">{escaped(label)}</text>')
    for number, series in enumerate(picture.series):
        kind = f"series s{number % SERIES_COLOURS}"
        marks += [_mark(frame, point, kind) for point in series.points]
    return frame.picture(picture.described, marks) + _legend(picture.series)


def _mark(frame: Frame, point: Point, kind: str) -> str:
    x, y = frame.at_x(point.x), frame.at_y(point.y)
    dot = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4">{title(point.name)}</circle>'
    if point.y_low is not None and point.y_high is not None:
        low, high = frame.at_y(point.y_low), frame.at_y(point.y_high)
        dot = f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>' + dot
    return linked(dot, point.href)


def _band(frame: Frame, share: float) -> list[str]:
    """The line of equality and the band around it, cut at the frame."""
    axis = frame.x
    steps = 32  # on a linear axis two would do; on a logarithmic one the lower edge bends where 1 - share is near 0
    xs = [axis.low * (axis.high / axis.low) ** (i / steps) for i in range(steps + 1)] if axis.log else [
        axis.low + (axis.high - axis.low) * i / steps for i in range(steps + 1)
    ]  # fmt: skip

    def edge(factor: float) -> list[str]:
        kept = [(x, min(max(x * factor, axis.low), axis.high)) for x in xs]
        return [f"{frame.at_x(x):.1f},{frame.at_y(y):.1f}" for x, y in kept]

    area = " ".join(edge(1 + share) + edge(1 - share)[::-1])
    label = f"within {100 * share:g} %"
    return [
        f'<polygon class="band" points="{area}">{title(label)}</polygon>',
        f'<polyline class="equal" points="{" ".join(edge(1.0))}"/>',
    ]


def _legend(series: Sequence[Series]) -> str:
    named = [(i, each.name) for i, each in enumerate(series) if each.name]
    if not named:
        return ""
    items = "".join(f'<li><span class="key s{i % SERIES_COLOURS}"></span>{escaped(name)}</li>' for i, name in named)
    return f'\n<ul class="legend">{items}</ul>'
