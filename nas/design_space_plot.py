"""The picture of a choice of design space: how the MACs of the networks that fit are distributed in each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ..networks.errors import MissingDependencyError, UsageError
from .design_space import DesignSpace

HIGHLIGHTED: Final = 8
"""Spaces with colours of their own; the others are drawn in grey behind them."""

_TOP: Final = 0.2
_MILLION: Final = 1e6


def save_cdfs(found: Sequence[DesignSpace], path: str | Path, *, title: str = "") -> None:
    """Draw cumulative distributions of MACs of the networks that fit, one curve a space, as MCUNet does.

    The further to the right a curve lies, the more the networks of that space do within the same memory. A dashed line
    cuts off the top 20 % of networks.

    Args:
        found: spaces as `rank` returns them, the best first; those in which nothing fits are left out.
        path: where the PNG goes.
        title: written above.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: the file cannot be written, or there is nothing to draw.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "plots", "a picture of design spaces") from None
    drawn = [space for space in found if len(space.macs)]
    if not drawn:
        raise UsageError("no design space has a network that fits", hint="rank spaces for more memory")
    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for space in drawn[: HIGHLIGHTED - 1 : -1]:
        axes.step(*_steps(space), where="post", color="0.85", linewidth=0.8)
    for space in drawn[:HIGHLIGHTED]:
        label = f"{space.name}: mean {space.mean_macs / _MILLION:.1f} M, {space.fitting:.0%} fit"
        axes.step(*_steps(space), where="post", linewidth=1.6, label=label)
    axes.axhline(100 * (1 - _TOP), color="0.4", linewidth=0.8, linestyle="--")
    axes.annotate(
        f"top {_TOP:.0%}", (0.995, 100 * (1 - _TOP)), xycoords=("axes fraction", "data"), ha="right", va="bottom"
    )
    axes.set(xlabel="MACs in millions", ylabel="networks that fit, cumulative %", ylim=(0, 100), title=title)
    axes.set_xlim(left=0)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", hint="give a path in a folder of yours"
        ) from error


def _steps(space: DesignSpace) -> tuple[list[float], list[float]]:
    """Corners of a cumulative distribution, from 0 to 100 %."""
    macs = (space.macs / _MILLION).tolist()
    return [macs[0], *macs], np.linspace(0, 100, len(macs) + 1).tolist()
