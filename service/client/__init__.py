"""Asking a server as one would ask the store, a predictor, or the queue of jobs of this machine. Needs `serve`."""

from .client import Client
from .jobs import RemoteJobs
from .predictor import RemoteOracle, RemotePredictor

__all__ = ["Client", "RemoteJobs", "RemoteOracle", "RemotePredictor"]
