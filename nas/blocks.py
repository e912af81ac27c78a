"""Blocks of a chain as networks of their own, which supernets are made of."""

from typing import Final

from ..networks import Network, NetworkBuilder, TensorType
from ..networks.errors import NotSupportedError
from ..networks.lowering.blocks import Block

_FIXES_BATCH: Final = frozenset({"expand", "reshape"})
"""Ops whose attributes name the number of images."""


def block_network(block: Block, incoming: TensorType, where: str) -> Network:
    """A block as a network; one without nodes where the block does nothing.

    Args:
        block: of a chain.
        incoming: type of what it reads.
        where: it is, for the message.

    Raises:
        NotSupportedError: it fixes the number of images.
    """
    b = NetworkBuilder("block")
    network = b.build(block(b, b.input(incoming.shape, incoming.dtype)))
    fixed = sorted({node.op.kind for node in network} & _FIXES_BATCH)
    if fixed:
        raise NotSupportedError(
            f"{where} of a supernet fixes the number of images, by {', '.join(fixed)}",
            hint="use ops that take any number of images, such as flatten or channel_shuffle",
        )
    return network
