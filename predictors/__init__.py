"""Estimators of network latency: value, interval, and where the time goes."""

if __name__ != "lutra.predictors":
    raise ImportError("import lutra.predictors, not predictors")

from . import metrics
from ._artifact import Artifact
from ._registry import predictor_class, predictor_kinds, register
from .additive import TablePredictor
from .base import Input, Inputs, InputShapes, LatencyPredictor, NetworkLike
from .comparison import Comparison, ComparisonRow, candidates, compare
from .device_prior import DevicePrior
from .gnn import GnnPredictor
from .kernels import KernelPredictor
from .learned import LearnedPredictor
from .linear import AdditivePredictor
from .load import StoreLike, load_predictor, table_predictor
from .metrics import Report, ReportRow, Summary
from .mlp import MlpPredictor
from .prediction import Part, Prediction
from .quadratic import QuadraticPredictor
from .transfer import TransferPredictor

__all__ = [
    "AdditivePredictor",
    "Artifact",
    "Comparison",
    "ComparisonRow",
    "DevicePrior",
    "GnnPredictor",
    "Input",
    "InputShapes",
    "Inputs",
    "KernelPredictor",
    "LatencyPredictor",
    "LearnedPredictor",
    "MlpPredictor",
    "NetworkLike",
    "Part",
    "Prediction",
    "QuadraticPredictor",
    "Report",
    "ReportRow",
    "StoreLike",
    "Summary",
    "TablePredictor",
    "TransferPredictor",
    "candidates",
    "compare",
    "load_predictor",
    "metrics",
    "predictor_class",
    "predictor_kinds",
    "register",
    "table_predictor",
]
