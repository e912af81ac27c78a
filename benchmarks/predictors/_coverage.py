"""How many measurements the 90 % intervals hold, over all devices of the other parts."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._results import Figure
from ._hat import COUNTED

_LOW: Final = 88.0
_HIGH: Final = 92.0


def coverages(found: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """In percent, by device: with many samples, and with ten or twenty."""
    many = {f"nb201 {device}": models["additive"]["coverage_pct"] for device, models in found["whole"].items()}
    many |= {name: models[COUNTED]["coverage_pct"] for name, models in found["hat"].items()}
    few = {
        f"{task} {device}": scores["coverage_pct"]
        for task, played in found["fbnet"].items()
        for device, scores in played["chosen"].items()
    }
    few |= {f"ND {device}": scores["coverage_pct"] for device, scores in found["nb201"]["chosen"].items()}
    few |= {f"HELP {device}": scores["coverage_pct"] for device, scores in found["help"].items()}
    return many, few


def figures(found: Mapping[str, Mapping[str, Any]], command: str) -> Iterator[Figure]:
    """Least and greatest coverage, over all and over those with many samples."""
    many, few = coverages(found)
    for prefix, by_device, what in (
        ("coverage_90", many | few, "all devices of all parts, new ones with ten or twenty samples among them"),
        ("coverage_90_many_samples", many, "27 columns of NAS-Bench-201 with 900 cells, 8 sets of HAT with 1,600 rows"),
    ):
        least, most = min(by_device, key=by_device.__getitem__), max(by_device, key=by_device.__getitem__)
        inside = sum(_LOW <= value <= _HIGH for value in by_device.values())
        for figure, device, goal in ((f"{prefix}_min_pct", least, _LOW), (f"{prefix}_max_pct", most, _HIGH)):
            yield Figure(
                figure=figure,
                value=round(by_device[device], 1),
                unit="%",
                goal=goal,
                better="higher" if goal == _LOW else "lower",
                peer="",
                protocol=f"share of held-out measurements in their 90 % interval, means over seeds; {what}: "
                f"{device}; {inside} of {len(by_device)} lie within 88 to 92 %",
                command=command,
            )
