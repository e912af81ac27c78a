"""ShuffleNet v1 (arXiv:1707.01083, table 1) and v2 (arXiv:1807.11164, table 5)."""

from ..blocks import conv_norm_act, shuffle_unit_v1, shuffle_unit_v2
from ..graph import NetworkBuilder
from ._head import classifier
from ._registry import register

_REPEATS = (4, 8, 4)


@register("shufflenet_v1_g1", groups=1, channels=144)
@register("shufflenet_v1_g2", groups=2, channels=200)
@register("shufflenet_v1_g3", groups=3, channels=240)
@register("shufflenet_v1_g4", groups=4, channels=272)
@register("shufflenet_v1_g8", groups=8, channels=384)
def shufflenet_v1(b: NetworkBuilder, x: str, num_classes: int, *, groups: int, channels: int) -> str:
    """Three stages of shuffle units, doubling ``channels``; the first pointwise convolution is not grouped."""
    x = conv_norm_act(b, x, 24, stride=2, names=("conv1.0", "conv1.1", "conv1.2"))
    x = b.op("max_pool2d", x, name="maxpool", kernel_size=3, stride=2, padding=1)
    for stage, repeats in enumerate(_REPEATS):
        for i in range(repeats):
            with b.scope(f"stage{stage + 2}.{i}"):
                x = shuffle_unit_v1(
                    b,
                    x,
                    channels << stage,
                    groups=groups,
                    stride=2 if i == 0 else 1,
                    group_first=stage > 0 or i > 0,
                )
    return classifier(b, x, num_classes)


@register("shufflenet_v2_x0_5", channels=(48, 96, 192, 1024))
@register("shufflenet_v2_x1_0", channels=(116, 232, 464, 1024))
@register("shufflenet_v2_x1_5", channels=(176, 352, 704, 1024))
@register("shufflenet_v2_x2_0", channels=(244, 488, 976, 2048))
def shufflenet_v2(b: NetworkBuilder, x: str, num_classes: int, *, channels: tuple[int, int, int, int]) -> str:
    """Three stages of split-and-shuffle units and a last 1x1 convolution."""
    *stages, last = channels
    x = conv_norm_act(b, x, 24, stride=2, names=("conv1.0", "conv1.1", "conv1.2"))
    x = b.op("max_pool2d", x, name="maxpool", kernel_size=3, stride=2, padding=1)
    for stage, (out, repeats) in enumerate(zip(stages, _REPEATS, strict=True), start=2):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                x = shuffle_unit_v2(b, x, out, stride=2 if i == 0 else 1)
    x = conv_norm_act(b, x, last, 1, names=("conv5.0", "conv5.1", "conv5.2"))
    return classifier(b, x, num_classes)
