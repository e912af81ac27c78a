"""What the mobile search spaces share: stages of blocks, chains for images of several sizes, ends of networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...networks import NetworkBuilder, TensorType
from ...networks.lowering.blocks import Block, BlockSpace

CLASSES = 1000
"""Of ImageNet, which all these spaces were published for."""


@dataclass(frozen=True)
class Stage:
    """Blocks that make tensors of one shape.

    Attributes:
        channels: that each block makes.
        depth: number of blocks.
        stride: of the first block; the others have 1.
    """

    channels: int
    depth: int
    stride: int

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each block."""
        return (self.stride, *(1,) * (self.depth - 1))


def nothing(b: NetworkBuilder, x: str) -> str:
    """The block that is left out."""
    del b
    return x


def chains(
    name: str, resolutions: Sequence[int], stem: Block, positions: Sequence[Sequence[Block]], head: Block
) -> tuple[BlockSpace, ...]:
    """One chain for each size of square images of three channels, one image at a time."""
    candidates = tuple(map(tuple, positions))
    return tuple(
        BlockSpace(f"{name}@{side}", TensorType((1, 3, side, side)), stem, candidates, head) for side in resolutions
    )


def classifier(b: NetworkBuilder, x: str) -> str:
    """Average over the image and one linear layer: 1 x C x H x W to 1 x 1000."""
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=CLASSES)
