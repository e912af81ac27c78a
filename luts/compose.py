"""From kernels to a network: the sum of the rows and the fixed part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..networks.errors import NotCoveredError
from .residency import cold_share
from .table import Answer, Table

if TYPE_CHECKING:
    from ..networks.lowering import Kernel

RUN_CONSTANT = "run"
"""Name of the constant that every network pays once: entering and leaving the runtime."""


@dataclass(frozen=True)
class Composition:
    """What a table says about a network's kernels.

    Attributes:
        kernels: one answer per kernel, in execution order.
        run: the constant that is paid once; a table without one adds nothing.
    """

    kernels: tuple[Answer, ...]
    run: Answer

    @property
    def missing(self) -> tuple[str, ...]:
        """Distinct keys of kernels without a number, in execution order."""
        return tuple(dict.fromkeys(answer.key for answer in self.kernels if not answer.covered))

    @property
    def run_ns(self) -> float:
        return self.run.latency_ns or 0.0

    @property
    def total_ns(self) -> float:
        """Latency of the network.

        Raises:
            NotCoveredError: some kernels have no number.
        """
        if self.missing:
            raise NotCoveredError(
                f"the table has no number for {len(self.missing)} of the network's kernels",
                self.missing,
                hint="profile the network on this device: lutra profile NETWORK",
            )
        return math.fsum([self.run_ns, *(answer.latency_ns or 0.0 for answer in self.kernels)])


def compose(table: Table, kernels: "Sequence[Kernel]", *, interpolate: bool = False) -> Composition:
    """Look up the kernels of a network, given in execution order and with repetitions.

    How large they are together decides how much of their weights is taken to come from memory (`cold_share`).

    Args:
        table: the rows of one device.
        kernels: what the network runs.
        interpolate: answer for kernels without a row from the rows of their like, where those say enough
            (`Interpolator`). Without it, they have no number.
    """
    share = cold_share(kernels, table.fingerprint)
    distinct = {kernel.key: kernel for kernel in kernels}
    answers = {key: table.lookup(key, cold_share=share) for key in distinct}
    if interpolate:
        missing = [distinct[key] for key, answer in answers.items() if not answer.covered]
        found = table.interpolator.answers(missing, cold_share=share) if missing else []
        answers.update((answer.key, answer) for answer in found)
    return Composition(tuple(answers[kernel.key] for kernel in kernels), table.constant(RUN_CONSTANT))
