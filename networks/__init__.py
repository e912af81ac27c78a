"""The vocabulary of networks: ops, graphs, blocks, zoo, importers, exporters, lowering; and all of Lutra's errors.

Names are loaded when they are first used, so that those who need the errors alone do not pay for the op catalogue.
"""

if __name__ != "lutra.networks":
    raise ImportError("import lutra.networks, not networks")

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import blocks, zoo
    from .graph import Network, NetworkBuilder, Node, prune
    from .load import load_network
    from .ops import Op, OpSpec, TensorType, catalogue, make_op, spec_of

_HOMES = {
    "Network": "graph",
    "NetworkBuilder": "graph",
    "Node": "graph",
    "Op": "ops",
    "OpSpec": "ops",
    "TensorType": "ops",
    "blocks": "",
    "catalogue": "ops",
    "load_network": "load",
    "make_op": "ops",
    "prune": "graph",
    "spec_of": "ops",
    "zoo": "",
}

__all__ = [
    "Network",
    "NetworkBuilder",
    "Node",
    "Op",
    "OpSpec",
    "TensorType",
    "blocks",
    "catalogue",
    "load_network",
    "make_op",
    "prune",
    "spec_of",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    value = getattr(import_module(f".{home}", __name__), name) if home else import_module(f".{name}", __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
