"""ResNet (arXiv:1512.03385), ResNeXt (arXiv:1611.05431) and wide ResNet (arXiv:1605.07146)."""

from ..blocks import basic_block, bottleneck, conv_norm_act
from ..graph import NetworkBuilder
from ._head import classifier
from ._registry import register


@register("resnet18", depths=(2, 2, 2, 2), basic=True, groups=1, width_per_group=64)
@register("resnet34", depths=(3, 4, 6, 3), basic=True, groups=1, width_per_group=64)
@register("resnet50", depths=(3, 4, 6, 3), basic=False, groups=1, width_per_group=64)
@register("resnet101", depths=(3, 4, 23, 3), basic=False, groups=1, width_per_group=64)
@register("resnet152", depths=(3, 8, 36, 3), basic=False, groups=1, width_per_group=64)
@register("resnext50_32x4d", depths=(3, 4, 6, 3), basic=False, groups=32, width_per_group=4)
@register("resnext101_32x8d", depths=(3, 4, 23, 3), basic=False, groups=32, width_per_group=8)
@register("wide_resnet50_2", depths=(3, 4, 6, 3), basic=False, groups=1, width_per_group=128)
def resnet(
    b: NetworkBuilder,
    x: str,
    num_classes: int,
    *,
    depths: tuple[int, ...],
    basic: bool,
    groups: int,
    width_per_group: int,
) -> str:
    """Stem of a strided 7x7 and a max pool, four stages of residual blocks, linear classifier."""
    x = conv_norm_act(b, x, 64, 7, stride=2, names=("conv1", "bn1", "relu"))
    x = b.op("max_pool2d", x, name="maxpool", kernel_size=3, stride=2, padding=1)
    for stage, depth in enumerate(depths):
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            with b.scope(f"layer{stage + 1}.{i}"):
                if basic:
                    x = basic_block(b, x, 64 << stage, stride=stride)
                else:
                    x = bottleneck(b, x, 64 << stage, stride=stride, groups=groups, width_per_group=width_per_group)
    return classifier(b, x, num_classes)
