"""Asking a server as one would ask the store, a predictor, or the queue of jobs of this machine. Needs `client`."""

from .client import Client
from .jobs import RemoteJobs
from .predictor import RemoteOracle, RemotePredictor
from .work import RemoteWork

__all__ = ["Client", "RemoteJobs", "RemoteOracle", "RemotePredictor", "RemoteWork"]
