"""Scores without training. A score is worth its time where it orders networks better than their parameters do."""

from .az import AzNas
from .gradients import Fisher, GradNorm, Grasp, Snip
from .gradsign import GradSign
from .jacov import Jacov
from .naswot import Naswot
from .synflow import LogSynflow
from .zen import Zen

__all__ = ["AzNas", "Fisher", "GradNorm", "GradSign", "Grasp", "Jacov", "LogSynflow", "Naswot", "Snip", "Zen"]
