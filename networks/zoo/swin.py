"""Swin transformer (arXiv:2103.14030)."""

from ..blocks import window_attention
from ..graph import NetworkBuilder
from ._registry import register

_WINDOW = 7


@register("swin_t", features=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24))
@register("swin_s", features=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24))
@register("swin_b", features=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32))
def swin(
    b: NetworkBuilder, x: str, num_classes: int, *, features: int, depths: tuple[int, ...], heads: tuple[int, ...]
) -> str:
    """4x4 patches, four stages of (shifted) window attention with patch merging between them, layout N x H x W x D."""
    with b.scope("features.0"):
        x = b.op("conv2d", x, name="0", out_channels=features, kernel_size=4, stride=4)
        x = b.op("transpose", x, name="1", perm=(0, 2, 3, 1))
        x = b.op("layer_norm", x, name="2")
    index = b.op(
        "constant",
        name="relative_position_index",
        shape=(_WINDOW**4,),
        dtype="int64",
        values=_relative_positions(_WINDOW),
    )
    for stage, (depth, stage_heads) in enumerate(zip(depths, heads, strict=True)):
        if stage > 0:
            with b.scope(f"features.{2 * stage}"):
                x = _merge_patches(b, x)
        for i in range(depth):
            with b.scope(f"features.{2 * stage + 1}.{i}"):
                shift = _WINDOW // 2 if i % 2 else 0
                x = window_attention(b, x, stage_heads, window=_WINDOW, shift=shift, bias_index=index)
    x = b.op("layer_norm", x, name="norm")
    x = b.op("transpose", x, name="permute", perm=(0, 3, 1, 2))
    x = b.op("flatten", b.op("global_avg_pool2d", x, name="avgpool"), name="flatten")
    return b.op("linear", x, name="head", out_features=num_classes)


def _merge_patches(b: NetworkBuilder, x: str) -> str:
    """2x2 neighbours joined into one token of 4 D features, then projected to 2 D."""
    height, width, features = b.shape(x)[1:]
    if height % 2 or width % 2:
        x = b.op("pad", x, name="pad", pads=(0, 0, 0, 0, 0, height % 2, width % 2, 0))
    rows = [b.op("slice", x, name="rows", axis=1, start=i, step=2) for i in (0, 1)]
    parts = [b.op("slice", row, name="columns", axis=2, start=j, step=2) for j in (0, 1) for row in rows]
    x = b.op("layer_norm", b.op("concat", *parts, name="concat", axis=3), name="norm")
    return b.op("linear", x, name="reduction", out_features=2 * features, bias=False)


def _relative_positions(window: int) -> tuple[float, ...]:
    """For each ordered pair of tokens of a window, the row of the bias table for their offset; window^4 numbers."""
    tokens = [(row, column) for row in range(window) for column in range(window)]
    span = 2 * window - 1
    return tuple(float((a - c + window - 1) * span + (b - d + window - 1)) for a, b in tokens for c, d in tokens)
