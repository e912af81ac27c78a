"""Whether a network fits a board, by how much it does not, and what would."""

from collections.abc import Iterable
from dataclasses import dataclass

from ...networks.lowering import LoweredNetwork
from ...networks.lowering.mcu_memory import MemoryPlan, plan_memory
from .boards import Board
from .engines import LEAN, Engine


@dataclass(frozen=True)
class Fit:
    """What a network takes of a board's memory.

    Attributes:
        memory: what it takes.
        ram_bytes, flash_bytes: what the board has.
        would_fit: changes under each of which it would fit, in words; empty where it fits, or nothing helps.
    """

    memory: MemoryPlan
    ram_bytes: int
    flash_bytes: int
    would_fit: tuple[str, ...] = ()

    @property
    def ram_over_bytes(self) -> int:
        """How much more RAM it takes than there is; 0 where it fits."""
        return max(0, self.memory.sram_bytes - self.ram_bytes)

    @property
    def flash_over_bytes(self) -> int:
        """How much more flash it takes than there is; 0 where it fits."""
        return max(0, self.memory.flash_bytes - self.flash_bytes)

    @property
    def fits(self) -> bool:
        return not self.ram_over_bytes and not self.flash_over_bytes

    def __str__(self) -> str:
        memory = self.memory
        text = (
            f"SRAM {_kb(memory.sram_bytes)} of {_kb(self.ram_bytes)}, "
            f"flash {_kb(memory.flash_bytes)} of {_kb(self.flash_bytes)}"
        )
        if self.fits:
            return f"{text}: fits"
        over = [
            f"{_kb(count)} of {what} too much{at}"
            for count, what, at in (
                (self.ram_over_bytes, "SRAM", f" (most at {memory.arena.layer})"),
                (self.flash_over_bytes, "flash", ""),
            )
            if count
        ]
        advice = f"; would fit: {', '.join(self.would_fit)}" if self.would_fit else ""
        return f"{text}: DOES NOT FIT, {' and '.join(over)}{advice}"


def fit(lowered: LoweredNetwork, board: Board, engine: Engine, others: Iterable[Board], *, dtype: str = "int8") -> Fit:
    """Plan a network's memory on a board.

    Args:
        lowered: its int8 layers.
        board: where it is to run.
        engine: what runs it.
        others: boards to name where it does not fit.
        dtype: "int8", or "int4" to count weights and activations at half the bits.
    """
    plan = plan_memory(lowered, engine.memory, dtype=dtype)
    found = Fit(plan, board.ram_bytes, board.flash_bytes)
    if found.fits:
        return found
    advice = []
    if engine.name != LEAN.name and _fits(plan_memory(lowered, LEAN.memory, dtype=dtype), board):
        advice.append(f"engine {LEAN.name}")
    if dtype == "int8" and _fits(plan_memory(lowered, engine.memory, dtype="int4"), board):
        advice.append("weights and activations in int4")
    advice += [other.name for other in others if other.name != board.name and _fits(plan, other)]
    return Fit(plan, board.ram_bytes, board.flash_bytes, tuple(advice))


def _fits(plan: MemoryPlan, board: Board) -> bool:
    return plan.sram_bytes <= board.ram_bytes and plan.flash_bytes <= board.flash_bytes


def _kb(count: int) -> str:
    """Bytes as people read them, in kB of 1024 bytes."""
    return f"{count / 1024:,.0f} kB" if count >= 10 * 1024 else f"{count / 1024:.1f} kB"
