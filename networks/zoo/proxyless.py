"""The four networks released with ProxylessNAS (arXiv:1812.00332; github.com/mit-han-lab/proxylessnas)."""

from ..graph import NetworkBuilder
from ._registry import register
from .block_list import BlockList, append, from_stages

_EPS = 0.001

_MOBILE = from_stages(
    32,
    16,
    (
        (32, 2, "5x3 3x3"),
        (40, 2, "7x3 3x3 5x3 5x3"),
        (80, 2, "7x6 5x3 5x3 5x3"),
        (96, 1, "5x6 5x3 5x3 5x3"),
        (192, 2, "7x6 7x6 7x3 7x3"),
        (320, 1, "7x6"),
    ),
    feature_mix=1280,
    eps=_EPS,
)

_MOBILE_14 = from_stages(
    48,
    24,
    (
        (40, 2, "5x3 3x3"),
        (56, 2, "7x3 3x3 5x3 5x3"),
        (112, 2, "7x6 5x3 5x3 5x3"),
        (136, 1, "5x6 5x3 5x3 5x3"),
        (256, 2, "7x6 7x6 7x3 7x3"),
        (448, 1, "7x6"),
    ),
    feature_mix=1792,
    eps=_EPS,
)

_CPU = from_stages(
    40,
    24,
    (
        (32, 2, "3x6 3x3 3x3 3x3"),
        (48, 2, "3x6 3x3 3x3 5x3"),
        (88, 2, "3x6 3x3"),
        (104, 1, "5x6 3x3 3x3 3x3"),
        (216, 2, "5x6 5x3 5x3 3x3"),
        (360, 1, "5x6"),
    ),
    feature_mix=1432,
    eps=_EPS,
)

_GPU = from_stages(
    40,
    24,
    (
        (32, 2, "5x3"),
        (56, 2, "7x3 3x3"),
        (112, 2, "7x6 5x3"),
        (128, 1, "5x6 3x3 5x3"),
        (256, 2, "7x6 7x6 7x6 5x6"),
        (432, 1, "7x6"),
    ),
    feature_mix=1728,
    eps=_EPS,
)


@register("proxyless_mobile", network=_MOBILE)
@register("proxyless_mobile_14", network=_MOBILE_14)
@register("proxyless_cpu", network=_CPU)
@register("proxyless_gpu", network=_GPU)
def proxyless(b: NetworkBuilder, x: str, num_classes: int, *, network: BlockList) -> str:
    """A searched list of inverted bottlenecks with ReLU6."""
    return append(b, x, num_classes, network)
