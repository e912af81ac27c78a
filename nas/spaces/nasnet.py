"""NASNet's space (arXiv:1707.07012, section 3.1 and figure 3): a normal and a reduction cell of B blocks, stacked.

A controller writes a cell block by block, five decisions each: two hidden states, an operation on either, and what
combines the results. States that no block uses are concatenated to the cell's output.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.blocks import NASNET_OPS, CellBlock, conv_norm_act, nasnet_cell, nasnet_inputs, nasnet_op
from ...networks.errors import UsageError
from ._registry import one_size, register
from .base import Codes, Decision, SearchSpace
from .costs import Costs

CELLS: Final = ("normal", "reduction")
COMBINERS: Final[tuple[Literal["add", "concat"], ...]] = ("add", "concat")

_PER_BLOCK: Final = 5  # state, state, operation, operation, combiner
_STEM_TIMES: Final = 3  # channels of the stem for each of the first cells'
_CLASSES: Final = 10
_NORMAL, _OF_INPUT, _OF_BLOCK = range(3)  # where an operation is: in a normal cell; in a reduction cell, on either

_COVER: Final = (
    *("00521116302055122011223201122101250226603004000600", "01441113602246002220512410030100140001001330123411"),
    *("11161001000114010440006410026012650131212412010511", "00261014302366120200556601145021560032611145011210"),
    *("01021014410053101460101410135111640010211431014131", "10231112213115042201523101115122041012511136122311"),
    *("01211200402063133150326110146022611302402356022610", "11011004001042100411010501065111500305201360054060"),
    *("10611216403340024611421511131122431224000043110541", "11351226410036144011411111102122440126103122121120"),
    *("01241115112156024440334010053101101011301102101261", "01200012412335011600340101034010321004600364003211"),
    *("11251011511211011650120201132120550105300051152210", "00001011010102113220311511106000541305104243025201"),
    *("10610203112342033541023601155120021115111032115031", "11511103610114133121035601061002360324202251154550"),
    *("00640201102025000641224201160011520013201115051250", "10300006301336011000142001016111131113403406141351"),
    *("00111211513041124450534400160011000014612125022430", "01050106411235140311046201136001600102401260051421"),
    *("00421125111131102220013400120022551004503461012650", "00461014002215021611024211156012340202512123120330"),
    *("01050004410315131101111410025122100015203015013310", "01001114001031110000216010133120661305210440122521"),
    *("11300111201265011021210311143112361331400455104441", "00340100003010142131325401062011120314203021053230"),
    *("10120004003110144001045511120121160214512121011001", "11141011513005001141336301004021150031313415053511"),
    *("10261000602351042161454511144112150314000261041111", "10111015113046134540302401142021000214200030145421"),
    *("11111121011164140331410511124021160231001414150050", "11331125102366104601456511053011531031401460101431"),
    *("11200106412052121061040411143021450125012204012530", "01351211511200003161126111021020221004100041022111"),
    *("01041016102150034030133610151022000036512040123361", "10061110000301012640126310134101100110412440121631"),
    *("10240014100335001220134201152011350326214410031020", "00020004303246100620223300064100611326113146110111"),
    *("11340024310032011331012311005021520303111202010561", "00660223002264133561136311126111400122610431120441"),
    *("11510000212154012020002411000012440332301165112261", "10530226211026110431015411041101241211502035134240"),
    *("01650025600224001621225000020011350223201360112350", "10121113302035010510220211052011141034113406041400"),
    "11200105303301011210320411053021000231310413141041",
)
"""Architectures in which every operation stands behind and in front of every other that a runtime could fuse it with,
and cells have outputs of every width: found by greedy choice among 1,500, and tested on others."""


def cells_on_two_states(operations: int, combiners: int, blocks: int) -> int:
    """Number of cells whose blocks each choose among two states: (2 * 2 * M * M * N)^B.

    The size of the space as MIT 6.5940, lecture 7, counts it; 5 operations, 2 combiners and 5 blocks make 200^5. A
    block of the space itself can use what earlier blocks made, too, so that there are more: `NasNetSpace.size`.

    Args:
        operations: M.
        combiners: N.
        blocks: B.
    """
    return int((2 * 2 * operations**2 * combiners) ** blocks)


class NasNetSpace(SearchSpace):
    """Codes: for the normal and then the reduction cell, block by block, what the controller writes.

    Block b (from 0) of a cell chooses two of b + 2 states, two operations and a combiner, so that a cell of B blocks is
    one of prod (b + 2)^2 M^2 N. `size` is the square of that: it counts what can be written, as the paper does. Two
    halves of a block that change places, or two blocks that do not use each other, count twice.

    Args:
        resolution: height and width of the images; 4 divides it.
        blocks: B.
        ops: M of `NASNET_OPS`.
        repeats: normal cells in each of three groups, with a reduction cell between.
        channels: of the operations in the first group; twice as many behind each reduction. 6 cells a group with 32
            channels are the paper's network for CIFAR-10.

    Raises:
        UsageError: an image that cannot be halved twice, numbers below 1, or operations that do not exist.
    """

    def __init__(
        self,
        resolution: int,
        *,
        blocks: int = 5,
        ops: Sequence[str] = NASNET_OPS,
        repeats: int = 6,
        channels: int = 32,
    ) -> None:
        if resolution % 4 or min(blocks, repeats, channels) < 1 or not set(ops) <= set(NASNET_OPS):
            raise UsageError(
                f"there is no network of NASNet with {repeats} x {blocks} blocks of {channels} channels for "
                f"{resolution} pixels and {', '.join(ops)}",
                hint=f"use sizes that 4 divides, 1 or more of each, and operations of {', '.join(NASNET_OPS)}",
            )
        super().__init__("nasnet", [d for cell in CELLS for b in range(blocks) for d in _decisions(cell, b, ops)])
        self._image = TensorType((1, 3, resolution, resolution))
        self._blocks, self._ops, self._channels = blocks, tuple(ops), channels
        group = [False] * repeats
        self._reduces = [*group, True, *group, True, *group]

    def cells(self, code: npt.ArrayLike) -> tuple[list[CellBlock], list[CellBlock]]:
        """The blocks of the normal and of the reduction cell of one architecture.

        Raises:
            UsageError: not a valid code.
        """
        normal, reduction = self._written(self.validate(code))[0].tolist()
        return self._cell(normal), self._cell(reduction)

    def _cell(self, blocks: list[list[int]]) -> list[CellBlock]:
        ops = self._ops
        return [CellBlock(first, second, ops[a], ops[b], COMBINERS[by]) for first, second, a, b, by in blocks]

    def _written(self, codes: Codes) -> npt.NDArray[np.int64]:
        """The five decisions of each block: n x 2 cells x B x 5."""
        return codes.reshape(len(codes), len(CELLS), self._blocks, _PER_BLOCK)

    def _network(self, code: Codes) -> Network:
        cells = self.cells(code)
        b = NetworkBuilder(self.name)
        before = x = _stem(b, b.input(self._image.shape), self._channels)
        for i, (reduces, channels) in enumerate(self._stack()):
            with b.scope(f"cells.{i}"):
                before, x = x, nasnet_cell(b, before, x, cells[reduces], channels, reduction=reduces)
        return b.build(_classifier(b, x))

    def _stack(self) -> list[tuple[bool, int]]:
        """Whether each cell reduces, and its channels."""
        return [(reduces, self._channels << sum(self._reduces[: i + 1])) for i, reduces in enumerate(self._reduces)]

    def covering(self) -> list[Network]:
        """Networks with the kernels of the space, where kernels are ops: "native", "onednn", "null".

        45 for five blocks and all operations, which leave out one kernel in some 5,000; none for other cells.
        """
        if len(self.decisions) != len(_COVER[0]) or self._ops != NASNET_OPS:
            return []
        return [self.decode([int(choice) for choice in code]) for code in _COVER]

    # -- costs ------------------------------------------------------------------------------------------------

    def costs(self, codes: npt.ArrayLike) -> Costs:
        written = self._written(self.validate(codes))
        total = Costs(*np.zeros((2, len(written)), np.int64))
        wide = []  # channels of either cell's output, in those of its operations
        for cell, blocks in enumerate(np.moveaxis(written, 1, 0)):
            # States' channels likewise: sums keep them, concatenations double them.
            times = np.pad(1 + blocks[:, :, 4], ((0, 0), (2, 0)), constant_values=1)
            loose = np.ones(times.shape, bool)
            for block in np.moveaxis(blocks, 1, 0):
                for side in (0, 1):
                    state, op = block[:, side], block[:, 2 + side]
                    np.put_along_axis(loose, state[:, None], False, axis=1)
                    kind = np.where(state < 2, _OF_INPUT, _OF_BLOCK) if cell else np.full(len(state), _NORMAL)
                    of = np.take_along_axis(times, state[:, None], axis=1)[:, 0]
                    total += Costs.by_key(np.stack([kind, of, op], axis=1), self._counted_op)
            if cell:  # inputs that no operation of a reduction cell halves are halved by themselves
                halved, count = self._counted_halving(), loose[:, :2].sum(axis=1)
                total += Costs(count * halved.macs, count * halved.params)
            wide.append((times * loose).sum(axis=1))
        return total + Costs.by_key(np.stack(wide, axis=1), self._counted_rest)

    def _counted_op(self, kind: int, times: int, op: int) -> Network:
        """An operation in each of the cells that have it, on a state of ``times`` the usual channels."""
        places = self._places(kind, times)
        block = partial(_everywhere, op=self._ops[op], times=times, stride=2 if kind == _OF_INPUT else 1)
        return self._builder.build(block, *places).network

    def _counted_halving(self) -> Network:
        """One input of each reduction cell, halved."""
        block = partial(_everywhere, op="identity", times=1, stride=2)
        return self._builder.build(block, *self._places(_OF_INPUT, 1)).network

    def _places(self, kind: int, times: int) -> list[TensorType]:
        """Types of the states at a place in all the cells."""
        places, side = [], self._image.shape[2]
        for reduces, channels in self._stack():
            if reduces == (kind != _NORMAL):
                height = side >> (kind == _OF_BLOCK)
                places.append(TensorType((1, times * channels, height, height)))
            side >>= reduces
        return places

    def _counted_rest(self, *wide: int) -> Network:
        """Stem, inputs of the cells and classifier, where outputs of cells have ``wide`` times their channels."""
        made, side = [], self._image.shape[2]
        for reduces, channels in self._stack():
            side >>= reduces
            made.append(TensorType((1, wide[reduces] * channels, side, side)))
        block = partial(_rest, channels=tuple(channels for _, channels in self._stack()))
        return self._builder.build(block, self._image, *made).network


@register("nasnet", 32)
def nasnet(resolutions: tuple[int, ...]) -> NasNetSpace:
    """NASNet's space for CIFAR-10: five blocks a cell, six cells a group, 32 channels."""
    return NasNetSpace(one_size("nasnet", resolutions))


def _decisions(cell: str, block: int, ops: Sequence[str]) -> list[Decision]:
    where = f"of {cell} block {block}"
    states = ("cell before the last", "last cell", *(f"block {i}" for i in range(block)))
    return [
        Decision(f"first state {where}", states),
        Decision(f"second state {where}", states),
        Decision(f"first operation {where}", tuple(ops)),
        Decision(f"second operation {where}", tuple(ops)),
        Decision(f"combiner {where}", COMBINERS),
    ]


def _stem(b: NetworkBuilder, image: str, channels: int) -> str:
    return conv_norm_act(b, image, _STEM_TIMES * channels, 3, activation=None, names=("stem.0", "stem.1", ""))


def _classifier(b: NetworkBuilder, x: str) -> str:
    x = b.op("relu", x, name="relu")
    x = b.op("flatten", b.op("global_avg_pool2d", x, name="avgpool"), name="flatten")
    return b.op("linear", x, name="classifier", out_features=_CLASSES)


def _everywhere(b: NetworkBuilder, *values: str, op: str, times: int, stride: int) -> str:
    return [nasnet_op(b, value, op, b.channels(value) // times, stride) for value in values][-1]


def _rest(b: NetworkBuilder, image: str, *made: str, channels: tuple[int, ...]) -> str:
    before = x = _stem(b, image, channels[0])
    for width, output in zip(channels, made, strict=True):
        nasnet_inputs(b, before, x, width)
        before, x = x, output
    return _classifier(b, x)
