"""Stored rules: in which memory layouts oneDNN 3.2 prefers to run a convolution, by instruction set.

They say what the library answers when a convolution is described with any layout, so that graphs can be lowered where
it is not installed. A test holds those for AVX2 and for AVX-512 against the library, on a machine that has them. Not
followed is one answer: on AVX-512, groups whose channels and filters come in fours are preferred in blocks of four.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from ..ops import Op

Layout = Literal["plain", "channels_last", "blocked8", "blocked16"]
Isa = Literal["avx512", "avx2", "older"]

BLOCKS: dict[Layout, int] = {"blocked8": 8, "blocked16": 16}
"""Channels that lie together in the blocked layouts."""

_CPUINFO = Path("/proc/cpuinfo")
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"})
_FEW_CHANNELS = 3


@cache
def host_isa() -> Isa:
    """The instruction set that oneDNN uses on this machine, as far as layouts depend on it."""
    text = _CPUINFO.read_text() if _CPUINFO.exists() else ""
    flags = next((set(line.split()) for line in text.splitlines() if line.startswith("flags")), set())
    if flags >= _AVX512:
        return "avx512"
    return "avx2" if "avx2" in flags else "older"


def convolution_layouts(op: Op, isa: Isa) -> tuple[Layout, Layout]:
    """Layouts of the input and the output of a convolution, one- or two-dimensional."""
    if isa == "older":
        return _blocked(op, "blocked8")
    return _avx2(op) if isa == "avx2" else _avx512(op)


def fills(layout: Layout, channels: int) -> bool:
    """Whether so many channels fill whole blocks of ``layout``."""
    return channels % BLOCKS.get(layout, 1) == 0


def _avx512(op: Op) -> tuple[Layout, Layout]:
    """As on AVX2, but for longer blocks, depthwise windows of any dilation, and groups that fill blocks."""
    input_layout, output_layout = _avx2(op)
    channels, filters = _per_group(op)
    if op["groups"] == 1:
        return input_layout, "blocked16" if output_layout == "blocked8" else output_layout
    if _is_depthwise(op):
        return ("plain", "plain") if op.kind == "conv1d" else ("channels_last", "channels_last")
    if channels <= 16:
        for block in ("blocked16", "blocked8"):
            if fills(block, channels) and fills(block, filters):
                return block, block
    few = op.inputs[0].shape[1] < 8
    return ("plain", "plain") if channels <= _FEW_CHANNELS and not few else (input_layout, output_layout)


def _avx2(op: Op) -> tuple[Layout, Layout]:
    if op.kind == "conv1d" and op["groups"] > 1 and _is_depthwise(op):
        return "plain", "plain"
    if _is_depthwise(op):
        return ("channels_last", "channels_last") if set(op["dilation"]) == {1} else ("blocked8", "blocked8")
    channels, filters = _per_group(op)
    if op["groups"] == 1:
        few = channels <= (4 if op.kind == "conv2d" else _FEW_CHANNELS)
        flat = few and not _is_pointwise(op) and not _cuts_patches(op)
        return ("plain", "blocked8") if flat else ("channels_last", "channels_last")
    if channels > 8:
        return "channels_last", "channels_last"
    if filters % 8 or _FEW_CHANNELS < channels < 8:
        return "plain", "plain"
    return ("blocked8" if channels == 8 else "plain"), "blocked8"


def _blocked(op: Op, layout: Layout) -> tuple[Layout, Layout]:
    """Of the kernels that know blocks alone: few channels are read plain, ragged groups are left to products."""
    channels, filters = _per_group(op)
    if op["groups"] == 1:
        flat = channels <= _FEW_CHANNELS and not _is_pointwise(op)
        return ("plain" if flat else layout), layout
    if _is_depthwise(op) or (fills(layout, channels) and fills(layout, filters)):
        return layout, layout
    return "plain", "plain"


def _per_group(op: Op) -> tuple[int, int]:
    """Channels and filters of one group."""
    return op.inputs[0].shape[1] // op["groups"], op["out_channels"] // op["groups"]


def _is_depthwise(op: Op) -> bool:
    return op["groups"] > 1 and _per_group(op) == (1, 1)


def _is_pointwise(op: Op) -> bool:
    return set(op["kernel_size"]) == {1}


def _cuts_patches(op: Op) -> bool:
    """Windows that neither overlap nor leave the image, of an even size."""
    return op["kernel_size"] == op["stride"] and not any(op["padding"]) and all(k % 2 == 0 for k in op["kernel_size"])
