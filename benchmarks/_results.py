"""The form of `benchmarks/results/<area>.json`: strict reading, atomic writing, and the machine it was measured on."""

import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from lutra.luts.host import host_fingerprint

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

Better = Literal["higher", "lower"]
_RECORDED_PACKAGES = ("lutra", "numpy", "onednn-cpu-gomp", "onnx", "onnxruntime", "pillow", "torch")


class ResultsError(ValueError):
    """A results file that is not of the agreed form; says which file and which field."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number beside what it should be.

    Attributes:
        figure: what was measured.
        value: the number, in ``unit``.
        unit: "s", "ms", "%", "count", ...
        goal: the bound to keep: a least value where higher is better, else a largest; None where there is none.
        better: which direction is good.
        peer: what it is compared with, if anything ("" for nothing).
        protocol: how it was measured, so that somebody else can.
        command: what measures it again.
    """

    figure: str
    value: float
    unit: str
    goal: float | None
    better: Better
    peer: str
    protocol: str
    command: str

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


@dataclass(frozen=True, kw_only=True)
class Session:
    """Figures measured in one go on one machine."""

    figures: tuple[Figure, ...]
    machine: dict[str, Any]
    measured_at: str


@dataclass(frozen=True, kw_only=True)
class Area:
    """All figures of one area, by when and where they were last measured, oldest first."""

    name: str
    sessions: tuple[Session, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of all sessions."""
        return tuple(figure for session in self.sessions for figure in session.figures)


def read(path: Path) -> Area:
    """The area in ``path``.

    Raises:
        ResultsError: the file is not of the agreed form.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path.name}: {error}") from error
    _keys(path.name, data, {"sessions"})
    if not isinstance(data["sessions"], list) or not data["sessions"]:
        raise ResultsError(f"{path.name}: sessions must be a non-empty list")
    sessions = tuple(_session(f"{path.name}: sessions[{i}]", item) for i, item in enumerate(data["sessions"]))
    area = Area(name=path.stem, sessions=sessions)
    names = [figure.figure for figure in area.figures]
    if len(set(names)) < len(names):
        raise ResultsError(f"{path.name}: two figures have one name")
    return area


def _session(where: str, data: Any) -> Session:
    _keys(where, data, {"figures", "machine", "measured_at"})
    if not isinstance(data["machine"], dict) or not data["machine"]:
        raise ResultsError(f"{where}: machine must be a non-empty object")
    if not isinstance(data["figures"], list) or not data["figures"]:
        raise ResultsError(f"{where}: figures must be a non-empty list")
    figures = tuple(_figure(f"{where}.figures[{i}]", item) for i, item in enumerate(data["figures"]))
    try:
        datetime.fromisoformat(data["measured_at"])
    except (TypeError, ValueError) as error:
        raise ResultsError(f"{where}: measured_at is not a date and time") from error
    return Session(figures=figures, machine=data["machine"], measured_at=data["measured_at"])


def _keys(where: str, data: Any, wanted: set[str]) -> None:
    if not isinstance(data, dict):
        raise ResultsError(f"{where} must be an object")
    if set(data) != wanted:
        missing, extra = sorted(wanted - set(data)), sorted(set(data) - wanted)
        raise ResultsError(f"{where}: missing {missing}, unknown {extra}")


def _figure(where: str, data: Any) -> Figure:
    _keys(where, data, {field.name for field in fields(Figure)})
    for name in ("figure", "unit", "peer", "protocol", "command"):
        if not isinstance(data[name], str) or (name != "peer" and not data[name].strip()):
            raise ResultsError(f"{where}.{name} must be a text, not {data[name]!r}")
    for name in ("value", "goal"):
        number = data[name]
        if name == "goal" and number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise ResultsError(f"{where}.{name} must be a finite number, not {number!r}")
    if data["better"] not in get_args(Better):
        raise ResultsError(f"{where}.better must be one of {', '.join(get_args(Better))}, not {data['better']!r}")
    return Figure(**data)


def write(area: str, figures: Iterable[Figure], *, folder: Path = RESULTS) -> Path:
    """Write figures of an area, with this machine and the time; the old file stays until the new one is whole.

    Figures of the file that are not among ``figures``, or are and did not change, stay with the machine and the time
    of their own measurement.
    """
    measured = list(figures)
    made = {figure.figure: figure for figure in measured}
    if len(made) < len(measured):
        raise ResultsError(f"{area}: two figures have one name")
    kept = []
    for session in read(folder / f"{area}.json").sessions if (folder / f"{area}.json").exists() else ():
        stay = tuple(figure for figure in session.figures if made.get(figure.figure, figure) == figure)
        for figure in stay:
            made.pop(figure.figure, None)
        if stay:
            kept.append(replace(session, figures=stay))
    if made:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept.append(Session(figures=tuple(made.values()), machine=machine(), measured_at=now))
    content = {"sessions": [asdict(session) for session in kept]}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{area}.json"
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".json.part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False, allow_nan=False)
            stream.write("\n")
        Path(temporary).chmod(0o644)
        read(Path(temporary))
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def machine() -> dict[str, Any]:
    """What decides the numbers here: the hardware, the system, Python and the versions of the packages at work."""
    fingerprint = host_fingerprint().to_dict()
    return {
        **fingerprint["hardware"],
        **fingerprint["notes"],
        "python": platform.python_version(),
        "packages": {name: found for name in _RECORDED_PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Spread:
    """Median and range of repeated measurements.

    Attributes:
        median: the middle value.
        least: the smallest.
        most: the largest.
        count: how many there were.
    """

    median: float
    least: float
    most: float
    count: int

    def __str__(self) -> str:
        return f"median of {self.count}, range {self.least:.3g} to {self.most:.3g}"


def spread(samples: Sequence[float]) -> Spread:
    """Median and range of ``samples``."""
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def repeat(measure: Callable[[], float], count: int) -> Spread:
    """Call ``measure`` ``count`` times after one call that only warms the file cache."""
    measure()
    return spread([measure() for _ in range(count)])


def note(message: str) -> None:
    """Progress for whoever waits; results go into files."""
    sys.stderr.write(message + "\n")
