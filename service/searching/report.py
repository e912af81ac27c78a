"""`SearchReport`: what a search found, in words, as plain data, and as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...predictors.prediction import significant
from ..drawing.scatter import Scatter
from ..render import number
from .runs import LATENCY
from .settings import FORMAT, VERSION

if TYPE_CHECKING:
    from ...networks import Network
    from .runs import Run

_SHOWN: Final = 12  # rows of the front that the text lists
_TOLD: Final = 3  # failures that the text tells
_NEGLIGIBLE: Final = 0.005  # share of a latency
COVERAGE: Final = 0.9


@dataclass(frozen=True)
class Row:
    """One architecture of the front.

    Attributes:
        index: which of those that were tried, from 0.
        name: of its network.
        code: its choices.
        accuracy: what was made large.
        latency_ms: predicted.
        interval_ms: where the measured latency is expected; None where the source does not say.
        macs: of its network.
        params: of its network.
        chosen: it is the answer: the best within the budgets.
        measured_ms: on the device, afterwards; None where it was not.
        others_ms: predicted on other devices, by their names.
    """

    index: int
    name: str
    code: tuple[int, ...]
    accuracy: float
    latency_ms: float
    interval_ms: tuple[float, float] | None
    macs: int
    params: int
    chosen: bool = False
    measured_ms: float | None = None
    others_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchReport:
    """What a search found.

    Attributes:
        run: the search.
        rows: the front of accuracy and latency (and what else was traded), the most accurate first.
        latencies_ms: of all that were tried, [n].
    """

    run: "Run"
    rows: tuple[Row, ...]
    latencies_ms: NDArray[np.float64]

    @classmethod
    def of(cls, run: "Run") -> "SearchReport":
        """The report of a search that has found something."""
        codes = run.result.codes
        latencies_ms = run.prepared.latency.oracle.latencies_ms(codes)
        front = _front(run, latencies_ms)
        chosen = front[0] if run.derived is None else run.derived
        if chosen not in front:  # derived from a supernet, though another one does better in it
            front = np.append(front, chosen)
        intervals = _intervals(run, front)
        space = run.prepared.space
        costs = space.costs(codes[front])
        others = {known.oracle.device: known.oracle.latencies_ms(codes[front]) for known in run.prepared.others}
        rows = tuple(
            Row(
                index=int(i),
                name=space.label(codes[i]),
                code=tuple(codes[i].tolist()),
                accuracy=float(run.result.values[i, 0]),
                latency_ms=float(latencies_ms[i]),
                interval_ms=interval,
                macs=int(costs.macs[k]),
                params=int(costs.params[k]),
                chosen=bool(i == chosen),
                others_ms={device: float(found[k]) for device, found in others.items()},
            )
            for k, (i, interval) in enumerate(zip(front, intervals, strict=True))
        )
        return cls(run, rows, latencies_ms)

    @cached_property
    def chosen(self) -> Row:
        """The best within the budgets."""
        return next(row for row in self.rows if row.chosen)

    def network(self, row: Row) -> "Network":
        """The network of a row."""
        return self.run.prepared.space.decode(row.code)

    def with_measured(self, measured_ms: dict[str, float]) -> "SearchReport":
        """The same with latencies that were measured, by the names of networks."""
        return replace(self, rows=tuple(replace(row, measured_ms=measured_ms.get(row.name)) for row in self.rows))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        prepared, result = self.run.prepared, self.run.result
        settings, oracle = prepared.settings, prepared.latency.oracle
        failed = [int(i) for i in result.failed]
        return {
            "format": f"{FORMAT}.result",
            "version": VERSION,
            "space": {"name": prepared.space.name, "networks": prepared.space.size},
            "device": {"name": oracle.device, "simulated": oracle.simulated, "latencies": prepared.latency.origin},
            "strategy": {"name": settings.strategy, "parameters": dict(settings.parameters), "seed": settings.seed},
            "accuracy": {
                "name": prepared.accuracy.objective.name,
                "label": prepared.accuracy.label,
                "note": prepared.accuracy.note,
            },
            "traded": list(settings.trade),
            "bounds": dict(settings.bounds),
            "also": dict(zip((o.oracle.device for o in prepared.others), settings.also.values(), strict=True)),
            "margin": settings.margin,
            "evaluated": len(result),
            "stopped": result.stopped,
            "failed": [
                {"name": prepared.space.label(result.codes[i]), "reason": result.evaluations.failures[i]}
                for i in failed
            ],
            "front": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        lines = [*self.heading(), ""]
        lines += grid_lines(self.columns(), [self.cells(row) for row in self.rows[:_SHOWN]])
        if len(self.rows) > _SHOWN:
            lines.append(f"... and {len(self.rows) - _SHOWN} more")
        return "\n".join([*lines, "", *self.notes()])

    def heading(self) -> list[str]:
        """What was searched, with what, and how far."""
        prepared, result = self.run.prepared, self.run.result
        settings, oracle = prepared.settings, prepared.latency.oracle
        within = "".join(_within(name, most) for name, most in settings.bounds.items())
        also = zip(prepared.others, settings.also.values(), strict=True)
        within += "".join(f", on {known.oracle.device} <= {significant(most)} ms" for known, most in also)
        margin = f" with a probability of {settings.margin:g}" if settings.margin is not None else ""
        failed = f", {len(result.failed)} failed" * bool(len(result.failed))
        ended = {"exhausted": ": all there are", "repeating": ": nothing new came up any more"}.get(
            result.stopped or "", ""
        )
        return [
            f"{prepared.space.name} ({_size(prepared.space.size)} networks) on {oracle.device}{within}{margin}",
            f"{settings.strategy}, seed {settings.seed}: {len(result):,} evaluated{failed}{ended}; "
            f"{len(self.rows)} on the front",
            f"latencies: {prepared.latency.origin}",
        ]

    def columns(self) -> list[str]:
        """Headings of `cells`."""
        accuracy = self.run.prepared.accuracy
        columns = ["network", *([] if accuracy.counted else [accuracy.label]), "latency (ms)"]
        columns += [f"{100 * COVERAGE:g} % interval"] if any(row.interval_ms for row in self.rows) else []
        columns += ["measured (ms)", "error"] if any(row.measured_ms for row in self.rows) else []
        columns += [f"{device} (ms)" for device in self.rows[0].others_ms]
        return [*columns, "MACs (M)", "params (M)", ""]

    def cells(self, row: Row) -> list[str]:
        """A row as texts."""
        shown = [] if self.run.prepared.accuracy.counted else [number(row.accuracy)]
        cells = [row.name, *shown, significant(row.latency_ms)]
        if any(other.interval_ms for other in self.rows):
            cells.append(" .. ".join(map(significant, row.interval_ms or ())))
        if any(other.measured_ms for other in self.rows):
            error = "" if row.measured_ms is None else f"{100 * (row.latency_ms / row.measured_ms - 1):+.1f} %"
            cells += ["" if row.measured_ms is None else significant(row.measured_ms), error]
        cells += map(significant, row.others_ms.values())
        return [*cells, significant(row.macs / 1e6), significant(row.params / 1e6), "chosen" if row.chosen else ""]

    def notes(self) -> list[str]:
        """What a reader has to know of the numbers."""
        prepared, result = self.run.prepared, self.run.result
        notes = [f"note: {note}" for note in (prepared.accuracy.note, self._doubt(), self._too_slow()) if note]
        told = {prepared.space.label(result.codes[i]): result.evaluations.failures[i] for i in result.failed[:_TOLD]}
        notes += [f"failed: {name}: {failure}" for name, failure in told.items()]
        if len(result.failed) > _TOLD:
            notes.append(f"... and {len(result.failed) - _TOLD} more failed; tried.csv has all reasons")
        return notes

    def _doubt(self) -> str:
        """What of the chosen network's latency was not measured; "" where all was, or the source does not say."""
        from ...nas_bridge import EncodingOracle

        latency = self.run.prepared.latency
        if latency.predictor is None:
            return ""
        by_code = isinstance(latency.oracle, EncodingOracle)
        said = latency.predictor.explain(np.array(self.chosen.code) if by_code else self.network(self.chosen))
        if not said.parts:
            return f"the chosen network is {said.notes[0]}" if said.extrapolated and said.notes else ""
        shares = {"interpolated": said.interpolated_share, "extrapolated": said.extrapolated_share}
        told = [f"{share:.0%} is {source}" for source, share in shares.items() if share > _NEGLIGIBLE]
        rest = "simulated" if said.simulated else "measured"
        return f"of the chosen network's latency {', '.join(told)}, the rest was {rest}" if told else ""

    def _too_slow(self) -> str:
        """That the chosen network was measured and breaks the budget; "" where it does not."""
        budget_ms, measured_ms = self.run.prepared.settings.bounds.get(LATENCY), self.chosen.measured_ms
        if budget_ms is None or measured_ms is None or measured_ms <= budget_ms:
            return ""
        return (
            f"measured, the chosen network takes {significant(measured_ms)} ms, more than the budget: take a quicker "
            "one of the front, or search with --margin"
        )

    def scatter(self) -> Scatter:
        """The picture of all that was tried and did not fail."""
        prepared, result = self.run.prepared, self.run.result
        kept = np.flatnonzero(result.evaluations.ok)
        place = {int(i): k for k, i in enumerate(kept)}
        by_latency = sorted(self.rows, key=lambda row: row.latency_ms)
        counted = prepared.accuracy.counted
        return Scatter(
            x_label=f"latency on {prepared.latency.oracle.device} (ms)",
            y_label=prepared.accuracy.label + " (M)" * counted,
            x=self.latencies_ms[kept],
            y=result.values[kept, 0] / (1e6 if counted else 1.0),
            names=[prepared.space.label(code) for code in result.codes[kept]],
            front=np.array([place[row.index] for row in by_latency], np.int64),
            chosen=place[self.chosen.index],
            budget=prepared.settings.bounds.get(LATENCY),
            measured=[(place[row.index], row.measured_ms) for row in self.rows if row.measured_ms is not None],
        )


def _front(run: "Run", latencies_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which that were tried no other is better than in accuracy, latency and what else was traded, best first."""
    from ...nas import non_dominated

    losses = np.column_stack([run.result.evaluations.losses, latencies_ms])
    losses[~run.result.evaluations.ok] = np.nan
    front = np.flatnonzero(non_dominated(losses))
    _, first = np.unique(losses[front], axis=0, return_index=True)  # of equals the one that was found first
    front = front[np.sort(first)]
    ordered: NDArray[np.int64] = front[np.argsort(losses[front, 0], kind="stable")]
    return ordered


def _intervals(run: "Run", front: NDArray[np.int64]) -> list[tuple[float, float] | None]:
    from ...networks.errors import NotSupportedError

    try:
        ends = run.prepared.latency.oracle.intervals_ms(run.result.codes[front], COVERAGE)
    except NotSupportedError:
        return [None] * len(front)
    return [(float(low), float(high)) for low, high in ends]


def _within(name: str, most: float) -> str:
    """A bound as people read it."""
    if name == LATENCY:
        return f", latency <= {significant(most)} ms"
    return f", {name} <= {significant(most / 1e6)} M"


def _size(networks: int) -> str:
    return f"{networks:,}" if networks < 10**7 else f"{networks:.3g}".replace("e+", "e")


def grid_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines of text: the first column to the left, the others to the right."""
    table = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    lines = []
    for first, *rest in table:
        padded = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return lines
