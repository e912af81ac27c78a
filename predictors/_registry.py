"""The kinds of predictors: the names that their saved forms carry."""

from typing import TYPE_CHECKING, Final

from ..networks.kinds import Kinds

if TYPE_CHECKING:
    from .base import LatencyPredictor

KINDS: "Final[Kinds[LatencyPredictor]]" = Kinds("predictor kind", "lutra.predictors")

register = KINDS.register
predictor_kinds = KINDS.names
predictor_class = KINDS.get
