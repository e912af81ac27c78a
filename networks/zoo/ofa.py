"""Sub-nets of Once-for-All, MobileNetV3 backbone (arXiv:1908.09791, section 3; github.com/mit-han-lab/once-for-all)."""

from collections.abc import Sequence
from typing import Any

from ..blocks import make_divisible
from ..errors import UsageError
from ..graph import NetworkBuilder
from ._registry import positive_number, register
from .block_list import BlockList, BlockSpec, append

MAX_DEPTH = 4
"""Blocks of a stage at full depth; `ks` and `e` have that many entries for each stage."""

_STAGES = (
    (24, 2, "relu", False),
    (40, 2, "relu", True),
    (80, 2, "hard_swish", False),
    (112, 1, "hard_swish", True),
    (160, 2, "hard_swish", True),
)
"""(channels, stride, activation, squeeze-excite) of the five stages that are elastic."""

_STEM, _FINAL_EXPAND, _FEATURE_MIX = 16, 960, 1280


@register("ofa_mobilenet_v3")
def ofa_mobilenet_v3(
    b: NetworkBuilder,
    x: str,
    num_classes: int,
    *,
    ks: int | Sequence[int] = 7,
    e: int | Sequence[int] = 6,
    d: int | Sequence[int] = 4,
    width_mult: float = 1.0,
) -> str:
    """One sub-net; the defaults give the largest.

    Args:
        ks: kernel sizes (3, 5 or 7) of the 20 blocks at full depth, stage by stage, or one for all.
        e: expansion ratios (3, 4 or 6), likewise.
        d: depths (2, 3 or 4) of the 5 stages, or one for all; a stage uses its first entries of ``ks`` and ``e``.
        width_mult: factor on every number of channels (the released super-nets have 1.0 and 1.2).

    Raises:
        UsageError: a choice outside the space, or a list of another length.
    """
    width = positive_number("width_mult", width_mult)
    kernels = _choices("ks", ks, len(_STAGES) * MAX_DEPTH, (3, 5, 7))
    expansions = _choices("e", e, len(_STAGES) * MAX_DEPTH, (3, 4, 6))
    depths = _choices("d", d, len(_STAGES), (2, 3, 4))
    channels = make_divisible(_STEM * width)
    blocks = [BlockSpec(channels, 3, 1, channels, "relu", skip=True)]
    for stage, (base, stride, activation, squeeze) in enumerate(_STAGES):
        out = make_divisible(base * width)
        for i in range(depths[stage]):
            at = stage * MAX_DEPTH + i
            mid = make_divisible(channels * expansions[at])
            first = i == 0
            blocks.append(BlockSpec(out, kernels[at], stride if first else 1, mid, activation, squeeze, skip=not first))
            channels = out
    network = BlockList(
        make_divisible(_STEM * width),
        tuple(blocks),
        make_divisible(_FINAL_EXPAND * width),
        make_divisible(_FEATURE_MIX * width),
        "hard_swish",
    )
    return append(b, x, num_classes, network)


def _choices(name: str, value: Any, length: int, allowed: tuple[int, ...]) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * length
    if len(values) != length:
        raise UsageError(f"{name} needs one number or {length} of them, not {len(values)}")
    wrong = [v for v in values if v not in allowed]
    if wrong:
        raise UsageError(f"{name} can be {', '.join(map(str, allowed))}, not {wrong[0]!r}")
    return values
