"""Once-for-All's space on MobileNetV3 (arXiv:1908.09791, section 3; github.com/mit-han-lab/once-for-all).

Five stages of two to four blocks; every block chooses its kernel size (3, 5, 7) and expansion (3, 4, 6):
(9^2 + 9^3 + 9^4)^5 networks for each size of image.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from ...networks import NetworkBuilder
from ...networks.blocks import conv_norm_act, inverted_bottleneck, make_divisible
from ...networks.errors import UsageError
from ...networks.lowering.blocks import Block, BlockSpace
from ._mobile import CLASSES, Stage, chains, nothing
from ._registry import register
from .base import Codes, Decision, SearchSpace

RESOLUTIONS = tuple(range(128, 225, 4))
"""Sizes of image that the super-net was trained for."""

_DEPTHS = (2, 3, 4)
_STAGES = tuple(
    (Stage(channels, max(_DEPTHS), stride), activation, squeeze)
    for channels, stride, activation, squeeze in (
        (24, 2, "relu", False),
        (40, 2, "relu", True),
        (80, 2, "hard_swish", False),
        (112, 1, "hard_swish", True),
        (160, 2, "hard_swish", True),
    )
)
_CHOICES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 4, 6))
_NAMES = tuple(f"{kernel}x{kernel} e{expansion}" for kernel, expansion in _CHOICES)
_STEM, _FINAL_EXPAND, _FEATURE_MIX = 16, 960, 1280
_LEFT_OUT = len(_CHOICES)


class OfaSpace(SearchSpace):
    """Codes: the size of the image if there are several, the depths of the stages, the 20 blocks at full depth.

    A stage uses the first blocks of its four; the choices of those it does not use are 0 in canonical codes.

    Args:
        resolutions: heights and widths of images.

    Raises:
        UsageError: a size that the super-net was not trained for.
    """

    def __init__(self, resolutions: tuple[int, ...]) -> None:
        wrong = [side for side in resolutions if side not in RESOLUTIONS]
        if wrong:
            raise UsageError(f"ofa-mbv3 has no images of {wrong[0]} pixels", hint="use 128, 132, 136, ... 224")
        image = [Decision("resolution", tuple(map(str, resolutions)))] if len(resolutions) > 1 else []
        depths = [Decision(f"depth of stage {s}", tuple(map(str, _DEPTHS))) for s in range(len(_STAGES))]
        blocks = [
            Decision(f"block {i} of stage {s}", _NAMES) for s, (st, _, _) in enumerate(_STAGES) for i in range(st.depth)
        ]
        super().__init__("ofa-mbv3", image + depths + blocks)
        self._resolutions = resolutions
        self._chains = chains(self.name, resolutions, _stem, _positions(), _head)

    @property
    def size(self) -> int:
        of_a_stage = sum(len(_CHOICES) ** depth for depth in _DEPTHS)
        return len(self._resolutions) * int(of_a_stage ** len(_STAGES))

    def chains(self) -> tuple[BlockSpace, ...]:
        return self._chains

    def chain_of(self, codes: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        given = self.validate(codes)
        chain = given[:, 0] if len(self._resolutions) > 1 else np.zeros(len(given), np.int64)
        blocks = given[:, -_blocks() :]
        return chain, np.where(self._used(given), blocks, _LEFT_OUT)

    def canonical(self, codes: Codes) -> Codes:
        blocks = np.where(self._used(codes), codes[:, -_blocks() :], 0)
        return np.concatenate([codes[:, : -_blocks()], blocks], axis=1)

    def _used(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which of the blocks at full depth are there, n x 20."""
        start = codes.shape[1] - _blocks() - len(_STAGES)
        depths = np.array(_DEPTHS)[codes[:, start : start + len(_STAGES)]]
        used: npt.NDArray[np.bool_] = np.arange(max(_DEPTHS)) < depths[:, :, None]
        return used.reshape(len(codes), _blocks())


@register("ofa-mbv3", 128, 160, 176, 192, 224)
def ofa_mbv3(resolutions: tuple[int, ...]) -> OfaSpace:
    """Once-for-All's space at width 1.0."""
    return OfaSpace(resolutions)


def _blocks() -> int:
    return sum(stage.depth for stage, _, _ in _STAGES)


def _positions() -> list[list[Block]]:
    positions: list[list[Block]] = []
    for stage, activation, squeeze in _STAGES:
        for i, stride in enumerate(stage.strides):
            block = partial(_block, out=stage.channels, stride=stride, activation=activation, squeeze=squeeze)
            blocks: list[Block] = [partial(block, kernel=k, expansion=e) for k, e in _CHOICES]
            positions.append(blocks if i < min(_DEPTHS) else [*blocks, nothing])
    return positions


def _stem(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, _STEM, 3, stride=2, activation="hard_swish")
    return inverted_bottleneck(b, x, _STEM, mid_channels=_STEM, activation="relu")


def _block(
    b: NetworkBuilder, x: str, *, out: int, stride: int, activation: str, squeeze: bool, kernel: int, expansion: int
) -> str:
    mid = make_divisible(b.channels(x) * expansion)
    return inverted_bottleneck(
        b,
        x,
        out,
        mid_channels=mid,
        kernel_size=kernel,
        stride=stride,
        squeeze_channels=make_divisible(mid // 4) if squeeze else 0,
        activation=activation,
        skip=stride == 1 and b.channels(x) == out,
    )


def _head(b: NetworkBuilder, x: str) -> str:
    x = conv_norm_act(b, x, _FINAL_EXPAND, 1, activation="hard_swish")
    x = b.op("global_avg_pool2d", x)
    x = conv_norm_act(b, x, _FEATURE_MIX, 1, norm=False, bias=False, activation="hard_swish")
    return b.op("linear", b.op("flatten", x), out_features=CLASSES)
