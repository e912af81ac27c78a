"""Shapes of the ops that an engine's firmware computes, with what they take of memory and multiply.

An image is a tuple (h, w, c): height, width and channels of an int8 tensor with a batch of one, channels last.
Padding is (top, left, bottom, right), as `lutra.networks` has it for a convolution.
"""

import math
from dataclasses import dataclass
from typing import Final

from ...networks.errors import ShapeError, UnknownNameError

KINDS: Final = (
    "conv2d",
    "conv2d_3x3",
    "conv2d_first",
    "pointwise",
    "depthwise",
    "depthwise_chw",
    "fully_connected",
    "grouped_conv2d",
    "avg_pool",
    "max_pool",
    "global_pool",
    "add",
    "concat",
    "channel_shuffle",
    "softmax",
    "table",
    "mean",
    "pad",
)
"""Every kind of op of the entry convention; the firmware exports ``lutra_<kind>``."""

DEPTHWISE: Final = frozenset({"depthwise", "depthwise_chw"})
CONVOLUTIONS: Final = frozenset({"conv2d", "conv2d_3x3", "conv2d_first", "pointwise", "grouped_conv2d"}) | DEPTHWISE

SOFTMAX_CHANNELS: Final = 4095
"""Most channels of a softmax: its sum of exponentials is held in 32 bits."""

_CHW_KERNELS: Final = (3, 5, 7)
_CHW_OUTPUTS: Final = 4  # OUTPUTS in csrc/mcu/firmware/depthwise_chw.c

Image = tuple[int, int, int]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


@dataclass(frozen=True)
class Geometry:
    """The shapes of one op: the names are those of `struct lutra_op`."""

    kind: str
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    groups: int = 1

    @property
    def input_bytes(self) -> int:
        """Bytes of the (first) input."""
        return self.in_h * self.in_w * self.in_c

    @property
    def output_bytes(self) -> int:
        """Bytes of the output."""
        return self.out_h * self.out_w * self.out_c

    @property
    def taps(self) -> int:
        """Pixels that a window covers."""
        return self.kernel_h * self.kernel_w

    @property
    def depth(self) -> int:
        """Products in the sum that makes one output: K."""
        if self.kind in DEPTHWISE:
            return self.taps
        if self.kind == "fully_connected":
            return self.in_c
        return self.taps * self.in_c // self.groups if self.kind in CONVOLUTIONS else 0

    @property
    def weight_count(self) -> int:
        """Number of int8 weights."""
        return self.depth * self.out_c

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations, those with padding included."""
        return self.depth * self.output_bytes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the buffer that the shipped kernels need beside input and output."""
        if self.kind in ("conv2d", "conv2d_3x3", "grouped_conv2d"):
            return 2 * 2 * self.depth  # two columns of int16
        if self.kind == "conv2d_first":
            return 2 * (2 + self.out_c) * _round_up(self.depth, 4)  # two columns and all filters, of int16
        if self.kind == "depthwise" and self.taps != 9:
            return 2 * self.taps * self.in_c  # one patch of int16
        if self.kind == "depthwise_chw":
            return 2 * math.prod(self._plane())
        return 0

    def _plane(self) -> Pair:
        """Rows and columns of the padded int16 plane of a channel (`plane_of` in depthwise_chw.c)."""
        columns = _round_up(self.out_w, _CHW_OUTPUTS)
        return (
            (self.out_h - 1) * self.stride_h + self.kernel_h,
            _round_up((columns - 1) * self.stride_w + self.kernel_w + 1, 2),
        )


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def same_padding(image: Image, kernel_size: Pair, stride: Pair) -> Padding:
    """TensorFlow's "same": the output is ceil(input / stride), and the odd row or column goes below and right."""
    (top, bottom), (left, right) = (
        _same(size, kernel, step) for size, kernel, step in zip(image[:2], kernel_size, stride, strict=True)
    )
    return top, left, bottom, right


def _same(size: int, kernel: int, stride: int) -> Pair:
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def convolution(
    kind: str,
    image: Image,
    filters: int,
    *,
    kernel_size: Pair = (1, 1),
    stride: Pair = (1, 1),
    padding: Padding = (0, 0, 0, 0),
    groups: int = 1,
) -> Geometry:
    """A convolution of any kind; a depthwise one has as many filters as channels.

    Raises:
        UnknownNameError: ``kind`` is no convolution.
        ShapeError: the kind cannot take these shapes.
    """
    if kind not in CONVOLUTIONS:
        raise UnknownNameError("convolution kind", kind, CONVOLUTIONS)
    geometry = _windowed(kind, image, filters, kernel_size, stride, padding, groups)
    if problem := _unfit(geometry):
        raise ShapeError(f"{kind} of {image} with a {kernel_size} kernel: {problem}")
    return geometry


def _unfit(op: Geometry) -> str:
    """Why a kind of convolution cannot take its shapes; "" where it can."""
    if op.kind in DEPTHWISE and op.out_c != op.in_c:
        return "a depthwise convolution has one filter for each channel"
    if op.kind != "grouped_conv2d" and op.groups != 1:
        return "only grouped_conv2d has groups"
    if op.in_c % op.groups or op.out_c % op.groups:
        return f"{op.in_c} channels and {op.out_c} filters do not divide into {op.groups} groups"
    if op.kind == "conv2d_3x3" and (op.kernel_h, op.kernel_w) != (3, 3):
        return "conv2d_3x3 has 3x3 kernels only"
    if op.kind == "pointwise" and (op.taps, op.stride_h, op.stride_w, op.pad_top, op.pad_left) != (1, 1, 1, 0, 0):
        return "pointwise has 1x1 kernels with a stride of 1 and no padding only"
    if op.kind == "depthwise_chw" and not (
        op.kernel_h == op.kernel_w in _CHW_KERNELS and op.stride_h == op.stride_w in (1, 2)
    ):
        return f"depthwise_chw has square kernels of {_CHW_KERNELS} with equal strides of 1 or 2 only"
    if op.kind == "depthwise_chw" and op.output_bytes > op.input_bytes:
        return "the output of depthwise_chw lies where its input does, and is larger"
    return ""


def pool(
    kind: str,
    image: Image,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding = (0, 0, 0, 0),
) -> Geometry:
    """Average or maximum pooling ("avg_pool", "max_pool"); what lies outside the image does not count.

    Raises:
        ShapeError: a window would lie in the padding alone.
    """
    if any(pad >= size for pad, size in zip(padding, (*kernel_size, *kernel_size), strict=True)):
        raise ShapeError(f"{kind}: padding {padding} makes windows of a {kernel_size} kernel without a pixel")
    return _windowed(kind, image, image[2], kernel_size, stride, padding, 1)


def _windowed(
    kind: str, image: Image, out_c: int, kernel_size: Pair, stride: Pair, padding: Padding, groups: int
) -> Geometry:
    height, width, channels = image
    top, left, bottom, right = padding
    out_h = (height + top + bottom - kernel_size[0]) // stride[0] + 1
    out_w = (width + left + right - kernel_size[1]) // stride[1] + 1
    if min(height, width, channels, out_c, out_h, out_w, groups) < 1 or min(padding) < 0:
        raise ShapeError(f"{kind}: a {kernel_size} kernel with padding {padding} does not fit an image of {image}")
    return Geometry(kind, height, width, channels, out_h, out_w, out_c, *kernel_size, *stride, top, left, groups)


def fully_connected(inputs: int, outputs: int) -> Geometry:
    """A fully connected layer."""
    return Geometry("fully_connected", 1, 1, inputs, 1, 1, outputs)


def global_reduction(kind: str, image: Image) -> Geometry:
    """Each channel's mean over the pixels: "global_pool" in the scale of the input, "mean" in a scale of its own."""
    height, width, channels = image
    return Geometry(kind, height, width, channels, 1, 1, channels, height, width)


def elementwise(kind: str, image: Image) -> Geometry:
    """An op that keeps the shape: "add", "table" or "softmax" (over the channels).

    Raises:
        ShapeError: a softmax of more channels than its sum can hold.
    """
    if kind == "softmax" and image[2] > SOFTMAX_CHANNELS:
        raise ShapeError(f"softmax of {image[2]} channels; the most is {SOFTMAX_CHANNELS}")
    return Geometry(kind, *image, *image)


def concat(image: Image, out_c: int) -> Geometry:
    """One input of a concatenation of channels; a layer of n inputs is n such ops.

    Raises:
        ShapeError: the output has fewer channels than this input.
    """
    if image[2] > out_c:
        raise ShapeError(f"concat of {image[2]} channels into {out_c}")
    return Geometry("concat", *image, *image[:2], out_c)


def channel_shuffle(image: Image, groups: int) -> Geometry:
    """Channels dealt out over groups, as in ShuffleNet (arXiv:1707.01083, section 3.1).

    Raises:
        ShapeError: the channels do not divide into groups.
    """
    if image[2] % groups:
        raise ShapeError(f"{image[2]} channels do not divide into {groups} groups")
    return Geometry("channel_shuffle", *image, *image, groups=groups)


def pad(image: Image, padding: Padding) -> Geometry:
    """Rows and columns of zeros around an image."""
    height, width, channels = image
    top, left, bottom, right = padding
    return Geometry(
        "pad",
        height,
        width,
        channels,
        height + top + bottom,
        width + left + right,
        channels,
        pad_top=top,
        pad_left=left,
    )
