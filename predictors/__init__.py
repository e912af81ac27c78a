"""Estimators of network latency: value, interval, and where the time goes."""

if __name__ != "lutra.predictors":
    raise ImportError("import lutra.predictors, not predictors")

from . import metrics
from ._artifact import Artifact
from ._registry import predictor_class, predictor_kinds, register
from .additive import TablePredictor
from .base import InputShapes, LatencyPredictor, NetworkLike
from .load import StoreLike, load_predictor, table_predictor
from .metrics import Report, ReportRow, Summary
from .prediction import Part, Prediction

__all__ = [
    "Artifact",
    "InputShapes",
    "LatencyPredictor",
    "NetworkLike",
    "Part",
    "Prediction",
    "Report",
    "ReportRow",
    "StoreLike",
    "Summary",
    "TablePredictor",
    "load_predictor",
    "metrics",
    "predictor_class",
    "predictor_kinds",
    "register",
    "table_predictor",
]
