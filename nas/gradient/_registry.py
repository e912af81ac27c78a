"""The names of gradient searches."""

from typing import TYPE_CHECKING, Final

from ...networks.kinds import Kinds

if TYPE_CHECKING:
    from .base import GradientSearch

KINDS: "Final[Kinds[GradientSearch]]" = Kinds("gradient search", "lutra.gradient_searches")

register = KINDS.register
gradient_kinds = KINDS.names
gradient_class = KINDS.get
