"""What stands between a latency source and a search: architectures as codes in, latencies and their gradients out."""

if __name__ != "lutra.nas_bridge":
    raise ImportError("import lutra.nas_bridge, not nas_bridge")

from ._descent import Cheapest
from .asked import FunctionOracle, KnownOracle, Timer
from .budgets import LatencyBudget
from .chains import BlockOracle, ChainOracle, TableOracle
from .learned import Encode, EncodingOracle, NetworkOracle, PredictorOracle
from .making import Source, make_oracle
from .oracle import CostMatrix, LatencyOracle
from .quantities import Quantity, latency_on, macs_of, params_of, peak_bytes_of
from .remeasuring import Found, Remeasure
from .space import CodedSpace

__all__ = [
    "BlockOracle",
    "ChainOracle",
    "Cheapest",
    "CodedSpace",
    "CostMatrix",
    "Encode",
    "EncodingOracle",
    "Found",
    "FunctionOracle",
    "KnownOracle",
    "LatencyBudget",
    "LatencyOracle",
    "NetworkOracle",
    "PredictorOracle",
    "Quantity",
    "Remeasure",
    "Source",
    "TableOracle",
    "Timer",
    "latency_on",
    "macs_of",
    "make_oracle",
    "params_of",
    "peak_bytes_of",
]
