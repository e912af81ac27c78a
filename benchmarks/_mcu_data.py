"""Measured latencies and memory of networks on microcontrollers, and which networks of the zoo they are."""

import csv
from dataclasses import dataclass
from pathlib import Path

from .facts import SHARED

FOLDER = SHARED / "mcu"

ZOO = {
    **{f"mcunet-vww{i}": f"mcunet_vww{i}" for i in range(3)},
    **{f"mcunet-in{i}": f"mcunet_in{i}" for i in range(5)},
    "proxyless-w0.3-r64": "mcunet_proxyless_w0.3_r64",
    "proxyless-w0.3-r176": "mcunet_proxyless_w0.3",
    "proxyless-w0.25-r112": "mcunet_proxyless_w0.25",
    "mbv2-w0.3-r64": "mcunet_mbv2_w0.3_r64",
    "mbv2-w0.3-r80": "mcunet_mbv2_w0.3",
    "mbv2-w0.35-r144": "mcunet_mbv2_w0.35",
    "mcunet-10fps": "mcunet_in0",
    "mcunet-5fps": "mcunet_in1",
    "mcunet-256kb-1mb": "mcunet_in2",
    "mcunet-320kb-1mb": "mcunet_in3",
    "mcunet-512kb-2mb": "mcunet_in4",
}
"""Names of the zoo by the names of the published tables."""

BOARDS = {"STM32H743": "stm32h743", "STM32F746": "stm32f746", "STM32F746G-DISCO": "stm32f746", "STM32F412": "stm32f412"}

ENGINES = {
    "TinyEngine-2022": "lean",
    "TinyEngine-2020": "lean",
    "TFLM+CMSIS-NN": "tflm-like",
    "TFLM-2.5+CMSIS-NN": "tflm-like",
}
"""Which of our engines stands for a measured one."""


@dataclass(frozen=True)
class Measured:
    """A network that was measured on a board.

    Attributes:
        network: its name in the zoo.
        board, engine: ours that stand for what it was measured with.
        measured_with: the engine that it was measured with.
        latency_ms: None where it did not fit.
        sram_kb, flash_kb: None where they were not told.
    """

    network: str
    board: str
    engine: str
    measured_with: str
    latency_ms: float | None
    sram_kb: float | None
    flash_kb: float | None

    @property
    def group(self) -> str:
        """Board and engine, which share one factor."""
        return f"{self.board} {self.measured_with}"


def measured_networks(path: Path = FOLDER / "networks.csv") -> list[Measured]:
    """The published measurements whose networks and engines we have."""
    found = []
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            name = row["net"].partition(" (")[0]
            if name in ZOO and row["board"] in BOARDS and row["engine"] in ENGINES:
                numbers = (_number(row[column]) for column in ("latency_ms", "sram_kb", "flash_kb"))
                found.append(Measured(ZOO[name], BOARDS[row["board"]], ENGINES[row["engine"]], row["engine"], *numbers))
    return found


def mlperf_tiny(path: Path = FOLDER / "mlperf_tiny.csv") -> dict[str, float]:
    """Latencies in ms of OctoML's submission with CMSIS-NN kernels on the NUCLEO-L4R5ZI, by benchmark."""
    found = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["org"] == "OctoML" and row["system"] == "microtvm_cmsis_nn":
                board, _, name = row["bench"].partition("/")
                if board == "NUCLEO_L4R5ZI":
                    found[name] = float(row["ms"])
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
