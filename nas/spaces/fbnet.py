"""FBNet's space (arXiv:1812.03443, tables 1 and 2): 22 positions of nine blocks each, 9^22 networks.

The paper leaves open what "skip" is where the shape changes; here it is the 1x1 convolution with batch norm of
HW-NAS-Bench (arXiv:2103.10584), whose order of the choices this is, too.
"""

from functools import partial

from ...networks import NetworkBuilder
from ...networks.blocks import conv_norm_act
from ...networks.lowering.blocks import Block
from ._mobile import Stage, chains, classifier
from ._registry import register
from .chain import ChainSpace

_STAGES = (
    Stage(16, 1, 1),
    Stage(24, 4, 2),
    Stage(32, 4, 2),
    Stage(64, 4, 2),
    Stage(112, 4, 1),
    Stage(184, 4, 2),
    Stage(352, 1, 1),
)
_STEM, _LAST = 16, 1504
_CHOICES = tuple(
    (kernel, expansion, groups) for kernel in (3, 5) for expansion, groups in ((1, 1), (1, 2), (3, 1), (6, 1))
)
_NAMES = (*(f"k{k} e{e}" + " g2" * (g == 2) for k, e, g in _CHOICES), "skip")


@register("fbnet", 224)
def fbnet(resolutions: tuple[int, ...]) -> ChainSpace:
    """FBNet's space."""
    positions: list[list[Block]] = []
    for stage in _STAGES:
        for stride in stage.strides:
            out = stage.channels
            units = [partial(_unit, out=out, stride=stride, kernel=k, expansion=e, groups=g) for k, e, g in _CHOICES]
            positions.append([*units, partial(_skip, out=out, stride=stride)])
    return ChainSpace("fbnet", chains("fbnet", resolutions, _stem, positions, _head), [_NAMES] * len(positions))


def _stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, _STEM, 3, stride=2)


def _unit(b: NetworkBuilder, x: str, *, out: int, stride: int, kernel: int, expansion: int, groups: int) -> str:
    """Figure 3 of the paper: 1x1, depthwise, 1x1; grouped 1x1 convolutions have a shuffle behind the first."""
    channels = b.channels(x)
    mid = channels * expansion
    y = conv_norm_act(b, x, mid, 1, groups=groups)
    if groups > 1:
        y = b.op("channel_shuffle", y, groups=groups)
    y = conv_norm_act(b, y, mid, kernel, stride=stride, groups=mid)
    y = conv_norm_act(b, y, out, 1, groups=groups, activation=None)
    return b.op("add", x, y) if stride == 1 and channels == out else y


def _skip(b: NetworkBuilder, x: str, *, out: int, stride: int) -> str:
    if stride == 1 and b.channels(x) == out:
        return x
    return conv_norm_act(b, x, out, 1, stride=stride, activation=None)


def _head(b: NetworkBuilder, x: str) -> str:
    return classifier(b, conv_norm_act(b, x, _LAST, 1))
