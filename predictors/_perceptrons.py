"""Training perceptrons with torch; imported only where something is trained."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

Singles = NDArray[np.float32]

_BATCH: Final = 128
_BETA: Final = 0.2  # standard deviations up to which errors count by their squares, and beyond by their amount
_WARM_UP: Final = 0.1  # share of the steps in which the learning rate rises


def trained(
    inputs: Singles,
    targets: Singles,
    *,
    hidden: Sequence[int],
    members: int,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> tuple[tuple[Singles, Singles], ...]:
    """Fit perceptrons with rectifiers, several at once, each from its own beginning and in its own order of samples.

    Args:
        inputs: n standardised inputs, shape ``[n, f]``.
        targets: standardised, shape ``[n, k]``, all k learnt at once; NaN where one is not known.
        hidden: width of each hidden layer.
        members: m, how many perceptrons.
        steps: of AdamW, with up to 128 samples each.
        learning_rate: at its height; it rises linearly, then falls as a cosine to 0.
        weight_decay: of AdamW.
        seed: of the beginnings and the orders.

    Returns:
        Weights ``[m, in, out]`` and biases ``[m, 1, out]`` of each layer.
    """
    random = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    layers = _beginnings((x.shape[1], *hidden, y.shape[1]), members, random)
    flat = [tensor.requires_grad_() for layer in layers for tensor in layer]
    optimiser = torch.optim.AdamW(flat, lr=learning_rate, weight_decay=weight_decay)
    with one_thread():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = learning_rate * schedule(step / steps)
            index = torch.randint(len(x), (members, min(_BATCH, len(x))), generator=random)
            optimiser.zero_grad()
            loss = members * mean_loss(_outputs(x[index], layers), y[index])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return tuple((w.detach().numpy(), b.detach().numpy()) for w, b in layers)


def mean_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean over all targets that are known of a loss that is squared for small errors, linear for large ones."""
    known = ~wanted.isnan()
    return smooth_l1_loss(found[known], wanted[known], beta=_BETA)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: what is so small is not quicker with more, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def schedule(progress: float) -> float:
    """Learning rate relative to its height, at a progress in [0, 1)."""
    if progress < _WARM_UP:
        return (progress + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))


def _beginnings(widths: Sequence[int], members: int, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Random weights for rectifiers (He et al., arXiv:1502.01852); the last layer begins with zeros."""
    layers = []
    for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
        size = math.sqrt(2 / fan_in) if number < len(widths) - 2 else 0.0
        weights = size * torch.randn(members, fan_in, fan_out, generator=random)
        layers.append((weights, torch.zeros(members, 1, fan_out)))
    return layers


def _outputs(inputs: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """``[m, n, f]`` to ``[m, n, k]``."""
    for number, (weights, biases) in enumerate(layers):
        inputs = torch.baddbmm(biases, inputs, weights)
        if number < len(layers) - 1:
            inputs = inputs.relu()
    return inputs
