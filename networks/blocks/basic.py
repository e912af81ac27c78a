"""The pieces nearly every convolutional network is made of."""

from ..graph import NetworkBuilder

CONV_NORM_ACT = ("conv", "norm", "act")
"""Default names of the three nodes of `conv_norm_act`."""

SQUEEZE_EXCITE = ("avgpool", "fc1", "activation", "fc2", "scale_activation", "mul")
"""Default names of the six nodes of `squeeze_excite`."""


def make_divisible(value: float, divisor: int = 8) -> int:
    """``value`` rounded to a multiple of ``divisor``, never down by more than 10 % (MobileNetV2's reference code)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def conv_norm_act(
    b: NetworkBuilder,
    x: str,
    out_channels: int,
    kernel_size: int = 3,
    *,
    stride: int = 1,
    padding: int | None = None,
    dilation: int = 1,
    groups: int = 1,
    norm: bool = True,
    bias: bool | None = None,
    eps: float = 1e-5,
    momentum: float = 0.1,
    activation: str | None = "relu",
    names: tuple[str, str, str] = CONV_NORM_ACT,
) -> str:
    """Convolution, batch norm, activation: N x C x H x W to N x ``out_channels`` x H' x W'.

    Args:
        padding: zeros on every side; None keeps the size at stride 1 (odd windows).
        norm: whether a batch norm follows the convolution.
        bias: of the convolution; None means only where no norm follows.
        eps, momentum: of the batch norm.
        activation: an op kind of one input, or None.
        names: of the convolution, the norm and the activation.
    """
    x = b.op(
        "conv2d",
        x,
        name=names[0],
        out_channels=out_channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=dilation * (kernel_size - 1) // 2 if padding is None else padding,
        dilation=dilation,
        groups=groups,
        bias=not norm if bias is None else bias,
    )
    if norm:
        x = b.op("batch_norm", x, name=names[1], eps=eps, momentum=momentum)
    return b.op(activation, x, name=names[2]) if activation else x


def squeeze_excite(
    b: NetworkBuilder,
    x: str,
    squeeze_channels: int,
    *,
    activation: str = "relu",
    gate: str = "sigmoid",
    names: tuple[str, str, str, str, str, str] = SQUEEZE_EXCITE,
) -> str:
    """Channels of N x C x H x W weighted by a small network of their means (arXiv:1709.01507, section 3).

    MACs: 2 C ``squeeze_channels`` per image.
    """
    channels = b.channels(x)
    scale = b.op("global_avg_pool2d", x, name=names[0])
    scale = b.op("conv2d", scale, name=names[1], out_channels=squeeze_channels, kernel_size=1)
    scale = b.op(activation, scale, name=names[2])
    scale = b.op("conv2d", scale, name=names[3], out_channels=channels, kernel_size=1)
    return b.op("mul", x, b.op(gate, scale, name=names[4]), name=names[5])
