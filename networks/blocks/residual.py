"""Residual blocks of ResNet (arXiv:1512.03385, figure 5) and ResNeXt (arXiv:1611.05431, figure 3c)."""

from ..graph import NetworkBuilder
from .basic import conv_norm_act

EXPANSION = 4
"""Output channels of a bottleneck per channel of its middle at width 64."""


def _shortcut(b: NetworkBuilder, x: str, out_channels: int, stride: int) -> str:
    """The input itself, or a strided pointwise convolution of it where the shape changes."""
    if stride == 1 and b.channels(x) == out_channels:
        return x
    names = ("downsample.0", "downsample.1", "")
    return conv_norm_act(b, x, out_channels, 1, stride=stride, activation=None, names=names)


def basic_block(b: NetworkBuilder, x: str, channels: int, *, stride: int = 1) -> str:
    """Two 3x3 convolutions and a shortcut: N x C x H x W to N x ``channels`` x H/stride x W/stride."""
    y = conv_norm_act(b, x, channels, stride=stride, names=("conv1", "bn1", "relu"))
    y = conv_norm_act(b, y, channels, activation=None, names=("conv2", "bn2", ""))
    y = b.op("add", y, _shortcut(b, x, channels, stride), name="add")
    return b.op("relu", y, name="relu")


def bottleneck(
    b: NetworkBuilder, x: str, channels: int, *, stride: int = 1, groups: int = 1, width_per_group: int = 64
) -> str:
    """1x1 down, 3x3 (strided and grouped: "v1.5"), 1x1 up, and a shortcut; 4 ``channels`` come out.

    The middle has ``channels * width_per_group / 64 * groups`` channels: ResNeXt 32x4d is ``groups=32,
    width_per_group=4``.
    """
    width = channels * width_per_group // 64 * groups
    out = channels * EXPANSION
    y = conv_norm_act(b, x, width, 1, names=("conv1", "bn1", "relu"))
    y = conv_norm_act(b, y, width, stride=stride, groups=groups, names=("conv2", "bn2", "relu"))
    y = conv_norm_act(b, y, out, 1, activation=None, names=("conv3", "bn3", ""))
    y = b.op("add", y, _shortcut(b, x, out, stride), name="add")
    return b.op("relu", y, name="relu")
