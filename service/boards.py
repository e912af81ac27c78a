"""Networks on simulated boards: latency with its cycles, memory, whether it fits, and energy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..predictors.prediction import significant

if TYPE_CHECKING:
    from ..luts import Measurement, Table
    from ..networks import Network
    from ..networks.lowering import LoweredNetwork
    from ..predictors import Prediction
    from ..profiler import Device
    from ..profiler.mcu.fit import Fit

_SHOWN = 12  # layers that the text lists


@dataclass(frozen=True)
class Layer:
    """A distinct layer of a network, as the simulator ran it.

    Attributes:
        label: what it computes.
        count: how often the network runs it.
        macs: multiply-accumulates of one run.
        cycles: of one run; None where the layer was interpolated.
        stalls: of these, cycles that it waited, by cause.
        latency_us: of one run, calibrated.
        share: of the network's latency, all runs together.
        source: "simulated", "interpolated" or "extrapolated".
    """

    label: str
    count: int
    macs: int
    cycles: int | None
    stalls: dict[str, int]
    latency_us: float
    share: float
    source: str


@dataclass(frozen=True)
class BoardReport:
    """A network on a board.

    Attributes:
        prediction: its latency, calibrated where the board is.
        uncalibrated_ms: the latency as simulated.
        scale: factor between the two.
        scale_source: what the factor was fitted on; "" where there is none.
        mhz: clock of the core.
        layers: distinct layers in order of first use.
        fit: memory in int8, and whether it fits.
        fit_int4: the same in int4.
        energy_mj: estimate from the board's active power; None where that is not known.
    """

    prediction: "Prediction"
    uncalibrated_ms: float
    scale: float
    scale_source: str
    mhz: int
    layers: tuple[Layer, ...]
    fit: "Fit"
    fit_int4: "Fit"
    energy_mj: float | None

    @property
    def cycles(self) -> int | None:
        """Of one inference, as simulated; None where a layer was interpolated."""
        counts = [None if layer.cycles is None else layer.count * layer.cycles for layer in self.layers]
        return None if None in counts else sum(filter(None, counts))

    @property
    def stalls(self) -> dict[str, int]:
        """Cycles that all simulated layers waited, by cause."""
        total: Counter[str] = Counter()
        for layer in self.layers:
            total.update({cause: layer.count * cycles for cause, cycles in layer.stalls.items()})
        return dict(total)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            **self.prediction.to_dict(),
            "uncalibrated_ms": self.uncalibrated_ms,
            "scale": self.scale,
            "scale_source": self.scale_source,
            "mhz": self.mhz,
            "cycles": self.cycles,
            "stalls": self.stalls,
            "layers": [vars(layer) for layer in self.layers],
            "memory": {"int8": _memory(self.fit), "int4": _memory(self.fit_int4)},
            "energy_mj_estimate": self.energy_mj,
        }

    def __str__(self) -> str:
        prediction = self.prediction
        head = (
            f"{prediction.network} on {prediction.device} ({self.fit.memory.engine}, int8): "
            f"{significant(prediction.latency_ms)} ms, {100 * prediction.coverage:g} % interval "
            f"{significant(prediction.low_ms)} .. {significant(prediction.high_ms)} ms [SIMULATED]"
        )
        lines = [head, f"  {self._scaling()}", f"  {self._cycles()}"]
        lines += [f"  {self.fit}", f"  in place {self._arena(True)}, else {self._arena(False)}; {self._int4()}"]
        if self.energy_mj is not None:
            lines.append(f"  energy {significant(self.energy_mj)} mJ (estimate: active power x latency)")
        notes = [note for note in prediction.notes if not note.startswith("scaled by")]
        return "\n".join([*lines, *self._table(), *(f"  note: {note}" for note in notes)])

    def _scaling(self) -> str:
        if not self.scale_source:
            return "not calibrated: this board has no factor for this engine"
        return f"{significant(self.uncalibrated_ms)} ms as simulated x {self.scale:.3g} ({self.scale_source})"

    def _cycles(self) -> str:
        cycles = self.cycles
        if cycles is None:
            return f"at {self.mhz} MHz; some layers were interpolated, so there are no cycles of the whole"
        waits = ", ".join(f"{cause} {_percent(count / cycles)}" for cause, count in _largest(self.stalls) if count)
        return f"{cycles:,} cycles at {self.mhz} MHz; of these waiting: {waits or 'none'}"

    def _arena(self, inplace: bool) -> str:
        arena = self.fit.memory.inplace if inplace else self.fit.memory.plain
        return f"{arena.bytes / 1024:.0f} kB of activations"

    def _int4(self) -> str:
        memory = self.fit_int4.memory
        return f"int4: SRAM {memory.sram_bytes / 1024:.0f} kB, flash {memory.flash_bytes / 1024:.0f} kB"

    def _table(self) -> list[str]:
        ordered = sorted(self.layers, key=lambda layer: -layer.share)
        cells = [("share", "each (us)", "x", "cycles", "c/MAC", "waiting", "layer"), *map(_cells, ordered[:_SHOWN])]
        rest = ordered[_SHOWN:]
        if rest:
            share = _percent(sum(layer.share for layer in rest))
            count = str(sum(layer.count for layer in rest))
            cells.append((share, "", count, "", "", "", f"({len(rest)} more layers)"))
        widths = [max(len(row[column]) for row in cells) for column in range(6)]
        return ["  " + "  ".join(f"{row[c]:>{widths[c]}}" for c in range(6)) + f"  {row[6]}" for row in cells]


def _cells(layer: Layer) -> tuple[str, ...]:
    if layer.cycles is None:
        cycles, per_mac, waiting = "", "", ""
    else:
        cycles = f"{layer.cycles:,}"
        per_mac = f"{layer.cycles / layer.macs:.2f}" if layer.macs else ""
        waiting = _percent(sum(layer.stalls.values()) / layer.cycles) if layer.cycles else ""
    label = layer.label if layer.source == "simulated" else f"{layer.label} [{layer.source}]"
    each = significant(layer.latency_us)
    return (_percent(layer.share), each, str(layer.count), cycles, per_mac, waiting, label)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _largest(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])


def _memory(fit: "Fit") -> dict[str, Any]:
    memory = fit.memory
    return {
        "sram_bytes": memory.sram_bytes,
        "flash_bytes": memory.flash_bytes,
        "arena_bytes": memory.arena.bytes,
        "arena_plain_bytes": memory.plain.bytes,
        "arena_inplace_bytes": memory.inplace.bytes,
        "peak_layer": memory.arena.layer,
        "scratch_bytes": memory.scratch_bytes,
        "fits": fit.fits,
        "sram_over_bytes": fit.ram_over_bytes,
        "flash_over_bytes": fit.flash_over_bytes,
        "would_fit": list(fit.would_fit),
    }


def board_reports(
    device: "Device",
    sources: "Sequence[Network | Path]",
    *,
    store: str | None,
    simulate: bool = True,
    coverage: float = 0.9,
) -> list[BoardReport]:
    """What networks take on a simulated board; what the table lacks is simulated, and kept where that can be.

    Args:
        device: the board.
        sources: networks.
        store: where rows are.
        simulate: run the layers that have no row; otherwise they are interpolated.
        coverage: probability that the intervals are to hold.

    Raises:
        NotCoveredError: a layer has no row and cannot be simulated, or interpolated.
        LutraError: a network cannot be read or lowered.
    """
    from ..predictors import table_predictor
    from ..profiler import make_plan
    from .options import subject_of
    from .simulated import table_of_plan

    plan = make_plan(device, map(subject_of, sources), check=False)
    predictor = table_predictor(table_of_plan(plan, store, simulate=simulate), device.name)
    predictor.set_params(interpolate=not simulate)
    return [
        _report(device, subject.lowered, predictor.table, predictor.explain(subject.network, coverage=coverage))
        for subject in plan.subjects
    ]


def _report(device: "Device", lowered: "LoweredNetwork", table: "Table", prediction: "Prediction") -> BoardReport:
    from ..luts.table import CALIBRATION_DOCUMENT
    from ..profiler.mcu.boards import boards
    from ..profiler.mcu.fit import fit
    from ..profiler.mcu.simulator import McuSimulator

    simulator = device.simulator
    assert isinstance(simulator, McuSimulator)
    board, engine = simulator.board, simulator.engine
    calibration = table.documents.get(CALIBRATION_DOCUMENT, {})
    scale = float(calibration.get("scale", 1.0))
    others = list(boards().values())
    return BoardReport(
        prediction=prediction,
        uncalibrated_ms=prediction.latency_ms / scale,
        scale=scale,
        scale_source=str(calibration.get("source", "")),
        mhz=board.mhz,
        layers=_layers(lowered, table, prediction),
        fit=fit(lowered, board, engine, others),
        fit_int4=fit(lowered, board, engine, others, dtype="int4"),
        energy_mj=None if board.active_mw is None else board.active_mw * prediction.latency_ms / 1e3,
    )


def _layers(lowered: "LoweredNetwork", table: "Table", prediction: "Prediction") -> tuple[Layer, ...]:
    """The layers behind a prediction's parts, which stand in the same order."""
    layers = []
    for (key, kernel), part in zip(lowered.distinct.items(), prediction.parts, strict=True):
        row = table.get("kernel", key) if part.source == "measured" else None
        layers.append(
            Layer(
                label=kernel.label,
                count=part.count,
                macs=kernel.macs,
                cycles=None if row is None else _cycles(row),
                stalls={} if row is None else dict(row.conditions.get("stalls", {})),
                latency_us=part.latency_us,
                share=part.share,
                source="simulated" if part.source == "measured" else part.source,
            )
        )
    return tuple(layers)


def _cycles(row: "Measurement") -> int | None:
    cycles = row.conditions.get("cycles")
    return cycles if isinstance(cycles, int) else None
