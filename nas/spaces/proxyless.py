"""ProxylessNAS's space for ImageNet (arXiv:1812.00332, section 4.2; github.com/mit-han-lab/proxylessnas).

21 inverted bottlenecks in six stages. Each chooses its kernel size and expansion; all but the first of a stage can be
left out: 6^6 * 7^15 networks. `proxyless` has the widths of the mobile network that was released; the published
latency table and the search itself have 24 channels in the first stage, which is `proxyless-24`.
"""

from functools import partial

from ...networks import NetworkBuilder
from ...networks.blocks import conv_norm_act, inverted_bottleneck
from ...networks.lowering.blocks import Block
from ._mobile import Stage, chains, classifier, nothing
from ._registry import register
from .chain import ChainSpace

_EPS = 0.001
_CHOICES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))
_NAMES = tuple(f"{kernel}x{kernel} e{expansion}" for kernel, expansion in _CHOICES)


def _space(name: str, first_width: int, resolutions: tuple[int, ...]) -> ChainSpace:
    stages = (
        Stage(first_width, 4, 2),
        Stage(40, 4, 2),
        Stage(80, 4, 2),
        Stage(96, 4, 1),
        Stage(192, 4, 2),
        Stage(320, 1, 1),
    )
    positions: list[list[Block]] = []
    names: list[tuple[str, ...]] = []
    for stage in stages:
        for i, stride in enumerate(stage.strides):
            blocks: list[Block] = [
                partial(_block, out=stage.channels, stride=stride, kernel=k, expansion=e) for k, e in _CHOICES
            ]
            positions.append(blocks if i == 0 else [*blocks, nothing])
            names.append(_NAMES if i == 0 else (*_NAMES, "none"))
    return ChainSpace(name, chains(name, resolutions, _stem, positions, _head), names)


@register("proxyless", 224)
def proxyless(resolutions: tuple[int, ...]) -> ChainSpace:
    """With the widths of ProxylessNAS-Mobile."""
    return _space("proxyless", 32, resolutions)


@register("proxyless-24", 224)
def proxyless_24(resolutions: tuple[int, ...]) -> ChainSpace:
    """With the widths of the published latency table."""
    return _space("proxyless-24", 24, resolutions)


def _stem(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, 32, 3, stride=2, activation="relu6", eps=_EPS)
    return inverted_bottleneck(b, x, 16, mid_channels=32, eps=_EPS)


def _block(b: NetworkBuilder, x: str, *, out: int, stride: int, kernel: int, expansion: int) -> str:
    mid = b.channels(x) * expansion
    return inverted_bottleneck(b, x, out, mid_channels=mid, kernel_size=kernel, stride=stride, eps=_EPS)


def _head(b: NetworkBuilder, x: str) -> str:
    return classifier(b, conv_norm_act(b, x, 1280, 1, activation="relu6", eps=_EPS))
