"""`Prediction`: a latency with how sure it is, and where the time goes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from ..networks.errors import UsageError

Source: TypeAlias = Literal["measured", "interpolated", "extrapolated"]
SOURCES: Final[tuple[Source, ...]] = ("measured", "interpolated", "extrapolated")
_SHOWN: Final = 12  # parts that the text form lists


@dataclass(frozen=True, kw_only=True)
class Part:
    """One kernel of a predicted network, with all its occurrences.

    Attributes:
        label: what it computes.
        count: how often the network runs it.
        latency_us: latency of one run in microseconds.
        share: of the network's latency, all ``count`` runs together, in [0, 1].
        source: where the number comes from.
        rel_halfwidth: half the confidence interval of ``latency_us`` relative to it; None where it is not known.
    """

    label: str
    count: int
    latency_us: float
    share: float
    source: Source
    rel_halfwidth: float | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted latency of one network on one device.

    ``latency_ms`` is the sum of the parts and of ``overhead_us``. ``print`` shows a table of the largest parts.

    Attributes:
        network: the network's name.
        device: the device's name.
        runtime: who executes the network there.
        threads: how many threads the runtime uses.
        latency_ms: the prediction in ms.
        low_ms: lower end of the interval in ms.
        high_ms: upper end of the interval in ms.
        coverage: probability that the interval is meant to hold the measured latency.
        parts: the split by kernel, in order of first use; empty for a predictor that has none.
        overhead_us: what one inference costs beside its kernels, in microseconds.
        simulated: the device's numbers are computed, not timed on hardware.
        extrapolated: the network lies beyond what the predictor has learned from; the interval is widened for it, and
            the notes say in what. Where there are parts, each says this for itself.
        notes: doubts and explanations, a sentence each.
    """

    network: str
    device: str
    runtime: str
    threads: int
    latency_ms: float
    low_ms: float
    high_ms: float
    coverage: float = 0.9
    parts: tuple[Part, ...] = ()
    overhead_us: float = 0.0
    simulated: bool = False
    extrapolated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def measured_share(self) -> float:
        """Share of the parts' time that was measured, in [0, 1]."""
        return self._share("measured")

    @property
    def interpolated_share(self) -> float:
        """Share of the parts' time that lies between measurements, in [0, 1]."""
        return self._share("interpolated")

    @property
    def extrapolated_share(self) -> float:
        """Share of the parts' time that lies beyond all measurements, in [0, 1]."""
        return self._share("extrapolated")

    def _share(self, source: Source) -> float:
        total = sum(part.share for part in self.parts)
        return sum(part.share for part in self.parts if part.source == source) / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; units are in the names."""
        shares = {f"{source}_share": self._share(source) for source in SOURCES}
        return asdict(self) | {"parts": [asdict(part) for part in self.parts], "notes": list(self.notes)} | shares

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave; other entries are left out, and what is None is taken for nothing.

        Raises:
            UsageError: something is missing.
        """
        try:
            given = {name: data[name] for name in cls.__dataclass_fields__ if data[name] is not None}
            parts = tuple(Part(**part) for part in given.pop("parts", ()))
            return cls(**given | {"parts": parts, "notes": tuple(given.get("notes", ()))})
        except (KeyError, TypeError) as error:
            raise UsageError(f"this is no prediction: {error!r}", hint="give what Prediction.to_dict wrote") from None

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        head = f"{self.network} on {self.device} ({self.runtime}, {threads})"
        number = (
            f"{significant(self.latency_ms)} ms, {100 * self.coverage:g} % interval "
            f"{significant(self.low_ms)} .. {significant(self.high_ms)} ms"
        )
        marks = f"{' [SIMULATED]' * self.simulated}{' [EXTRAPOLATED]' * self.extrapolated}"
        lines = [f"{head}: {number}{marks}"]
        if self.parts:
            shares = (f"{100 * self._share(s):.0f} % {self._told(s)}" for s in SOURCES if self._share(s))
            lines += ["  " + (", ".join(shares) or "no time in any kernel"), *self._table()]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _told(self, source: Source) -> str:
        """What a source is called: rows of a simulated device were not measured."""
        return "simulated" if self.simulated and source == "measured" else source

    def _table(self) -> list[str]:
        """The parts that take longest, the rest in one line, and the overhead."""
        ordered = sorted(self.parts, key=lambda part: -part.share)
        shown, rest = ordered[:_SHOWN], ordered[_SHOWN:]
        cells = [("share", "each (us)", "x", "kernel")]
        cells += [(_percent(p.share), significant(p.latency_us), str(p.count), _marked(p)) for p in shown]
        if rest:
            share = sum(part.share for part in rest)
            cells.append((_percent(share), "", str(sum(part.count for part in rest)), f"({len(rest)} more kernels)"))
        overhead = self.overhead_us / 1e3 / self.latency_ms if self.latency_ms else 0.0
        cells.append((_percent(overhead), significant(self.overhead_us), "1", "(constant of each inference)"))
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        return [f"  {row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}" for row in cells]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _marked(part: Part) -> str:
    return part.label if part.source == "measured" else f"{part.label} [{part.source}]"


def significant(value: float) -> str:
    """A number as people read it: three significant digits, no exponent."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    if value >= 0.001:
        return f"{float(f'{value:.3g}'):.{2 if value >= 1 else 5}f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"
