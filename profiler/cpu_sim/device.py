"""CPUs as data: cores, clock, vectors, caches and memory, checked against each other."""

import os
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from ...networks.errors import UnsupportedDtypeError
from ..descriptions import Description, Family, Hardware

Dtype = Literal["fp32", "fp16", "int8"]
MicroArchitecture = Literal["in-order", "small-out-of-order", "big-out-of-order"]

DTYPES: Final[dict[Dtype, int]] = {"fp32": 32, "fp16": 16, "int8": 8}
"""Bits of an element."""

EFFICIENCY: Final[dict[MicroArchitecture, float]] = {
    "in-order": 0.38,
    "small-out-of-order": 0.5,
    "big-out-of-order": 0.75,
}
"""Share of the peak that large convolutions reach, where a file does not say. Source: convolutions of TopHub on five
ARM boards (Cortex-A53 and A73 .38 to .50, Cortex-A72 .89), and .6 to .9 for large cores."""

_DEVICES: Final = Path(__file__).parent / "devices"


class CpuCalibration(Description):
    """What fits a CPU to latencies that were measured on it.

    Attributes:
        compute: factor on the time of arithmetic.
        memory: factor on the time of memory.
        op_us: what an op takes beside, in us.
        samples: how many latencies it was fitted on.
        error: typical relative error that was left on samples that it was not fitted on.
        source: where they are from.
    """

    compute: float = Field(gt=0.01, lt=100)
    memory: float = Field(gt=0.01, lt=100)
    op_us: float = Field(ge=0, lt=10_000)
    samples: int = Field(ge=5)
    error: float = Field(gt=0, lt=5)
    source: str = Field(min_length=1)


class CpuDevice(Hardware):
    """A CPU.

    Attributes:
        kind: always "cpu".
        microarchitecture: what its cores are like.
        cores: how many there are of one kind.
        ghz: clock that they sustain.
        simd_bits: width of a vector.
        fma_pipes: vector multiply-adds that a core starts in a cycle.
        flops_per_cycle: of a core, by number format, a multiply-add as two.
        l1_kb: level-1 data cache of a core.
        l2_kb: level-2 cache that a core has for itself; 0 where it has none.
        llc_kb: last-level cache that the cores share; 0 where there is none.
        dram_gb_s: bandwidth of memory, 10^9 bytes a second.
        core_dram_gb_s: the most that one core draws of it; None for all.
        fork_us: what it takes to hand work to other threads and to wait for them, in us.
        uarch_efficiency: share of the peak that large convolutions reach; None for what is usual for such cores.
        calibration: what fits it to measured latencies.
        sources: where the numbers are from.
    """

    kind: Literal["cpu"]
    microarchitecture: MicroArchitecture
    cores: int = Field(ge=1, le=1024)
    ghz: float = Field(gt=0.01, le=10)
    simd_bits: Literal[64, 128, 256, 512]
    fma_pipes: int = Field(ge=1, le=8)
    flops_per_cycle: dict[Dtype, float] = Field(min_length=1)
    l1_kb: int = Field(ge=1, le=1024)
    l2_kb: int = Field(ge=0, le=1 << 17)
    llc_kb: int = Field(ge=0, le=1 << 20)
    dram_gb_s: float = Field(gt=0, le=10_000)
    core_dram_gb_s: float | None = Field(default=None, gt=0, le=10_000)
    fork_us: float = Field(ge=0, le=1000)
    uarch_efficiency: float | None = Field(default=None, gt=0, le=1)
    calibration: CpuCalibration | None = None
    sources: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if "fp32" not in self.flops_per_cycle:
            raise ValueError("flops_per_cycle has no fp32")
        for dtype, flops in self.flops_per_cycle.items():
            lanes = self.simd_bits // DTYPES[dtype]
            most = 2 * self.fma_pipes * lanes
            if flops <= 0:
                raise ValueError(f"flops_per_cycle.{dtype} is {flops:g}: give a positive number, {most} at most")
            if flops > most:
                raise ValueError(
                    f"flops_per_cycle.{dtype} is {flops:g}, but {self.fma_pipes} pipes x {lanes} lanes x 2 are {most}: "
                    "it is of one core, not of all"
                )
        if self.core_dram_gb_s is not None and self.core_dram_gb_s > self.dram_gb_s:
            raise ValueError(f"core_dram_gb_s is {self.core_dram_gb_s:g}, more than dram_gb_s, {self.dram_gb_s:g}")
        return self

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Number formats that it computes in."""
        return tuple(dtype for dtype in DTYPES if dtype in self.flops_per_cycle)

    @property
    def efficiency(self) -> float:
        """Share of the peak that large convolutions reach."""
        return EFFICIENCY[self.microarchitecture] if self.uarch_efficiency is None else self.uarch_efficiency

    def flops(self, dtype: str) -> float:
        """Operations of one core in a cycle, in a number format.

        Raises:
            UnsupportedDtypeError: it does not compute in that format; lists those it does.
        """
        for known in self.dtypes:
            if known == dtype:
                return self.flops_per_cycle[known]
        raise UnsupportedDtypeError(
            f"{self.name} does not compute in {dtype}", hint=f"it does in: {', '.join(self.dtypes)}"
        )


CPUS: Final = Family("cpu", "CPU", CpuDevice, _DEVICES, "docs/simulated-devices.md")


def read_cpu(path: str | os.PathLike[str]) -> CpuDevice:
    """The CPU that a YAML file describes.

    Raises:
        UsageError: the file cannot be read, or describes no possible CPU; names the field.
    """
    return CPUS.read(path)
