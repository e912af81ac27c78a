"""Once-for-All's space on ResNet-50 (arXiv:1908.09791; github.com/mit-han-lab/once-for-all, network "ofa_resnet50").

ResNet-50-D (arXiv:1812.01187: a stem of three 3x3 convolutions, shortcuts that pool before they project) whose stages
choose their depth and width, and whose blocks choose their expansion; the stem chooses two widths and whether it has
its middle convolution.
"""

from functools import partial
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.blocks import conv_norm_act, make_divisible
from ...networks.lowering.blocks import Block
from ._mobile import classifier, nothing
from ._registry import register
from .base import Codes, Decision, SearchSpace
from .costs import Costs

_WIDTHS: Final = (0.65, 0.8, 1.0)
_EXPANSIONS: Final = (0.2, 0.25, 0.35)
_DEPTHS: Final = (0, 1, 2)
"""Blocks of a stage beside those that it has at least."""

_STAGES: Final = ((256, 2, 1), (512, 2, 2), (1024, 4, 2), (2048, 2, 2))
"""(channels at width 1, blocks at least, stride)."""

_STEM_CHANNELS = tuple(make_divisible(64 * width) for width in _WIDTHS)
# Two of the three widths round to the same number of channels in the middle of the stem, and are one choice.
_MIDDLE_CHANNELS = tuple(sorted({make_divisible(channels // 2) for channels in _STEM_CHANNELS}))
_CHANNELS = tuple(tuple(make_divisible(channels * width) for width in _WIDTHS) for channels, _, _ in _STAGES)
_MIDDLE, _FIRST, _STEM, _DEPTH, _WIDTH, _BLOCK = 1, 2, 3, 4, 4 + len(_STAGES), 4 + 2 * len(_STAGES)
"""Columns of codes that begin with the size of the image: the stem's three, depths, widths, expansions."""


class OfaResNetSpace(SearchSpace):
    """Codes: the size of the image if there are several; of the stem, whether it has its middle convolution, and the
    widths of its middle and end; depths of the four stages; their widths; expansions of the 18 blocks at full depth.

    A stage uses its first blocks; the expansions of those it does not use are 0 in canonical codes. The authors' code
    has three widths for the middle of the stem, of which 0.65 and 0.8 make the same 24 channels: one choice here.

    Args:
        resolutions: heights and widths of images.
    """

    def __init__(self, resolutions: tuple[int, ...]) -> None:
        widths = tuple(f"x{width:g}" for width in _WIDTHS)
        image = [Decision("resolution", tuple(map(str, resolutions)))] if len(resolutions) > 1 else []
        stem = [
            Decision("middle convolution of the stem", ("without", "with")),
            Decision("channels in the middle of the stem", tuple(map(str, _MIDDLE_CHANNELS))),
            Decision("width of the stem", widths),
        ]
        depths = [
            Decision(f"depth of stage {s}", tuple(str(least + more) for more in _DEPTHS))
            for s, (_, least, _) in enumerate(_STAGES)
        ]
        stages = [Decision(f"width of stage {s}", widths) for s in range(len(_STAGES))]
        expansions = tuple(f"x{expansion:g}" for expansion in _EXPANSIONS)
        first = len(image) + len(stem)  # column of the first stage's depth
        blocks = [
            Decision(f"block {i} of stage {s}", expansions, (first + s, i - least + 1) if i >= least else None)
            for s, (_, least, _) in enumerate(_STAGES)
            for i in range(least + _DEPTHS[-1])
        ]
        super().__init__("ofa-resnet50", [*image, *stem, *depths, *stages, *blocks])
        self._resolutions = resolutions

    def _sized(self, codes: Codes) -> Codes:
        """Codes that begin with the size of the image, even where there is one."""
        return codes if len(self._resolutions) > 1 else np.pad(codes, ((0, 0), (1, 0)))

    def _stages(self, used: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
        """Which of its blocks at full depth each stage has, n x most, of which decisions are used, n x d."""
        most = [least + _DEPTHS[-1] for _, least, _ in _STAGES]
        return np.split(used[:, -sum(most) :], np.cumsum(most)[:-1], axis=1)

    def _network(self, code: Codes) -> Network:
        (row,) = self._sized(code).tolist()
        side = self._resolutions[row[0]]
        b = NetworkBuilder(self.name)
        x = b.input((1, 3, side, side))
        with b.scope("stem"):
            x = _stem(row[_MIDDLE], row[_FIRST], row[_STEM])(b, x)
        column = _BLOCK
        for stage, used in enumerate(self._stages(self.used(code))):
            for i, there in enumerate(used[0]):
                if there:
                    with b.scope(f"stages.{stage}.{i}"):
                        x = _block(stage, i == 0, row[_WIDTH + stage], row[column])(b, x)
                column += 1
        return b.build(classifier(b, x))

    def costs(self, codes: npt.ArrayLike) -> Costs:
        given = self.validate(codes)
        sized, used_blocks = self._sized(given), self._stages(self.used(given))
        total = Costs.by_key(sized[:, [0, _MIDDLE, _FIRST, _STEM]], self._counted_stem)
        before, column = sized[:, _STEM], _BLOCK
        for stage, used in enumerate(used_blocks):
            width = sized[:, _WIDTH + stage]
            for i in range(used.shape[1]):
                # One that is not there is of kind 0 and costs nothing, whatever its expansion.
                keys = [used[:, i], sized[:, 0], before, width, sized[:, column] * used[:, i]]
                total += Costs.by_key(np.stack(keys, axis=1), partial(self._counted_block, stage, i == 0))
                column += 1
                before = width
        return total + Costs.by_key(sized[:, [0, _WIDTH + len(_STAGES) - 1]], self._counted_head)

    def _counted_stem(self, image: int, middle: int, first: int, stem: int) -> Network:
        side = self._resolutions[image]
        return self._builder.build(_stem(middle, first, stem), TensorType((1, 3, side, side))).network

    def _counted_block(
        self, stage: int, first: bool, there: int, image: int, before: int, width: int, expansion: int
    ) -> Network:
        block = _block(stage, first, width, expansion) if there else nothing
        return self._builder.build(block, self._type(image, stage if first else stage + 1, before)).network

    def _counted_head(self, image: int, width: int) -> Network:
        return self._builder.build(classifier, self._type(image, len(_STAGES), width)).network

    def _type(self, image: int, stages: int, width: int) -> TensorType:
        """Of what so many stages (0: the stem) make of an image, the last of them at a width."""
        side = _halved(_halved(self._resolutions[image]))
        for _, _, stride in _STAGES[:stages]:
            side = _halved(side) if stride == 2 else side
        channels = _CHANNELS[stages - 1] if stages else _STEM_CHANNELS
        return TensorType((1, channels[width], side, side))

    def covering(self) -> list[Network]:
        """27 networks for each size of image, with every block behind every width: stages of the same parity, and the
        stem with the odd ones, have one width."""
        rows = []
        for image, even, odd, expansion in product(range(len(self._resolutions)), *[range(3)] * 3):
            stem = (even % 2, expansion % len(_MIDDLE_CHANNELS), odd)
            depths, widths = (len(_DEPTHS) - 1,) * len(_STAGES), (even, odd) * (len(_STAGES) // 2)
            blocks = [(expansion + i) % len(_EXPANSIONS) for _, least, _ in _STAGES for i in range(least + _DEPTHS[-1])]
            rows.append([*([image] if len(self._resolutions) > 1 else []), *stem, *depths, *widths, *blocks])
        return [self.decode(row) for row in rows]


@register("ofa-resnet50", 128, 160, 192, 224)
def ofa_resnet50(resolutions: tuple[int, ...]) -> OfaResNetSpace:
    """Once-for-All's space on ResNet-50."""
    return OfaResNetSpace(resolutions)


def _halved(side: int) -> int:
    return -(-side // 2)


def _stem(middle: int, first: int, width: int) -> Block:
    return partial(_append_stem, middle=bool(middle), first=_MIDDLE_CHANNELS[first], channels=_STEM_CHANNELS[width])


def _block(stage: int, first: bool, width: int, expansion: int) -> Block:
    channels = _CHANNELS[stage][width]
    return partial(
        _append_block,
        channels=channels,
        mid_channels=make_divisible(round(channels * _EXPANSIONS[expansion])),
        stride=_STAGES[stage][2] if first else 1,
        first=first,
    )


def _append_stem(b: NetworkBuilder, x: str, *, middle: bool, first: int, channels: int) -> str:
    x = conv_norm_act(b, x, first, 3, stride=2, names=("conv1", "bn1", "relu1"))
    if middle:
        x = b.op("add", conv_norm_act(b, x, first, 3, names=("conv2", "bn2", "relu2")), x, name="add")
    x = conv_norm_act(b, x, channels, 3, names=("conv3", "bn3", "relu3"))
    return b.op("max_pool2d", x, name="maxpool", kernel_size=3, stride=2, padding=1)


def _append_block(b: NetworkBuilder, x: str, *, channels: int, mid_channels: int, stride: int, first: bool) -> str:
    """A bottleneck of `mid_channels`; the shortcut of the first in a stage pools, if it has to, and projects."""
    y = conv_norm_act(b, x, mid_channels, 1, names=("conv1", "bn1", "relu1"))
    y = conv_norm_act(b, y, mid_channels, 3, stride=stride, names=("conv2", "bn2", "relu2"))
    y = conv_norm_act(b, y, channels, 1, activation=None, names=("conv3", "bn3", ""))
    if first and stride > 1:
        x = b.op("avg_pool2d", x, name="downsample.0", kernel_size=stride, stride=stride, ceil_mode=True)
    if first:
        x = conv_norm_act(b, x, channels, 1, activation=None, names=("downsample.1", "downsample.2", ""))
    return b.op("relu", b.op("add", y, x, name="add"), name="relu3")
