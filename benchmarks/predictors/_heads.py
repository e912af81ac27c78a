"""The heads of transfer beside each other: the same tasks, source samples and seeds for the closed form and nets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from lutra.nas import spaces
from lutra.networks import Network
from lutra.predictors import DevicePrior, TransferPredictor, metrics

from .._results import Figure, note
from ._data import FBNET_TASKS, ND, Floats, LatencyTable, Task, fbnet, nasbench201

HEADS: Final = ("closed form", "mlp", "gnn")
SEEDS: Final = 2
SCORED: Final = 3000  # cells of NAS-Bench-201, of its 15,625
# NASLib's edges 1<-0, 2<-0, 3<-0, 2<-1, 3<-1, 3<-2 and operations (skip, none, 3x3, 1x1, pool), as our space has them.
_NASLIB_EDGES: Final = [0, 1, 3, 2, 4, 5]
_NASLIB_OPS: Final = np.array([1, 0, 3, 2, 4])
_SAMPLES: Final = 20
_SOURCE_SAMPLES: Final = {"fbnet": 800, "nasbench201": 900}


def measure() -> dict[str, Any]:
    """Mean Spearman over targets and seeds, by task and head."""
    found: dict[str, Any] = {}
    for name, table, tasks in (("fbnet", fbnet(), FBNET_TASKS), ("nasbench201", _some(nasbench201()), (ND,))):
        space = spaces.build(name)
        networks = [space.decode(code) for code in _codes(name, table)]
        for task in tasks:
            found[task.name] = {head: _played(table, networks, task, head, _SOURCE_SAMPLES[name]) for head in HEADS}
            note(f"{task.name}: " + ", ".join(f"{head} {score:.3f}" for head, score in found[task.name].items()))
    return found


def _some(table: LatencyTable) -> LatencyTable:
    """Some rows of a table: graphs of all of them take minutes."""
    rows = np.random.default_rng(0).choice(len(table), SCORED, replace=False)
    return LatencyTable(
        codes=table.codes[rows],
        latency_ms={name: values[rows] for name, values in table.latency_ms.items()},
        costs={name: values[rows] for name, values in table.costs.items()},
        columns={name: values[rows] for name, values in table.columns.items()},
        whole=table.whole[rows],
    )


def _codes(name: str, table: LatencyTable) -> Any:
    """The table's choices as codes of our space; NAS-Bench-201's are letters of NASLib's operations and edges."""
    if name == "fbnet":
        return table.codes.astype(np.int64)
    return _NASLIB_OPS[table.codes.astype(np.int64) - ord("0")][:, _NASLIB_EDGES]


def _played(table: LatencyTable, networks: Sequence[Network], task: Task, head: str, source_samples: int) -> float:
    """Mean Spearman over seeds and targets, over all rows of the table."""
    scores = []
    for seed in range(SEEDS):
        known = np.random.default_rng(seed).choice(len(table), source_samples, replace=False)
        sources = {name: table.latency_ms[name][known] for name in task.sources}
        costs = {name: values[known] for name, values in table.costs.items()}
        given: Any = [networks[row] for row in known] if head == "gnn" else table.codes[known]
        prior = DevicePrior.learn(given, sources, costs, head=None if head == "closed form" else head, seed=seed)
        offered = np.flatnonzero(table.whole)
        all_given: Any = networks if head == "gnn" else table.codes
        chosen = offered[TransferPredictor(prior, seed=seed).choose(_rows(all_given, offered), _SAMPLES)]
        features = prior.features(all_given)
        for target in task.targets:
            predictor = TransferPredictor(prior, target, seed=seed)
            predictor.fit(_rows(all_given, chosen), table.latency_ms[target][chosen])
            assert predictor.fitted_ is not None
            scores.append(_spearman(table.latency_ms[target], features @ predictor.fitted_.posterior.mean))
    return float(np.mean(scores))


def _rows(given: Any, rows: Any) -> Any:
    return given[rows] if isinstance(given, np.ndarray) else [given[row] for row in rows]


def _spearman(measured: Floats, predicted: Floats) -> float:
    """Of predictions in any unit: ranks do not mind what is added."""
    return metrics.spearman(measured, predicted - predicted.min() + 1.0)


def figures(found: Mapping[str, Mapping[str, float]], command: str) -> Iterator[Figure]:
    """Mean Spearman over FBNet's six tasks, by head."""
    tasks = [task.name for task in FBNET_TASKS]
    for head in HEADS:
        yield Figure(
            figure=f"fbnet_{head.replace(' ', '_')}_head_mean_spearman",
            value=round(float(np.mean([found[task][head] for task in tasks])), 4),
            unit="(rank)",
            goal=None,
            better="higher",
            peer="",
            protocol=f"mean over the tasks {', '.join(tasks)} of 20 chosen target samples, 800 of each source, "
            f"{SEEDS} seeds; all 5,000 architectures",
            command=command,
        )
