"""The measured data of other people that predictors are judged by: tables, tasks and what was published."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..facts import SHARED

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LatencyTable:
    """Architectures with their latencies on several devices.

    Attributes:
        codes: one architecture a row, shape ``[n, m]``.
        latency_ms: by device, each of shape ``[n]``.
        costs: counted quantities by name, each of shape ``[n]``.
        columns: everything else that was asked for, each of shape ``[n]``.
        whole: which architectures compute something, shape ``[n]``; only these are worth measuring.
    """

    codes: Floats
    latency_ms: Mapping[str, Floats]
    costs: Mapping[str, Floats]
    columns: Mapping[str, Floats]
    whole: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Task:
    """New devices, and those that were measured before.

    Attributes:
        name: of the task.
        sources: devices with many measurements.
        targets: new devices.
    """

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]


def read_table(
    path: Path,
    encoding: Sequence[str],
    *,
    costs: Sequence[str] = (),
    devices: Sequence[str],
    prefix: str = "",
    columns: Sequence[str] = (),
) -> LatencyTable:
    """Read a Parquet file.

    Args:
        path: of the file.
        encoding: columns of choices; a column of texts is a choice for each of their characters.
        costs: columns of counted quantities.
        devices: whose latencies to read.
        prefix: of the devices' columns.
        columns: further ones to keep.

    Raises:
        FileNotFoundError: there is no such file; says where it is looked for.
    """
    if not path.exists():
        raise FileNotFoundError(f"measured data are not at {path}; set LUTRA_SHARED_DATA to their folder")
    table = pq.read_table(path)
    kept = (("latency_ms", {name: prefix + name for name in devices}), ("costs", {name: name for name in costs}),
            ("columns", {name: name for name in columns}))  # fmt: skip
    numbers = {
        part: {name: table[column].to_numpy().astype(np.float64) for name, column in names.items()}
        for part, names in kept
    }
    codes = np.concatenate([_choices(table[c]) for c in encoding], axis=1)
    return LatencyTable(codes=codes, whole=np.ones(len(codes), np.bool_), **numbers)


def _choices(column: Any) -> Floats:
    values = column.to_pylist()
    if isinstance(values[0], str):
        return np.array([[float(ord(letter)) for letter in value] for value in values])
    return np.array(values, np.float64)[:, None]


_GPUS: Final = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
SERVERS: Final = ("gold_6226", "gold_6240", "silver_4114", "silver_4210r")
_OTHERS: Final = ("essential_ph_1", "eyeriss", "fpga", "pixel2", "pixel3", "raspi4", "samsung_a50", "samsung_s7")


def _devices(*batches: int) -> tuple[str, ...]:
    return (*(f"{gpu}_{batch}" for gpu in _GPUS for batch in batches), *SERVERS, *_OTHERS)


FBNET_DEVICES: Final = _devices(1, 32, 64)
NB201_DEVICES: Final = _devices(1, 32, 256)


def is_gpu(device: str) -> bool:
    """Whether a column is of a graphics card."""
    return device.rsplit("_", 1)[0] in _GPUS


@cache
def fbnet() -> LatencyTable:
    """5,000 architectures of FBNet's space."""
    return read_table(
        SHARED / "fbnet" / "architectures.parquet",
        [f"op_{number:02d}" for number in range(22)],
        costs=("flops", "params"),
        devices=FBNET_DEVICES,
    )


@cache
def nasbench201() -> LatencyTable:
    """All 15,625 cells of NAS-Bench-201; those whose input does not reach the output are not whole."""
    path = SHARED / "nasbench201" / "architectures.parquet"
    table = read_table(
        path,
        ["naslib_ops"],
        costs=("macs_M_cifar10", "params_M_cifar10"),
        devices=NB201_DEVICES,
        prefix="lat_",
        columns=("val_acc_cifar10",),
    )
    cells = pq.read_table(path, columns=["arch_str"])["arch_str"].to_pylist()
    return replace(table, whole=np.array([_connected(cell) for cell in cells]))


def _connected(cell: str) -> bool:
    """Whether something of a cell's input reaches its output; ``|op~from|op~from|`` stands for one node."""
    reached = [True]
    for node in cell.split("+"):
        edges = (edge.split("~") for edge in node.strip("|").split("|"))
        reached.append(any(op != "none" and reached[int(source)] for op, source in edges))
    return reached[-1]


@cache
def ceilings() -> dict[tuple[str, str], dict[str, float]]:
    """What a model given four fifths of a space reaches, by (space, device)."""
    with (SHARED / "baselines" / "device_ceilings.csv").open(encoding="utf-8") as lines:
        return {
            (row["space"], row["device"]): {
                "spearman": max(float(row["lin_spearman"]), float(row["hgb_spearman"])),
                "within_10_pct": max(float(row["lin_within10"]), float(row["hgb_within10"])),
            }
            for row in csv.DictReader(lines)
        }


# Task definitions of NASFLAT (MLSys 2024); FD and ND are HELP's (NeurIPS 2021).
_GPUS_OF_FA: Final = tuple(f"{gpu}_{batch}" for gpu in _GPUS for batch in (1, 32, 64))
FBNET_TASKS: Final = tuple(
    Task(name, tuple(sources.split()), tuple(targets.split()))
    for name, sources, targets in (
        ("FD", "1080ti_1 1080ti_32 1080ti_64 silver_4114 silver_4210r samsung_a50 pixel3 essential_ph_1 samsung_s7",
         "fpga raspi4 eyeriss"),
        ("F1", "2080ti_1 essential_ph_1 silver_4114 titan_rtx_1 titan_rtx_32",
         "eyeriss fpga raspi4 samsung_a50 samsung_s7"),
        ("F2", "essential_ph_1 gold_6226 gold_6240 pixel3 raspi4",
         "1080ti_1 1080ti_32 2080ti_32 titan_rtx_1 titanxp_1"),
        ("F3", "essential_ph_1 pixel2 pixel3 raspi4 samsung_s7",
         "1080ti_1 1080ti_32 2080ti_1 titan_rtx_1 titan_rtx_32"),
        ("F4", "1080ti_64 2080ti_1 eyeriss gold_6226 gold_6240 raspi4 samsung_s7 silver_4210r titan_rtx_1 titan_rtx_32",
         "1080ti_1 pixel2 essential_ph_1"),
        ("FA", " ".join(_GPUS_OF_FA), "gold_6226 essential_ph_1 samsung_s7 pixel2"),
    )
)  # fmt: skip
ND: Final = Task(
    "ND",
    ("1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r", "samsung_a50", "pixel3", "essential_ph_1",
     "samsung_s7"),
    ("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga"),
)  # fmt: skip
