"""How classifiers end."""

from ..graph import NetworkBuilder


def pooled(b: NetworkBuilder, x: str, name: str = "avgpool") -> str:
    """N x C x H x W averaged over the image: N x C."""
    return b.op("flatten", b.op("global_avg_pool2d", x, name=name), name="flatten")


def classifier(b: NetworkBuilder, x: str, num_classes: int, name: str = "fc") -> str:
    """N x C x H x W averaged over the image, then one linear layer to N x ``num_classes``."""
    return b.op("linear", pooled(b, x), name=name, out_features=num_classes)
