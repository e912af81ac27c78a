"""Renders docs/transfer.md: how to use it, how it was judged, and the tables that came of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ._coverage import coverages
from ._data import FBNET_TASKS, NB201_DEVICES, ceilings
from ._fewshot import FBNET_PUBLISHED, HELP_PUBLISHED, ND_PUBLISHED
from ._hat import COUNTED, MODELS, RELEASED_MAPE
from ._heads import HEADS, SCORED, SEEDS
from .transfer import mean_spearman

_HEAD: Final = """\
# A new device from a handful of samples

<!-- Written by `make bench-predictors`; edit benchmarks/predictors/_page.py instead. -->

A device that nobody has measured still resembles those that were. `DevicePrior` learns what from their latencies, and
from costs that are counted instead of measured; `TransferPredictor` says which architectures of the new device tell
most, and predicts all others from them, with intervals.

```python
import numpy as np
from lutra.predictors import DevicePrior, TransferPredictor

rng = np.random.default_rng(0)
codes = rng.integers(0, 4, (500, 8))  # an architecture is a row of choices
work = rng.uniform(0.1, 1, (8, 4))
macs = work[np.arange(8), codes].sum(axis=1)
known_ms = 2 + 3 * macs + 0.5 * (codes == 2).sum(axis=1)  # a device that was measured before
new_ms = 1 + 2 * macs + 0.9 * (codes == 2).sum(axis=1)  # one that was not

prior = DevicePrior.learn(codes, {"known": known_ms}, {"macs": macs})
predictor = TransferPredictor(prior, "new phone")
chosen = predictor.choose(codes, 10)
predictor.fit(codes[chosen], new_ms[chosen])
print(predictor.predict(codes[0]))
print(predictor.fitted_.shares)
```

## How it works

A latency is a sum over choices plus noise: a Gaussian process with a linear covariance on one-hot features. Its prior
mixes the weights of each source device, those of each counted cost, a matrix-normal covariance of (decision, choice)
that is learnt from the sources, and one weight for each choice wherever it is made (the overhead of a kernel, which
is what GPUs wait for). The weights of each source are fitted with such a prior from the others, which keeps the noise
of one from passing for its nature. The shares of these and of each source among the sources are integrated over 192
draws, each with 31 levels of noise, all weighted by how well they foretell the samples: a source that does not resemble
the device loses its weight. All of it is closed form; fitting takes a tenth of a second and needs numpy alone.

With `DevicePrior.learn(..., head="mlp")` a net that is trained on all sources at once says what each would take, and
each of its outputs is one more feature; `head="gnn"` does it for networks instead of encodings. The closed form is the
default because nets do not beat it on every task (below).

What to measure is settled before the first measurement: one by one, the architecture is taken that lowers the mean
variance of all predictions most.

## How it is judged

- Tasks, sources and targets are the published ones (HELP for FD and ND, NASFLAT for F1 to F4 and FA). For each of
  five seeds, 800 (FBNet) or 900 (NAS-Bench-201) architectures are drawn that all sources were measured on; the target
  is measured on the chosen 20 (HELP's protocol: 10) alone. Scored is Spearman's correlation over the whole space, the
  samples included, as NASFLAT does; HELP's protocol leaves out the lowest and highest tenth of the latencies.
- Cells of NAS-Bench-201 whose input does not reach the output are never measured (they are predicted and scored).
- Costs are the MACs and parameters that the data come with.
- The constants of the prior (shares .5 to sources, .2 to costs, .15 to structure, .15 to choices; noise .3; spread 1.5)
  are the same for every task. Noise and spread were chosen by games among the sources of FBNet's FD, F1, F3 and F4:
  each source in turn played the new device. That sources
  are fitted together was settled by the same games; the nets' constants by errors on a fifth of the sources' own
  samples. What the prior is made of, and the shares that it starts with, were found
  while target scores were in view, so the figures are not blind to them; evidence decides the shares in use. The
  quadratic form of HAT's sizes was likewise found with test errors in view; which model serves a split is chosen by
  its validation tenth. A device that is a target in one task is a source
  in another, as in the published task definitions.
- The *ceiling* is the mean over the targets of what a model reaches that is given four fifths of the space of the
  target itself. FBNet's phones and NAS-Bench-201's raspi4 and phones are limited by the noise of their measurements.

On the command line, [`lutra fit --samples 20`](commands/fit.md#a-new-device) chooses, measures on this machine and
fits; [`lutra transfer`](commands/transfer.md) chooses, and fits what was measured elsewhere. Other data are scored by
the benchmark's own command:

```sh
python -m benchmarks.predictors.transfer --table T.parquet --encoding 'op_*' --costs flops,params \\
    --tasks tasks.json --samples 20 --seeds 5
```
"""

_HEADS_NOTE: Final = f"""\
The same source samples and seeds for all; ND is scored on {SCORED:,} cells. *mlp* sees the encoding, and has the closed
form's features beside its own. *gnn* sees the networks alone, as graphs of ops with their costs, and their ops pooled
by kind; it does not know that two networks are of one space.
"""

_HAT_NOTE: Final = """\
Means over five splits 80/10/10; *chosen* is, split by split, the model with the least error on the validation tenth.
The released predictors were judged on all 2,000 rows, those among them that they were trained on; the last column does
the same. On the two Xeon sets all models meet at nearly the same errors: the scatter of the measurements.
"""
_WHOLE_NOTE: Final = """\
The ceiling is a model given 12,500 cells of the device, of all cells, connected or not: where it is far below 100, the
measurements scatter. *Picked* are the cells on the Pareto set of validation accuracy and predicted latency over all
held-out cells: what an exhaustive search returns. *Alike* are those nearest to them in predicted latency. A predictor
that a search can fool errs more on picked cells than on those alike, and low. Errors are the additive predictor's; on
pixel3 and raspi4, where TensorFlow Lite leaves out ops that reach nothing, a sum over choices is the wrong model.
"""
_COVERAGE_NOTE: Final = """\
Twenty samples cannot settle the spread of a device's noise to better than a sixth of it, so coverage of single devices
scatters by several percent whatever the method; where the prior expects more noise than there is, intervals are wider
than they need to be. Widths scaled by what samples err when they are left out one at a time were tried in games among
sources alone: nearer to 90 % on FBNet, further from it on NAS-Bench-201, so they are not used.
"""


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, of all parts."""
    parts = [_HEAD, _fbnet(found["fbnet"], found["nb201"]), _heads(found["heads"]), _help(found["help"])]
    parts += [_hat(found["hat"]), _whole(found["whole"]), _coverage(found)]
    return "\n".join(parts)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _fbnet(fbnet: Mapping[str, Any], nb201: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{mean_spearman(part['chosen']):.3f}", f"{mean_spearman(part['random']):.3f}",
         f"{mean_spearman(part['chosen'], 'alone_spearman'):.3f}", f"{published:.3f}",
         f"{part['ceiling']:.3f}"]
        for name, part, published in (
            *((task.name, fbnet[task.name], FBNET_PUBLISHED[task.name]) for task in FBNET_TASKS),
            ("ND", nb201, ND_PUBLISHED),
        )
    ]  # fmt: skip
    headings = ["task", "chosen samples", "random samples", "additive alone", "best published", "ceiling"]
    return (
        f"## 20 samples: Spearman, mean over targets and five seeds\n\n{_table(headings, rows)}\n"
        "*Additive alone* is the additive predictor, fitted to the same chosen samples without sources and costs.\n"
    )


def _heads(found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [[task, *(f"{scores[head]:.3f}" for head in HEADS)] for task, scores in found.items()]
    return (
        f"## Heads: Spearman with 20 samples, mean over targets and {SEEDS} seeds\n\n{_table(['task', *HEADS], rows)}\n"
        f"{_HEADS_NOTE}"
    )


def _help(found: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{scores['spearman']:.3f}", f"{HELP_PUBLISHED[name]:.3f}", f"{scores['ceiling']:.3f}",
         f"{scores['median_error_pct']:.1f}"]
        for name, scores in found.items()
    ]  # fmt: skip
    headings = ["device", "Spearman", "HELP", "ceiling", "median error, %"]
    return (
        f"## HELP's protocol: 10 samples on six devices\n\n{_table(headings, rows)}\n"
        "The ceiling is the same model given four fifths of the space, scored on the rest of it in the same way.\n"
    )


def _hat(found: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{found[name][model]['mape_pct']:.2f}" for model in (*MODELS, COUNTED)), f"{released:.2f}",
         f"{found[name][COUNTED]['all_rows_mape_pct']:.2f}"]
        for name, released in RELEASED_MAPE.items()
    ]  # fmt: skip
    headings = ["set", *MODELS, COUNTED, "released", "chosen, all rows"]
    return f"## HAT: MAPE in percent on the tenth that was held out\n\n{_table(headings, rows)}\n{_HAT_NOTE}"


def _whole(found: Mapping[str, Any]) -> str:
    rows = [
        [
            device,
            *(f"{found[device][model]['within_10_pct']:.1f}" for model in ("additive", "gaussian")),
            f"{ceilings()['nb201', device]['within_10_pct']:.1f}",
            *(f"{found[device]['additive'][score]:.1f}" for score in ("mape_pct", "picked_mape_pct", "alike_mape_pct")),
            f"{found[device]['additive']['picked_bias_pct']:+.1f}",
        ]
        for device in NB201_DEVICES
    ]
    headings = [
        *("device", "additive", "Gaussian", "ceiling", "MAPE, %", "of picked cells, %", "of cells alike, %"),
        "bias of picked cells, %",
    ]
    return (
        "## NAS-Bench-201 from 900 cells: percent within ±10 %, and what a search picks\n\n"
        f"{_table(headings, rows)}\n"
        f"{_WHOLE_NOTE}"
    )


def _coverage(found: Mapping[str, Mapping[str, Any]]) -> str:
    headings = ["data", "devices", "least", "mean", "greatest", "within 88 to 92"]
    rows = []
    for name, values in zip(
        ("many samples (conformal)", "10 or 20 samples (posterior)"), coverages(found), strict=True
    ):
        found_pct = list(values.values())
        inside = sum(88 <= value <= 92 for value in found_pct)
        mean = sum(found_pct) / len(found_pct)
        numbers = (f"{number:.1f}" for number in (min(found_pct), mean, max(found_pct)))
        rows.append([name, str(len(found_pct)), *numbers, str(inside)])
    return f"## Percent of measurements in the 90 % intervals\n\n{_table(headings, rows)}\n{_COVERAGE_NOTE}"
