"""What is counted: the baselines that every other estimator must beat to be worth its time."""

from ...networks import Network
from ._registry import register
from .base import AccuracyEstimator


@register("params")
class Params(AccuracyEstimator):
    """Trained numbers. On NAS-Bench-201 few scores without training order networks better."""

    meaning = "count"

    def _score(self, network: Network) -> float:
        return float(network.params)


@register("macs")
class Macs(AccuracyEstimator):
    """Multiply-accumulates of convolutions and matrix products."""

    meaning = "count"

    def _score(self, network: Network) -> float:
        return float(network.macs)
