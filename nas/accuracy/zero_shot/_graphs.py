"""Networks made ready to be scored: without batch norms, without shortcuts, without the classifier."""

from ....networks import Network, Node, prune

_LAYERS = frozenset({"conv2d", "conv1d", "conv_transpose2d", "linear"})


def is_layer(node: Node) -> bool:
    """Whether a node multiplies by weights of its own, shared ones counted where they belong."""
    return node.op.kind in _LAYERS and not node.weights_from


def reads_its_input(network: Network) -> bool:
    """Whether anything of the input reaches the output."""
    read = {value for node in prune(network) for value in node.inputs}
    return any(name in read for name, _ in network.inputs)


def without_norms(network: Network) -> Network:
    """The network with each batch norm replaced by nothing."""
    return _rewired(network, {n.name: n.inputs[0] for n in network if n.op.kind == "batch_norm"})


def without_shortcuts(network: Network) -> Network:
    """The network with each sum of two branches replaced by the longer: that with more layers on its longest way.

    Branches of equal length stay a sum.
    """
    length = dict.fromkeys((name for name, _ in network.inputs), 0)
    dropped = {}
    for node in network:
        longest = max((length[value] for value in node.inputs), default=0)
        length.update(dict.fromkeys(node.outputs, longest + (node.op.kind in _LAYERS)))
        if node.op.kind == "add" and len({length[value] for value in node.inputs}) > 1:
            dropped[node.name] = max(node.inputs, key=length.__getitem__)
    return prune(_rewired(network, dropped))


def trunk(network: Network) -> Network | None:
    """The network up to what its last global average pool reads, without that; None where it has none."""
    pools = [node for node in network if node.op.kind == "global_avg_pool2d"]
    if not pools:
        return None
    return prune(Network(network.name, network.inputs, network.nodes, pools[-1].inputs))


def _rewired(network: Network, replaced: dict[str, str]) -> Network:
    """The network without the nodes that are keys; who reads one reads the value it stands for."""

    def source(value: str) -> str:
        while value in replaced:
            value = replaced[value]
        return value

    nodes = tuple(
        Node(node.name, node.op, tuple(map(source, node.inputs)), node.weights_from)
        for node in network
        if node.name not in replaced
    )
    return Network(network.name, network.inputs, nodes, tuple(map(source, network.outputs)))
