"""GPUs as data: what a datasheet says of one, checked against what its multiprocessors can do.

A peak that is more than multiprocessors x clock x the architecture's rate is refused: datasheets like to print rates
for matrices of which half is zero ("with sparsity"), which are twice the dense ones.
"""

import os
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from ...networks.errors import UnsupportedDtypeError
from ..descriptions import Family, Hardware

Arch = Literal["maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell"]
Dtype = Literal["fp32", "tf32", "fp16", "bf16", "int8", "fp8"]

DTYPES: Final[tuple[Dtype, ...]] = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")
TENSOR_CORES: Final[frozenset[Dtype]] = frozenset({"tf32", "bf16", "fp8"})
"""Number formats that only tensor cores compute in."""

_DEVICES: Final = Path(__file__).parent / "devices"

DENSE_RATES: Final[dict[str, tuple[Arch, dict[Dtype, int]]]] = {
    "5.2": ("maxwell", {"fp32": 256}),
    "6.0": ("pascal", {"fp32": 128, "fp16": 256}),
    "6.1": ("pascal", {"fp32": 256, "int8": 1024}),
    "7.0": ("volta", {"fp32": 128, "fp16": 1024}),
    "7.5": ("turing", {"fp32": 128, "fp16": 1024, "int8": 2048}),
    "8.0": ("ampere", {"fp32": 128, "tf32": 1024, "fp16": 2048, "bf16": 2048, "int8": 4096}),
    "8.6": ("ampere", {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048}),
    "8.7": ("ampere", {"fp32": 256, "tf32": 1024, "fp16": 2048, "bf16": 2048, "int8": 4096}),
    "8.9": ("ada", {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048, "fp8": 2048}),
    "9.0": ("hopper", {"fp32": 256, "tf32": 2048, "fp16": 4096, "bf16": 4096, "int8": 8192, "fp8": 8192}),
    "10.0": ("blackwell", {"fp32": 256, "tf32": 4096, "fp16": 8192, "bf16": 8192, "int8": 16384, "fp8": 16384}),
    "10.3": ("blackwell", {"fp32": 256, "tf32": 4096, "fp16": 8192, "bf16": 8192, "int8": 512, "fp8": 16384}),
    "12.0": ("blackwell", {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048, "fp8": 2048}),
}
"""By compute capability: the architecture, and operations a clock of one multiprocessor, a multiply-add as two, dense.

Source: NVIDIA's architecture whitepapers (lanes and tensor cores of a multiprocessor); fp16 of Pascal (6.0) runs on
the plain lanes, int8 of 6.1 is DP4A.
"""

_OVER: Final = 1.15  # a peak may be given at a higher clock than the boost clock of the file
_UNDER: Final = 0.1
_SPARSE: Final = 1.6  # from here a peak is taken to be one of half-empty matrices


class GpuDevice(Hardware):
    """A GPU.

    Attributes:
        kind: always "gpu".
        arch: family of the multiprocessor.
        compute_capability: its version, as in ``9.0``; what a multiprocessor does in a clock follows from it.
        sm_count: streaming multiprocessors.
        boost_mhz: clock that the peaks are at.
        peak_tflops: dense peak by number format, 10^12 operations a second, a multiply-add as two.
        bandwidth_gb_s: of its memory, 10^9 bytes a second.
        l2_mb: level-2 cache, 10^6 bytes.
        memory_gb: 10^9 bytes.
        tdp_w: power that it may draw for long.
        node_nm: name of the process it is made in.
        launch_us: what a kernel takes that does nothing, in a queue of kernels.
        sources: where the numbers are from.
        discrepancies: where sources differ.
    """

    kind: Literal["gpu"]
    arch: Arch
    compute_capability: str
    sm_count: int = Field(ge=1, le=1024)
    boost_mhz: int = Field(ge=100, le=10_000)
    peak_tflops: dict[Dtype, float] = Field(min_length=1)
    bandwidth_gb_s: float = Field(gt=0, le=100_000)
    l2_mb: float = Field(gt=0, le=10_000)
    memory_gb: float = Field(gt=0, le=10_000)
    tdp_w: float = Field(gt=0, le=10_000)
    node_nm: float = Field(gt=0, le=100)
    launch_us: float = Field(ge=0, le=1000)
    sources: list[str] = Field(min_length=1)
    discrepancies: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.compute_capability not in DENSE_RATES:
            known = ", ".join(DENSE_RATES)
            raise ValueError(f"compute_capability {self.compute_capability!r} is not known; known: {known}")
        arch, rates = DENSE_RATES[self.compute_capability]
        if self.arch != arch:
            raise ValueError(f"compute capability {self.compute_capability} is of {arch}, not of {self.arch}")
        if "fp32" not in self.peak_tflops:
            raise ValueError("peak_tflops has no fp32")
        for dtype, peak in self.peak_tflops.items():
            self._check_peak(dtype, peak, rates)
        return self

    def _check_peak(self, dtype: Dtype, peak: float, rates: dict[Dtype, int]) -> None:
        if dtype not in rates:
            raise ValueError(
                f"peak_tflops.{dtype}: {self.arch} ({self.compute_capability}) does not compute in {dtype}; "
                f"it does in {', '.join(rates)}"
            )
        dense = self.dense_tflops(dtype)
        rate = f"{self.sm_count} SMs x {self.boost_mhz} MHz x {rates[dtype]} a clock = {dense:.4g} TFLOPS dense"
        if peak <= 0:
            raise ValueError(f"peak_tflops.{dtype} is {peak:g}: give a positive number; {rate}")
        if peak > dense * _OVER:
            if peak >= dense * _SPARSE and dtype != "fp32":
                raise ValueError(
                    f"peak_tflops.{dtype} is {peak:g}, but {rate}: this looks like the figure with 2:4 sparsity, "
                    f"which is twice the dense one; write {peak / 2:g}"
                )
            raise ValueError(f"peak_tflops.{dtype} is {peak:g}, but {rate}: check sm_count, boost_mhz and the peak")
        if peak < dense * _UNDER:
            raise ValueError(f"peak_tflops.{dtype} is {peak:g}, but {rate}: is it in PFLOPS? write TFLOPS")

    def dense_tflops(self, dtype: Dtype) -> float:
        """Dense peak that follows from multiprocessors, clock and architecture, 10^12 operations a second."""
        return self.sm_count * self.boost_mhz * DENSE_RATES[self.compute_capability][1][dtype] / 1e6

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """Number formats that it computes in."""
        return tuple(dtype for dtype in DTYPES if dtype in self.peak_tflops)

    def peak(self, dtype: str) -> float:
        """Dense peak in a number format, 10^12 operations a second.

        Raises:
            UnsupportedDtypeError: it does not compute in that format; lists those it does.
        """
        for known in self.dtypes:
            if known == dtype:
                return self.peak_tflops[known]
        raise UnsupportedDtypeError(
            f"{self.name} ({self.arch}) does not compute in {dtype}", hint=f"it does in: {', '.join(self.dtypes)}"
        )


GPUS: Final = Family("gpu", "GPU", GpuDevice, _DEVICES, "docs/simulated-devices.md")


def read_gpu(path: str | os.PathLike[str]) -> GpuDevice:
    """The GPU that a YAML file describes.

    Raises:
        UsageError: the file cannot be read, or describes no possible GPU; names the field.
    """
    return GPUS.read(path)
