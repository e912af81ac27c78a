"""Channels of a block in the order of their importance, the same order in all weights that have them."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ....networks import Network, Node
from ....networks.errors import NotSupportedError
from ..inherit._channels import Trace, is_depthwise, is_layer, out_channels

State: TypeAlias = Mapping[str, Tensor]
"""Parameters and buffers by ``"{node}.{weight}"``."""


def varying_layers(network: Network, candidates: Sequence[Network]) -> list[str]:
    """Nodes of a network that make new channels, of which some candidate makes fewer."""
    made: dict[str, set[int]] = {}
    for candidate in candidates:
        for node in candidate:
            if is_layer(node) and not is_depthwise(node):
                made.setdefault(node.name, set()).add(out_channels(node))
    return [node.name for node in network if len(made.get(node.name, ())) > 1]


def importances(network: Network, state: State, layer: str) -> Tensor:
    """Sums of the absolute weights that read each of the c channels that a layer makes, [c]."""
    channels = _Channels(network, layer)
    read = [state[f"{node.name}.weight"] for node in network if channels.reads(node)]
    return torch.stack([weight.abs().transpose(0, 1).flatten(1).sum(dim=1) for weight in read]).sum(dim=0)


def permuted(network: Network, state: State, layer: str, order: Tensor) -> dict[str, Tensor]:
    """The state with the channels that a layer makes in another order, [c]; the network computes the same."""
    channels = _Channels(network, layer)
    changed = dict(state)
    for node in network:
        own = [f"{node.name}.{weight}" for weight in (*node.op.weights, *node.op.buffers)]
        if channels.carries(node):
            changed |= {name: changed[name][order] for name in own if changed[name].dim()}
        if channels.reads(node):
            name = f"{node.name}.weight"
            changed[name] = changed[name][:, order]
    return changed


class _Channels:
    """The channels that a layer makes, and those that are tied to them.

    Raises:
        NotSupportedError: some node mixes them with others.
    """

    def __init__(self, network: Network, layer: str) -> None:
        self._of = Trace(network).classes_of
        self._wanted = self._of(layer)
        for node in network:
            for value in (*node.inputs, *node.outputs):
                found = self._of(value)
                if not np.array_equal(found, self._wanted) and np.isin(found, self._wanted).any():
                    raise NotSupportedError(
                        f"channels of {layer} cannot be sorted: {node.name} has them with others",
                        hint="give blocks of elastic width no concatenations, groups or shuffles",
                    )

    def carries(self, node: Node) -> bool:
        """Whether a node's weights have one entry for each of the channels along their first axis."""
        return bool(node.op.weights) and np.array_equal(self._of(node.outputs[0]), self._wanted)

    def reads(self, node: Node) -> bool:
        """Whether a node makes other channels of them."""
        return is_layer(node) and not is_depthwise(node) and np.array_equal(self._of(node.inputs[0]), self._wanted)
