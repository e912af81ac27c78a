"""Zen-scores of residual networks beside the published ones."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lutra.nas.accuracy.zero_shot import Zen
from lutra.networks import zoo

from .._results import Figure

_PUBLISHED: Final = {"resnet18": 59.53, "resnet34": 112.32, "resnet50": 140.3, "resnet101": 287.87, "resnet152": 433.57}
"""Table 1 of arXiv:2102.01063."""

_EXACT: Final = {"resnet18": 59.55, "resnet34": 112.35, "resnet50": 140.33, "resnet101": 285.37, "resnet152": 433.37}
"""The authors' code with the variances of the batch itself (momentum 1), eight images of 224 pixels, no shortcuts."""


def measure() -> dict[str, Any]:
    """Scores by network."""
    found = {}
    for name in _EXACT:
        scores = Zen().estimate([zoo.build(name)])
        found[name] = {"zen": float(scores.values[0])}
    return found


def _error(found: Mapping[str, Any], name: str) -> float:
    return abs(float(found[name]["zen"]) / _EXACT[name] - 1)


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """Relative errors: of ResNet-50, and the largest."""
    worst = max(_EXACT, key=lambda name: _error(found, name))
    for figure, name, what in (
        ("zen_resnet50_rel_error", "resnet50", "ResNet-50"),
        ("zen_max_rel_error", worst, f"{len(_EXACT)} residual networks, the worst of which is {worst}"),
    ):
        yield Figure(
            figure=figure,
            value=round(_error(found, name), 5),
            unit="share",
            goal=0.01,
            better="lower",
            peer="the authors' code with exact variances",
            protocol=f"Zen-score of {what} at 224 pixels, batch 8, without shortcuts, against {_EXACT[name]}",
            command=command,
        )


def table(found: Mapping[str, Any]) -> str:
    """All five, as Markdown."""
    lines = ["## Zen-scores of residual networks\n", "| network | here | exact variances | paper |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for name, exact in _EXACT.items():
        row = found[name]
        lines.append(f"| {name} | {row['zen']:.2f} | {exact:.2f} | {_PUBLISHED[name]:.2f} |")
    return "\n".join(lines) + "\n"
