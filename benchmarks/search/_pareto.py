"""Accuracy against latency on NAS-Bench-201: how much of the true hypervolume is found, beside pymoo and Optuna."""

import statistics
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.sampling import Sampling
from pymoo.operators.crossover.ux import UX
from pymoo.optimize import minimize

from lutra.nas import Objective, Problem, hypervolume, make_searcher, non_dominated, search, spaces
from lutra.nas.spaces import Codes

from .._results import Figure, note
from ._nb201 import accuracies_pct, column

Floats = NDArray[np.float64]

BUDGETS: Final = (200, 500, 1000)
SEEDS: Final = range(1000, 1010)
"""None that a strategy was looked at with while it was made."""
GOALS: Final = {
    "raspi4": (0.9925, 0.9975, 0.999),
    "titan_rtx_1": (0.966, 0.996, 0.9985),
    "fpga": (0.983, 0.998, 0.999),
}
KNOWN: Final = {
    "raspi4": (0.9921, 0.9970, 0.9988),
    "titan_rtx_1": (0.9635, 0.9957, 0.9982),
    "fpga": (0.9824, 0.9976, 0.9986),
}
"""What pymoo's NSGA-II was known to reach: integers, uniform crossover, uniform reset mutation 1/6, population 50."""
_EDGE: Final = 1.1
_POPULATION: Final = 50
_DECISIONS, _OPS = 6, 5


@cache
def losses_of(device: str) -> Floats:
    """Minus the accuracy in %, and the latency in ms, of every cell: [5, 5, 5, 5, 5, 5, 2]."""
    return np.stack([-accuracies_pct(), column(f"lat_{device}")], axis=-1)


@cache
def reference(device: str, edge: float = _EDGE) -> tuple[float, ...]:
    """The corner of the hypervolume: a tenth of the range of either loss behind the worst cell there is."""
    every = losses_of(device).reshape(-1, 2)
    least, most = every.min(axis=0), every.max(axis=0)
    return tuple((least + edge * (most - least)).tolist())


def shares(device: str, losses: Floats, edge: float = _EDGE) -> list[float]:
    """The hypervolume after each budget, over that of all cells."""
    corner = np.array(reference(device, edge))
    whole = hypervolume(losses_of(device).reshape(-1, 2), corner)
    return [hypervolume(losses[:budget], corner) / whole for budget in BUDGETS]


def by_lutra(strategy: str) -> Callable[[str, int], Floats]:
    """Searches with one of our strategies, at default parameters."""

    def run(device: str, seed: int) -> Floats:
        every = losses_of(device)
        objectives = [
            Objective("accuracy_pct", lambda codes: -every[(*codes.T, 0)], maximise=True),
            Objective("latency_ms", lambda codes: every[(*codes.T, 1)]),
        ]
        problem = Problem(spaces.build("nasbench201"), objectives)
        return search(problem, make_searcher(problem, strategy, seed=seed), evaluations=BUDGETS[-1]).evaluations.losses

    return run


def by_pymoo(device: str, seed: int) -> Floats:
    """pymoo's NSGA-II, duplicates within its population eliminated, as is its default."""
    cells = _Cells(losses_of(device))
    algorithm = NSGA2(pop_size=_POPULATION, sampling=_Integers(), crossover=UX(), mutation=_Reset(prob=1.0))
    minimize(cells, algorithm, ("n_eval", BUDGETS[-1]), seed=seed)
    return np.concatenate(cells.seen)[: BUDGETS[-1]]


def by_optuna(device: str, seed: int) -> Floats:
    """Optuna's NSGA-II with its defaults but the population, which is that of pymoo's."""
    every, seen = losses_of(device), []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        code = tuple(trial.suggest_categorical(f"edge {j}", range(_OPS)) for j in range(_DECISIONS))
        seen.append(every[code])
        return float(every[code][0]), float(every[code][1])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
    study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.optimize(objective, n_trials=BUDGETS[-1])
    return np.array(seen)


class _Cells(PymooProblem):  # type: ignore[misc]  # pymoo has no types
    """The benchmark as pymoo takes it; ``seen`` holds what it evaluated."""

    def __init__(self, every: Floats) -> None:
        super().__init__(n_var=_DECISIONS, n_obj=2, xl=0, xu=_OPS - 1, vtype=int)
        self._every = every
        self.seen: list[Floats] = []

    def _evaluate(self, x: Codes, out: dict[str, Floats], *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        out["F"] = self._every[tuple(x.astype(np.int64).T)]
        self.seen.append(out["F"])


class _Integers(Sampling):  # type: ignore[misc]
    def _do(self, problem: Any, n: int, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Codes:
        del args, kwargs
        return random_state.integers(0, _OPS, (n, problem.n_var))


class _Reset(Mutation):  # type: ignore[misc]
    """Each number is drawn anew with probability 1 / 6."""

    def _do(self, problem: Any, x: Codes, *args: Any, random_state: np.random.Generator, **kwargs: Any) -> Codes:
        del args, kwargs
        drawn = random_state.integers(0, _OPS, x.shape)
        return np.where(random_state.random(x.shape) < 1 / problem.n_var, drawn, x)


SEARCHES: Final[Mapping[str, Callable[[str, int], Floats]]] = {
    "nsga2": by_lutra("nsga2"),
    "surrogate": by_lutra("surrogate"),
    "random": by_lutra("random"),
    "pymoo": by_pymoo,
    "optuna": by_optuna,
}


def measure() -> dict[str, Any]:
    """Shares of the hypervolume by device, search and budget; minutes."""
    found: dict[str, Any] = {}
    for device in GOALS:
        every = losses_of(device).reshape(-1, 2)
        found[device] = {"front": len(np.unique(every[non_dominated(every)], axis=0)), "shares": {}, "worst": {}}
        for name, run in SEARCHES.items():
            losses = [run(device, seed) for seed in SEEDS]
            found[device]["shares"][name] = [shares(device, of) for of in losses]
            found[device]["worst"][name] = [shares(device, of, 1.0) for of in losses]
            note(f"{device} {name}: {np.mean(found[device]['shares'][name], axis=0).round(4).tolist()}")
    return found


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """What the surrogate reaches, whose parameters saw none of these tasks, beside the NSGA-IIs of the same run."""
    made = []
    for device, goals in GOALS.items():
        for i, (budget, goal) in enumerate(zip(BUDGETS, goals, strict=True)):
            mean = {name: statistics.fmean(run[i] for run in runs) for name, runs in found[device]["shares"].items()}
            made.append(
                Figure(
                    figure=f"hv_{device}_{budget}",
                    value=round(mean["surrogate"], 5),
                    unit="share",
                    goal=goal,
                    better="higher",
                    peer=f"in the same run: pymoo's NSGA-II {mean['pymoo']:.4f}, Optuna's {mean['optuna']:.4f}, ours "
                    f"{mean['nsga2']:.4f}, random {mean['random']:.4f}",
                    protocol=f"Hypervolume of CIFAR-10 validation accuracy and latency on {device} over that of all "
                    f"cells, {budget} evaluations of `surrogate`, mean of {len(SEEDS)} seeds; the corner is a tenth of "
                    "the range behind the worst cell in either.",
                    command=command,
                )
            )
    return made


def table(found: Mapping[str, Any]) -> str:
    """A section of Markdown."""
    lines = [
        "## NAS-Bench-201: accuracy and latency",
        "",
        "Hypervolume of what was found over that of all cells, by CIFAR-10 validation accuracy and the latency of a",
        f"device: mean of {len(SEEDS)} seeds. The corner lies a tenth of the range behind the worst cell in either; in",
        "brackets the same with the corner at the worst cell. pymoo's and Optuna's NSGA-II have a population of 50, as",
        "in the published figures beside them. `nsga2` has its default parameters: its population, the size of a",
        "generation and the share of children with two parents were chosen on these three devices.",
        "",
        "| device (true front) | search | " + " | ".join(f"{budget} evaluations" for budget in BUDGETS) + " |",
        "|---|---|" + "---|" * len(BUDGETS),
    ]
    for device, content in found.items():
        for name in content["shares"]:
            means, worst = (np.mean(content[kind][name], axis=0) for kind in ("shares", "worst"))
            cells = [f"{mean:.4f} ({low:.4f})" for mean, low in zip(means, worst, strict=True)]
            lines.append(f"| {device} ({content['front']}) | {name} | {' | '.join(cells)} |")
        known = [f"{value:.4f}" for value in KNOWN[device]]
        lines.append(f"| {device} ({content['front']}) | pymoo, published | {' | '.join(known)} |")
    return "\n".join(lines) + "\n"
