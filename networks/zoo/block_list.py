"""Networks written as a list of inverted bottlenecks: ProxylessNAS, MCUNet, Once-for-All and their sub-nets.

Two families differ at the end: "ProxylessNASNets" mixes features with a 1x1 convolution before the pooling,
"MobileNetV3" expands, pools, and mixes the pooled features without a norm.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..blocks import conv_norm_act, inverted_bottleneck, make_divisible
from ..errors import ShapeError, UsageError
from ..graph import Network, NetworkBuilder
from ._head import pooled
from ._registry import positive_int

_ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "h_swish": "hard_swish"}
"""Op kinds by the names that the published configurations use."""


@dataclass(frozen=True)
class BlockSpec:
    """One inverted bottleneck.

    Attributes:
        out_channels, kernel_size, stride: of the block.
        mid_channels: channels of its depthwise convolution; equal to the input's where nothing is expanded.
        activation: op kind.
        squeeze: squeeze-and-excitation to a quarter of the middle channels.
        skip: adds the input to the output.
    """

    out_channels: int
    kernel_size: int
    stride: int
    mid_channels: int
    activation: str = "relu6"
    squeeze: bool = False
    skip: bool = False


@dataclass(frozen=True)
class BlockList:
    """A whole network.

    Attributes:
        stem: channels of the first, strided 3x3 convolution.
        blocks: the inverted bottlenecks.
        final_expand: channels of the 1x1 convolution before the pooling in family "MobileNetV3"; 0: not that family.
        feature_mix: channels of the last 1x1 convolution; 0 for none.
        activation: op kind in the stem and at the end.
        eps: of the batch norms.
    """

    stem: int
    blocks: tuple[BlockSpec, ...]
    final_expand: int = 0
    feature_mix: int = 0
    activation: str = "relu6"
    eps: float = 1e-5


def append(b: NetworkBuilder, x: str, num_classes: int, network: BlockList) -> str:
    """Appends ``network`` to the builder: N x 3 x H x W images to N x ``num_classes`` logits."""
    x = _conv(b, x, network.stem, network, "stem", kernel_size=3, stride=2)
    for i, block in enumerate(network.blocks):
        with b.scope(f"blocks.{i}"):
            x = inverted_bottleneck(
                b,
                x,
                block.out_channels,
                mid_channels=block.mid_channels,
                kernel_size=block.kernel_size,
                stride=block.stride,
                squeeze_channels=make_divisible(block.mid_channels // 4) if block.squeeze else 0,
                activation=block.activation,
                skip=block.skip,
                eps=network.eps,
            )
    if network.final_expand:
        x = _conv(b, x, network.final_expand, network, "final_expand")
        x = b.op("global_avg_pool2d", x, name="avgpool")
        x = _conv(b, x, network.feature_mix, network, "feature_mix", norm=False)
        x = b.op("flatten", x, name="flatten")
    else:
        if network.feature_mix:
            x = _conv(b, x, network.feature_mix, network, "feature_mix")
        x = pooled(b, x)
    return b.op("linear", x, name="classifier", out_features=num_classes)


def _conv(
    b: NetworkBuilder,
    x: str,
    channels: int,
    network: BlockList,
    name: str,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    norm: bool = True,
) -> str:
    with b.scope(name):
        return conv_norm_act(
            b,
            x,
            channels,
            kernel_size,
            stride=stride,
            norm=norm,
            bias=False,
            eps=network.eps,
            activation=network.activation,
        )


def from_stages(
    stem: int, first: int, stages: Iterable[tuple[int, int, str]], *, feature_mix: int = 0, eps: float = 1e-5
) -> BlockList:
    """The short form of a family "ProxylessNASNets" network.

    Args:
        stem: channels of the stem.
        first: channels of the first block, which is a 3x3 without expansion.
        stages: (channels, stride, blocks), blocks being "kernel x expansion" each: ``"5x3 3x6"``. All but the first
            block of a stage have stride 1 and a shortcut.
        feature_mix: channels of the last 1x1 convolution; 0 for none.
        eps: of the batch norms.
    """
    blocks = [BlockSpec(first, 3, 1, stem)]
    channels = first
    for out, stride, written in stages:
        for i, text in enumerate(written.split()):
            kernel, expansion = map(int, text.split("x"))
            blocks.append(BlockSpec(out, kernel, stride if i == 0 else 1, channels * expansion, skip=i > 0))
            channels = out
    return BlockList(stem, tuple(blocks), feature_mix=feature_mix, eps=eps)


def parse_config(document: Mapping[str, Any]) -> tuple[BlockList, int, int]:
    """A network in the JSON form below, with its image size and number of classes.

    Keys: ``stem`` {cout, act}, ``blocks`` [{cin, cout, k, s, mid, act, se, skip}], optional ``final_expand`` {cout},
    optional ``feature_mix`` {cout} or null, ``classifier`` {cout}, ``bn_eps``, ``image_size``.

    Raises:
        UsageError: a key is missing or holds something else.
    """
    try:
        blocks = tuple(
            BlockSpec(
                positive_int("cout", e["cout"]),
                positive_int("k", e["k"]),
                positive_int("s", e["s"]),
                positive_int("mid", e["mid"]),
                _ACTIVATIONS[e["act"]],
                bool(e["se"]),
                bool(e["skip"]),
            )
            for e in document["blocks"]
        )
        network = BlockList(
            positive_int("stem.cout", document["stem"]["cout"]),
            blocks,
            (document.get("final_expand") or {}).get("cout", 0),
            (document.get("feature_mix") or {}).get("cout", 0),
            _ACTIVATIONS[document["stem"]["act"]],
            float(document["bn_eps"]),
        )
        return network, document["image_size"], document["classifier"]["cout"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"this is not a block-list configuration: {error!r}",
            hint="it needs stem, blocks, classifier, bn_eps and image_size",
        ) from None


def from_config(
    document: Mapping[str, Any],
    *,
    name: str = "block_list",
    batch: int = 1,
    resolution: int | None = None,
    num_classes: int | None = None,
) -> Network:
    """The network that a block-list configuration (see `parse_config`) describes.

    Args:
        document: the configuration.
        name: of the network.
        batch, resolution, num_classes: as in `lutra.networks.zoo.build`; None means what the configuration says.

    Raises:
        UsageError: not such a configuration.
        ShapeError: blocks that do not fit together, or an image that is too small.
    """
    network, size, classes = parse_config(document)
    b = NetworkBuilder(name)
    side = positive_int("resolution", size if resolution is None else resolution)
    x = b.input((positive_int("batch", batch), 3, side, side))
    try:
        return b.build(append(b, x, positive_int("num_classes", num_classes or classes), network))
    except ShapeError as error:
        raise ShapeError(f"{name}: {error.message}", hint=error.hint) from None
