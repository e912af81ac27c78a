"""Memory of networks by the planner, beside what MCUNet and TinyEngine published."""

import csv
from typing import Any

import numpy as np

from lutra.networks import zoo
from lutra.networks.lowering import lower
from lutra.networks.lowering.mcu_memory import LEAN, plan_memory
from lutra.profiler.mcu.engines import ENGINES

from ._mcu_data import ZOO, measured_networks
from .facts import SHARED

_FITTED = "TinyEngine-2022"
_SUFFIX = "_imagenet"


def measure() -> dict[str, Any]:
    """Activation sizes in kB as published and ours; SRAM and flash in kB by engine, measured and ours."""
    figures: dict[str, list[list[Any]]] = {}
    for row in measured_networks():
        if row.board == "stm32h743" and row.sram_kb is not None and row.flash_kb is not None:
            lowered = lower(zoo.build(row.network), "mcu", precision="int8")
            memory = plan_memory(lowered, ENGINES[row.engine].memory)
            ours = [memory.sram_bytes / 1024, memory.flash_bytes / 1024]
            figures.setdefault(row.measured_with, []).append([row.network, row.sram_kb, row.flash_kb, *ours])
    return {"activations": _activations(), "figures": figures}


def _activations() -> list[list[Any]]:
    """Network, published and counted kB of activations: the largest sum of what is live, nothing in place."""
    found = []
    with (SHARED / "mcunet" / "published_counts.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["act_kB"]:
                network, dtype = _network(row["name"].removesuffix(_SUFFIX), int(row["bits"]))
                lowered = lower(zoo.build(network), "mcu", precision="int8")
                arena = plan_memory(lowered, LEAN, dtype=dtype).plain
                found.append([network, float(row["act_kB"]), arena.bytes / 1024])
    return found


def _network(name: str, bits: int) -> tuple[str, str]:
    """The network of the zoo that a published name means, and its element type."""
    if bits == 4:
        return "mcunet_" + name.removeprefix("mcunet-").split("-")[0] + "_int4", "int4"
    return ZOO[name], "int8"


def errors_pct(found: dict[str, Any], engine: str, quantity: str) -> list[float]:
    """Errors of SRAM or flash of one engine's networks, in %."""
    offset = {"sram": 1, "flash": 2}[quantity]
    return [100 * (row[offset + 2] / row[offset] - 1) for row in found["figures"][engine]]


def activation_error_kb(found: dict[str, Any]) -> float:
    """How far the activation column is off at most, after rounding to kB as it is printed."""
    return max(abs(_printed(counted) - float(published)) for _, published, counted in found["activations"])


def _printed(kilobytes: float) -> float:
    return float(np.floor(kilobytes + 0.5))


def tinyengine_mape_pct(found: dict[str, Any], quantity: str) -> float:
    return float(np.mean(np.abs(errors_pct(found, _FITTED, quantity))))


def lines(found: dict[str, Any]) -> list[str]:
    """The table as text."""
    told = ["activations in kB, published and counted:"]
    told += [
        f"    {network:26} {published:8.0f} {counted:8.1f}" for network, published, counted in found["activations"]
    ]
    for engine, rows in found["figures"].items():
        sram, flash = (np.mean(np.abs(errors_pct(found, engine, quantity))) for quantity in ("sram", "flash"))
        told.append(f"SRAM and flash in kB on stm32h743, {engine}: MAPE {sram:.1f} % and {flash:.1f} %")
        told += [f"    {net:26} {s:6.0f} {ours_s:7.1f}   {f:6.0f} {ours_f:7.1f}" for net, s, f, ours_s, ours_f in rows]
    return told
