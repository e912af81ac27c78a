"""The bridge's sums and gradients on the field's own tables, and how many architectures a search can check."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lutra.luts.blocktable import BlockTable
from lutra.luts.exchange import read_blocks
from lutra.nas import spaces
from lutra.nas_bridge import BlockOracle, EncodingOracle, LatencyBudget
from lutra.nas_bridge._estimates import by_score, by_substitution
from lutra.predictors import MlpPredictor

from .._results import Better, Figure, spread
from .._tables_exchange import NOTE10_MS, PROXYLESS_MS, proxyless_keys
from ..facts import SHARED

Estimate = Callable[..., torch.Tensor]

BUDGET_MS: Final = 30.0
ARCHITECTURES: Final = 1_000_000
BATCH: Final = 8192
"""Architectures at once: their codes stay in the cache."""
_ROUNDS: Final = 7
_DRAWS: Final = 20
_FITTED: Final = 1000
_DRAWN: Final = 16
_NETWORK: Final = "note10_lat@30ms_top1@78.4_finetune@75"
_OPS: Final = tuple((kernel, expand) for kernel in (3, 5, 7) for expand in (3, 4, 6))
_STAGES: Final = (32, 48, 96, 136, 192)
_DEPTH: Final = 4


def measure() -> dict[str, Any]:
    """Sums, the gradient and the rate; takes seconds.

    Raises:
        FileNotFoundError: the measured data are not here.
    """
    if not SHARED.is_dir():
        raise FileNotFoundError(f"measured data are not in {SHARED}; set LUTRA_SHARED_DATA to their folder")
    tables = block_tables()
    note10 = BlockOracle(spaces.build("ofa-mbv3-w1.2"), tables["ofa_note10"])
    pixel1 = BlockOracle(spaces.build("proxyless-24"), tables["proxylessnas_mobile_trim"])
    configs = json.loads((SHARED / "ofa" / "arch_configs.json").read_text(encoding="utf-8"))["ofa_specialized"]
    return {
        "note10_30ms_ms": note10.latency_ms(ofa_code(configs[_NETWORK], note10)),
        "note10_least_ms": note10.cheapest().latency_ms,
        "proxyless_ms": _proxyless_ms(pixel1),
        "gradient_error": {name: _gradient_error(pixel1, tables["proxylessnas_mobile_trim"], dtype) for name, dtype in
                           (("float64", torch.float64), ("float32", torch.float32))},
        "estimates": _estimates(note10),
        **_rates(note10),
    }  # fmt: skip


def block_tables(folder: Path = SHARED) -> dict[str, BlockTable]:
    """The tables of once-for-all and ProxylessNAS, by source."""
    tables = read_blocks(folder / "luts" / "note10_and_pixel1_blocks.csv", "blocks-csv").tables
    return {table.source: table for table in tables}


def ofa_code(config: Mapping[str, Any], oracle: BlockOracle) -> NDArray[np.int64]:
    """The code of a network that was released, in once-for-all's space at width 1.2."""
    resolutions = oracle.space.decisions[0].choices
    stages = [[b for b in config["blocks"][1:] if b["cout"] == width] for width in _STAGES]
    depths = [len(stage) - 2 for stage in stages]
    blocks = [_OPS.index((stage[i]["k"], stage[i]["e"])) if i < len(stage) else 0 for stage in stages
              for i in range(_DEPTH)]  # fmt: skip
    return np.array([resolutions.index(str(config["image_size"])), *depths, *blocks])


def _proxyless_ms(oracle: BlockOracle) -> dict[str, float]:
    matrix = oracle.cost_matrix()
    even = [torch.full((len(d.choices),), 1 / len(d.choices), dtype=torch.float64) for d in oracle.space.decisions]
    return {
        "min": oracle.cheapest().latency_ms,
        "uniform": float(oracle.expected_ms(even)),
        "max": matrix.fixed_ms + float(np.nanmax(matrix.costs_ms, axis=1).sum()),
    }


def _gradient_error(oracle: BlockOracle, table: BlockTable, dtype: torch.dtype) -> float:
    """Largest distance of dE/dalpha from p (F - sum of p F), F read from the table block by block, in ms."""
    _, choices = proxyless_keys()
    costs = [table.latencies_ns(keys) / 1e6 for keys in choices]
    random, worst = torch.Generator().manual_seed(0), 0.0
    for _ in range(_DRAWS):
        alphas = [torch.randn(len(cost), dtype=dtype, generator=random).requires_grad_() for cost in costs]
        oracle.expected_ms([alpha.softmax(0) for alpha in alphas]).backward()  # type: ignore[no-untyped-call]
        for alpha, cost in zip(alphas, costs, strict=True):
            assert alpha.grad is not None
            p = alpha.detach().double().softmax(0).numpy()
            worst = max(worst, float(np.abs(alpha.grad.numpy() - p * (cost - p @ cost)).max()))
    return worst


def _estimates(known: BlockOracle) -> dict[str, dict[str, float]]:
    """How well a learned latency's gradient is estimated, by how: the cosine to that from many questions, and ms a
    call. Perceptrons are fitted to architectures that a table prices."""
    space, rng = known.space, np.random.default_rng(0)
    codes = space.sample(_FITTED, rng)
    learned = EncodingOracle(space, MlpPredictor().fit(codes, known.latencies_ms(codes))).latencies_ms
    random = torch.Generator().manual_seed(1)
    alphas = [torch.randn(len(d.choices), dtype=torch.float64, generator=random) for d in space.decisions]
    for alpha in alphas:
        alpha.requires_grad_()

    def gradient(estimate: Estimate, samples: int) -> NDArray[np.float64]:
        expected = estimate(space, learned, [alpha.softmax(0) for alpha in alphas], samples, rng)
        return torch.cat(torch.autograd.grad(expected, alphas)).numpy()

    wanted, found = gradient(by_substitution, 1000), {}
    questions = _DRAWN * sum(len(d.choices) for d in space.decisions)
    ways: list[tuple[str, Estimate, int]] = [
        ("substitution", by_substitution, _DRAWN),
        ("score", by_score, _DRAWN),
        ("score, as many questions", by_score, questions),
    ]
    for name, estimate, samples in ways:
        start = time.thread_time()
        drawn = [gradient(estimate, samples) for _ in range(_DRAWS)]
        spent_ms = (time.thread_time() - start) * 1e3 / _DRAWS
        cosines = [g @ wanted / np.linalg.norm(g) / np.linalg.norm(wanted) for g in drawn]
        found[name] = {"cosine": float(np.mean(cosines)), "ms": spent_ms}
    return found


def _rates(oracle: BlockOracle) -> dict[str, Any]:
    """Architectures a second of CPU time, by round: sampled and checked, and checked alone."""
    budget, rng = LatencyBudget(oracle, BUDGET_MS), np.random.default_rng(0)
    codes = oracle.space.sample(BATCH, rng)
    whole, alone, kept = [], [], 0
    for turn in range(_ROUNDS + 1):
        start, done, kept = time.thread_time(), 0, 0
        while done < ARCHITECTURES:
            kept += int(budget.kept(oracle.space.sample(BATCH, rng)).sum())
            done += BATCH
        middle = time.thread_time()
        for _ in range(done // BATCH):
            budget.kept(codes)
        if turn:
            whole.append(done / (middle - start))
            alone.append(done / (time.thread_time() - middle))
    return {"checks_per_s": whole, "checks_alone_per_s": alone, "kept_share": kept / done}


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """The figures of what `measure` has found."""
    sums = (
        "The bridge reads which rows of the table a space's blocks are off the ops of each block, and adds them up by "
        "codes. Distance from the known sum"
    )
    worst = max(abs(found["proxyless_ms"][name] - known) for name, known in PROXYLESS_MS.items())
    rate, estimates = spread(found["checks_per_s"]), found["estimates"]
    return [
        _figure(
            "expected_latency_gradient_max_error", found["gradient_error"]["float64"], "ms", 1e-6, "lower", "",
            f"Autograd's dE/dalpha on ProxylessNAS's space with its Pixel 1 table, {_DRAWS} random sets of alpha in "
            "float64, beside p (F - sum of p F) from the table's rows; with alpha in float32 "
            f"{found['gradient_error']['float32']:.2g} ms.", command,
        ),
        _figure(
            "mlp_gradient_cosine", estimates["substitution"]["cosine"], "cosine", None, "higher",
            f"score function, as many questions: {estimates['score, as many questions']['cosine']:.3f}",
            f"Estimated gradient of the expected latency of perceptrons, fitted to {_FITTED} architectures of "
            f"ofa-mbv3-w1.2, with {_DRAWN} drawn architectures, beside that with 1000: mean of {_DRAWS} cosines; "
            f"{estimates['substitution']['ms']:.2g} ms of CPU time a call.", command,
        ),
        _figure(
            "oracle_note10_30ms_error_ms", abs(found["note10_30ms_ms"] - NOTE10_MS), "ms", 0.001, "lower",
            "once-for-all's latency table: 29.965 ms", f"{sums} of {_NETWORK} by its code in ofa-mbv3-w1.2.", command,
        ),
        _figure(
            "oracle_proxyless_max_error_ms", worst, "ms", 0.005, "lower",
            "ProxylessNAS's latency table: " + ", ".join(f"{name} {ms} ms" for name, ms in PROXYLESS_MS.items()),
            f"{sums}s of the cheapest, the expected (all choices equally likely) and the dearest network.", command,
        ),
        _figure(
            "constraint_checks_per_s", rate.median, "1/s", 5e6, "higher", "",
            f"Random architectures of ofa-mbv3-w1.2 (five sizes of image) drawn, made canonical, priced by the Note 10 "
            f"table and compared with {BUDGET_MS:g} ms, {ARCHITECTURES} in batches of {BATCH}, which "
            f"{100 * found['kept_share']:.0f} % keep; one thread, CPU time, {rate}; priced and compared alone "
            f"{spread(found['checks_alone_per_s']).median:.3g} 1/s.", command,
        ),
    ]  # fmt: skip


def _figure(
    name: str, value: float, unit: str, goal: float | None, better: Better, peer: str, protocol: str, command: str
) -> Figure:
    return Figure(
        figure=name, value=value, unit=unit, goal=goal, better=better, peer=peer, protocol=protocol, command=command
    )


def table(found: Mapping[str, Any]) -> str:
    """What was found, as a section in Markdown."""
    proxyless = found["proxyless_ms"]
    rows = [
        ("Note 10, the net released for 30 ms", f"{found['note10_30ms_ms']:.4f} ms", f"{NOTE10_MS} ms"),
        ("Note 10, cheapest architecture", f"{found['note10_least_ms']:.2f} ms", "9.89 ms"),
        *((f"Pixel 1, {name}", f"{proxyless[name]:.3f} ms", f"{known} ms") for name, known in PROXYLESS_MS.items()),
        ("gradient of the expectation, float64", f"{found['gradient_error']['float64']:.1e} ms off", "exact"),
        ("gradient of the expectation, float32", f"{found['gradient_error']['float32']:.1e} ms off", "exact"),
        *(
            (f"gradient of perceptrons by {name}, cosine", f"{e['cosine']:.3f} in {e['ms']:.1f} ms", "1")
            for name, e in found["estimates"].items()
        ),
        ("drawn and checked", f"{spread(found['checks_per_s']).median / 1e6:.1f} M/s", ""),
        ("checked", f"{spread(found['checks_alone_per_s']).median / 1e6:.1f} M/s", ""),
    ]
    lines = ["## Latencies of whole spaces", "", "| what | found | known |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])
