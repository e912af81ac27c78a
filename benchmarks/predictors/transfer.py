"""Scores transfer to new devices on any table of encodings and latencies.

``python -m benchmarks.predictors.transfer --table T.parquet --encoding COLS --tasks tasks.json --samples 20 --seeds 5``

The table has a column for each decision of the encoding and one of latencies in ms for each device. The tasks are
``{"name": {"sources": ["device", ...], "targets": ["device", ...]}, ...}``. For each seed, some architectures are drawn
that the sources were measured on; a prior is learnt from those, the architectures to measure are chosen, and each
target is predicted from its latencies of these alone. Scored is the whole space.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lutra.predictors import AdditivePredictor, DevicePrior, TransferPredictor, metrics

from .._results import note
from ._data import LatencyTable, Task, read_table

COVERAGE = 0.9


@dataclass(frozen=True)
class Protocol:
    """How a transfer is played.

    Attributes:
        samples: measurements on the new device.
        source_samples: architectures that all sources were measured on.
        seeds: how often, with other source samples and candidates.
        sampler: "chosen" by the predictor, or "random".
        trim: share of the lowest and of the highest latencies that is not scored.
    """

    samples: int = 20
    source_samples: int = 800
    seeds: int = 5
    sampler: str = "chosen"
    trim: float = 0.0


def play(table: LatencyTable, task: Task, protocol: Protocol) -> dict[str, dict[str, float]]:
    """Scores of each target, means over the seeds."""
    rounds = [_round(table, task, protocol, seed) for seed in range(protocol.seeds)]
    return {
        target: {score: float(np.mean([one[target][score] for one in rounds])) for score in rounds[0][target]}
        for target in task.targets
    }


def _round(table: LatencyTable, task: Task, protocol: Protocol, seed: int) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(seed)
    known = rng.choice(len(table), protocol.source_samples, replace=False)
    prior = DevicePrior.learn(
        table.codes[known],
        {name: table.latency_ms[name][known] for name in task.sources},
        {name: values[known] for name, values in table.costs.items()},
    )
    offered = np.flatnonzero(table.whole)
    chosen = offered[TransferPredictor(prior, seed=seed).choose(table.codes[offered], protocol.samples)]
    found = {}
    for target in task.targets:
        if protocol.sampler == "random":
            chosen = rng.choice(offered, protocol.samples, replace=False)
        predictor = TransferPredictor(prior, target, seed=seed)
        predictor.fit(table.codes[chosen], table.latency_ms[target][chosen])
        found[target] = _scores(predictor, table, target, chosen, protocol.trim)
    return found


def _scores(
    predictor: TransferPredictor, table: LatencyTable, target: str, chosen: NDArray[np.intp], trim: float
) -> dict[str, float]:
    measured, predicted = table.latency_ms[target], predictor.predict_batch(table.codes)
    low, high = np.quantile(measured, [trim, 1 - trim])
    scored = (measured >= low) & (measured <= high)
    unseen = np.setdiff1d(np.arange(len(table)), chosen)
    ends = predictor.predict_interval(table.codes[unseen], COVERAGE)
    inside = (ends[:, 0] <= measured[unseen]) & (measured[unseen] <= ends[:, 1])
    alone = AdditivePredictor().fit(table.codes[chosen], measured[chosen]).predict_batch(table.codes)
    return {
        "spearman": metrics.spearman(measured[scored], predicted[scored]),
        "alone_spearman": metrics.spearman(measured[scored], alone[scored]),
        "median_error_pct": 100 * float(np.median(np.abs(predicted[unseen] / measured[unseen] - 1))),
        "within_10_pct": 100 * metrics.within(measured[unseen], predicted[unseen]),
        "coverage_pct": 100 * float(np.mean(inside)),
    }


def mean_spearman(scores: dict[str, dict[str, float]], score: str = "spearman") -> float:
    """Over the targets of one task; ``alone_spearman`` is that of an additive predictor of the same samples alone."""
    return float(np.mean([target[score] for target in scores.values()]))


def read_tasks(path: Path) -> list[Task]:
    """Tasks of a JSON file."""
    tasks = json.loads(path.read_text(encoding="utf-8"))
    return [Task(name, tuple(task["sources"]), tuple(task["targets"])) for name, task in tasks.items()]


def _matching(patterns: str, names: Sequence[str]) -> list[str]:
    """Columns by comma-separated names or patterns such as ``op_*``."""
    found = [name for pattern in patterns.split(",") for name in names if pattern and fnmatchcase(name, pattern)]
    if patterns and not found:
        raise SystemExit(f"no column of the table matches {patterns}; it has {', '.join(names)}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="Parquet file")
    parser.add_argument("--encoding", required=True, help="columns of choices: names or patterns, by commas")
    parser.add_argument("--costs", default="", help="columns of counted quantities, such as MACs")
    parser.add_argument("--tasks", type=Path, required=True, help="JSON file of sources and targets")
    parser.add_argument("--prefix", default="", help="of the columns of devices")
    parser.add_argument("--samples", type=int, default=20, help="measurements on each new device")
    parser.add_argument("--source-samples", type=int, default=800, help="architectures that sources were measured on")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sampler", choices=("chosen", "random"), default="chosen")
    parser.add_argument("--trim", type=float, default=0.0, help="share of lowest and of highest latencies left out")
    parser.add_argument("--json", type=Path, help="where to write all scores; to stdout if omitted")
    return parser


def main() -> int:
    """Score the tasks that the command line names; returns the exit status."""
    asked = _parser().parse_args()
    tasks = read_tasks(asked.tasks)
    names = pq.read_schema(asked.table).names
    table = read_table(
        asked.table,
        _matching(asked.encoding, names),
        costs=_matching(asked.costs, names),
        devices=sorted({device for task in tasks for device in (*task.sources, *task.targets)}),
        prefix=asked.prefix,
    )
    protocol = Protocol(asked.samples, min(asked.source_samples, len(table)), asked.seeds, asked.sampler, asked.trim)
    found: dict[str, Any] = {}
    for task in tasks:
        found[task.name] = play(table, task, protocol)
        note(f"{task.name}: mean Spearman {mean_spearman(found[task.name]):.4f}")
    text = json.dumps(found, indent=1) + "\n"
    if asked.json:
        asked.json.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
