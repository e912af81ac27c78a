"""A network as a picture: its ops from the left, as high as their tensors have channels, with what skips over ops."""

import math
from typing import TYPE_CHECKING, Final

from .axes import escaped, title

if TYPE_CHECKING:
    from ...networks import Network
    from ...networks.graph import Node

_BASE: Final = 130  # where blocks stand
_TALLEST: Final = 100
_DEEPEST: Final = 44  # of arcs below
_STEP: Final = 14
_WIDE: Final = 11
_MARGIN: Final = 8
_LEAST_WIDTH: Final = 320
KINDS: Final = {"dense": "all channels", "depthwise": "each channel alone", "other": "no weights"}
"""Classes of blocks, with what they stand for."""


def architecture_svg(network: "Network") -> str:
    """The picture as an ``<svg>`` element: heights are channels, in logarithms; arcs lead past ops.

    Drawn are ops that multiply, that join several tensors, or that make the image smaller; others (activations, norms)
    belong to the one before them.
    """
    places: dict[str, int] = {}  # of each tensor's maker
    drawn: list[Node] = []
    arcs: list[tuple[int, int]] = []
    for node in network.nodes:
        made_at = [places[name] for name in node.inputs if name in places]
        if made_at and not _shown(network, node):
            places |= dict.fromkeys(node.outputs, max(made_at))
            continue
        arcs += [(source, len(drawn)) for source in dict.fromkeys(made_at) if len(drawn) - source > 1]
        places |= dict.fromkeys(node.outputs, len(drawn))
        drawn.append(node)
    width = max(2 * _MARGIN + _STEP * len(drawn), _LEAST_WIDTH)
    described = f"{network.name}: {len(drawn)} ops that multiply, join or shrink, from left to right"
    head = f'<svg class="wide" viewBox="0 0 {width} {_BASE + _DEEPEST}" width="{width}" role="img"'
    widest = max((_channels(network, node) for node in drawn), default=1)
    return "\n".join(
        [
            f'{head} aria-label="{escaped(described)}">',
            *(_arc(*ends) for ends in arcs),
            *(_block(network, node, place, widest) for place, node in enumerate(drawn)),
            "</svg>",
        ]
    )


def _shown(network: "Network", node: "Node") -> bool:
    before, after = network.types[node.inputs[0]].shape, network.types[node.outputs[0]].shape
    shrinks = len(before) == len(after) == 4 and before[2:] != after[2:]
    return bool(node.op.macs) or len(set(node.inputs)) > 1 or shrinks


def _channels(network: "Network", node: "Node") -> int:
    shape = network.types[node.outputs[0]].shape
    return max(1, shape[1] if len(shape) == 4 else shape[-1] if shape else 1)


def _kind(node: "Node") -> str:
    if not node.op.weights:
        return "other"
    groups = node.op.attributes.get("groups", 1)
    return "depthwise" if isinstance(groups, int) and groups > 1 else "dense"


def _block(network: "Network", node: "Node", place: int, widest: int) -> str:
    channels = _channels(network, node)
    high = max(6.0, _TALLEST * math.log1p(channels) / math.log1p(widest))
    shape = "x".join(map(str, network.types[node.outputs[0]].shape))
    told = title(f"{node.name}\n{node.op.kind} -> {shape}\n{node.op.macs / 1e6:.4g} M MACs")
    at = f'x="{_MARGIN + _STEP * place}" y="{_BASE - high:.1f}" width="{_WIDE}" height="{high:.1f}"'
    return f'<rect class="op {_kind(node)}" {at} rx="2">{told}</rect>'


def _arc(source: int, target: int) -> str:
    x0, x1 = (_MARGIN + _STEP * place + _WIDE / 2 for place in (source, target))
    depth = min(8 + 2.5 * math.sqrt(x1 - x0), _DEEPEST - 6)
    path = f"M{x0:.1f} {_BASE + 2} Q{(x0 + x1) / 2:.1f} {_BASE + 2 + 2 * depth:.1f} {x1:.1f} {_BASE + 2}"
    return f'<path class="skip" d="{path}"/>'
