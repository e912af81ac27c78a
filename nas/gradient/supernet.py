"""`Supernet`: one torch module that holds every candidate of every position of a chain."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ...networks import Network, TensorType
from ...networks.errors import NotSupportedError, ShapeError
from ...networks.exporters import to_torch
from ...networks.lowering.blocks import Block, BlockSpace
from ..assembling import assembled
from ..blocks import block_network
from ..layout import layout_for
from ..spaces import SearchSpace

Mix: TypeAlias = Callable[[int, nn.ModuleList, Tensor], Tensor]
"""What a position makes of its input: from its number, its candidates and what comes in (`mixing`)."""


class MixedNet(nn.Module, ABC):
    """A network with places where one of several candidates is chosen.

    Attributes:
        counts: how many candidates each place has.
        identities: for each place, the candidate that does nothing, or None.
    """

    counts: list[int]
    identities: list[int | None]

    @abstractmethod
    def forward(self, images: Tensor, mix: Mix) -> Tensor:
        """Outputs of the head, [n, k], for n images, [n, c, h, w], with each place mixed by ``mix``."""


class Supernet(MixedNet):
    """A stem, at each position all candidates with weights of their own, a head.

    Candidates that end in a batch norm which is added to their input begin by doing nothing: its scale is 0 (Goyal et
    al., arXiv:1706.02677, section 5.1). Otherwise deep paths through random candidates learn next to nothing at first.

    Args:
        chain: what it is made from; its blocks must take any number of images.
        seed: of the initial weights.

    Attributes:
        chain: the same.
        stem, head: what comes first and last.
        positions: the candidates, position by position.

    Raises:
        ShapeError: candidates of one position make tensors of different types.
        NotSupportedError: a block fixes the number of images.
    """

    def __init__(self, chain: BlockSpace, *, seed: int = 0) -> None:
        super().__init__()
        self.chain = chain
        self.identities: list[int | None] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, border, _ = module_of(chain.stem, chain.input, "the stem")
            self.positions = nn.ModuleList()
            for number, blocks in enumerate(chain.positions):
                border = self._add(number, blocks, border)
            self.head, _, _ = module_of(chain.head, border, "the head")
        self.counts = [len(blocks) for blocks in chain.positions]
        self.layout = layout_for(self)
        self.to(memory_format=self.layout)  # type: ignore[call-overload]

    def extract(self, network: Network, choices: Sequence[int]) -> nn.Module:
        """The network with a candidate at each position as a plain module with copies of its weights.

        Running statistics are those that training left, of many networks at once.

        Args:
            network: what the choices decode to.
            choices: the candidate at each position.
        """
        chosen = [candidates[choice] for candidates, choice in zip(self.positions, choices, strict=True)]  # type: ignore[index]
        return assembled(network, [(part.network, part.state_dict()) for part in (self.stem, *chosen, self.head)])

    def _add(self, number: int, blocks: tuple[Block, ...], incoming: TensorType) -> TensorType:
        """Append a position; returns the type of what it makes."""
        made = [module_of(block, incoming, f"position {number}") for block in blocks]
        types = {type_ for _, type_, _ in made}
        if len(types) != 1:
            listed = ", ".join(sorted(map(str, types)))
            raise ShapeError(f"candidates of position {number} make different tensors: {listed}")
        self.positions.append(nn.ModuleList([module for module, _, _ in made]))
        self.identities.append(next((i for i, (_, _, identity) in enumerate(made) if identity), None))
        return types.pop()

    def forward(self, images: Tensor, mix: Mix) -> Tensor:
        x: Tensor = self.stem(images.contiguous(memory_format=self.layout))
        for number, candidates in enumerate(self.positions):
            assert isinstance(candidates, nn.ModuleList)
            x = mix(number, candidates, x)
        outputs: Tensor = self.head(x)
        return outputs


def chain_of_positions(space: SearchSpace) -> BlockSpace:
    """The one chain of a space whose codes are the choices at its positions.

    Raises:
        NotSupportedError: the space is no chain, has several sizes of image, or decisions of other kinds.
    """
    chains = space.chains()
    if len(chains) > 1:
        sizes = ", ".join(str(chain.input.shape[-1]) for chain in chains)
        raise NotSupportedError(
            f"a supernet has images of one size, and the space {space.name!r} has {len(chains)}",
            hint=f"choose one: {space.name.partition('@')[0]}@N, N one of {sizes}",
        )
    counts = [len(decision.choices) for decision in space.decisions]
    if not chains or counts != [len(candidates) for candidates in chains[0].positions]:
        raise NotSupportedError(
            f"the space {space.name!r} is no chain with one decision for each position",
            hint="use proxyless, proxyless-24, fbnet or a ChainSpace of your own",
        )
    return chains[0]


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Inside, batch norms normalise by each batch and leave their running statistics as they are."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tracking = [norm for norm in norms if norm.track_running_stats]
    training = net.training
    net.train()
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
        net.train(training)


def module_of(block: Block, incoming: TensorType, where: str) -> tuple[nn.Module, TensorType, bool]:
    """A block as a module, the type of what it makes, and whether it does nothing.

    Raises:
        NotSupportedError: it fixes the number of images; ``where`` says which block it is.
    """
    network = block_network(block, incoming, where)
    module = to_torch(network)
    _empty_at_first(network, module)
    return module, network.types[network.outputs[0]], not network.nodes


def _empty_at_first(network: Network, module: nn.Module) -> None:
    """Where a block adds a batch norm to its input, give that a scale of 0."""
    if not network.nodes:
        return
    last, value = network.nodes[-1], network.inputs[0][0]
    for node in network if last.op.kind == "add" and value in last.inputs else ():
        if node.name in last.inputs and node.op.kind == "batch_norm" and node.op["affine"]:
            nn.init.zeros_(module.get_parameter(f"{node.name}.weight"))
