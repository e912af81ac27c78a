"""`ElasticSupernet`: every network of a staged space in one set of weights (Once-for-All, arXiv:1908.09791)."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ....networks import Network, TensorType
from ....networks.errors import NotSupportedError, ShapeError
from ....networks.lowering.blocks import Block
from ...assembling import assembled
from ...blocks import block_network
from ...spaces import SearchSpace, StagedSpace
from .elastic import ElasticBlock

Code: TypeAlias = npt.NDArray[np.int64]
"""One architecture, [d]."""


@dataclass(frozen=True)
class Subnet:
    """A network that was taken out of a supernet.

    Attributes:
        network: that its code decodes to.
        module: its torch module with weights of its own, in evaluation mode. It reads images of its own size.
    """

    network: Network
    module: nn.Module


class ElasticSupernet(nn.Module):
    """Elastic in what a `StagedSpace` leaves open: size of image, depths of stages, kernels and widths of blocks.

    A stage of depth d has its first d blocks; what blocks share, `ElasticBlock` says.

    Args:
        space: whose networks it holds; its blocks must take any number of images.
        seed: of the initial weights.

    Attributes:
        space: the same.
        resolutions: heights and widths of images, by chain.
        largest: the code of the largest network.
        stem, blocks, head: the parts.

    Raises:
        NotSupportedError: the space is not staged, or the candidates of a block are not parts of one.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(space, StagedSpace):
            raise NotSupportedError(
                f"{space.name} is no space of stages", hint="take ofa-small, ofa-mbv3, or a StagedSpace of your own"
            )
        self.space = space
        chains = space.chains()
        self.resolutions = tuple(int(chain.input.shape[-1]) for chain in chains)
        chain = max(chains, key=lambda chain: chain.input.shape[-1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, border = _elastic((chain.stem,), chain.input, "the stem")
            self.blocks = nn.ModuleList()
            for number, candidates in enumerate(chain.positions):
                block, border = _elastic(candidates, border, f"position {number}")
                self.blocks.append(block)
            self.head, border = _elastic((chain.head,), border, "the head")
        self.classes = int(border.shape[-1])
        self.largest = self._largest()

    def forward(self, images: Tensor, code: npt.ArrayLike) -> Tensor:
        """Outputs, [n, k], of one architecture, [d], for n images, [n, c, h, w], which are scaled to its size.

        Raises:
            UsageError: no valid code.
        """
        chain, choices = self.space.chain_of(code)
        x = resized(images, self.resolutions[int(chain[0])])
        for part, choice in self._chosen(choices[0].tolist()):
            x = part(x, choice)
        return x

    def resolution(self, code: npt.ArrayLike) -> int:
        """Height and width of the images of one architecture, [d]."""
        return self.resolutions[int(self.space.chain_of(code)[0][0])]

    def extract(self, code: npt.ArrayLike) -> Subnet:
        """One architecture, [d], as a plain network with copies of its weights; it computes what `forward` does.

        Running statistics are those that training left, of many networks at once; `ready_subnet` measures its own.

        Raises:
            UsageError: no valid code.
        """
        network = self.space.decode(code)
        _, choices = self.space.chain_of(self.space.canonical(self.space.validate(code)))
        parts = [(part.networks[choice], part.weights(choice)) for part, choice in self._chosen(choices[0].tolist())]
        return Subnet(network, assembled(network, parts))

    def candidates(self, position: int) -> tuple[Network, ...]:
        """The candidates of a block, by its position in the chains."""
        block = self.blocks[position]
        assert isinstance(block, ElasticBlock)
        return block.networks

    @property
    def largest_network(self) -> Network:
        """What `largest` decodes to."""
        return self.space.decode(self.largest)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells the supernets of spaces apart, plain JSON data."""
        return {"space": self.space.name, "largest": self.largest_network.fingerprint}

    def sort_channels(self) -> None:
        """Sort the channels of all blocks by importance; the largest network computes the same as before."""
        for block in self.blocks:
            assert isinstance(block, ElasticBlock)
            block.sort_channels()

    def _chosen(self, choices: list[int]) -> list[tuple[ElasticBlock, int]]:
        parts = [self.stem, *self.blocks, self.head]
        return list(zip(parts, [0, *choices, 0], strict=True))

    def _largest(self) -> Code:
        code = np.zeros(len(self.space.decisions), np.int64)
        code[: self.space.block_columns.start] = [
            len(decision.choices) - 1 for decision in self.space.decisions[: self.space.block_columns.start]
        ]
        code[self.space.block_columns.start :] = [
            part.largest for part, _ in self._chosen([0] * len(self.blocks))[1:-1]
        ]
        return code


def _elastic(candidates: tuple[Block, ...], incoming: TensorType, where: str) -> tuple[ElasticBlock, TensorType]:
    networks = [block_network(block, incoming, where) for block in candidates]
    types = {network.types[network.outputs[0]] for network in networks}
    if len(types) != 1:
        listed = ", ".join(sorted(map(str, types)))
        raise ShapeError(f"candidates of {where} make different tensors: {listed}")
    return ElasticBlock(networks, where), types.pop()


def resized(images: Tensor, side: int) -> Tensor:
    """Images, [n, c, h, w], scaled to ``side`` pixels, [n, c, side, side]; those of that size as they are."""
    if images.shape[-2:] == (side, side):
        return images
    return interpolate(images, size=(side, side), mode="bilinear", antialias=True)
