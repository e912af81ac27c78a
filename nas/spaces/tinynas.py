"""TinyNAS' space for microcontrollers (MCUNet, arXiv:2007.10319, section 3.1): ProxylessNAS' stages at many widths.

Six stages of two to four inverted bottlenecks (the last has one), each with its kernel size (3, 5, 7) and expansion
(3, 4, 6), for twelve sizes of image. There is a space for each width from 0.2 to 1.0, ``tinynas-w0.2`` and so on:
together the grid of widths and resolutions that TinyNAS chooses from before it searches.
"""

from functools import partial

from ...networks import NetworkBuilder
from ...networks.blocks import conv_norm_act, inverted_bottleneck, make_divisible
from ...networks.lowering.blocks import Block
from ._mobile import Stage, chains, classifier
from ._registry import register
from .staged import StagedSpace, positions

RESOLUTIONS = tuple(range(48, 225, 16))
"""Heights and widths of images."""

WIDTHS = tuple(tenths / 10 for tenths in range(2, 11))
"""Factors on the channels of ProxylessNAS."""

_CHOICES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 4, 6))
_NAMES = tuple(f"{kernel}x{kernel} e{expansion}" for kernel, expansion in _CHOICES)
_LEAST_DEPTH = 2
_STEM, _FIRST = 32, 16
_STAGES = (
    Stage(24, 4, 2),
    Stage(40, 4, 2),
    Stage(80, 4, 2),
    Stage(96, 4, 1),
    Stage(192, 4, 2),
    Stage(320, 1, 1),
)


def tinynas(width: float, resolutions: tuple[int, ...]) -> StagedSpace:
    """The space of one width."""
    blocks: list[list[list[Block]]] = []
    for stage in _STAGES:
        block = partial(_block, out=make_divisible(stage.channels * width))
        blocks.append([[partial(block, stride=s, kernel=k, expansion=e) for k, e in _CHOICES] for s in stage.strides])
    depths = [range(min(_LEAST_DEPTH, stage.depth), stage.depth + 1) for stage in _STAGES]
    name = f"tinynas-w{width:.1f}"
    made = chains(name, resolutions, partial(_stem, width=width), positions(depths, blocks), classifier)
    return StagedSpace(name, resolutions, made, depths, _NAMES)


def _stem(b: NetworkBuilder, x: str, *, width: float) -> str:
    stem = make_divisible(_STEM * width)
    x = conv_norm_act(b, x, stem, 3, stride=2, activation="relu6")
    return inverted_bottleneck(b, x, make_divisible(_FIRST * width), mid_channels=stem)


def _block(b: NetworkBuilder, x: str, *, out: int, stride: int, kernel: int, expansion: int) -> str:
    mid = b.channels(x) * expansion
    return inverted_bottleneck(b, x, out, mid_channels=mid, kernel_size=kernel, stride=stride)


for _width in WIDTHS:
    register(f"tinynas-w{_width:.1f}", *RESOLUTIONS)(partial(tinynas, _width))
