"""Which design space to search for a device whose memory is small (MCUNet, arXiv:2007.10319, section 3.1).

Memory is the hard limit of microcontrollers. Of several design spaces (widths and sizes of image) the better one is
that whose networks do more work within the same memory: more MACs mean more capacity, and so more accuracy. From each
space random networks are drawn; those that fit are kept; spaces are ranked by the MACs of what is kept. Nothing is
trained, and in spaces that are chains nothing is decoded either: blocks are priced, and networks summed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from ..networks.errors import InfeasibleError, UsageError
from ..networks.lowering.mcu_memory import LEAN, MemoryRules
from .spaces import Costs, Memory, SearchSpace

SAMPLES: Final = 1000
"""Networks that are drawn from each space."""

FEW: Final = 10
"""Where fewer networks fit, there are too few to judge a space by, and it comes behind the others."""


@dataclass(frozen=True)
class DesignSpace:
    """One design space, and the MACs of random networks of it that fit.

    Attributes:
        name: the space's, and the size of its images: "tinynas-w0.5@144".
        sampled: networks that were drawn.
        macs: those of the k that fit, rising.
        least_sram_bytes, least_flash_bytes: the least that one that was drawn takes.
    """

    name: str
    sampled: int
    macs: npt.NDArray[np.int64]
    least_sram_bytes: int
    least_flash_bytes: int

    @property
    def fitting(self) -> float:
        """Share of what was drawn that fits."""
        return len(self.macs) / self.sampled

    @cached_property
    def mean_macs(self) -> float:
        """Mean MACs of what fits; 0 where nothing does."""
        return float(self.macs.mean()) if len(self.macs) else 0.0

    def macs_above(self, share: float) -> float:
        """What a share of the networks that fit have at least: 0.2 for the bound of the top 20 %; 0 where none fits."""
        return float(np.quantile(self.macs, 1 - share)) if len(self.macs) else 0.0


def rank(
    spaces: Sequence[SearchSpace],
    *,
    sram_bytes: int,
    flash_bytes: int,
    rules: MemoryRules = LEAN,
    top: float | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[DesignSpace]:
    """Design spaces, the best for this memory first; behind them those where fewer than `FEW` networks fit.

    Args:
        spaces: each of their sizes of image is a design space. Sizes of one space are judged by the same networks.
        sram_bytes, flash_bytes: what there is.
        rules: what the engine takes beside activations and weights.
        top: rank by the MACs above which this share of the networks is (0.2: the top 20 %); None by mean MACs.
        samples: networks to draw from each.
        seed: of the drawing.

    Raises:
        UsageError: no space, fewer than one sample, memory below one byte, or a share that is not between 0 and 1.
        InfeasibleError: nothing that was drawn fits; says the least that was needed.
        NotSupportedError: networks that no int8 engine of microcontrollers runs.
    """
    if not spaces or samples < 1 or min(sram_bytes, flash_bytes) < 1 or not (top is None or 0 < top < 1):
        raise UsageError(
            f"cannot rank {len(spaces)} spaces by {samples} networks each within {sram_bytes} and {flash_bytes} bytes"
            + ("" if top is None else f", by the top {top:g}"),
            hint="give a space or more, a sample or more, memory in bytes, and a share between 0 and 1",
        )
    sampled = [one for space in spaces for one in _sampled(space, samples, rules, np.random.default_rng(seed))]
    found = [_judged(*one, one[-1].fits(sram_bytes, flash_bytes)) for one in sampled]
    if not any(len(space.macs) for space in found):
        raise _infeasible(sampled, sram_bytes, flash_bytes)

    def order(space: DesignSpace) -> tuple[bool, float]:
        return len(space.macs) < FEW, -(space.mean_macs if top is None else space.macs_above(top))

    return sorted(found, key=order)


def _sampled(
    space: SearchSpace, samples: int, rules: MemoryRules, rng: np.random.Generator
) -> list[tuple[str, Costs, Memory]]:
    """What random networks cost and take, for each size of image."""
    codes = space.sample(samples, rng)
    if not space.chains():
        return [(space.name, space.costs(codes), space.memory(codes, rules))]
    _, choices = space.chain_of(codes)
    found = []
    for i, chain in enumerate(space.chains()):
        here = np.full(samples, i)
        found.append((chain.name, space.chain_costs(here, choices), space.chain_memory(here, choices, rules)))
    return found


def _judged(name: str, costs: Costs, memory: Memory, fits: npt.NDArray[np.bool_]) -> DesignSpace:
    least = int(memory.sram_bytes.min()), int(memory.flash_bytes.min())
    return DesignSpace(name, len(fits), np.sort(costs.macs[fits]), *least)


def _infeasible(sampled: Sequence[tuple[str, Costs, Memory]], sram_bytes: int, flash_bytes: int) -> InfeasibleError:
    """The error for what is too small, with the least that is needed of it; for flash, beside SRAM that is kept."""
    names = [name for name, _, _ in sampled]
    space = names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"
    sram = np.concatenate([memory.sram_bytes for _, _, memory in sampled])
    flash = np.concatenate([memory.flash_bytes for _, _, memory in sampled])
    if sram_bytes < sram.min():
        return InfeasibleError("SRAM in kB", sram_bytes / 1024, math.ceil(sram.min() / 1024), space=space)
    least = flash[sram <= sram_bytes].min()
    return InfeasibleError("flash in kB", flash_bytes / 1024, math.ceil(least / 1024), space=space)
