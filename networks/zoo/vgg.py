"""VGG (arXiv:1409.1556)."""

from ..graph import NetworkBuilder
from ._registry import register

_D = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Configuration D of the paper's table 1: filters of each 3x3 convolution, 0 for a max pool."""


@register("vgg16")
def vgg16(b: NetworkBuilder, x: str, num_classes: int) -> str:
    """Thirteen 3x3 convolutions and three linear layers; 7x7 features whatever the resolution."""
    index = 0
    for channels in _D:
        if channels == 0:
            x = b.op("max_pool2d", x, name=f"features.{index}", kernel_size=2, stride=2)
            index += 1
            continue
        x = b.op("conv2d", x, name=f"features.{index}", out_channels=channels, kernel_size=3, padding=1)
        x = b.op("relu", x, name=f"features.{index + 1}")
        index += 2
    x = b.op("adaptive_avg_pool2d", x, name="avgpool", output_size=7)
    x = b.op("flatten", x, name="flatten")
    for i in (0, 3):
        x = b.op("linear", x, name=f"classifier.{i}", out_features=4096)
        x = b.op("relu", x, name=f"classifier.{i + 1}")
    return b.op("linear", x, name="classifier.6", out_features=num_classes)
