"""Strategies on NAS-Bench-201: the best CIFAR-10 validation accuracy found, beside random search."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
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

BUDGETS: Final = (100, 200, 300, 500, 1000)
SEEDS: Final = range(1000, 1100)
"""None that a strategy was looked at with while it was made."""
OPTIMUM_PCT: Final = 91.57


@dataclass(frozen=True)
class Entry:
    """A strategy that is tried.

    Attributes:
        strategy: its name.
        evaluations: how many each search has.
        parameters: what it is made with.
        figure: what its figures are called, ``nb201_<figure>_<budget>``; None for those that only stand beside.
        goals: the least mean accuracy in % after a budget.
    """

    strategy: str
    evaluations: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    figure: str | None = None
    goals: Mapping[int, float] = field(default_factory=dict)


# Population 30 and samples of 10 are those of ../shared/data/nasbench201/search_baselines.csv, where 100 seeds of this
# strategy, repeated evaluations included, reach 91.225, 91.406 and 91.518; random search 90.749, 90.879, 91.081.
ENTRIES: Final = {
    "random": Entry("random", 1000),
    "aging, population 30, samples of 10": Entry(
        "aging", 1000, {"population": 30, "sample": 10}, "aging", {100: 91.22, 200: 91.40, 500: 91.51}
    ),
    "aging": Entry("aging", 1000),
    "reinforce": Entry("reinforce", 500, {}, "rl", {100: 90.749, 200: 90.879, 500: 91.081}),
    "surrogate": Entry("surrogate", 300, {}, "surrogate", {100: 91.45, 300: 91.55}),
}


@cache
def column(name: str) -> NDArray[np.float64]:
    """A column of numbers of every cell, one axis for each edge in the order of codes, [5] * 6.

    Raises:
        FileNotFoundError: the measured data are not here.
    """
    path = SHARED / "nasbench201" / "architectures.parquet"
    if not path.exists():
        raise FileNotFoundError(f"measured data are not at {path}; set LUTRA_SHARED_DATA to their folder")
    table = pq.read_table(path, columns=["arch_str", name])
    cells = [parse_nasbench201(cell) for cell in table["arch_str"].to_pylist()]
    codes = np.array([[NASBENCH201_OPS.index(op) for op in cell] for cell in cells])
    values = np.full((len(NASBENCH201_OPS),) * codes.shape[1], np.nan)
    values[tuple(codes.T)] = table[name].to_numpy()
    return values


def accuracies_pct() -> NDArray[np.float64]:
    """CIFAR-10 validation accuracy of every cell, as `column`."""
    return column("val_acc_cifar10")


def problem() -> Problem:
    """The best cell by its accuracy."""
    table = accuracies_pct()
    accuracy = Objective("accuracy_pct", lambda codes: table[tuple(codes.T)], maximise=True)
    return Problem(spaces.build("nasbench201"), [accuracy])


def measure() -> dict[str, Any]:
    """Best accuracies after each budget, and how often the optimum was found; minutes."""
    found: dict[str, Any] = {}
    for name, entry in ENTRIES.items():
        begin = time.process_time()
        best = np.stack([_best_so_far(entry, seed) for seed in SEEDS])
        budgets = [budget for budget in BUDGETS if budget <= entry.evaluations]
        found[name] = {
            "mean_pct": {str(budget): float(best[:, budget - 1].mean()) for budget in budgets},
            "std_pct": {str(budget): float(best[:, budget - 1].std()) for budget in budgets},
            "optimum": {str(budget): float((best[:, budget - 1] >= OPTIMUM_PCT).mean()) for budget in budgets},
            "seconds_a_search": (time.process_time() - begin) / len(SEEDS),
        }
        note(f"{name}: {found[name]['mean_pct']}")
    return found


def _best_so_far(entry: Entry, seed: int) -> NDArray[np.float64]:
    """The best accuracy after each evaluation, [evaluations]; a search that ended early keeps what it has."""
    task = problem()
    searcher = make_searcher(task, entry.strategy, seed=seed, **entry.parameters)
    best = search(task, searcher, evaluations=entry.evaluations).best_so_far
    return np.concatenate([best, np.full(entry.evaluations - len(best), best[-1])])


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """What the strategies reach that have goals."""
    protocol = f"Best CIFAR-10 validation accuracy after {{}} evaluations, mean of {len(SEEDS)} seeds, {{}}."
    return [
        Figure(
            figure=f"nb201_{entry.figure}_{budget}",
            value=round(found[name]["mean_pct"][str(budget)], 3),
            unit="%",
            goal=goal,
            better="higher",
            peer=f"random search in the same run: {found['random']['mean_pct'][str(budget)]:.3f} %",
            protocol=protocol.format(budget, _made_with(entry)),
            command=command,
        )
        for name, entry in ENTRIES.items()
        for budget, goal in entry.goals.items()
    ]


def _made_with(entry: Entry) -> str:
    return ", ".join(f"{name} {value}" for name, value in entry.parameters.items()) or "default parameters"


def table(found: Mapping[str, Any]) -> str:
    """A section of Markdown."""
    lines = [
        "## NAS-Bench-201: the best architecture",
        "",
        f"Best CIFAR-10 validation accuracy in %: mean ± standard deviation of {len(SEEDS)} seeds, and how many found",
        f"the best cell, {OPTIMUM_PCT} %. Evaluations are of different cells: none of these strategies, random search",
        "neither, has one evaluated twice. The default parameters of REINFORCE and of the surrogate were chosen by the",
        "accuracies on other images, CIFAR-100 and ImageNet16-120, and with other seeds.",
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
