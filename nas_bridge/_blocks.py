"""Which rows of an imported table of building blocks the blocks of a space are.

Tables of once-for-all and ProxylessNAS name what they measured by its sizes (`lutra.luts.blockkeys`). The blocks of a
space are built alone, and these sizes are read off their ops: an inverted bottleneck is recognised by its depthwise
convolution; what is left are plain convolutions, the pooling and the classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..luts.blockkeys import conv_key, expanded_conv_key
from ..networks import Network, NetworkBuilder, TensorType
from ..networks.errors import NotSupportedError
from ..networks.graph import Node
from ..networks.lowering.blocks import Block, BlockSpace
from ..networks.memory import is_depthwise

Keys: TypeAlias = tuple[str, ...]

_LAYERS: Final = frozenset({"conv2d", "linear", "global_avg_pool2d"})
_ASIDE: Final = frozenset(
    {"batch_norm", "relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "swish", "add", "mul", "flatten"}
)
"""Ops that such tables count with the layer beside them."""
_SQUEEZE: Final = ("global_avg_pool2d", "conv2d", "conv2d")


@dataclass(frozen=True)
class ChainKeys:
    """Keys of the blocks of a chain.

    Attributes:
        stem: of what comes first.
        positions: by position and candidate; empty for one that does nothing.
        head: of what comes last.
    """

    stem: Keys
    positions: tuple[tuple[Keys, ...], ...]
    head: Keys


def keys_of_chain(chain: BlockSpace, *, channels: bool) -> ChainKeys:
    """The keys of every block of ``chain``.

    Args:
        chain: whose blocks.
        channels: keys are those of once-for-all, which give an expansion as channels and say whether there is a
            squeeze-and-excitation and a hard swish; else those of ProxylessNAS, which give a ratio.

    Raises:
        NotSupportedError: a block is of layers that such tables have no name for.
    """
    stem, border = built(chain.stem, chain.input)
    positions: list[tuple[Keys, ...]] = []
    for candidates in chain.positions:
        made = [built(block, border) for block in candidates]
        positions.append(tuple(_Reader(network, channels).keys(("",)) for network, _ in made))
        border = made[0][1]
    head, _ = built(chain.head, border)
    first = _Reader(stem, channels).keys(("Conv",))
    return ChainKeys(first, tuple(positions), _Reader(head, channels).keys(("Conv_1", "Conv_2")))


def built(block: Block, incoming: TensorType) -> tuple[Network, TensorType]:
    """A block as a network of what comes in, and the type of what it makes."""
    b = NetworkBuilder("block")
    made = block(b, b.input(incoming.shape, incoming.dtype))
    return b.build(made), b.type_of(made)


class _Reader:
    """Reads the keys of one block.

    Args:
        network: the block alone.
        channels: as `keys_of_chain`.
    """

    def __init__(self, network: Network, channels: bool) -> None:
        unknown = sorted({node.op.kind for node in network} - _LAYERS - _ASIDE)
        if unknown:
            raise NotSupportedError(f"tables of building blocks have no name for {', '.join(unknown)}", hint=_HINT)
        self._nodes = list(network)
        self._channels = channels

    def keys(self, convolutions: Sequence[str]) -> Keys:
        """The block's keys in order.

        Args:
            convolutions: names of plain convolutions, in order; an empty one for none.
        """
        names, keys, place = list(convolutions), list[str](), 0
        layers = [i for i, node in enumerate(self._nodes) if node.op.kind in _LAYERS]
        while place < len(layers):
            here = self._nodes[layers[place]]
            following = self._nodes[layers[place + 1]] if place + 1 < len(layers) else None
            expanded = _is_pointwise(here) and following is not None and is_depthwise(following.op)
            if expanded or is_depthwise(here.op):
                end = self._end(layers, place + expanded)
                keys.append(self._bottleneck(layers[place], layers[place + expanded], layers[end]))
                place = end + 1
                continue
            keys += self._plain(here, names)
            place += 1
        return tuple(keys)

    def _end(self, layers: Sequence[int], depthwise: int) -> int:
        """Which of the layers is the projection behind a depthwise convolution."""
        kinds = tuple(self._nodes[i].op.kind for i in layers[depthwise + 1 :])
        end = depthwise + 1 + len(_SQUEEZE) * (kinds[: len(_SQUEEZE)] == _SQUEEZE)
        if end >= len(layers) or not _is_pointwise(self._nodes[layers[end]]):
            raise NotSupportedError("a depthwise convolution has no pointwise one behind it", hint=_HINT)
        return end

    def _bottleneck(self, start: int, depthwise: int, end: int) -> str:
        op = self._nodes[depthwise].op
        before, after = _image(self._nodes[start].op.inputs[0]), _image(self._nodes[end].op.outputs[0])
        mid = op["out_channels"]
        tail = {"kernel": op["kernel_size"][0], "stride": op["stride"][0], "idskip": int(self._is_added(end))}
        if self._channels:
            inside = {node.op.kind for node in self._nodes[depthwise:end]}
            tail |= {"se": int("global_avg_pool2d" in inside), "hs": int("hard_swish" in inside)}
        return expanded_conv_key(before, after, tail=tail, expand=mid if self._channels else mid // before[-1])

    def _is_added(self, end: int) -> bool:
        """Whether a shortcut is added behind the layer number ``end``."""
        behind = [node.op.kind for node in self._nodes[end + 1 :]]
        layers = (i for i, kind in enumerate(behind) if kind in _LAYERS)
        return "add" in behind[: next(layers, len(behind))]

    def _plain(self, node: Node, names: list[str]) -> list[str]:
        before, after = node.op.inputs[0], node.op.outputs[0]
        if node.op.kind == "global_avg_pool2d":
            return [conv_key("AvgPool2D", _image(before), _image(after))] if self._channels else []
        if node.op.kind == "linear":
            return [conv_key("Logits", self._classified(), (after.shape[-1],))]
        name = names.pop(0) if names else ""
        if not name:
            raise NotSupportedError("tables of building blocks name no convolution on its own here", hint=_HINT)
        return [conv_key(name, _image(before), _image(after))]

    def _classified(self) -> tuple[int, ...]:
        """Size of the image in front of the classifier; ProxylessNAS's has the pooling in it."""
        pool = next((node for node in self._nodes if node.op.kind == "global_avg_pool2d"), None)
        layer = next(node for node in self._nodes if node.op.kind == "linear")
        if pool is None or self._channels:
            return (1, 1, layer.op.inputs[0].shape[-1])
        return _image(pool.op.inputs[0])


_HINT: Final = "use a table of measured kernels, or a space of inverted bottlenecks"


def _is_pointwise(node: Node) -> bool:
    return node.op.kind == "conv2d" and node.op["kernel_size"] == (1, 1) and node.op["groups"] == 1


def _image(type_: TensorType) -> tuple[int, ...]:
    """Height, width, channels."""
    _, channels, height, width = type_.shape
    return (height, width, channels)
