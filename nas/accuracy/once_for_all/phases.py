"""Phases of progressive shrinking, and the choices that each allows (arXiv:1908.09791, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        kernels: how many of the largest kernel sizes of each block are allowed; None for all.
        depths: how many of the largest depths of each stage; None for all.
        widths: how many of the largest widths of each block; None for all.
        subnets: how many architectures learn from each batch.
        sandwich: whether the largest that is allowed is always among two or more of these, the smallest among five or
            more, and the largest teaches the others (arXiv:2003.11142, section 3.1); else all are drawn, and all learn
            from the labels.

    Raises:
        UsageError: a number that makes no sense.
    """

    name: str
    epochs: int
    kernels: int | None = None
    depths: int | None = None
    widths: int | None = None
    subnets: int = 1
    sandwich: bool = True

    def __post_init__(self) -> None:
        if min(self.epochs, self.subnets, *(n for n in (self.kernels, self.depths, self.widths) if n is not None)) < 1:
            raise UsageError(f"phase {self.name!r} has a number below 1", hint="leave a phase out rather")


_PHASES: Final = (
    Phase(name="full", epochs=10, kernels=1, depths=1, widths=1),
    Phase(name="kernel", epochs=6, depths=1, widths=1, subnets=2),
    Phase(name="depth", epochs=10, widths=1, subnets=3),
    Phase(name="width", epochs=74, subnets=5),
)
"""Of a plan of 100 epochs."""


def plan(epochs: int) -> tuple[Phase, ...]:
    """Once-for-All's phases: the largest network; then all kernels; then all depths; then all widths.

    Most epochs are those in which all networks learn. The paper allows depths, and then widths, in two steps each.

    Args:
        epochs: passes over the images in all phases together, 4 or more.

    Raises:
        UsageError: fewer epochs than phases.
    """
    if epochs < len(_PHASES):
        raise UsageError(f"{epochs} epochs for {len(_PHASES)} phases", hint=f"give {len(_PHASES)} epochs or more")
    whole = sum(phase.epochs for phase in _PHASES)
    counts = [max(1, round(epochs * phase.epochs / whole)) for phase in _PHASES[:-1]]
    counts.append(epochs - sum(counts))
    return tuple(replace(phase, epochs=count) for phase, count in zip(_PHASES, counts, strict=True))


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
