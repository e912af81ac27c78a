"""Units of ShuffleNet v1 (arXiv:1707.01083, figure 2) and v2 (arXiv:1807.11164, figure 3)."""

from ..errors import ShapeError
from ..graph import NetworkBuilder
from .basic import conv_norm_act


def shuffle_unit_v1(
    b: NetworkBuilder, x: str, out_channels: int, *, groups: int, stride: int = 1, group_first: bool = True
) -> str:
    """Grouped 1x1, channel shuffle, depthwise 3x3 without activation, grouped 1x1, shortcut, ReLU.

    At stride 1 the shortcut is added, at stride 2 it is a 3x3 average pool whose channels are concatenated. The
    middle has ``out_channels`` / 4 channels.

    Args:
        group_first: False for the first unit of a network, whose input has too few channels to be grouped.

    Raises:
        ShapeError: the number of channels changes at stride 1, or does not grow at stride 2.
    """
    channels = b.channels(x)
    made = out_channels if stride == 1 else out_channels - channels
    if made < 1 or (stride == 1 and out_channels != channels):
        raise ShapeError(f"a shuffle unit at stride {stride} cannot turn {channels} channels into {out_channels}")
    mid = out_channels // 4
    y = conv_norm_act(b, x, mid, 1, groups=groups if group_first else 1, names=("conv1", "bn1", "relu1"))
    if groups > 1:
        y = b.op("channel_shuffle", y, name="shuffle", groups=groups)
    y = conv_norm_act(b, y, mid, stride=stride, groups=mid, activation=None, names=("conv2", "bn2", ""))
    y = conv_norm_act(b, y, made, 1, groups=groups, activation=None, names=("conv3", "bn3", ""))
    if stride == 1:
        y = b.op("add", x, y, name="add")
    else:
        pooled = b.op("avg_pool2d", x, name="shortcut", kernel_size=3, stride=stride, padding=1)
        y = b.op("concat", pooled, y, name="concat")
    return b.op("relu", y, name="relu")


def shuffle_unit_v2(b: NetworkBuilder, x: str, out_channels: int, *, stride: int = 1) -> str:
    """Channel split, one branch of 1x1, depthwise 3x3, 1x1, concatenation, channel shuffle.

    At stride 2 nothing is split and the other branch is a depthwise 3x3 and a 1x1.

    Raises:
        ShapeError: the number of channels is odd, or changes at stride 1.
    """
    if out_channels % 2 or (stride == 1 and out_channels != b.channels(x)):
        raise ShapeError(f"a shuffle unit at stride {stride} cannot turn {b.channels(x)} channels into {out_channels}")
    half = out_channels // 2
    if stride == 1:
        left, right = b.ops("split", x, name="split", sizes=(half, half))
    else:
        right = x
        left = _depthwise(b, x, stride, ("branch1.0", "branch1.1", ""))
        left = conv_norm_act(b, left, half, 1, names=("branch1.2", "branch1.3", "branch1.4"))
    right = conv_norm_act(b, right, half, 1, names=("branch2.0", "branch2.1", "branch2.2"))
    right = _depthwise(b, right, stride, ("branch2.3", "branch2.4", ""))
    right = conv_norm_act(b, right, half, 1, names=("branch2.5", "branch2.6", "branch2.7"))
    y = b.op("concat", left, right, name="concat")
    return b.op("channel_shuffle", y, name="shuffle", groups=2)


def _depthwise(b: NetworkBuilder, x: str, stride: int, names: tuple[str, str, str]) -> str:
    channels = b.channels(x)
    return conv_norm_act(b, x, channels, stride=stride, groups=channels, activation=None, names=names)
