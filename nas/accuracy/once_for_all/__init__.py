"""Once-for-All: one supernet whose parts are all networks of a space, trained by progressive shrinking."""

from .estimator import OnceForAll
from .phases import Phase, progressive
from .predictor import AccuracyPredictor
from .serving import Calibration, load_supernet, ready_subnet, recalibrate, save_supernet
from .shrinking import Shrunk, shrink
from .supernet import ElasticSupernet, Subnet

__all__ = [
    "AccuracyPredictor",
    "Calibration",
    "ElasticSupernet",
    "OnceForAll",
    "Phase",
    "Shrunk",
    "Subnet",
    "load_supernet",
    "progressive",
    "ready_subnet",
    "recalibrate",
    "save_supernet",
    "shrink",
]
