"""`to_torch_code`: a network as source code of a torch module that needs nothing but torch."""

from typing import Final

from ..errors import MissingDependencyError
from ..graph import Network

CLASS: Final = "Architecture"


def to_torch_code(network: Network, *, name: str = CLASS) -> str:
    """Source code of a torch module that computes ``network``, without Lutra.

    Modules are called as the nodes are, with ``_`` for what no name may hold; weights are torch's own initialisation.

    Args:
        network: what to write.
        name: of the class.

    Raises:
        MissingDependencyError: torch is not installed.
        UsageError: ``name`` is no name of a class.
    """
    try:
        from ._torch_source import write_module
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", "learn", "writing a network as torch code") from None
    return write_module(network, name)
