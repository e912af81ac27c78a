"""Search spaces: integer codes, the networks they stand for, and the chains of blocks that tables are built from."""

from . import autodeeplab, darts, fbnet, nasbench201, nasnet, ofa, proxyless, tinynas  # noqa: F401  (importing them registers them)
from ._registry import build, names, register
from .base import Codes, Decision, SearchSpace
from .chain import ChainSpace
from .costs import Costs
from .staged import StagedSpace

__all__ = [
    "ChainSpace",
    "Codes",
    "Costs",
    "Decision",
    "SearchSpace",
    "StagedSpace",
    "build",
    "names",
    "register",
]
