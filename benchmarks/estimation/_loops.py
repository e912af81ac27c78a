"""The whole loop on this machine: kernels to table to supernet to three budgets to measured networks, by two methods.

What is run are the examples themselves, on CIFAR-10.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .._parts import WORK
from .._results import ROOT, Figure
from ..facts import SHARED
from ._training import on_the_wall

_MOST_MINUTES: Final = 40.0


@dataclass(frozen=True)
class Loop:
    """One of the examples.

    Attributes:
        figure: what its figures begin with.
        what: it is, for people.
        script: its file in ``examples``.
    """

    figure: str
    what: str
    script: str

    def measure(self) -> dict[str, Any]:
        """What the example reports; a killed one goes on where it stopped."""
        folder = WORK / f"accuracy-{self.script}"
        files = (str(SHARED / "images" / f"cifar10-{part}.parquet") for part in ("train", "test"))
        command = [sys.executable, f"{self.script}.py", "--images", next(files), "--test", next(files)]
        path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))  # it runs in another folder
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        subprocess.run(
            [*command, "--out", str(folder)], cwd=ROOT / "examples", env=environment, stdout=sys.stderr, check=True
        )
        found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        shutil.rmtree(folder)
        return found

    def figures(self, found: Mapping[str, Any], command: str) -> Iterator[Figure]:
        """Minutes of the processor, how far latencies are off, budgets kept, and what shared weights lose."""
        rows, count = found["rows"], len(found["rows"])
        what = (
            f"{self.what} on {found['device']}, three budgets, {found['epochs']} epochs of CIFAR-10 "
            f"({found['images']:,} images to learn from, 10,000 to report on), one thread"
        )
        made = (
            ("minutes", _minutes(found, 1), "min", _MOST_MINUTES, "lower", "two cores",
             f"minutes of processors, all steps; {on_the_wall(_minutes(found, 0), _minutes(found, 1))}; {what}"),
            ("latency_mape_pct", _mape(rows), "%", 5.0, "lower", "",
             f"predicted against measured latency of the networks that were found; {what}"),
            ("within_budget", found["within_budget"], "networks", float(count), "higher", "",
             f"of {count} whose measured latency keeps the budget; {what}"),
            ("pairs_ordered", found["pairs_agreed"], "pairs", None, "higher", "training alone",
             f"of {count * (count - 1) // 2} that accuracy in the supernet orders as a training of their own does; "
             f"{what}"),
            ("gap_points", _gap(rows), "points", None, "lower", "each trained alone for as many epochs",
             f"mean test accuracy alone less that with the supernet's weights; {what}"),
        )  # fmt: skip
        for name, value, unit, goal, better, peer, protocol in made:
            yield Figure(
                figure=f"{self.figure}_{name}",
                value=round(float(value), 2),
                unit=unit,
                goal=goal,
                better=better,  # type: ignore[arg-type]
                peer=peer,
                protocol=protocol,
                command=command,
            )

    def table(self, found: Mapping[str, Any]) -> str:
        """Everything side by side, as Markdown."""
        rows, count = found["rows"], len(found["rows"])
        lines = [
            f"## The whole loop: {self.what}\n",
            f"`examples/{self.script}.py` on {found['device']}: {found['images']:,} images of CIFAR-10 to learn from, "
            f"{found['epochs']} epochs for the supernet and for each network alone; accuracy on the 10,000 test "
            "images.\n",
            "| budget ms | predicted ms | 90 % interval | measured ms | in the supernet % | alone % | M MACs |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {row['budget_ms']:.3f} | {row['predicted_ms']:.3f} | {row['interval_ms'][0]:.3f} to "
            f"{row['interval_ms'][1]:.3f} | {row['measured_ms']:.3f} | {row['supernet_pct']:.1f} | "
            f"{row['alone_pct']:.1f} | {row['macs'] / 1e6:.2f} |"
            for row in rows
        ]
        steps = ", ".join(f"{name[3:]} {cpu_s / 60:.1f}" for name, (_, cpu_s) in found["times_s"].items())
        lines += [
            "",
            f"{found['within_interval']} of {count} measured latencies are within the interval, "
            f"{found['within_budget']} within the budget. Accuracies in the supernet order {found['pairs_agreed']} of "
            f"{count * (count - 1) // 2} pairs as trainings of their own do. Minutes of processors: {steps}; "
            f"{_minutes(found, 1):.1f} in all, {on_the_wall(_minutes(found, 0), _minutes(found, 1))}.\n",
        ]
        return "\n".join(lines)


def _minutes(found: Mapping[str, Any], clock: int) -> float:
    """All steps, on the wall (0) or of processors (1)."""
    return float(sum(taken[clock] for taken in found["times_s"].values())) / 60


def _mape(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([100 * abs(row["predicted_ms"] / row["measured_ms"] - 1) for row in rows]))


def _gap(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([row["alone_pct"] - row["supernet_pct"] for row in rows]))


ONCE_FOR_ALL: Final = Loop("loop_ofa", "once-for-all", "search_once_for_all")
PROXYLESS: Final = Loop("loop_proxyless", "ProxylessNAS", "search_proxyless_budgets")
