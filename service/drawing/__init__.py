"""Pictures as SVG text, and the one style sheet that gives their colours: nothing here needs another package."""

from importlib.resources import files

from .axes import Axis, Frame, escaped, ticks

__all__ = ["Axis", "Frame", "escaped", "style_sheet", "ticks"]


def style_sheet() -> str:
    """The rules for pages and pictures, light and dark."""
    return files(__package__).joinpath("style.css").read_text(encoding="utf-8")
