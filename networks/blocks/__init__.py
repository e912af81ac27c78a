"""Building blocks of published networks: functions ``(builder, value, ...) -> value`` over `NetworkBuilder`.

Letters in the docstrings: N batch, C channels, H x W image, T tokens, D features of a token.
"""

from .attention import multi_head_attention, transformer_block, window_attention
from .basic import conv_norm_act, make_divisible, squeeze_excite
from .cells import (
    NASBENCH201_OPS,
    NASNET_OPS,
    CellBlock,
    nasbench201_cell,
    nasnet_cell,
    nasnet_inputs,
    nasnet_op,
    parse_nasbench201,
)
from .darts import DARTS_OPS, DartsEdge, darts_cell, darts_input, darts_op
from .dense import dense_layer, transition
from .mobile import depthwise_separable, inverted_bottleneck
from .residual import basic_block, bottleneck
from .shuffle import shuffle_unit_v1, shuffle_unit_v2

__all__ = [
    "DARTS_OPS",
    "NASBENCH201_OPS",
    "NASNET_OPS",
    "CellBlock",
    "DartsEdge",
    "basic_block",
    "bottleneck",
    "conv_norm_act",
    "darts_cell",
    "darts_input",
    "darts_op",
    "dense_layer",
    "depthwise_separable",
    "inverted_bottleneck",
    "make_divisible",
    "multi_head_attention",
    "nasbench201_cell",
    "nasnet_cell",
    "nasnet_inputs",
    "nasnet_op",
    "parse_nasbench201",
    "shuffle_unit_v1",
    "shuffle_unit_v2",
    "squeeze_excite",
    "transformer_block",
    "transition",
    "window_attention",
]
