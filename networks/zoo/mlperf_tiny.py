"""The four reference networks of MLPerf Tiny (arXiv:2106.07597, table 1; github.com/mlcommons/tiny).

Image classification (ResNet-8, CIFAR-10), visual wake words (MobileNetV1 of a quarter of the width), keyword spotting
(a depthwise-separable network on 49 x 10 spectrograms) and anomaly detection (an autoencoder of vectors of 640).
Windows are padded as TensorFlow's "same" pads: the odd zero comes last.
"""

from ..blocks import depthwise_separable
from ..graph import NetworkBuilder
from ._head import pooled
from ._registry import register
from .mobilenet import mobilenet_v1

_IC_STAGES = ((16, 1), (32, 2), (64, 2))
"""(channels, stride) of ResNet-8's residual blocks."""

_KWS_CHANNELS, _KWS_BLOCKS = 64, 4
_AD_WIDTH, _AD_LAYERS, _AD_CODE = 128, 4, 8


def _conv_norm(
    b: NetworkBuilder,
    x: str,
    channels: int,
    kernel: int | tuple[int, int],
    stride: int,
    name: str,
    *,
    relu: bool = True,
) -> str:
    """A convolution with a bias, padded as TensorFlow does, batch norm, and ReLU if asked for."""
    window = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    total = [
        max((-(-size // stride) - 1) * stride + k - size, 0) for size, k in zip(b.shape(x)[2:], window, strict=True)
    ]
    before = [pad // 2 for pad in total]
    padding = (*before, *(pad - first for pad, first in zip(total, before, strict=True)))
    with b.scope(name):
        x = b.op("conv2d", x, name="conv", out_channels=channels, kernel_size=window, stride=stride, padding=padding)
        x = b.op("batch_norm", x, name="norm", eps=0.001)
        return b.op("relu", x, name="act") if relu else x


@register("mlperf_tiny_ic", resolution=32, num_classes=10)
def mlperf_tiny_ic(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """ResNet-8: three residual blocks of two 3x3 convolutions."""
    x = _conv_norm(b, x, _IC_STAGES[0][0], 3, 1, "stem")
    for i, (channels, stride) in enumerate(_IC_STAGES):
        with b.scope(f"blocks.{i}"):
            y = _conv_norm(b, x, channels, 3, stride, "conv1")
            y = _conv_norm(b, y, channels, 3, 1, "conv2", relu=False)
            if stride != 1:  # without a norm, as in the reference model
                x = b.op("conv2d", x, name="shortcut", out_channels=channels, kernel_size=1, stride=stride)
            x = b.op("relu", b.op("add", y, x, name="add"), name="relu")
    return _classified(b, x, num_classes)


@register("mlperf_tiny_vww", resolution=96, num_classes=2)
def mlperf_tiny_vww(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """MobileNetV1 with a quarter of the channels."""
    return b.op("softmax", mobilenet_v1(b, x, num_classes, width_mult=0.25), name="softmax")


@register("mlperf_tiny_kws", input_shape=(1, 49, 10), num_classes=12)
def mlperf_tiny_kws(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """DS-CNN: a 10x4 convolution and four depthwise-separable blocks, from 49 frames of 10 coefficients."""
    x = _conv_norm(b, x, _KWS_CHANNELS, (10, 4), 2, "stem")
    for i in range(_KWS_BLOCKS):
        with b.scope(f"blocks.{i}"):
            x = depthwise_separable(b, x, _KWS_CHANNELS)
    return _classified(b, x, num_classes)


@register("mlperf_tiny_ad", input_shape=(640,), num_classes=640)
def mlperf_tiny_ad(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """An autoencoder of five frames of 128 bands: fully connected layers, with 8 numbers in the middle."""
    widths = (*(_AD_WIDTH,) * _AD_LAYERS, _AD_CODE, *(_AD_WIDTH,) * _AD_LAYERS)
    for i, width in enumerate(widths):
        with b.scope(f"layers.{i}"):
            x = b.op("linear", x, name="fc", out_features=width)
            x = b.op("relu", b.op("batch_norm", x, name="norm", eps=0.001), name="act")
    return b.op("linear", x, name="output", out_features=num_classes)


def _classified(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """Probabilities from the averaged image."""
    return b.op("softmax", b.op("linear", pooled(b, x), name="fc", out_features=num_classes), name="softmax")
