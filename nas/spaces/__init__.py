"""Search spaces: integer codes, the networks they stand for, and the chains of blocks that tables are built from."""

from . import fbnet, ofa, proxyless, tinynas  # noqa: F401  (importing them registers them)
from ._registry import build, names, register
from .autodeeplab import AutoDeepLabSpace
from .base import Codes, Decision, SearchSpace
from .chain import ChainSpace
from .costs import Costs
from .darts import DartsSpace
from .hat import HatSpace
from .memory import Memory
from .nasbench201 import NasBench201Space
from .nasnet import NasNetSpace
from .ofa_resnet import OfaResNetSpace
from .staged import StagedSpace

__all__ = [
    "AutoDeepLabSpace",
    "ChainSpace",
    "Codes",
    "Costs",
    "DartsSpace",
    "Decision",
    "HatSpace",
    "Memory",
    "NasBench201Space",
    "NasNetSpace",
    "OfaResNetSpace",
    "SearchSpace",
    "StagedSpace",
    "build",
    "names",
    "register",
]
