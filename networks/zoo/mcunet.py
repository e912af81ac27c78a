"""Networks of MCUNet and their baselines (arXiv:2007.10319; github.com/mit-han-lab/mcunet).

in0 ... in4 are the int8 networks for 10 frames/s, 5 frames/s, 256 kB, 320 kB and 512 kB of SRAM; the ``int4`` ones
are for the same budgets at half the bits; vww0 ... vww2 tell whether there is a person in an image (visual wake words),
for 10 frames/s, 5 frames/s and 320 kB; the others are the hand-scaled networks they were compared with, ``r64`` at the
size of image that TinyEngine's table of latencies has (github.com/mit-han-lab/tinyengine).
"""

from ..graph import NetworkBuilder
from ._registry import register
from .block_list import BlockList, append, from_stages

_IN0 = from_stages(
    24,
    16,
    (
        (16, 2, "5x4 3x3 3x4"),
        (24, 2, "7x5 5x4 5x5"),
        (48, 2, "7x5 5x4"),
        (56, 1, "3x5 5x4 3x5"),
        (112, 2, "3x6 5x4"),
        (192, 1, "3x6"),
    ),
)
_IN1 = from_stages(
    16,
    8,
    (
        (16, 2, "3x4 3x3"),
        (24, 2, "7x3 3x5"),
        (40, 2, "3x5 7x4"),
        (48, 1, "5x4 3x3 3x4"),
        (96, 2, "7x5 5x4 5x4"),
        (160, 1, "3x6"),
    ),
)
_IN2 = from_stages(
    16,
    8,
    (
        (16, 2, "5x3 7x6 3x5 5x5"),
        (24, 2, "3x5 7x6 5x6"),
        (40, 2, "7x4 5x5"),
        (48, 1, "3x5 5x5 3x4"),
        (96, 2, "5x6 5x4 5x3 3x4"),
        (160, 1, "5x5"),
    ),
)
_IN3 = from_stages(
    16,
    8,
    (
        (16, 2, "7x3 3x5 7x5 5x4"),
        (24, 2, "5x5 5x5 5x5"),
        (40, 2, "3x5 7x6 5x4"),
        (48, 1, "5x5 7x5 3x5"),
        (96, 2, "3x6 7x5 3x4"),
        (160, 1, "7x5"),
    ),
)
_IN4 = from_stages(
    32,
    16,
    (
        (24, 2, "7x3 3x5 5x4"),
        (40, 2, "7x5 3x4 7x4"),
        (80, 2, "7x3 3x3 7x3"),
        (96, 1, "3x4 5x3 5x3"),
        (192, 2, "7x4 7x3 5x3"),
        (320, 1, "5x4"),
    ),
)
_INT4_256KB = from_stages(
    32,
    16,
    (
        (24, 2, "7x3 3x6 5x5 7x3"),
        (40, 2, "7x5 5x3 7x4"),
        (72, 2, "3x5 7x4"),
        (88, 1, "5x6 5x4 7x3"),
        (176, 2, "3x5 5x4"),
        (288, 1, "5x4"),
    ),
)
_INT4_320KB = from_stages(
    32,
    16,
    (
        (24, 2, "7x3 5x6 5x6"),
        (40, 2, "7x4 3x4 7x4 5x4"),
        (72, 2, "7x4 7x6 5x4"),
        (88, 1, "5x3 5x3 7x4"),
        (176, 2, "3x5 3x3"),
        (288, 1, "7x4"),
    ),
)
_INT4_512KB = from_stages(
    48,
    24,
    (
        (40, 2, "7x3 3x5 3x5 3x5"),
        (64, 2, "5x6 7x4 5x5"),
        (120, 2, "7x5 7x4 3x4"),
        (144, 1, "5x4 3x4 7x3"),
        (288, 2, "3x5 7x3"),
        (480, 1, "5x4"),
    ),
)
_VWW0 = from_stages(
    16,
    8,
    (
        (16, 2, "5x6 3x4"),
        (24, 2, "3x5 3x4 3x4"),
        (40, 2, "3x5 3x4 7x3"),
        (48, 1, "3x3 3x4"),
        (96, 2, "7x5 5x5"),
        (160, 1, "7x4"),
    ),
)
_VWW1 = from_stages(
    16,
    8,
    (
        (16, 2, "3x6 3x3 3x3"),
        (24, 2, "7x3 3x6 5x5"),
        (40, 2, "7x6 7x6"),
        (48, 1, "3x6 3x4"),
        (96, 2, "5x5 3x5 3x4"),
        (160, 1, "7x3"),
    ),
)
_VWW2 = from_stages(
    16,
    8,
    (
        (16, 2, "3x3 3x5 5x6 3x3"),
        (24, 2, "7x5 5x4 3x4 7x6"),
        (40, 2, "3x6 7x6 5x4 3x5"),
        (48, 1, "5x5 5x3 3x4 5x3"),
        (96, 2, "3x4 5x5 5x4 3x4"),
        (160, 1, "3x5"),
    ),
)
_PROXYLESS_W025 = from_stages(
    8,
    8,
    (
        (8, 2, "5x3 3x3"),
        (16, 2, "7x3 3x3 5x3 5x3"),
        (24, 2, "7x6 5x3 5x3 5x3"),
        (24, 1, "5x6 5x3 5x3 5x3"),
        (48, 2, "7x6 7x6 7x3 7x3"),
        (80, 1, "7x6"),
    ),
    feature_mix=320,
    eps=0.001,
)
_PROXYLESS_W03 = from_stages(
    16,
    8,
    (
        (16, 2, "5x3 3x3"),
        (16, 2, "7x3 3x3 5x3 5x3"),
        (24, 2, "7x6 5x3 5x3 5x3"),
        (32, 1, "5x6 5x3 5x3 5x3"),
        (64, 2, "7x6 7x6 7x3 7x3"),
        (96, 1, "7x6"),
    ),
    feature_mix=384,
    eps=0.001,
)
_MBV2_W03 = from_stages(
    16,
    8,
    (
        (8, 2, "3x6 3x6"),
        (16, 2, "3x6 3x6 3x6"),
        (24, 2, "3x6 3x6 3x6 3x6"),
        (32, 1, "3x6 3x6 3x6"),
        (48, 2, "3x6 3x6 3x6"),
        (96, 1, "3x6"),
    ),
    feature_mix=384,
    eps=0.001,
)
_MBV2_W035 = from_stages(
    16,
    8,
    (
        (8, 2, "3x6 3x6"),
        (16, 2, "3x6 3x6 3x6"),
        (24, 2, "3x6 3x6 3x6 3x6"),
        (32, 1, "3x6 3x6 3x6"),
        (56, 2, "3x6 3x6 3x6"),
        (112, 1, "3x6"),
    ),
    feature_mix=448,
    eps=0.001,
)


@register("mcunet_in0", resolution=48, network=_IN0)
@register("mcunet_in1", resolution=96, network=_IN1)
@register("mcunet_in2", resolution=160, network=_IN2)
@register("mcunet_in3", resolution=176, network=_IN3)
@register("mcunet_in4", resolution=160, network=_IN4)
@register("mcunet_256kb_int4", resolution=160, network=_INT4_256KB)
@register("mcunet_320kb_int4", resolution=176, network=_INT4_320KB)
@register("mcunet_512kb_int4", resolution=192, network=_INT4_512KB)
@register("mcunet_vww0", resolution=64, num_classes=2, network=_VWW0)
@register("mcunet_vww1", resolution=80, num_classes=2, network=_VWW1)
@register("mcunet_vww2", resolution=144, num_classes=2, network=_VWW2)
@register("mcunet_proxyless_w0.25", resolution=112, network=_PROXYLESS_W025)
@register("mcunet_proxyless_w0.3", resolution=176, network=_PROXYLESS_W03)
@register("mcunet_proxyless_w0.3_r64", resolution=64, network=_PROXYLESS_W03)
@register("mcunet_mbv2_w0.3", resolution=80, network=_MBV2_W03)
@register("mcunet_mbv2_w0.3_r64", resolution=64, network=_MBV2_W03)
@register("mcunet_mbv2_w0.35", resolution=144, network=_MBV2_W035)
def mcunet(b: NetworkBuilder, x: str, num_classes: int, *, network: BlockList) -> str:
    """A searched (or hand-scaled) list of inverted bottlenecks with ReLU6."""
    return append(b, x, num_classes, network)
