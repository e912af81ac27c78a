"""How fast the machine was around each sample, and how far a measurement follows that."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..networks.errors import UsageError

COMPUTE_REFERENCE: Final = "reference compute"
"""Name of the constant that holds the nominal time of the compute reference."""

MEMORY_REFERENCE: Final = "reference memory"
"""Name of the constant that holds the nominal time of the memory reference."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalisation:
    """What brings raw samples to the nominal speed of their device.

    Two reference kernels of fixed work are timed around every sample, one on registers only (it follows the clock
    frequency) and one on buffers larger than the near caches. Their times over the nominal ones say how slow the
    machine was at that moment; the elasticities say how far the subject follows each: 1 in proportion, 0 not at all.

    Args:
        compute_ns: int64, shape [n]: time of the compute reference around each sample.
        memory_ns: int64, shape [n]: the same of the memory reference.
        nominal_compute_ns: time of the compute reference that stands for the device's nominal speed.
        nominal_memory_ns: the same of the memory reference.
        compute_elasticity: relative change of a sample per relative change of the compute reference.
        memory_elasticity: the same per change of the memory reference.

    Raises:
        UsageError: a time is not positive, an elasticity is not finite, or the lengths differ.
    """

    compute_ns: NDArray[np.int64] = field(repr=False)
    memory_ns: NDArray[np.int64] = field(repr=False)
    nominal_compute_ns: float
    nominal_memory_ns: float
    compute_elasticity: float
    memory_elasticity: float

    def __post_init__(self) -> None:
        for name in ("compute_ns", "memory_ns"):
            object.__setattr__(self, name, _times(getattr(self, name), name))
        if len(self.compute_ns) != len(self.memory_ns):
            raise UsageError("the two references have different lengths", hint="give one time of each per sample")
        for name in _SCALARS:
            number = _finite(getattr(self, name), name)
            if name.startswith("nominal") and number <= 0:
                raise UsageError(f"{name} is {number}", hint="give a positive time in ns")
            object.__setattr__(self, name, number)

    def __len__(self) -> int:
        return len(self.compute_ns)

    @cached_property
    def factors(self) -> NDArray[np.float64]:
        """How much longer than nominal each sample took because of the machine, shape [n]; divide by it."""
        compute = (self.compute_ns / self.nominal_compute_ns) ** self.compute_elasticity
        memory = (self.memory_ns / self.nominal_memory_ns) ** self.memory_elasticity
        return np.asarray(compute * memory, np.float64)

    def rescaling(self, nominal_compute_ns: float, nominal_memory_ns: float) -> float:
        """What a normalised time is multiplied with to stand for a machine whose references take these times."""
        compute = (nominal_compute_ns / self.nominal_compute_ns) ** self.compute_elasticity
        return float(compute * (nominal_memory_ns / self.nominal_memory_ns) ** self.memory_elasticity)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Normalisation):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # compared by content, which may be large

    def parameters(self) -> dict[str, float]:
        """Everything but the times per sample, as plain JSON data."""
        return {name: getattr(self, name) for name in _SCALARS}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data; ``from_dict`` reads it back."""
        times = {"compute_ns": self.compute_ns.tolist(), "memory_ns": self.memory_ns.tolist()}
        return times | self.parameters()

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what ``to_dict`` gave.

        Raises:
            UsageError: a field is unknown, missing or malformed.
        """
        names = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            found = ", ".join(sorted(map(str, data))) if isinstance(data, Mapping) else repr(data)
            raise UsageError(f"a normalisation holds {found}", hint=f"give {', '.join(sorted(names))}")
        return cls(**data)


_SCALARS: Final = tuple(item.name for item in fields(Normalisation) if item.name not in ("compute_ns", "memory_ns"))


def _times(values: Any, name: str) -> NDArray[np.int64]:
    """A private read-only copy of positive integers."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and (array.dtype.kind not in "iu" or array.min() < 1)):
        raise UsageError(f"{name} are not positive times", hint="give a 1-D array of integers, in ns")
    copy = array.astype(np.int64)
    copy.setflags(write=False)
    return copy


def _finite(value: Any, name: str) -> float:
    usable = isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)
    if not usable or not math.isfinite(value):
        raise UsageError(f"{name} is {value!r}", hint="give a finite number")
    return float(value)
