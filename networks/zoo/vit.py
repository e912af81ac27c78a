"""Vision transformers (arXiv:2010.11929; the tiny one from arXiv:2012.12877)."""

from ..blocks import transformer_block
from ..errors import ShapeError
from ..graph import NetworkBuilder
from ._registry import register


@register("vit_tiny", features=192, depth=12, heads=3, patch=16)
@register("vit_b_16", features=768, depth=12, heads=12, patch=16)
@register("vit_b_32", features=768, depth=12, heads=12, patch=32)
@register("vit_l_16", features=1024, depth=24, heads=16, patch=16)
def vit(b: NetworkBuilder, x: str, num_classes: int, *, features: int, depth: int, heads: int, patch: int) -> str:
    """Patches as tokens, a class token, learned positions, pre-norm encoder blocks; the class token is classified."""
    batch, _, height, width = b.shape(x)
    if height % patch or width % patch:
        raise ShapeError(f"{patch}x{patch} patches do not tile the image", hint=f"use a multiple of {patch}")
    x = b.op("conv2d", x, name="conv_proj", out_channels=features, kernel_size=patch, stride=patch)
    x = b.op("flatten", x, name="flatten", start_axis=2)
    x = b.op("transpose", x, name="to_tokens", perm=(0, 2, 1))
    token = b.op("parameter", name="class_token", shape=(1, 1, features))
    if batch > 1:
        token = b.op("expand", token, name="class_tokens", shape=(batch, 1, features))
    x = b.op("concat", token, x, name="with_class_token", axis=1)
    with b.scope("encoder"):
        positions = b.op("parameter", name="pos_embedding", shape=(1, *b.shape(x)[1:]))
        x = b.op("add", x, positions, name="add")
        for i in range(depth):
            with b.scope(f"layers.encoder_layer_{i}"):
                x = transformer_block(b, x, heads)
        x = b.op("layer_norm", x, name="ln", eps=1e-6)
    x = b.op("slice", x, name="class", axis=1, end=1)
    x = b.op("reshape", x, name="class_features", shape=(batch, features))
    return b.op("linear", x, name="heads.head", out_features=num_classes)
