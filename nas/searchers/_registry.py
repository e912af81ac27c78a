"""The names of strategies."""

from typing import TYPE_CHECKING, Final

from ...networks.kinds import Kinds

if TYPE_CHECKING:
    from .base import Searcher

KINDS: "Final[Kinds[Searcher]]" = Kinds("strategy", "lutra.searchers")

register = KINDS.register
searcher_kinds = KINDS.names
searcher_class = KINDS.get
