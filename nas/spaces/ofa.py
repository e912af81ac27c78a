"""Once-for-All's space on MobileNetV3 (arXiv:1908.09791, section 3; github.com/mit-han-lab/once-for-all).

Five stages of two to four blocks; every block chooses its kernel size (3, 5, 7) and expansion (3, 4, 6):
(9^2 + 9^3 + 9^4)^5 networks for each size of image.
"""

from functools import partial

from ...networks import NetworkBuilder
from ...networks.blocks import conv_norm_act, inverted_bottleneck, make_divisible
from ...networks.errors import UsageError
from ...networks.lowering.blocks import Block
from ._mobile import CLASSES, Stage, chains
from ._registry import register
from .staged import StagedSpace, positions

RESOLUTIONS = tuple(range(128, 225, 4))
"""Sizes of image that the super-net was trained for."""

_DEPTHS = (2, 3, 4)
_STAGES = tuple(
    (Stage(channels, max(_DEPTHS), stride), activation, squeeze)
    for channels, stride, activation, squeeze in (
        (24, 2, "relu", False),
        (40, 2, "relu", True),
        (80, 2, "hard_swish", False),
        (112, 1, "hard_swish", True),
        (160, 2, "hard_swish", True),
    )
)
_CHOICES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 4, 6))
_NAMES = tuple(f"{kernel}x{kernel} e{expansion}" for kernel, expansion in _CHOICES)
_STEM, _FINAL_EXPAND, _FEATURE_MIX = 16, 960, 1280


@register("ofa-mbv3", 128, 160, 176, 192, 224)
def ofa_mbv3(resolutions: tuple[int, ...]) -> StagedSpace:
    """Once-for-All's space at width 1.0.

    Raises:
        UsageError: a size of image that the super-net was not trained for.
    """
    wrong = [side for side in resolutions if side not in RESOLUTIONS]
    if wrong:
        raise UsageError(f"ofa-mbv3 has no images of {wrong[0]} pixels", hint="use 128, 132, 136, ... 224")
    depths = [_DEPTHS] * len(_STAGES)
    blocks: list[list[list[Block]]] = []
    for stage, activation, squeeze in _STAGES:
        block = partial(_block, out=stage.channels, activation=activation, squeeze=squeeze)
        blocks.append([[partial(block, stride=s, kernel=k, expansion=e) for k, e in _CHOICES] for s in stage.strides])
    made = chains("ofa-mbv3", resolutions, _stem, positions(depths, blocks), _head)
    return StagedSpace("ofa-mbv3", resolutions, made, depths, _NAMES)


def _stem(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, _STEM, 3, stride=2, activation="hard_swish")
    return inverted_bottleneck(b, x, _STEM, mid_channels=_STEM, activation="relu")


def _block(
    b: NetworkBuilder, x: str, *, out: int, stride: int, activation: str, squeeze: bool, kernel: int, expansion: int
) -> str:
    mid = make_divisible(b.channels(x) * expansion)
    return inverted_bottleneck(
        b,
        x,
        out,
        mid_channels=mid,
        kernel_size=kernel,
        stride=stride,
        squeeze_channels=make_divisible(mid // 4) if squeeze else 0,
        activation=activation,
        skip=stride == 1 and b.channels(x) == out,
    )


def _head(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, _FINAL_EXPAND, 1, activation="hard_swish")
    x = b.op("global_avg_pool2d", x)
    x = conv_norm_act(b, x, _FEATURE_MIX, 1, norm=False, bias=False, activation="hard_swish")
    return b.op("linear", b.op("flatten", x), out_features=CLASSES)
