"""What a search has to know of its device: its own latencies, because neither MACs nor another device stand for them.

Two views of measured data. *Specialised for one device, wrong for another*: the Pareto front (accuracy against latency)
of each of 27 devices over all cells of NAS-Bench-201, looked at on every other device. *MACs are not latency*: how well
MACs rank architectures by latency, device by device.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lutra.nas import hypervolume
from lutra.predictors import metrics

from .._results import ROOT, Figure, note
from ..predictors._data import FBNET_DEVICES, NB201_DEVICES, SERVERS, Floats, fbnet, is_gpu, nasbench201
from ..predictors._whole import pareto

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

FIGURES: Final = ROOT / "docs" / "figures"
HEAT_MAP: Final = FIGURES / "specialised-devices.png"
BARS: Final = FIGURES / "macs-and-latency.png"

PUBLISHED: Final[Mapping[str, Mapping[str, float]]] = {
    "fbnet": {
        "fpga": 0.979, "eyeriss": 0.971, "pixel3": 0.953, "raspi4": 0.932, "gold_6226": 0.837, "2080ti_64": 0.642,
        "2080ti_32": 0.413, "2080ti_1": 0.196, "titanx_1": 0.241,
    },
    "nasbench201": {"silver_4210r": 0.982, "titan_rtx_1": 0.764, "eyeriss": 0.543},
}  # fmt: skip
"""Spearman's correlation of MACs and latency, computed by others from the same data, to three digits."""
PAIRS: Final = {("pixel3", "raspi4"): 0.967, ("pixel3", "titan_rtx_1"): 0.547}
"""The same of the latencies of two devices, NAS-Bench-201."""
_ROUNDING: Final = 0.0005
_COLOURS: Final = {"phone or board": "#3b7dd8", "server CPU": "#2a9d62", "GPU": "#d8663b", "accelerator": "#8b5fbf"}
_DPI: Final = 100
_HEADINGS: Final = (
    "| device | its own front | others' that are slower | slower by | at most (front of) | hypervolume | least |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)


def measure() -> dict[str, Any]:
    """Both views, as plain JSON; draws their pictures into `docs/figures`."""
    found = {"fronts": fronts(), "macs": macs()}
    FIGURES.mkdir(parents=True, exist_ok=True)
    _save(_heat_map(found["fronts"]), HEAT_MAP)
    _save(_bars(found["macs"]), BARS)
    return found


# --- specialised for one device, wrong for another ---


def fronts() -> dict[str, Any]:
    """The front of each device on each device: matrices by row of "front of" and column of "on", 27 x 27.

    ``extra_pct`` is by how much the front's networks are slower than the fastest ones there are of at least their
    accuracy, mean over the front; ``dominated_pct`` the share of them that is slower at all; ``hypervolume`` that of
    the front over that of the device's own, above the own front's least accuracy and below its largest latency.
    """
    table = nasbench201()
    accuracy, rows = table.columns["val_acc_cifar10"], np.flatnonzero(table.whole)
    best = {device: pareto(table.latency_ms[device], accuracy, rows) for device in NB201_DEVICES}
    matrices: dict[str, list[list[float]]] = {"extra_pct": [], "dominated_pct": [], "hypervolume": []}
    for front in best.values():
        seen = [_seen_on(table.latency_ms[device], accuracy, front, own) for device, own in best.items()]
        for name, matrix in matrices.items():
            matrix.append([one[name] for one in seen])
    return {"devices": list(best), "sizes": [len(front) for front in best.values()], **matrices}


def _seen_on(latency_ms: Floats, accuracy: Floats, front: NDArray[np.intp], own: NDArray[np.intp]) -> dict[str, float]:
    """One entry of each matrix of `fronts`: a front on a device whose own front is ``own``, fastest first."""
    needed = latency_ms[own][np.searchsorted(accuracy[own], accuracy[front])]
    extra = latency_ms[front] / needed - 1
    losses = np.stack([latency_ms, -accuracy], axis=1)
    corner = np.array([latency_ms[own[-1]], -accuracy[own[0]]])
    return {
        "extra_pct": round(100 * float(extra.mean()), 3),
        "dominated_pct": round(100 * float((extra > 0).mean()), 2),
        "hypervolume": round(hypervolume(losses[front], corner) / hypervolume(losses[own], corner), 5),
    }


# --- MACs are not latency ---


def macs() -> dict[str, Any]:
    """Spearman's correlation of MACs and latency by space and device, and of pairs of devices."""
    tables = {
        "fbnet": (fbnet(), "flops", FBNET_DEVICES),
        "nasbench201": (nasbench201(), "macs_M_cifar10", NB201_DEVICES),
    }
    found = {
        space: {device: metrics.spearman(table.costs[cost], table.latency_ms[device]) for device in devices}
        for space, (table, cost, devices) in tables.items()
    }
    latency_ms = nasbench201().latency_ms
    pairs = {f"{one}, {other}": metrics.spearman(latency_ms[one], latency_ms[other]) for one, other in PAIRS}
    for space, ranks in found.items():
        note(f"MACs and latency, {space}: {min(ranks.values()):.3f} .. {max(ranks.values()):.3f}")
    return {**found, "pairs": pairs}


def figures(found: Mapping[str, Any], command: str) -> list[Figure]:
    """How exactly the published correlations come out, and whether each device's own front is the best on it."""
    seen = found["fronts"]
    others = ~np.eye(len(seen["devices"]), dtype=bool)
    extra, volume = np.array(seen["extra_pct"])[others], np.array(seen["hypervolume"])[others]
    kept = (extra >= 0) & (volume <= 1)
    errors = [
        *(
            abs(found["macs"][space][device] - said)
            for space, all_ in PUBLISHED.items()
            for device, said in all_.items()
        ),
        *(abs(found["macs"]["pairs"][f"{one}, {other}"] - said) for (one, other), said in PAIRS.items()),
    ]
    return [
        Figure(
            figure="own_front_dominates_pct",
            value=round(100 * float(kept.mean()), 2),
            unit="%",
            goal=100,
            better="higher",
            peer=f"the front of another device is slower at the same accuracy: {extra.mean():.1f} % in the mean of all "
            f"pairs, {extra.max():.0f} % in the worst; not at all in {100 * float((extra == 0).mean()):.1f} % of them",
            protocol="NAS-Bench-201, 27 devices: share of the 702 ordered pairs (A, B) in which every network of A's "
            "front of CIFAR-10 validation accuracy and latency is matched on B by one of B's own front; that is what a "
            "front is, and what it is worth stands beside it",
            command=command,
        ),
        Figure(
            figure="macs_latency_spearman_max_error",
            value=round(max(errors), 6),
            unit="(rank)",
            goal=_ROUNDING,
            better="lower",
            peer="correlations computed by others from the same data, to three digits",
            protocol=f"largest difference over {len(errors)} correlations: MACs with latency on FBNet's 5,000 and "
            "NAS-Bench-201's 15,625 architectures, and latency with latency",
            command=command,
        ),
    ]


def table(found: Mapping[str, Any]) -> str:
    """Both views in words, tables and pictures."""
    return f"{_fronts_section(found['fronts'])}\n{_macs_section(found['macs'])}"


def _fronts_section(seen: Mapping[str, Any]) -> str:
    others = ~np.eye(len(seen["devices"]), dtype=bool)
    extra, dominated = np.array(seen["extra_pct"]), np.array(seen["dominated_pct"])
    volume = np.array(seen["hypervolume"])
    lines = []
    for column, device in enumerate(seen["devices"]):
        rest = others[:, column]
        worst = int(np.argmax(np.where(rest, extra[:, column], -1)))
        cells = [
            device,
            str(seen["sizes"][column]),
            f"{dominated[rest, column].mean():.0f} %",
            f"{extra[rest, column].mean():.1f} %",
            f"{extra[worst, column]:.0f} % ({seen['devices'][worst]})",
            f"{volume[rest, column].mean():.3f}",
            f"{volume[rest, column].min():.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return f"""\
## Specialised for one device, wrong for another

All 15,284 connected cells of NAS-Bench-201 on 27 devices: the front of CIFAR-10 validation accuracy and latency of each
device, looked at on each other one. There the device's own front is the best that exists, and another device's front
takes {extra[others].mean():.1f} % more time at the same accuracy in the mean of all 702 pairs, and
{extra[others].max():.0f} % in the worst.

![how much slower the front of one device is on another](figures/{HEAT_MAP.name})

{_HEADINGS}
{chr(10).join(lines)}

How to read it: networks of the device's own front; the share of others' networks that are slower on it than they need
be; by how much, in the mean; the hypervolume of others' fronts over that of its own, mean and least, which counts what
is more accurate than the own front's least accurate network and quicker than its slowest. Latencies of the phones
`pixel2`, `essential_ph_1`, `samsung_a50` and `samsung_s7` are whole milliseconds, so that many networks tie there;
`eyeriss` and `fpga` are simulated.
"""


def _macs_section(found: Mapping[str, Any]) -> str:
    devices = sorted({*FBNET_DEVICES, *NB201_DEVICES}, key=lambda d: -max(found[s].get(d, -1) for s in PUBLISHED))
    lines = [
        f"| {device} | {' | '.join(_correlation(found[s].get(device)) for s in PUBLISHED)} |" for device in devices
    ]
    pairs = "; ".join(f"{pair.replace(', ', ' and ')} {rank:.3f}" for pair, rank in found["pairs"].items())
    return f"""\
## MACs are not latency

Spearman's correlation of MACs and latency: 1 where the network with fewer MACs is always the quicker one.

![how well MACs rank architectures on each device](figures/{BARS.name})

| device | FBNet, 5,000 networks | NAS-Bench-201, 15,625 cells |
|---|---:|---:|
{chr(10).join(lines)}

The number behind a GPU's name is the batch. Latency on one device says more of another one like it, and little of one
that is not: on NAS-Bench-201, {pairs}.
"""


def _correlation(rank: float | None) -> str:
    return "" if rank is None else f"{rank:.3f}"


# --- pictures ---


def kind_of(device: str) -> str:
    """What sort of machine a column is of, as `_COLOURS` calls it."""
    if is_gpu(device):
        return "GPU"
    if device in SERVERS:
        return "server CPU"
    return "accelerator" if device in ("eyeriss", "fpga") else "phone or board"


def _heat_map(seen: Mapping[str, Any]) -> "Picture":
    """Extra latency of each front (row) on each device (column)."""
    from matplotlib.figure import Figure as Picture

    extra, devices = np.array(seen["extra_pct"]), seen["devices"]
    picture = Picture(figsize=(11, 9.4), layout="constrained")
    axes = picture.subplots()
    image = axes.imshow(np.log10(1 + extra), cmap="YlOrRd")
    for row, column in np.ndindex(extra.shape):
        value = extra[row, column]
        shade = "white" if value > 25 else "#333333"
        axes.text(column, row, "–" if row == column else f"{value:.0f}", ha="center", va="center", size=7, color=shade)
    for axis, side in ((axes.xaxis, "on the device"), (axes.yaxis, "front of")):
        axis.set_ticks(range(len(devices)), devices, size=8)
        axis.set_label_text(side, size=10)
        for tick, device in zip(axis.get_ticklabels(), devices, strict=True):
            tick.set_color(_COLOURS[kind_of(device)])
    for tick in axes.get_xticklabels():
        tick.set(rotation=90)
    axes.set_title("Slower than the device's own front at the same accuracy, % (NAS-Bench-201, CIFAR-10)", size=11)
    bar = picture.colorbar(image, shrink=0.7, ticks=np.log10(1 + np.array([0, 1, 3, 10, 30, 60])))
    bar.ax.set_yticklabels(["0", "1", "3", "10", "30", "60"])
    return picture


def _bars(found: Mapping[str, Any]) -> "Picture":
    """The correlation of each device, and latency over MACs where they agree and where they do not."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(11, 8.4), layout="constrained")
    rows = picture.subplot_mosaic([["fbnet", "agree"], ["nasbench201", "disagree"]], width_ratios=[1.7, 1])
    for space, title in (("fbnet", "FBNet, 5,000 networks"), ("nasbench201", "NAS-Bench-201, 15,625 cells")):
        _ranks(rows[space], found[space], title)
    for name, device in (("agree", "fpga"), ("disagree", "2080ti_1")):
        axes = rows[name]
        axes.scatter(fbnet().costs["flops"] / 1e6, fbnet().latency_ms[device], s=2, alpha=0.35,
                     color=_COLOURS[kind_of(device)], rasterized=True)  # fmt: skip
        axes.set_title(f"FBNet on {device}: {found['fbnet'][device]:.3f}", size=10)
        axes.set_xlabel("MACs (millions)")
        axes.set_ylabel("latency (ms)")
    return picture


def _ranks(axes: "Axes", found: Mapping[str, float], title: str) -> None:
    from matplotlib.patches import Patch

    order: Sequence[str] = sorted(found, key=lambda device: found[device])
    axes.bar(range(len(order)), [found[d] for d in order], color=[_COLOURS[kind_of(d)] for d in order])
    axes.set_xticks(range(len(order)), order, rotation=90, size=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("Spearman(MACs, latency)")
    axes.set_title(title, size=10)
    handles = [Patch(color=colour, label=kind) for kind, colour in _COLOURS.items()]
    axes.legend(handles=handles, loc="upper left", fontsize=8, frameon=False)


def _save(picture: "Picture", path: Path) -> None:
    picture.savefig(path, dpi=_DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    note(f"drew {path.relative_to(ROOT)}")
