"""MobileNet V1 (arXiv:1704.04861), V2 (arXiv:1801.04381) and V3 (arXiv:1905.02244)."""

from ..blocks import conv_norm_act, depthwise_separable, inverted_bottleneck, make_divisible
from ..graph import NetworkBuilder
from ._head import classifier, pooled
from ._registry import positive_number, register

_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""(channels, stride) of each depthwise-separable block: table 1 of the paper."""

_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, repeats, stride) of each stage: table 2 of the paper."""

_V3Row = tuple[int, int, int, bool, str, int]

_V3_LARGE: tuple[_V3Row, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)
"""(kernel, expanded channels, channels, squeeze-excite, activation, stride): table 1 of the paper."""

_V3_SMALL: tuple[_V3Row, ...] = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
)
"""The same of table 2."""

_V3_EPS, _V3_MOMENTUM = 0.001, 0.01


@register("mobilenet_v1")
def mobilenet_v1(b: NetworkBuilder, x: str, num_classes: int, *, width_mult: float = 1.0) -> str:
    """Thirteen depthwise-separable blocks; ``width_mult`` scales every number of channels."""
    width = positive_number("width_mult", width_mult)
    x = conv_norm_act(
        b, x, make_divisible(32 * width), stride=2, names=("features.0.0", "features.0.1", "features.0.2")
    )
    for i, (channels, stride) in enumerate(_V1, start=1):
        with b.scope(f"features.{i}"):
            x = depthwise_separable(b, x, make_divisible(channels * width), stride=stride)
    return classifier(b, x, num_classes, "classifier")


@register("mobilenet_v2")
def mobilenet_v2(b: NetworkBuilder, x: str, num_classes: int, *, width_mult: float = 1.0) -> str:
    """Inverted bottlenecks; ``width_mult`` scales every number of channels, the last 1x1 only upwards."""
    width = positive_number("width_mult", width_mult)
    channels = make_divisible(32 * width)
    x = conv_norm_act(
        b, x, channels, stride=2, activation="relu6", names=("features.0.0", "features.0.1", "features.0.2")
    )
    index = 1
    for expansion, out, repeats, first_stride in _V2:
        for i in range(repeats):
            with b.scope(f"features.{index}"):
                x = inverted_bottleneck(
                    b,
                    x,
                    make_divisible(out * width),
                    mid_channels=b.channels(x) * expansion,
                    stride=first_stride if i == 0 else 1,
                    style="mobilenet_v2",
                )
            index += 1
    names = (f"features.{index}.0", f"features.{index}.1", f"features.{index}.2")
    x = conv_norm_act(b, x, make_divisible(1280 * max(1.0, width)), 1, activation="relu6", names=names)
    return classifier(b, x, num_classes, "classifier.1")


@register("mobilenet_v3_large", rows=_V3_LARGE, head=1280)
@register("mobilenet_v3_small", rows=_V3_SMALL, head=1024)
def mobilenet_v3(
    b: NetworkBuilder,
    x: str,
    num_classes: int,
    *,
    rows: tuple[_V3Row, ...],
    head: int,
    width_mult: float = 1.0,
) -> str:
    """Inverted bottlenecks with squeeze-and-excitation and hard swish; the last 1x1 follows the pooling."""
    width = positive_number("width_mult", width_mult)
    names = ("features.0.0", "features.0.1", "features.0.2")
    x = conv_norm_act(
        b,
        x,
        make_divisible(16 * width),
        stride=2,
        activation="hard_swish",
        names=names,
        eps=_V3_EPS,
        momentum=_V3_MOMENTUM,
    )
    for i, (kernel, mid, out, squeeze, activation, stride) in enumerate(rows, start=1):
        mid_channels = make_divisible(mid * width)
        with b.scope(f"features.{i}"):
            x = inverted_bottleneck(
                b,
                x,
                make_divisible(out * width),
                mid_channels=mid_channels,
                kernel_size=kernel,
                stride=stride,
                squeeze_channels=make_divisible(mid_channels // 4) if squeeze else 0,
                activation=activation,
                style="nested",
                eps=_V3_EPS,
                momentum=_V3_MOMENTUM,
            )
    last = f"features.{len(rows) + 1}"
    names = (f"{last}.0", f"{last}.1", f"{last}.2")
    x = conv_norm_act(
        b, x, 6 * b.channels(x), 1, activation="hard_swish", names=names, eps=_V3_EPS, momentum=_V3_MOMENTUM
    )
    x = b.op("linear", pooled(b, x), name="classifier.0", out_features=make_divisible(head * width))
    x = b.op("hard_swish", x, name="classifier.1")
    return b.op("linear", x, name="classifier.3", out_features=num_classes)
