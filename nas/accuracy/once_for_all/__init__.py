"""Once-for-All: one supernet whose parts are all networks of a space, trained by progressive shrinking."""

from .estimator import OnceForAll
from .phases import Phase, plan
from .predictor import AccuracyPredictor
from .serving import Calibration, Kept, load_supernet, ready_subnet, save_supernet
from .shrinking import Shrunk, shrink
from .supernet import ElasticSupernet, Subnet

__all__ = [
    "AccuracyPredictor",
    "Calibration",
    "ElasticSupernet",
    "Kept",
    "OnceForAll",
    "Phase",
    "Shrunk",
    "Subnet",
    "load_supernet",
    "plan",
    "ready_subnet",
    "save_supernet",
    "shrink",
]
