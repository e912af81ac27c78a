"""Self-attention over tokens (arXiv:1706.03762, 2010.11929) and over shifted windows (arXiv:2103.14030)."""

from ..errors import ShapeError
from ..graph import NetworkBuilder


def _heads(b: NetworkBuilder, x: str, heads: int, name: str) -> tuple[str, str, str]:
    """Queries, keys and values, each B x heads x T x D/heads, of tokens x: B x T x D."""
    batch, tokens, features = b.shape(x)
    if heads < 1 or features % heads:
        raise ShapeError(f"{features} features do not divide into {heads} heads")
    per_head = features // heads
    qkv = b.op("linear", x, name=name, out_features=3 * features)
    qkv = b.op("reshape", qkv, name="heads", shape=(batch, tokens, 3, heads, per_head))
    qkv = b.op("transpose", qkv, name="to_heads", perm=(2, 0, 3, 1, 4))
    parts = b.ops("split", qkv, name="split", sizes=(1, 1, 1), axis=0)
    shape = (batch, heads, tokens, per_head)
    q, k, v = (b.op("reshape", part, name=letter, shape=shape) for letter, part in zip("qkv", parts, strict=True))
    return q, k, v


def multi_head_attention(
    b: NetworkBuilder,
    x: str,
    heads: int,
    *,
    bias: str | None = None,
    names: tuple[str, str] = ("in_proj", "out_proj"),
) -> str:
    """softmax(q k^T / sqrt(D/heads) + bias) v per head, joined and projected: N x T x D to the same.

    MACs: 4 T D^2 + 2 T^2 D per sequence, whatever the number of heads.

    Args:
        bias: a value that broadcasts to N x heads x T x T, added to the scores.
        names: of the projection to queries, keys and values, and of the output projection.

    Raises:
        ShapeError: ``heads`` does not divide D.
    """
    q, k, v = _heads(b, x, heads, names[0])
    mask = () if bias is None else (bias,)
    y = b.op("sdpa", q, k, v, *mask, name="sdpa")
    y = b.op("transpose", y, name="from_heads", perm=(0, 2, 1, 3))
    y = b.op("reshape", y, name="join", shape=b.shape(x))
    return b.op("linear", y, name=names[1], out_features=b.shape(x)[-1])


def transformer_block(
    b: NetworkBuilder, x: str, heads: int, *, mlp_features: int | None = None, eps: float = 1e-6
) -> str:
    """Pre-norm encoder block on N x T x D: attention, then a two-layer GELU perceptron, each with a shortcut.

    Args:
        mlp_features: features in the middle of the perceptron; None means 4 D.
        eps: of the layer norms.
    """
    features = b.shape(x)[-1]
    y = b.op("layer_norm", x, name="ln_1", eps=eps)
    with b.scope("self_attention"):
        y = multi_head_attention(b, y, heads)
    x = b.op("add", x, y, name="add_1")
    y = b.op("layer_norm", x, name="ln_2", eps=eps)
    y = _perceptron(b, y, 4 * features if mlp_features is None else mlp_features)
    return b.op("add", x, y, name="add_2")


def _perceptron(b: NetworkBuilder, x: str, hidden: int) -> str:
    """Linear, GELU, linear, under torchvision's names (its dropouts do nothing at inference)."""
    features = b.shape(x)[-1]
    y = b.op("linear", x, name="mlp.0", out_features=hidden)
    y = b.op("gelu", y, name="mlp.1")
    return b.op("linear", y, name="mlp.3", out_features=features)


def window_attention(
    b: NetworkBuilder, x: str, heads: int, *, window: int, shift: int, bias_index: str, mlp_ratio: int = 4
) -> str:
    """Swin block on N x H x W x D: attention within ``window`` x ``window`` tiles, then a perceptron.

    Sizes that the window does not divide are padded, and an axis that fits into one window is not shifted, as in
    torchvision. The border mask of shifted windows is a constant without values: it costs what the real one costs.

    Args:
        shift: how far the tiles are moved down and right before they are cut.
        bias_index: int64 value with window^4 entries, the row of the relative-position table for each token pair.
    """
    y = b.op("layer_norm", x, name="norm1")
    with b.scope("attn"):
        y = _windowed(b, y, heads, window, shift, bias_index)
    x = b.op("add", x, y, name="add1")
    y = b.op("layer_norm", x, name="norm2")
    return b.op("add", x, _perceptron(b, y, mlp_ratio * b.shape(x)[-1]), name="add2")


def _windowed(b: NetworkBuilder, x: str, heads: int, window: int, shift: int, bias_index: str) -> str:
    batch, height, width, features = b.shape(x)
    bottom, right = -height % window, -width % window
    y = x
    if bottom or right:
        y = b.op("pad", y, name="pad", pads=(0, 0, 0, 0, 0, bottom, right, 0))
    rows, columns = (height + bottom) // window, (width + right) // window
    shifts = (shift if rows > 1 else 0, shift if columns > 1 else 0)
    y = _roll(b, y, shifts)

    y = b.op("reshape", y, name="tiles", shape=(batch, rows, window, columns, window, features))
    y = b.op("transpose", y, name="to_tiles", perm=(0, 1, 3, 2, 4, 5))
    y = b.op("reshape", y, name="tokens", shape=(batch * rows * columns, window * window, features))
    bias = _position_bias(b, heads, window, bias_index)
    if any(shifts):
        mask = b.op("constant", name="mask", shape=(batch * rows * columns, 1, window * window, window * window))
        bias = b.op("add", bias, mask, name="masked_bias")
    y = multi_head_attention(b, y, heads, bias=bias, names=("qkv", "proj"))
    y = b.op("reshape", y, name="untoken", shape=(batch, rows, columns, window, window, features))
    y = b.op("transpose", y, name="from_tiles", perm=(0, 1, 3, 2, 4, 5))
    y = b.op("reshape", y, name="untile", shape=(batch, rows * window, columns * window, features))

    y = _roll(b, y, (rows * window - shifts[0] if shifts[0] else 0, columns * window - shifts[1] if shifts[1] else 0))
    if bottom:
        y = b.op("slice", y, name="crop_rows", axis=1, end=height)
    return b.op("slice", y, name="crop_columns", axis=2, end=width) if right else y


def _roll(b: NetworkBuilder, x: str, shifts: tuple[int, int]) -> str:
    """Rows and columns of N x H x W x D moved up and left by ``shifts``, cyclically."""
    for axis, shift in enumerate(shifts, start=1):
        if shift:
            behind = b.op("slice", x, name="roll_behind", axis=axis, start=shift)
            before = b.op("slice", x, name="roll_before", axis=axis, end=shift)
            x = b.op("concat", behind, before, name="roll", axis=axis)
    return x


def _position_bias(b: NetworkBuilder, heads: int, window: int, index: str) -> str:
    """Learned bias of every head for every pair of tokens, 1 x heads x window^2 x window^2, by relative position."""
    tokens = window * window
    table = b.op(
        "embedding",
        index,
        name="relative_position_bias_table",
        num_embeddings=(2 * window - 1) ** 2,
        embedding_dim=heads,
    )
    table = b.op("reshape", table, name="bias_pairs", shape=(1, tokens, tokens, heads))
    return b.op("transpose", table, name="bias", perm=(0, 3, 1, 2))
