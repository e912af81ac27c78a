"""From kernels to a network: the sum of the rows and the fixed part."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..networks.errors import NotCoveredError
from .table import Answer, Table

RUN_CONSTANT = "run"
"""Name of the constant that every network pays once: entering and leaving the runtime."""


@dataclass(frozen=True)
class Composition:
    """What a table says about a network's kernels.

    Attributes:
        answers: one per kernel, in execution order.
        fixed_ns: what is paid once per run.
    """

    answers: tuple[Answer, ...]
    fixed_ns: float

    @property
    def missing(self) -> tuple[str, ...]:
        """Distinct keys of kernels without a row, in execution order."""
        return tuple(dict.fromkeys(answer.key for answer in self.answers if not answer.covered))

    @property
    def total_ns(self) -> float:
        """Latency of the network.

        Raises:
            NotCoveredError: some kernels have no row.
        """
        if self.missing:
            raise NotCoveredError(
                f"the table has no row for {len(self.missing)} of the network's kernels",
                self.missing,
                hint="profile the network on this device: lutra profile NETWORK",
            )
        return self.fixed_ns + sum(answer.latency_ns or 0.0 for answer in self.answers)


def compose(table: Table, kernel_keys: Iterable[str]) -> Composition:
    """Look up the kernels of a network, given in execution order and with repetitions."""
    fixed = table.constant(RUN_CONSTANT)
    return Composition(tuple(map(table.lookup, kernel_keys)), fixed.latency_ns or 0.0)
