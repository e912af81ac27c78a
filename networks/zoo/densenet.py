"""DenseNet (arXiv:1608.06993)."""

from ..blocks import conv_norm_act, dense_layer, transition
from ..graph import NetworkBuilder
from ._head import classifier
from ._registry import register


@register("densenet121", depths=(6, 12, 24, 16))
@register("densenet169", depths=(6, 12, 32, 32))
@register("densenet201", depths=(6, 12, 48, 32))
def densenet(b: NetworkBuilder, x: str, num_classes: int, *, depths: tuple[int, ...], growth: int = 32) -> str:
    """Dense blocks, halved in channels and size by transitions.

    Args:
        growth: channels that each layer adds.
    """
    with b.scope("features"):
        x = conv_norm_act(b, x, 2 * growth, 7, stride=2, names=("conv0", "norm0", "relu0"))
        x = b.op("max_pool2d", x, name="pool0", kernel_size=3, stride=2, padding=1)
        for block, depth in enumerate(depths, start=1):
            features = [x]
            for layer in range(1, depth + 1):
                with b.scope(f"denseblock{block}.denselayer{layer}"):
                    features.append(dense_layer(b, features, growth))
            x = b.op("concat", *features, name=f"denseblock{block}.concat")
            if block < len(depths):
                with b.scope(f"transition{block}"):
                    x = transition(b, x, b.channels(x) // 2)
        x = b.op("relu", b.op("batch_norm", x, name="norm5"), name="relu5")
    return classifier(b, x, num_classes, "classifier")
