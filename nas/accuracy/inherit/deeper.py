"""`deeper`: one more layer that changes nothing yet (Net2DeeperNet, arXiv:1511.05641, section 2.3)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....networks import Network, Node
from ....networks.errors import UnknownNameError, UsageError
from ....networks.ops import make_op
from ._channels import Weights
from .wider import Grown

_IDEMPOTENT = ("relu", "relu6")


def deepenable(network: Network) -> tuple[str, ...]:
    """Names of the rectifiers that `deeper` takes."""
    return tuple(node.name for node in network if node.op.kind in _IDEMPOTENT and node.op.inputs[0].rank in (2, 4))


def deeper(
    network: Network,
    weights: Weights,
    after: str,
    *,
    kernel_size: int = 3,
    depthwise: bool = False,
    statistics: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Grown:
    """The network with one more layer behind a rectifier: an identity, a batch norm that undoes itself, the rectifier.

    Behind images it is a convolution, behind rows of numbers a linear layer without a norm. The output stays the same
    in evaluation mode; in training mode as far as ``statistics`` are those of the batch.

    Args:
        network: to be deepened.
        weights: of its torch module, by name.
        after: name of a node that is a ReLU or ReLU6; only these change nothing when they come twice.
        kernel_size: of the convolution; odd.
        depthwise: each channel by itself.
        statistics: mean and variance of each channel of the rectifier's output, [c] each, which the norm takes for its
            running statistics; 0 and 1 if omitted.

    Raises:
        UnknownNameError: no such rectifier.
        UsageError: a kernel without a middle, or statistics of other channels.
    """
    if after not in (known := deepenable(network)):
        raise UnknownNameError("rectifier", after, known)
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise UsageError(f"a kernel of {kernel_size} has no middle", hint="give an odd number")
    place = next(i for i, node in enumerate(network.nodes) if node.name == after)
    rectifier = network.nodes[place]
    start = _unused(network, f"{after}_deeper")
    if rectifier.op.inputs[0].rank == 2:
        added, arrays = _linear(rectifier, start)
    else:
        added, arrays = _convolution(rectifier, start, kernel_size, depthwise, statistics)
    last = added[-1].name

    def moved(node: Node) -> Node:
        inputs = tuple(last if value == after else value for value in node.inputs)
        return Node(node.name, node.op, inputs, node.weights_from)

    nodes = (*network.nodes[: place + 1], *added, *map(moved, network.nodes[place + 1 :]))
    outputs = tuple(last if value == after else value for value in network.outputs)
    return Grown(Network(network.name, network.inputs, nodes, outputs), {**weights, **arrays})


def _unused(network: Network, name: str) -> str:
    """``name``, or with as many underscores more as no node's name begins with."""
    while any(node.name == name or node.name.startswith(f"{name}.") for node in network):
        name += "_"
    return name


def _linear(rectifier: Node, start: str) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    type_ = rectifier.op.outputs[0]
    width = type_.shape[-1]
    layer = Node(f"{start}.linear", make_op("linear", type_, out_features=width), (rectifier.name,))
    arrays = {"weight": np.eye(width, dtype=np.float32), "bias": np.zeros(width, np.float32)}
    return (
        [layer, Node(f"{start}.act", rectifier.op, (layer.name,))],
        {f"{layer.name}.{name}": array for name, array in arrays.items()},
    )


def _convolution(
    rectifier: Node,
    start: str,
    kernel_size: int,
    depthwise: bool,
    statistics: tuple[NDArray[Any], NDArray[Any]] | None,
) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    type_ = rectifier.op.outputs[0]
    width = type_.shape[1]
    mean, variance = statistics or (np.zeros(width), np.ones(width))
    if mean.shape != (width,) or variance.shape != (width,):
        raise UsageError(
            f"statistics are of {mean.shape} and {variance.shape} channels, {rectifier.name} has {width}",
            hint="give a mean and a variance for each channel",
        )
    conv = make_op(
        "conv2d",
        type_,
        out_channels=width,
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        groups=width if depthwise else 1,
        bias=False,
    )
    norm = make_op("batch_norm", type_)
    middle = kernel_size // 2
    weight = np.zeros(conv.weights["weight"], np.float32)
    weight[np.arange(width), 0 if depthwise else np.arange(width), middle, middle] = 1
    arrays = {
        "conv.weight": weight,
        "norm.weight": np.sqrt(variance + norm["eps"]),
        "norm.bias": mean,
        "norm.running_mean": mean,
        "norm.running_var": variance,
    }
    nodes = [
        Node(f"{start}.conv", conv, (rectifier.name,)),
        Node(f"{start}.norm", norm, (f"{start}.conv",)),
        Node(f"{start}.act", rectifier.op, (f"{start}.norm",)),
    ]
    return nodes, {f"{start}.{name}": array.astype(np.float32) for name, array in arrays.items()}
