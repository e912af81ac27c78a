"""Densely connected layers (arXiv:1608.06993, section 3)."""

from collections.abc import Sequence

from ..graph import NetworkBuilder


def dense_layer(b: NetworkBuilder, features: Sequence[str], growth: int, *, bottleneck: int = 4) -> str:
    """All earlier features concatenated; norm, ReLU, 1x1 to ``bottleneck * growth``; norm, ReLU, 3x3 to ``growth``.

    Args:
        features: the block's input and the outputs of its earlier layers.
    """
    x = features[0] if len(features) == 1 else b.op("concat", *features, name="concat")
    x = b.op("relu", b.op("batch_norm", x, name="norm1"), name="relu1")
    x = b.op("conv2d", x, name="conv1", out_channels=bottleneck * growth, kernel_size=1, bias=False)
    x = b.op("relu", b.op("batch_norm", x, name="norm2"), name="relu2")
    return b.op("conv2d", x, name="conv2", out_channels=growth, kernel_size=3, padding=1, bias=False)


def transition(b: NetworkBuilder, x: str, out_channels: int) -> str:
    """Norm, ReLU, 1x1 convolution and a 2x2 average pool: half the size, ``out_channels`` channels."""
    x = b.op("relu", b.op("batch_norm", x, name="norm"), name="relu")
    x = b.op("conv2d", x, name="conv", out_channels=out_channels, kernel_size=1, bias=False)
    return b.op("avg_pool2d", x, name="pool", kernel_size=2, stride=2)
