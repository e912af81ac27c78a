"""Measures the area of simulated microcontrollers into `benchmarks/results/mcu.json`, and prints the validation table.

``python -m benchmarks.mcu`` measures what has not been measured yet; ``python -m benchmarks.mcu layers`` one part anew.
The parts: layers of an STM32F446, whole networks on four boards, memory, the simulator's speed, a network from nothing,
and TinyNAS' grid of spaces. Needs the measured data (`benchmarks.facts.SHARED`).
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import _mcu_layers, _mcu_memory, _mcu_networks, _mcu_speed, _mcu_tinynas
from ._mcu_networks import summary
from ._parts import Part, run_parts
from ._results import Better, Figure

COMMAND = "make bench-mcu"

PARTS: Mapping[str, Part] = {
    "layers": _mcu_layers.measure,
    "networks": _mcu_networks.measure,
    "memory": _mcu_memory.measure,
    "speed": _mcu_speed.measure,
    "cold": _mcu_tinynas.cold_profile,
    "tinynas": _mcu_tinynas.whole_grid,
}

_Row = tuple[str, float, str, float | None, Better, str, str]


def figures(found: Mapping[str, dict[str, Any]]) -> list[Figure]:
    """The figures of the parts that were measured."""
    rows = [row for part in found if part in _FIGURES for row in _FIGURES[part](found[part])]
    made = [
        Figure(figure=name, value=value, unit=unit, goal=goal, better=better, peer=peer, protocol=how, command=COMMAND)
        for name, value, unit, goal, better, peer, how in rows
    ]
    return made + (_mcu_speed.figures(found["speed"], COMMAND) if "speed" in found else [])


def _layers(found: dict[str, Any]) -> Iterator[_Row]:
    how = f"{found['layers']} convolutions measured on an STM32F446 with CMSIS-NN (MicroNAS), our kernels simulated"
    scaled = f"{how}; after one factor fitted on 10 random layers, on the others, mean of 20 draws."
    formula = "seven-term formula fitted on 700 of the layers: 5.1 % (2.0 % with pointwise layers apart)"
    yield "f446_layers_mape_uncalibrated_pct", found["mape_pct"], "%", None, "lower", "", f"{how}; nothing fitted."
    yield "f446_layers_mape_after_scale_pct", found["scaled_mape_pct"], "%", 6, "lower", formula, scaled
    yield (
        "f446_layers_spearman",
        found["spearman"],
        "rho",
        0.998,
        "higher",
        "MACs alone: .974",
        f"{how}; rank correlation.",
    )


def _networks(found: dict[str, Any]) -> Iterator[_Row]:
    for name, group in found["groups"].items():
        numbers = summary(group)
        short = name.lower().replace("+", "_").replace("-", "_").replace(" ", "_").replace(".", "_")
        how = f"{len(group['networks'])} networks measured on {name}, simulated with engine {group['engine']}"
        yield f"{short}_bias_uncalibrated_pct", numbers["bias_pct"], "%", None, "lower", "", f"{how}; nothing fitted."
        if "scale" in numbers:
            fitted = f"{how}; after one factor fitted on the other networks of the group."
            yield f"{short}_mape_pct", numbers["scaled_mape_pct"], "%", 8, "lower", "", fitted
            yield f"{short}_spearman", numbers["spearman"], "rho", 0.99, "higher", "", f"{how}; rank correlation."
    tinyengine = summary(found["groups"]["stm32h743 TinyEngine-2022"])["scaled_mape_pct"]
    how = "The networks of TinyEngine's README on an STM32H743, engine lean, one factor fitted on the other networks."
    yield "h743_tinyengine_mape_pct", tinyengine, "%", 8, "lower", "", how
    errors = [abs(100 * (simulated / ms - 1)) for ms, simulated in found["mlperf"].values()]
    how = "MLPerf Tiny's four networks on a NUCLEO-L4R5ZI (OctoML v1.0, CMSIS-NN), engine tflm-like, nothing fitted."
    yield "l4r5_mlperf_max_error_pct", max(errors), "%", 10, "lower", "", how


def _memory(found: dict[str, Any]) -> Iterator[_Row]:
    column = _mcu_memory.activation_error_kb(found)
    how = "The activation column of MCUNet's model zoo, int8 and int4, rounded to kB as it is printed; nothing fitted."
    yield "mcunet_activation_max_error_kb", column, "kB", 0, "lower", "", how
    sram, flash = (_mcu_memory.tinyengine_mape_pct(found, quantity) for quantity in ("sram", "flash"))
    base = "TinyEngine's README, 11 networks on an STM32H743, engine lean"
    yield "sram_mape_pct", sram, "%", 10, "lower", "", f"{base}; buffers as in headers that it generates, none fitted."
    yield "flash_mape_pct", flash, "%", 10, "lower", "", f"{base}; the size of the code fitted on eight of them."


def _cold(found: dict[str, Any]) -> Iterator[_Row]:
    how = f"`lutra predict {_mcu_tinynas.NETWORK} --device stm32h743` on one core with an empty store, start included."
    yield "cold_profile_82mmac_s", float(np.median(found["seconds"])), "s", 8, "lower", "", how


def _tinynas(found: dict[str, Any]) -> Iterator[_Row]:
    table = f"a table of {found['rows']} on {_mcu_tinynas.BOARD}, which took {found['table_seconds']:.0f} s"
    how = (
        f"{found['networks']:,} networks, 1,000 of each of 9 widths and 12 resolutions, with {found['kernels']:,}"
        f" distinct layers, from {table}; lowering included."
    )
    error = float(np.median(np.abs(found["held_out_errors_pct"])))
    held_out = (
        f"{len(found['held_out_errors_pct'])} layers that the table lacks, interpolated and then simulated; median."
    )
    yield "tinynas_grid_s", found["seconds"], "s", 60, "lower", "", how
    yield "tinynas_interpolation_error_pct", error, "%", None, "lower", "", held_out


_FIGURES = {
    "layers": _layers,
    "networks": _networks,
    "memory": _memory,
    "cold": _cold,
    "tinynas": _tinynas,
}


def table(found: Mapping[str, dict[str, Any]]) -> str:
    """The validation table as text: what was measured beside what is simulated, as it is and calibrated."""
    told: list[str] = []
    for part, module in (("layers", _mcu_layers), ("networks", _mcu_networks), ("memory", _mcu_memory)):
        if part in found:
            told += module.lines(found[part])
    return "\n".join(told)


def main() -> None:
    """Measure, write the figures, print the table."""
    found = run_parts("mcu", PARTS, figures, description=__doc__.splitlines()[0])
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
