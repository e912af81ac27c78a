"""What stands between a latency source and a search: architectures as codes in, latencies and their gradients out."""

if __name__ != "lutra.nas_bridge":
    raise ImportError("import lutra.nas_bridge, not nas_bridge")

from .oracle import CostMatrix, LatencyOracle
from .space import CodedSpace

__all__ = ["CodedSpace", "CostMatrix", "LatencyOracle"]
