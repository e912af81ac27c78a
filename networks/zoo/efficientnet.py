"""EfficientNet-B0 (arXiv:1905.11946) and the MnasNet it grew from (arXiv:1807.11626, figure 7)."""

from ..blocks import conv_norm_act, inverted_bottleneck, make_divisible
from ..graph import NetworkBuilder
from ._head import classifier
from ._registry import register

_B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""(expansion, kernel, stride, channels, repeats) of each stage: table 1 of the paper."""

_MNASNET = (
    (3, 3, 2, 24, 3),
    (3, 5, 2, 40, 3),
    (6, 5, 2, 80, 3),
    (6, 3, 1, 96, 2),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""The same of MnasNet-B1."""

_MNASNET_MOMENTUM = 0.0003


@register("efficientnet_b0")
def efficientnet_b0(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """MBConv with SiLU; squeeze-and-excitation to a quarter of the block's input channels."""
    x = conv_norm_act(b, x, 32, stride=2, activation="silu", names=("features.0.0", "features.0.1", "features.0.2"))
    for stage, (expansion, kernel, first_stride, out, repeats) in enumerate(_B0, start=1):
        for i in range(repeats):
            with b.scope(f"features.{stage}.{i}"):
                x = inverted_bottleneck(
                    b,
                    x,
                    out,
                    mid_channels=b.channels(x) * expansion,
                    kernel_size=kernel,
                    stride=first_stride if i == 0 else 1,
                    squeeze_channels=max(1, b.channels(x) // 4),
                    gate="sigmoid",
                    squeeze_activation="silu",
                    activation="silu",
                    style="nested",
                )
    x = conv_norm_act(b, x, 1280, 1, activation="silu", names=("features.8.0", "features.8.1", "features.8.2"))
    return classifier(b, x, num_classes, "classifier.1")


@register("mnasnet0_5", width=0.5)
@register("mnasnet0_75", width=0.75)
@register("mnasnet1_0", width=1.0)
@register("mnasnet1_3", width=1.3)
def mnasnet(b: NetworkBuilder, x: str, num_classes: int, *, width: float) -> str:
    """MnasNet-B1: inverted bottlenecks with ReLU, without squeeze-and-excitation."""
    stem = make_divisible(32 * width)
    x = conv_norm_act(b, x, stem, stride=2, names=("layers.0", "layers.1", "layers.2"), momentum=_MNASNET_MOMENTUM)
    x = conv_norm_act(b, x, stem, groups=stem, names=("layers.3", "layers.4", "layers.5"), momentum=_MNASNET_MOMENTUM)
    names = ("layers.6", "layers.7", "")
    x = conv_norm_act(b, x, make_divisible(16 * width), 1, activation=None, names=names, momentum=_MNASNET_MOMENTUM)
    for stage, (expansion, kernel, first_stride, out, repeats) in enumerate(_MNASNET, start=8):
        for i in range(repeats):
            with b.scope(f"layers.{stage}.{i}"):
                x = inverted_bottleneck(
                    b,
                    x,
                    make_divisible(out * width),
                    mid_channels=b.channels(x) * expansion,
                    kernel_size=kernel,
                    stride=first_stride if i == 0 else 1,
                    skip=i > 0,
                    activation="relu",
                    style="flat",
                    momentum=_MNASNET_MOMENTUM,
                )
    x = conv_norm_act(b, x, 1280, 1, names=("layers.14", "layers.15", "layers.16"), momentum=_MNASNET_MOMENTUM)
    return classifier(b, x, num_classes, "classifier.1")
