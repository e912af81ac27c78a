"""Blocks around depthwise convolutions: MobileNetV1, V2, V3, MnasNet, EfficientNet and their descendants."""

from typing import Literal

from ..errors import ShapeError
from ..graph import NetworkBuilder
from .basic import conv_norm_act, squeeze_excite

NameStyle = Literal["plain", "mobilenet_v2", "nested", "flat"]
"""How the nodes of an inverted bottleneck are named: "plain" by their role, the others as torchvision's modules are:
"mobilenet_v2" (``conv.0.0``), "nested" (``block.0.0``: MobileNetV3, EfficientNet), "flat" (``layers.0``: MnasNet)."""

_Names = tuple[str, str, str]


def depthwise_separable(
    b: NetworkBuilder,
    x: str,
    out_channels: int,
    kernel_size: int = 3,
    *,
    stride: int = 1,
    activation: str | None = "relu",
    names: tuple[_Names, _Names] = (("dw.conv", "dw.norm", "dw.act"), ("pw.conv", "pw.norm", "pw.act")),
) -> str:
    """A depthwise and a pointwise convolution, each with norm and activation (arXiv:1704.04861, section 3.1).

    MACs: H W (k^2 C + C C') for output H x W; 1/C' + 1/k^2 of the dense convolution's.
    """
    channels = b.channels(x)
    x = conv_norm_act(
        b, x, channels, kernel_size, stride=stride, groups=channels, activation=activation, names=names[0]
    )
    return conv_norm_act(b, x, out_channels, 1, activation=activation, names=names[1])


def _node_names(style: NameStyle, parts: list[str]) -> dict[str, _Names]:
    """Names of conv, norm and activation of each part; of "se" only the first is used, as a scope."""
    names: dict[str, _Names] = {}
    for i, part in enumerate(parts):
        match style:
            case "plain":
                names[part] = (part if part == "se" else f"{part}.conv", f"{part}.norm", f"{part}.act")
            case "nested":
                names[part] = (f"block.{i}" if part == "se" else f"block.{i}.0", f"block.{i}.1", f"block.{i}.2")
            case "mobilenet_v2" if part == "project":  # the last convolution and norm are not wrapped
                names[part] = (f"conv.{i}", f"conv.{i + 1}", "")
            case "mobilenet_v2":
                names[part] = (f"conv.{i}.0", f"conv.{i}.1", f"conv.{i}.2")
            case "flat":
                names[part] = (f"layers.{3 * i}", f"layers.{3 * i + 1}", f"layers.{3 * i + 2}")
    return names


def inverted_bottleneck(
    b: NetworkBuilder,
    x: str,
    out_channels: int,
    *,
    mid_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    squeeze_channels: int = 0,
    gate: str = "hard_sigmoid",
    squeeze_activation: str = "relu",
    activation: str = "relu6",
    skip: bool | None = None,
    expand: bool | None = None,
    eps: float = 1e-5,
    momentum: float = 0.1,
    style: NameStyle = "plain",
) -> str:
    """MBConv: pointwise expansion, depthwise convolution, squeeze-and-excitation, linear pointwise projection.

    arXiv:1801.04381 (figure 3b), arXiv:1905.02244 (figure 4), arXiv:1905.11946 (section 4).

    Args:
        mid_channels: channels of the depthwise convolution.
        squeeze_channels: channels in the middle of squeeze-and-excitation; 0 leaves it out.
        gate, squeeze_activation: its last and its first activation.
        skip: adds the input to the output; None means wherever the shapes agree.
        expand: whether there is an expansion; None means unless it would keep the number of channels.
        eps, momentum: of the batch norms.
        style: how nodes are named.

    Raises:
        ShapeError: ``skip`` is asked for where the shapes do not agree, or no expansion where channels change.
    """
    channels = b.channels(x)
    fits = stride == 1 and channels == out_channels
    if skip and not fits:
        raise ShapeError(f"no shortcut from {channels} to {out_channels} channels at stride {stride}")
    expanded = mid_channels != channels if expand is None else expand
    if not expanded and mid_channels != channels:
        raise ShapeError(f"{channels} channels become {mid_channels} only through an expansion")
    parts = ["expand"] * expanded + ["depthwise"] + ["se"] * bool(squeeze_channels) + ["project"]
    names = _node_names(style, parts)

    y = x
    if expanded:
        y = conv_norm_act(
            b, y, mid_channels, 1, activation=activation, eps=eps, momentum=momentum, names=names["expand"]
        )
    y = conv_norm_act(
        b,
        y,
        mid_channels,
        kernel_size,
        stride=stride,
        groups=mid_channels,
        activation=activation,
        eps=eps,
        momentum=momentum,
        names=names["depthwise"],
    )
    if squeeze_channels:
        with b.scope(names["se"][0]):
            y = squeeze_excite(b, y, squeeze_channels, activation=squeeze_activation, gate=gate)
    y = conv_norm_act(b, y, out_channels, 1, activation=None, eps=eps, momentum=momentum, names=names["project"])
    return b.op("add", x, y, name="add") if (fits if skip is None else skip) else y
