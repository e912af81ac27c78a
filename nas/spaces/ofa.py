"""Once-for-All's space on MobileNetV3 (arXiv:1908.09791, section 3; github.com/mit-han-lab/once-for-all).

Five stages of two to four blocks; every block chooses its kernel size (3, 5, 7) and expansion (3, 4, 6):
(9^2 + 9^3 + 9^4)^5 networks for each size of image. The released super-nets have the widths 1.0 and 1.2. `ofa-small`
is a space of ours of the same form, for small images of ten classes such as CIFAR-10's: processors can train its
super-net.
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

_SMALL_DEPTHS = (1, 2, 3)
_SMALL_STAGES = (
    (Stage(24, max(_SMALL_DEPTHS), 2), "relu", False),
    (Stage(40, max(_SMALL_DEPTHS), 2), "hard_swish", True),
)
_SMALL_STEM, _SMALL_FINAL, _SMALL_CLASSES = 16, 160, 10


@register("ofa-mbv3", 128, 160, 176, 192, 224)
def ofa_mbv3(resolutions: tuple[int, ...]) -> StagedSpace:
    """Once-for-All's space at width 1.0.

    Raises:
        UsageError: a size of image that the super-net was not trained for.
    """
    return _space("ofa-mbv3", 1.0, resolutions)


@register("ofa-mbv3-w1.2", 160, 176, 192, 208, 224)
def ofa_mbv3_w1_2(resolutions: tuple[int, ...]) -> StagedSpace:
    """Once-for-All's space at width 1.2, for the images of the published latency table and accuracy predictor.

    Raises:
        UsageError: a size of image that the super-net was not trained for.
    """
    return _space("ofa-mbv3-w1.2", 1.2, resolutions)


def _space(name: str, width: float, resolutions: tuple[int, ...]) -> StagedSpace:
    wrong = [side for side in resolutions if side not in RESOLUTIONS]
    if wrong:
        raise UsageError(f"{name} has no images of {wrong[0]} pixels", hint="use 128, 132, 136, ... 224")
    return _staged(
        name, resolutions, partial(_stem, width=width), _STAGES, _DEPTHS, partial(_head, width=width), width=width
    )


@register("ofa-small", 16, 20, 24)
def ofa_small(resolutions: tuple[int, ...]) -> StagedSpace:
    """Two stages of one to three blocks, ten classes: (9 + 9^2 + 9^3)^2 networks for each size of image."""
    return _staged("ofa-small", resolutions, _small_stem, _SMALL_STAGES, _SMALL_DEPTHS, _small_head)


def _staged(
    name: str,
    resolutions: tuple[int, ...],
    stem: Block,
    stages: tuple[tuple[Stage, str, bool], ...],
    depths: tuple[int, ...],
    head: Block,
    *,
    width: float = 1.0,
) -> StagedSpace:
    """Stages of blocks of all kernel sizes and expansions between a stem and a head."""
    blocks: list[list[list[Block]]] = []
    for stage, activation, squeeze in stages:
        out = make_divisible(stage.channels * width)
        block = partial(_block, out=out, activation=activation, squeeze=squeeze)
        blocks.append([[partial(block, stride=s, kernel=k, expansion=e) for k, e in _CHOICES] for s in stage.strides])
    of_stages = [depths] * len(stages)
    made = chains(name, resolutions, stem, positions(of_stages, blocks), head)
    return StagedSpace(name, resolutions, made, of_stages, _NAMES)


def _stem(b: NetworkBuilder, x: str, *, width: float) -> str:
    channels = make_divisible(_STEM * width)
    x = conv_norm_act(b, x, channels, 3, stride=2, activation="hard_swish")
    return inverted_bottleneck(b, x, channels, mid_channels=channels, activation="relu")


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


def _head(b: NetworkBuilder, x: str, *, width: float) -> str:
    x = conv_norm_act(b, x, make_divisible(_FINAL_EXPAND * width), 1, activation="hard_swish")
    x = b.op("global_avg_pool2d", x)
    x = conv_norm_act(b, x, make_divisible(_FEATURE_MIX * width), 1, norm=False, bias=False, activation="hard_swish")
    return b.op("linear", b.op("flatten", x), out_features=CLASSES)


def _small_stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, _SMALL_STEM, 3, stride=2, activation="hard_swish")


def _small_head(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, _SMALL_FINAL, 1, activation="hard_swish")
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=_SMALL_CLASSES)
