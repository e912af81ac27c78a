"""Searching by gradient: one supernet, whose weights and whose choices are trained in turn."""

from importlib.util import find_spec

from ...networks.errors import MissingDependencyError

if find_spec("torch") is None:
    raise MissingDependencyError("torch", "learn", "searching by gradient")

from ._registry import gradient_class, gradient_kinds, register
from .base import Batch, GradientSearch
from .cells import CellSupernet, DartsCells
from .darts import Darts
from .extracting import extract
from .fbnet import FBNet
from .latency import FORMS, LatencyTerm
from .memory import peak_activation_bytes
from .proxyless import Proxyless, ProxylessReinforce
from .supernet import Supernet
from .training import EpochReport, Training

__all__ = [
    "FORMS",
    "Batch",
    "CellSupernet",
    "Darts",
    "DartsCells",
    "EpochReport",
    "FBNet",
    "GradientSearch",
    "LatencyTerm",
    "Proxyless",
    "ProxylessReinforce",
    "Supernet",
    "Training",
    "extract",
    "gradient_class",
    "gradient_kinds",
    "peak_activation_bytes",
    "register",
]
