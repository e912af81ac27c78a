"""Lowering a space of networks block by block: each candidate once, in the layout in which it is met.

A search space is a chain: a stem, at each position one of several blocks, a head. At the border of two blocks a single
tensor is live, so a runtime's kernels never reach across it, and what a block is lowered to depends on the block, on
the shape of what comes in, and on the layout it comes in: the runtime's own (channels in blocks, or last) or plain. So
the kernels of millions of networks are put together from a few hundred small lowerings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

from ..errors import NotSupportedError, ShapeError, UsageError
from ..graph import Network, NetworkBuilder
from ..ops import TensorType
from . import lower
from .kernel import Kernel, LoweredNetwork

Block: TypeAlias = Callable[[NetworkBuilder, str], str]
"""Appends itself to a value of a builder; returns what it makes. One that does nothing returns the value."""

Layout: TypeAlias = Literal["own", "float", "plain"]
"""How a tensor lies in memory at a border: as the runtime's convolutions leave it; likewise, but in float32 where they
compute in 8 bits; or as it was written, in float32."""

LAYOUTS: Final[tuple[Layout, ...]] = ("own", "float", "plain")

_REORDERS: Final = frozenset({"ReorderInput", "Transpose", "reorder"})
_QUANTISES: Final = frozenset({"quantise"})
_MADE_IN_FLOAT: Final = "sigmoid"
"""An op that our 8-bit kernels leave to float32."""
_MARGIN_CHANNELS: Final = 8
_Lower: TypeAlias = Callable[[Network], LoweredNetwork]


@dataclass(frozen=True)
class BlockSpace:
    """A chain of blocks with choices.

    Attributes:
        name: of the networks in it.
        input: type of the networks' input.
        stem: what comes first.
        positions: candidates by position; all candidates of a position make tensors of one type.
        head: what comes last.
    """

    name: str
    input: TensorType
    stem: Block
    positions: tuple[tuple[Block, ...], ...]
    head: Block

    def network(self, choices: Sequence[int]) -> Network:
        """The network with candidate ``choices[i]`` at position i.

        Raises:
            UsageError: not one valid choice a position.
        """
        b = NetworkBuilder(self.name)
        x = self.stem(b, b.input(self.input.shape, self.input.dtype))
        for block in self.chosen(choices):
            x = block(b, x)
        return b.build(self.head(b, x))

    def chosen(self, choices: Sequence[int]) -> list[Block]:
        """The blocks that ``choices`` name; the same errors as `network`."""
        valid = len(choices) == len(self.positions)
        if not valid or any(not 0 <= c < len(p) for c, p in zip(choices, self.positions, strict=True)):
            sizes = ", ".join(str(len(position)) for position in self.positions)
            raise UsageError(f"choices {list(choices)} do not fit the space", hint=f"candidates by position: {sizes}")
        return [position[choice] for position, choice in zip(self.positions, choices, strict=True)]


@dataclass(frozen=True)
class LoweredBlock:
    """What a block is lowered to behind a given layout.

    Attributes:
        kernels: in execution order.
        layout: in which it leaves its output.
    """

    kernels: tuple[Kernel, ...]
    layout: Layout

    @property
    def keys(self) -> tuple[str, ...]:
        """The kernels' keys."""
        return tuple(kernel.key for kernel in self.kernels)


@dataclass(frozen=True)
class LoweredSpace:
    """The kernels of every network of a space.

    Attributes:
        runtime: who lowered it.
        stem: of the stem.
        positions: by position and candidate, by the layout that comes in; only those that some network meets.
        head: by the layout that comes in.
        lowerings: how many small networks had to be lowered.
    """

    runtime: str
    stem: LoweredBlock
    positions: tuple[tuple[dict[Layout, LoweredBlock], ...], ...]
    head: dict[Layout, LoweredBlock]
    lowerings: int

    def kernels(self, choices: Sequence[int]) -> tuple[Kernel, ...]:
        """The kernels of the network with these choices, in execution order."""
        kernels, layout = list(self.stem.kernels), self.stem.layout
        for candidates, choice in zip(self.positions, choices, strict=True):
            block = candidates[choice][layout]
            kernels += block.kernels
            layout = block.layout
        return (*kernels, *self.head[layout].kernels)

    @property
    def blocks(self) -> list[tuple[Kernel, ...]]:
        """The kernels of the stem, of the head and of each candidate in each layout."""
        blocks = [self.stem, *self.head.values()]
        blocks += [block for position in self.positions for by in position for block in by.values()]
        return [block.kernels for block in blocks]

    @property
    def distinct(self) -> dict[str, Kernel]:
        """Every kernel that some network of the space needs, by key."""
        return {kernel.key: kernel for kernels in self.blocks for kernel in kernels}


def lower_blocks(space: BlockSpace, runtime: str, *, precision: str = "float32", threads: int = 1) -> LoweredSpace:
    """Lower each candidate of ``space`` once for each layout in which it is met.

    Args:
        space: what is lowered.
        runtime: who would run its networks.
        precision: number format they would be run in.
        threads: how many threads they would be run on.

    Raises:
        NotSupportedError: a block begins with an op that the runtime fuses into whatever comes before.
        ShapeError: candidates of one position make tensors of different types.
        UnknownNameError, UsageError, MissingDependencyError, UnsupportedOpError: as `lower`.
    """
    borders = _borders(space)
    work = _Work(partial(lower, runtime=runtime, precision=precision, threads=threads))
    stem = work.block(space.stem, space.input, None)
    layouts, positions = {stem.layout}, []
    for candidates, border in zip(space.positions, borders, strict=False):
        position = [{layout: work.block(block, border, layout) for layout in layouts} for block in candidates]
        positions.append(tuple(position))
        layouts = {block.layout for by in position for block in by.values()}
    head = {layout: work.block(space.head, borders[-1], layout, last=True) for layout in layouts}
    return LoweredSpace(runtime, stem, tuple(positions), head, work.lowerings)


def _borders(space: BlockSpace) -> list[TensorType]:
    """Type of what comes into each position, and into the head."""
    borders = [_type_behind(space.stem, space.input)]
    for position, candidates in enumerate(space.positions):
        made = {_type_behind(block, borders[-1]) for block in candidates}
        if len(made) != 1:
            listed = ", ".join(sorted(map(str, made)))
            raise ShapeError(f"candidates of position {position} make different tensors: {listed}")
        borders.append(made.pop())
    return borders


def _type_behind(block: Block, incoming: TensorType) -> TensorType:
    b = NetworkBuilder("border")
    return b.type_of(block(b, b.input(incoming.shape, incoming.dtype)))


class _Work:
    """Lowers blocks between margins; equal blocks in equal places are lowered once."""

    def __init__(self, lower_: _Lower) -> None:
        self._lower = lower_
        self._known: dict[str, LoweredNetwork] = {}

    @property
    def lowerings(self) -> int:
        return len(self._known)

    def block(self, block: Block, incoming: TensorType, layout: Layout | None, *, last: bool = False) -> LoweredBlock:
        """Lower one block.

        Args:
            block: what is lowered.
            incoming: type of what comes in.
            layout: its layout; None for the network's own input.
            last: nothing comes behind it.
        """
        b = NetworkBuilder("block")
        before = [] if layout is None else self._margin(incoming, layout)
        x = b.input(incoming.shape, incoming.dtype) if layout is None else _produced(b, incoming, layout)
        made = block(b, x)
        if made == x:
            return LoweredBlock((), layout or "plain")
        kernels = self._lowered(b.build(made if last else _layer(b, made))).kernels
        if [kernel.key for kernel in kernels[: len(before)]] != before:
            raise NotSupportedError(
                f"a block begins with an op that joins the kernel before it: {kernels[len(before) - 1].label}",
                hint="let the block before end with that op",
            )
        kernels = kernels[len(before) :]
        if last:
            return LoweredBlock(kernels, "own")
        # The layer behind is the last that multiplies; what only converts its input is not the block's.
        end = max(i for i, kernel in enumerate(kernels) if kernel.macs)
        left: Layout = "own"
        while end > 0 and (converts := _conversion(kernels[end - 1])) is not None:
            left = "plain" if "plain" in (converts, left) else converts
            end -= 1
        return LoweredBlock(kernels[:end], left)

    def _margin(self, made: TensorType, layout: Layout) -> list[str]:
        """Keys of the kernels in front of a block, up to and with the one that makes its input."""
        b = NetworkBuilder("margin")
        kernels = self._lowered(b.build(_layer(b, _produced(b, made, layout)))).kernels
        made_by = {"own": lambda kernel: bool(kernel.macs), "float": _is_in_float, "plain": _shuffles}[layout]
        ends = [i for i, kernel in enumerate(kernels) if made_by(kernel)]
        if not ends:
            raise NotSupportedError(
                f"no plain tensor {made} can be put in front of a block", hint="use even channels, or another runtime"
            )
        return [kernel.key for kernel in kernels[: ends[-1 if layout == "plain" else 0] + 1]]

    def _lowered(self, network: Network) -> LoweredNetwork:
        if network.fingerprint not in self._known:
            self._known[network.fingerprint] = self._lower(network)
        return self._known[network.fingerprint]


def _produced(b: NetworkBuilder, wanted: TensorType, layout: Layout) -> str:
    """A tensor of the wanted type, made by a layer, by an op in float32 behind one, or by a shuffle of its channels."""
    image = wanted.rank == 4
    shape = (wanted.shape[0], _MARGIN_CHANNELS, *wanted.shape[2:]) if image else (*wanted.shape[:-1], _MARGIN_CHANNELS)
    made = _layer(b, b.input(shape, wanted.dtype), wanted.shape[1] if image else wanted.shape[-1])
    if layout == "float":
        return b.op(_MADE_IN_FLOAT, made)
    if layout == "own" or not image:
        return made
    channels = wanted.shape[1]
    groups = next(divisor for divisor in range(2, channels + 1) if channels % divisor == 0)
    return b.op("channel_shuffle", made, groups=groups)


def _conversion(kernel: Kernel) -> Layout | None:
    """The layout that a kernel finds which does nothing but convert its input for a layer; None for other kernels."""
    ops = {node.op for node in kernel.nodes}
    return "plain" if ops <= _REORDERS else "float" if ops <= _QUANTISES else None


def _is_in_float(kernel: Kernel) -> bool:
    return any(node.op == _MADE_IN_FLOAT for node in kernel.nodes)


def _shuffles(kernel: Kernel) -> bool:
    """Whether the shuffle that `_produced` appends is in it."""
    perms = [dict(node.attrs).get("perm") for node in kernel.nodes]  # of five axes: the channels are split in two
    shuffled = any(isinstance(perm, tuple) and len(perm) == 5 for perm in perms)
    return shuffled or any(node.op == "channel_shuffle" for node in kernel.nodes)


def _layer(b: NetworkBuilder, x: str, width: int = _MARGIN_CHANNELS) -> str:
    if b.type_of(x).rank == 4:
        return b.op("conv2d", x, out_channels=width, kernel_size=1)
    return b.op("linear", x, out_features=width)
