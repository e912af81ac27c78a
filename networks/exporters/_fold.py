"""Batch norms folded into the layers before them, as every quantiser does first."""

from ..graph import Network, Node
from ..ops import make_op

_HOSTS = frozenset({"conv2d", "conv1d", "conv_transpose2d", "linear"})


def fold_batch_norms(network: Network) -> Network:
    """The network without the batch norms that follow a layer nobody else reads; the layer gets a bias instead."""
    readers = network.consumers()
    makers = {value: node for node in network for value in node.outputs}
    renamed: dict[str, str] = {}
    biased: set[str] = set()
    for node in network:
        host = makers.get(node.inputs[0]) if node.op.kind == "batch_norm" else None
        sole = host is not None and len(readers[host.name]) == 1 and host.name not in network.outputs
        if host is not None and sole and _folds(host, network):
            renamed[node.name] = host.name
            biased.add(host.name)
    nodes = tuple(_rewired(node, renamed, biased) for node in network if node.name not in renamed)
    return Network(network.name, network.inputs, nodes, tuple(renamed.get(value, value) for value in network.outputs))


def _folds(host: Node, network: Network) -> bool:
    # Axis 1 is the channel of a convolution, but the token of a linear layer over sequences.
    plain = host.op.kind in _HOSTS and (host.op.kind != "linear" or host.op.inputs[0].rank == 2)
    return plain and not host.weights_from and all(node.weights_from != host.name for node in network)


def _rewired(node: Node, renamed: dict[str, str], biased: set[str]) -> Node:
    op = node.op
    if node.name in biased:
        op = make_op(op.kind, *op.inputs, **(op.attributes | {"bias": True}))
    return Node(node.name, op, tuple(renamed.get(value, value) for value in node.inputs), node.weights_from)
