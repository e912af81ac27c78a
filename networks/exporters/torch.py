"""`to_torch`: a network as a torch module that runs and trains."""

from typing import TYPE_CHECKING

from ..errors import MissingDependencyError
from ..graph import Network

if TYPE_CHECKING:
    from torch import nn


def to_torch(network: Network) -> "nn.Module":
    """``network`` as a module with freshly initialised weights (torch's own initialisation of each layer).

    The module takes the network's inputs by position and returns its output, or a tuple where there are several.
    Keys of its ``state_dict`` are ``"{node}.{weight}"``; a node that shares weights shares the parameter itself.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    try:
        from ._graph_module import GraphModule
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", "learn", "turning a network into a torch module") from None
    return GraphModule(network)
