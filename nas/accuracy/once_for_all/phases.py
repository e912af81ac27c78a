"""Phases of progressive shrinking, and the choices that each allows (arXiv:1908.09791, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ....networks import Network
from ....networks.errors import UsageError
from ...spaces import Codes
from ..inherit._channels import is_layer, out_channels
from .supernet import Code, ElasticSupernet


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A training of the supernet in which some choices are allowed. The size of the image is always free.

    Attributes:
        name: of its checkpoint.
        epochs: passes over the images.
        learning_rate: at its height.
        kernels: how many of the largest kernel sizes of each block are allowed; None for all.
        depths: how many of the largest depths of each stage; None for all.
        widths: how many of the largest widths of each block; None for all.
        subnets: how many architectures are drawn for each batch; the gradient is the mean of theirs.

    Raises:
        UsageError: a number that makes no sense.
    """

    name: str
    epochs: int
    learning_rate: float
    kernels: int | None = None
    depths: int | None = None
    widths: int | None = None
    subnets: int = 1

    def __post_init__(self) -> None:
        if min(self.epochs, self.subnets, *(n for n in (self.kernels, self.depths, self.widths) if n is not None)) < 1:
            raise UsageError(f"phase {self.name!r} has a number below 1", hint="leave a phase out rather")

    @property
    def full(self) -> bool:
        """Whether it trains the largest network alone."""
        return self.kernels == self.depths == self.widths == 1


def progressive(
    *, full: int, kernel: int, depth: tuple[int, int], width: tuple[int, int], learning_rate: float, later: float
) -> tuple[Phase, ...]:
    """Once-for-All's phases: the largest network; then all kernels; then shallower, then narrower in two steps each.

    Args:
        full: epochs of the largest network.
        kernel: epochs of elastic kernels.
        depth: epochs with the two largest depths, and with all.
        width: epochs with the two largest widths, and with all.
        learning_rate: of the first phase.
        later: that of the others; a third of it where the second choice of depths or widths comes in, as in the
            paper's code (github.com/mit-han-lab/once-for-all, train_ofa_net.py: 2.5e-3 and 7.5e-3).
    """
    third = later / 3
    return (
        Phase(name="full", epochs=full, learning_rate=learning_rate, kernels=1, depths=1, widths=1),
        Phase(name="kernel", epochs=kernel, learning_rate=later, depths=1, widths=1),
        Phase(name="depth-1", epochs=depth[0], learning_rate=third, depths=2, widths=1, subnets=2),
        Phase(name="depth-2", epochs=depth[1], learning_rate=later, widths=1, subnets=2),
        Phase(name="width-1", epochs=width[0], learning_rate=third, widths=2, subnets=4),
        Phase(name="width-2", epochs=width[1], learning_rate=later, subnets=4),
    )


_SHARES: Final = {"full": 26, "kernel": 8, "depth-1": 2, "depth-2": 8, "width-1": 4, "width-2": 12}
"""Of the epochs of `plan`, by phase."""


def plan(epochs: int, *, learning_rate: float = 0.1) -> tuple[Phase, ...]:
    """Once-for-All's phases (`progressive`) in so many epochs, of which the largest network alone has four in ten.

    Args:
        epochs: passes over the images, 6 or more.
        learning_rate: as both rates of `progressive`.

    Raises:
        UsageError: fewer epochs than phases.
    """
    if epochs < len(_SHARES):
        raise UsageError(f"{epochs} epochs for {len(_SHARES)} phases", hint=f"give {len(_SHARES)} epochs or more")
    wanted = np.array([*_SHARES.values()]) / sum(_SHARES.values()) * (epochs - len(_SHARES))
    counts = 1 + wanted.astype(int)
    counts[np.argsort(counts - 1 - wanted, kind="stable")[: epochs - counts.sum()]] += 1
    full, kernel, *rest = counts.tolist()
    return progressive(
        full=full,
        kernel=kernel,
        depth=(rest[0], rest[1]),
        width=(rest[2], rest[3]),
        learning_rate=learning_rate,
        later=learning_rate,
    )


class Allowed:
    """The architectures of a phase.

    Attributes:
        choices: the allowed ones of each decision, rising in cost.
    """

    def __init__(self, net: ElasticSupernet, phase: Phase) -> None:
        self._space = net.space
        self.choices: list[list[int]] = []
        for column, decision in enumerate(net.space.decisions):
            found = list(range(len(decision.choices)))
            if column in net.space.depth_columns:
                found = found[-(phase.depths or len(found)) :]
            elif column in net.space.block_columns:
                networks = net.candidates(column - net.space.block_columns.start)[: len(found)]
                kernels, widths = [_kernel(n) for n in networks], [_width(n) for n in networks]
                found = [i for i in found if _among(kernels, i, phase.kernels) and _among(widths, i, phase.widths)]
                found = sorted(found, key=[n.params for n in networks].__getitem__)
            self.choices.append(found)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Codes, [n, d], each decision uniform over what is allowed."""
        columns = [np.array(allowed)[rng.integers(len(allowed), size=n)] for allowed in self.choices]
        return self._space.canonical(np.stack(columns, axis=1))

    @property
    def largest(self) -> Code:
        """The largest architecture, [d]."""
        return self._only([allowed[-1] for allowed in self.choices])

    @property
    def smallest(self) -> Code:
        """The smallest architecture, [d]."""
        return self._only([allowed[0] for allowed in self.choices])

    def _only(self, choices: list[int]) -> Code:
        code: Code = self._space.canonical(np.array([choices], np.int64))[0]
        return code


def _among(values: Sequence[int], index: int, most: int | None) -> bool:
    """Whether the value at an index is one of the ``most`` largest that differ."""
    return values[index] in sorted({*values}, reverse=True)[:most]


def _kernel(network: Network) -> int:
    return max(int(node.op.weights["weight"][-1]) for node in network if node.op.kind == "conv2d")


def _width(network: Network) -> int:
    return max(out_channels(node) for node in network if is_layer(node))
