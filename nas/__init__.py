"""Architecture search: the spaces that are searched."""

if __name__ != "lutra.nas":
    raise ImportError("import lutra.nas, not nas")

from . import spaces

__all__ = ["spaces"]
