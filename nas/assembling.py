"""Networks taken out of supernets: a plain module with copies of the weights of the blocks that it is made of."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..networks import Network
from ..networks.exporters import to_torch


def assembled(network: Network, parts: Sequence[tuple[Network, Mapping[str, Tensor]]]) -> nn.Module:
    """A network's module in evaluation mode, channels last, with copies of weights.

    Args:
        network: the whole, which the blocks make one behind the other.
        parts: the blocks, each as a network of its own (`block_network`), with its weights and buffers by
            ``"{node}.{weight}"``; those that do nothing may be among them.
    """
    names = iter([node.name for node in network.nodes])  # part by part, in the same order
    state: dict[str, Tensor] = {}
    for part, weights in parts:
        renamed = {node.name: next(names) for node in part.nodes}
        for name, value in weights.items():
            node, _, weight = name.rpartition(".")
            state[f"{renamed[node]}.{weight}"] = value.detach().clone()
    with torch.device("meta"):  # no random weights are drawn, which would be replaced at once
        module = to_torch(network)
    module.load_state_dict(state, assign=True)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval()
