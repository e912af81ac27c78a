"""The strategies that learn, on NAS-Bench-201: the best CIFAR-10 validation accuracy found, beside random search."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lutra.nas import Objective, Problem, make_searcher, search, spaces
from lutra.networks.blocks import NASBENCH201_OPS
from lutra.networks.blocks.cells import parse_nasbench201

from .._results import Figure, note
from ..facts import SHARED

BUDGETS: Final = (100, 200, 300, 500)
SEEDS: Final = 100
EVALUATIONS: Final = {"random": 500, "reinforce": 500, "surrogate": 300}
_OPTIMUM_PCT: Final = 91.57
# Means of 100 seeds of random search, ../shared/data/nasbench201/search_baselines.csv.
_RANDOM_PCT: Final = {100: 90.749, 200: 90.879, 500: 91.081}
_SURROGATE_GOALS: Final = {100: 91.45, 300: 91.55}


@cache
def accuracies_pct() -> NDArray[np.float64]:
    """CIFAR-10 validation accuracy of every cell, one axis for each edge in the order of codes, [5] * 6.

    Raises:
        FileNotFoundError: the measured data are not here.
    """
    path = SHARED / "nasbench201" / "architectures.parquet"
    if not path.exists():
        raise FileNotFoundError(f"measured data are not at {path}; set LUTRA_SHARED_DATA to their folder")
    table = pq.read_table(path, columns=["arch_str", "val_acc_cifar10"])
    cells = [parse_nasbench201(cell) for cell in table["arch_str"].to_pylist()]
    codes = np.array([[NASBENCH201_OPS.index(op) for op in cell] for cell in cells])
    accuracies = np.full((len(NASBENCH201_OPS),) * codes.shape[1], np.nan)
    accuracies[tuple(codes.T)] = table["val_acc_cifar10"].to_numpy()
    return accuracies


def problem() -> Problem:
    """The best cell by its accuracy."""
    table = accuracies_pct()
    accuracy = Objective("accuracy_pct", lambda codes: table[tuple(codes.T)], maximise=True)
    return Problem(spaces.build("nasbench201"), [accuracy])


def measure() -> dict[str, Any]:
    """Best accuracies after each budget, and how often the optimum was found; minutes."""
    found: dict[str, Any] = {}
    for strategy, evaluations in EVALUATIONS.items():
        begin = time.process_time()
        best = np.stack([_best_so_far(strategy, seed, evaluations) for seed in range(SEEDS)])
        budgets = [budget for budget in BUDGETS if budget <= evaluations]
        found[strategy] = {
            "mean_pct": {str(budget): float(best[:, budget - 1].mean()) for budget in budgets},
            "std_pct": {str(budget): float(best[:, budget - 1].std()) for budget in budgets},
            "optimum": {str(budget): float((best[:, budget - 1] >= _OPTIMUM_PCT).mean()) for budget in budgets},
            "seconds_a_search": (time.process_time() - begin) / SEEDS,
        }
        note(f"{strategy}: {found[strategy]['mean_pct']}")
    return found


def _best_so_far(strategy: str, seed: int, evaluations: int) -> NDArray[np.float64]:
    """The best accuracy after each evaluation, [evaluations]; a search that ended early keeps what it has."""
    task = problem()
    best = search(task, make_searcher(task, strategy, seed=seed), evaluations=evaluations).best_so_far
    return np.concatenate([best, np.full(evaluations - len(best), best[-1])])


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """What the surrogate and the controller reach."""
    protocol = f"best CIFAR-10 validation accuracy after {{}} evaluations, mean of {SEEDS} seeds, default parameters"
    goals = {"surrogate": _SURROGATE_GOALS, "reinforce": _RANDOM_PCT}
    names = {"surrogate": "surrogate", "reinforce": "rl"}
    return [
        Figure(
            figure=f"nb201_{names[strategy]}_{budget}",
            value=round(found[strategy]["mean_pct"][str(budget)], 3),
            unit="%",
            goal=goal,
            better="higher",
            peer=f"random search in the same run: {found['random']['mean_pct'][str(budget)]:.3f} %",
            protocol=protocol.format(budget),
            command=command,
        )
        for strategy, goals_ in goals.items()
        for budget, goal in goals_.items()
    ]


def table(found: Mapping[str, Any]) -> str:
    """A section of Markdown."""
    lines = [
        "## NAS-Bench-201: strategies that learn",
        "",
        f"Best CIFAR-10 validation accuracy in %: mean ± standard deviation of {SEEDS} seeds, and how many found",
        f"the best cell, {_OPTIMUM_PCT} %. Default parameters, which were chosen by the accuracies on other images,",
        "CIFAR-100 and ImageNet16-120, and with other seeds.",
        "",
        "| strategy | " + " | ".join(f"{budget} evaluations" for budget in BUDGETS) + " | s a search |",
        "|---|" + "---|" * (len(BUDGETS) + 1),
    ]
    for strategy, numbers in found.items():
        cells = []
        for budget in map(str, BUDGETS):
            if budget not in numbers["mean_pct"]:
                cells.append("")
                continue
            mean, std, optimum = (numbers[kind][budget] for kind in ("mean_pct", "std_pct", "optimum"))
            cells.append(f"{mean:.3f} ± {std:.3f}, {optimum:.0%}")
        lines.append(f"| {strategy} | {' | '.join(cells)} | {numbers['seconds_a_search']:.2f} |")
    return "\n".join(lines) + "\n"
