"""What else than accuracy a search trades off: latencies on several devices, MACs, parameters, memory, energy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError
from ._blocks import built
from .oracle import LatencyOracle
from .space import CodedSpace


@dataclass(frozen=True)
class Quantity:
    """A number of each architecture, for many at once. It is called with codes, [n, P], and gives n numbers.

    ::

        quantity = Quantity("energy_mj", measured_energy)
        Problem(space, [accuracy, Objective(quantity.name, quantity)])

    Attributes:
        name: what it is, with its unit.
        measure: n numbers, none of them NaN, of n codes.
    """

    name: str
    measure: Callable[[Any], Any]

    def __call__(self, codes: Any) -> NDArray[np.float64]:
        """The numbers, [n].

        Raises:
            UsageError: `measure` does not give one number for each architecture.
        """
        values = np.asarray(self.measure(codes), np.float64)
        if values.shape != (len(codes),) or np.isnan(values).any():
            raise UsageError(
                f"{self.name} of {len(codes)} architectures came as {values.shape} numbers, "
                f"{int(np.isnan(values).sum())} of them NaN",
                hint="let it give one number for each architecture",
            )
        return values


def latency_on(oracle: LatencyOracle) -> Quantity:
    """The latency on an oracle's device, in ms; one for each device makes a search over several devices."""
    return Quantity(f"latency_ms@{oracle.device}", oracle.latencies_ms)


def macs_of(space: CodedSpace) -> Quantity:
    """Multiply-accumulates."""
    return Quantity("macs", lambda codes: space.costs(codes).macs)


def params_of(space: CodedSpace) -> Quantity:
    """Trained numbers."""
    return Quantity("params", lambda codes: space.costs(codes).params)


def peak_bytes_of(space: CodedSpace, *, dtype: str | None = None, inplace_depthwise: bool = False) -> Quantity:
    """Peak activation memory, in bytes, as the network of each architecture has it (`Network.peak_activation_bytes`).

    In a chain a single tensor is live between two blocks, so the peak of a network is that of one of its blocks, and
    each block is looked at once. Architectures of other spaces are decoded.

    Args:
        space: of the codes.
        dtype: activations are stored as this; None takes the networks' own types.
        inplace_depthwise: depthwise convolutions write over their input.
    """
    chains = space.chains()

    def decoded(codes: Any) -> NDArray[np.float64]:
        networks = (space.decode(code) for code in space.validate(codes))
        return np.array([n.peak_activation_bytes(dtype, inplace_depthwise) for n in networks], np.float64)

    if not chains:
        return Quantity("peak_bytes", decoded)
    tables = [_peaks(space, number, dtype, inplace_depthwise) for number in range(len(chains))]

    def looked_up(codes: Any) -> NDArray[np.float64]:
        chain, choices = space.chain_of(codes)
        peaks = np.empty(len(choices))
        for number, (ends, table) in enumerate(tables):
            here = chain == number
            inside = table[np.arange(choices.shape[1]), choices[here]].max(axis=1, initial=0.0)
            peaks[here] = np.maximum(inside, ends)
        return peaks

    return Quantity("peak_bytes", looked_up)


def _peaks(
    space: CodedSpace, number: int, dtype: str | None, inplace_depthwise: bool
) -> tuple[float, NDArray[np.float64]]:
    """The larger peak of the ends of a chain, and those of its candidates, [positions, candidates]."""
    chain = space.chains()[number]
    stem, border = built(chain.stem, chain.input)
    rows: list[list[int]] = []
    for candidates in chain.positions:
        made = [built(block, border) for block in candidates]
        rows.append([network.peak_activation_bytes(dtype, inplace_depthwise) for network, _ in made])
        border = made[0][1]
    head, _ = built(chain.head, border)
    table = np.zeros((len(rows), max(map(len, rows), default=0)))
    for row, peaks in zip(table, rows, strict=True):
        row[: len(peaks)] = peaks
    return max(end.peak_activation_bytes(dtype, inplace_depthwise) for end in (stem, head)), table
