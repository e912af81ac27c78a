"""Auto-DeepLab's network-level space (arXiv:1901.02985, section 3.2): paths through a trellis of resolutions.

Behind a stem to a quarter of the image come twelve layers, each at 1/4, 1/8, 1/16 or 1/32 of the image, the first at
1/4. From layer to layer the resolution halves, stays or doubles: 28,657 paths. What the paper's search of cells finds
for a layer is a plain block here: a depthwise-separable convolution with a shortcut.
"""

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.blocks import conv_norm_act, depthwise_separable
from ...networks.lowering.blocks import Block
from ._registry import one_size, register
from .base import Codes, Decision, SearchSpace
from .costs import Costs
from .trellis import Trellis

LAYERS: Final = 12
SCALES: Final = (4, 8, 16, 32)
"""What the image is divided by at each level."""

_CHANNELS: Final = 40  # at 1/4: five blocks of eight filters; twice as many at each coarser level
_ASPP_CHANNELS: Final = 256
_RATE_TIMES_SCALE: Final = 96  # of the convolution with gaps: the further apart its taps, the finer the level
_CLASSES: Final = 19  # of Cityscapes


class AutoDeepLabSpace(SearchSpace):
    """Codes: the level of each layer but the first, from 0 (1/4 of the image) to 3 (1/32).

    A layer is at most one level away from the one before it, so most rows of levels are no architecture: `allowed`
    tells, `repair` draws each level to its neighbourhood of the one before, and `sample` has every path equally often.

    Args:
        resolution: height and width of the images.
        layers: how many layers there are behind the stem, 2 to 40.

    Raises:
        UsageError: another number of layers.
    """

    def __init__(self, resolution: int, layers: int = LAYERS) -> None:
        self.trellis = Trellis(len(SCALES), layers - 1)
        levels = tuple(f"1/{scale}" for scale in SCALES)
        super().__init__(
            "autodeeplab",
            [Decision(f"layer {i + 2}", levels[: self.trellis.reachable(i)]) for i in range(self.trellis.steps)],
        )
        self._image = TensorType((1, 3, resolution, resolution))

    @property
    def size(self) -> int:
        return self.trellis.size

    def allowed(self, codes: Codes) -> npt.NDArray[np.bool_]:
        return self.trellis.allowed(codes)

    def paths(self) -> Codes:
        """Every architecture, in lexicographic order: `size` x d."""
        return self.trellis.paths()

    def likeliest(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The architecture with the largest product of arrows' probabilities, d numbers; see `Trellis.likeliest`."""
        return self.trellis.likeliest(probabilities)

    def _samples(self, n: int, rng: np.random.Generator) -> Codes:
        return self.trellis.sample(n, rng)

    def _repaired(self, codes: Codes) -> Codes:
        return self.trellis.repaired(codes)

    def _mutants(self, parents: Codes, changed: npt.NDArray[np.bool_], rng: np.random.Generator) -> Codes:
        return self.trellis.mutants(parents, changed, rng)

    def _children(self, one: Codes, other: Codes, rng: np.random.Generator) -> Codes:
        return self.trellis.children(one, other, rng)

    def _network(self, code: Codes) -> Network:
        b = NetworkBuilder(self.name)
        x = _stem(b, b.input(self._image.shape))
        for layer, level in enumerate([0, *code[0].tolist()], start=1):
            with b.scope(f"layers.{layer}"):
                x = self._layer(level)(b, x)
        with b.scope("head"):
            return b.build(self._head(level)(b, x))

    def costs(self, codes: npt.ArrayLike) -> Costs:
        paths = np.pad(self.validate(codes), ((0, 0), (2, 0)))  # the stem and the first layer are at level 0
        total = Costs.by_key(paths[:, -1:], self._counted_ends)
        for before, level in zip(paths.T, paths.T[1:], strict=False):
            total += Costs.by_key(np.stack([before, level], axis=1), self._counted_layer)
        return total

    def covering(self) -> list[Network]:
        """Seven networks with every layer and head: to each level and along it, and to each level and back at once."""
        steps, top = np.arange(1, self.trellis.steps + 1), len(SCALES) - 1
        along = [np.minimum(steps, level) for level in range(top + 1)]
        back = [np.maximum(level - np.abs(level - steps), 0) for level in range(1, top + 1)]
        return [self.decode(path) for path in (*along, *back)]

    def _layer(self, level: int) -> Block:
        return partial(_layer, channels=_CHANNELS << level, side=self._side(level))

    def _head(self, level: int) -> Block:
        return partial(_head, rate=_RATE_TIMES_SCALE // SCALES[level], side=self._image.shape[2])

    def _counted_layer(self, before: int, level: int) -> Network:
        return self._builder.build(self._layer(level), self._type(before)).network

    def _counted_ends(self, level: int) -> Network:
        """Stem and head, of an image and of what the last layer makes."""
        return self._builder.build(partial(_ends, head=self._head(level)), self._image, self._type(level)).network

    def _side(self, level: int) -> int:
        """Height and width of a level; odd ones are rounded up when they are halved."""
        return -(-self._image.shape[2] // SCALES[level])

    def _type(self, level: int) -> TensorType:
        return TensorType((1, _CHANNELS << level, self._side(level), self._side(level)))


@register("autodeeplab", 321)
def autodeeplab(resolutions: tuple[int, ...]) -> AutoDeepLabSpace:
    """Auto-DeepLab's network level, on images of the size that the paper searched with."""
    return AutoDeepLabSpace(one_size("autodeeplab", resolutions))


def _stem(b: NetworkBuilder, image: str) -> str:
    x = conv_norm_act(b, image, _CHANNELS, 3, stride=2, names=("stem.0.conv", "stem.0.norm", "stem.0.act"))
    return conv_norm_act(b, x, _CHANNELS, 3, stride=2, names=("stem.1.conv", "stem.1.norm", "stem.1.act"))


def _layer(b: NetworkBuilder, x: str, *, channels: int, side: int) -> str:
    """To ``channels`` at ``side`` x ``side``, by a strided convolution or interpolation; a block that keeps both."""
    if channels > b.channels(x):
        x = conv_norm_act(b, x, channels, 3, stride=2, names=("down.conv", "down.norm", "down.act"))
    elif channels < b.channels(x):
        x = b.op("upsample", x, name="up", size=(side, side), mode="bilinear")
        x = conv_norm_act(b, x, channels, 1, names=("up.conv", "up.norm", "up.act"))
    return b.op("add", x, depthwise_separable(b, x, channels), name="add")


def _head(b: NetworkBuilder, x: str, *, rate: int, side: int) -> str:
    """Spatial pyramid pooling in the short form that the paper searches with, a classifier of pixels, interpolation.

    Three branches: 1x1, 3x3 with gaps, and the mean of the image.
    """
    mean = b.op("global_avg_pool2d", x, name="mean")
    branches = []
    for name, value, kernel, dilation in (("point", x, 1, 1), ("gaps", x, 3, rate), ("image", mean, 1, 1)):
        with b.scope(name):
            branches.append(conv_norm_act(b, value, _ASPP_CHANNELS, kernel, dilation=dilation))
    branches[-1] = b.op("upsample", branches[-1], name="spread", size=b.shape(x)[2:])
    x = b.op("concat", *branches, name="concat")
    x = conv_norm_act(b, x, _ASPP_CHANNELS, 1, names=("mix.conv", "mix.norm", "mix.act"))
    x = b.op("conv2d", x, name="classifier", out_channels=_CLASSES, kernel_size=1)
    return b.op("upsample", x, name="enlarge", size=(side, side), mode="bilinear")


def _ends(b: NetworkBuilder, image: str, x: str, *, head: Block) -> str:
    _stem(b, image)
    return head(b, x)
