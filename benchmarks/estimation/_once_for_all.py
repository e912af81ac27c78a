"""Once-for-all: sub-networks of a shrunk supernet beside each trained alone, and beside those of one not shrunk."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from lutra.nas import spaces
from lutra.nas.accuracy import ImageSet, load_images
from lutra.nas.accuracy.augmentation import Augmentation
from lutra.nas.accuracy.data_augmentation import Batches
from lutra.nas.accuracy.lessons import Labels, evaluate
from lutra.nas.accuracy.once_for_all import (
    ElasticSupernet,
    OnceForAll,
    Phase,
    Shrunk,
    plan,
    ready_subnet,
    shrink,
)
from lutra.nas.accuracy.once_for_all.serving import Scaled
from lutra.nas.accuracy.recipe import Recipe
from lutra.nas.accuracy.training import Progress, train_module
from lutra.nas.spaces import SearchSpace
from lutra.networks.exporters import to_torch
from lutra.predictors.metrics import spearman

from .._parts import WORK
from .._results import ROOT, Figure, note
from ..facts import SHARED

_SPACE: Final = "ofa-small"
_IMAGES, _EPOCHS = 2_000, 60
_HELD_OUT, _TEST, _SIDE = 1_000, 5_000, 24
_WATCHED: Final = 250  # held-out images that the course of a training is shown by; nothing is chosen by it
_SUBNETS, _ALONE, _LEARNED = 20, 15, 60
_ASKED: Final = 4096  # architectures that the predictor is asked about for one device
_DEVICES: Final = 40
_RECIPE: Final = Recipe(batch=50, label_smoothing=0.0, augmentation=Augmentation(padding=2))
PLOT: Final = ROOT / "docs" / "figures" / "once-for-all-cost.png"


def _plans(epochs: int) -> dict[str, tuple[Phase, ...]]:
    """Phases by name; at once, as many networks learn from a batch as in the mean of those of shrinking."""
    return {"shrunk": plan(epochs), "at-once": (Phase(name="all", epochs=epochs, subnets=4, sandwich=False),)}


def measure() -> dict[str, Any]:
    """Accuracies of sub-networks, and what everything took; a killed measurement goes on where it stopped."""
    torch.set_num_threads(1)
    learned, test = _images("train", _IMAGES + _HELD_OUT), _images("test", _TEST)
    images, held_out = learned.subset(range(_IMAGES)), learned.subset(range(_IMAGES, _IMAGES + _HELD_OUT))
    space = spaces.build(_SPACE)
    codes = space.sample(_SUBNETS, np.random.default_rng(1))
    folder = WORK / "accuracy-once-for-all" / f"{_IMAGES}-{_EPOCHS}"
    watched, recipe = held_out.subset(range(_WATCHED)), replace(_RECIPE, epochs=_EPOCHS)
    runs = {
        name: shrink(
            ElasticSupernet(space),
            images,
            watched,
            phases,
            recipe,
            folder=folder / name,
            on_progress=partial(_tell, _IMAGES // recipe.batch),
            device="cpu",
        )
        for name, phases in _plans(_EPOCHS).items()
    }
    found = {
        name: OnceForAll(run.net, run.calibration, test).measured_pct(codes).tolist() for name, run in runs.items()
    }
    note(f"sub-networks: {found}")
    alone = [_alone(space, code, (images, watched, test), recipe, folder / "alone") for code in codes[:_ALONE]]
    return {
        "images": _IMAGES,
        "epochs": _EPOCHS,
        "codes": codes.tolist(),
        "macs": space.costs(codes).macs.tolist(),
        "sides": [runs["shrunk"].net.resolution(code) for code in codes],
        "shrunk_pct": found["shrunk"],
        "at_once_pct": found["at-once"],
        "alone_pct": [accuracy for accuracy, _ in alone],
        "alone_cpu_seconds": [seconds for _, seconds in alone],
        "phases": [[epoch.accuracy_pct for epoch in phase] for phase in runs["shrunk"].epochs],
        "cpu_seconds": {name: run.cpu_seconds for name, run in runs.items()},
        **_served(runs["shrunk"], held_out, test),
    }


def _images(part: str, count: int) -> ImageSet:
    """Some images of CIFAR-10, scaled to the largest size of the space."""
    found = load_images(SHARED / "images" / f"cifar10-{part}.parquet", size=_SIDE)
    return found.subset(np.random.default_rng(0).permutation(len(found))[:count])


def _tell(steps: int, progress: Progress) -> None:
    """Notes epochs of so many steps."""
    if progress.step == len(progress.epochs) * steps:
        note(f"step {progress.step} of {progress.steps}: {progress.epochs[-1].accuracy_pct:.1f} %")


def _alone(
    space: SearchSpace, code: Any, sets: tuple[ImageSet, ImageSet, ImageSet], recipe: Recipe, folder: Path
) -> tuple[float, float | None]:
    """Accuracy of one architecture with weights of its own after as many epochs, and the processor time of these."""
    network, (images, watched, test) = space.decode(code), sets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Scaled(to_torch(network), network.inputs[0][1].shape[-1])
    lesson, identity = Labels(recipe.label_smoothing), {"network": network.fingerprint}
    path = folder / f"{network.fingerprint}.npz"
    trained = train_module(
        module, lesson, images, watched, recipe, name=network.name, identity=identity, checkpoint=path, device="cpu"
    )
    accuracy = evaluate(trained.module, Batches(test, _TEST, statistics=trained.statistics))
    note(f"alone: {accuracy:.1f} %")
    return accuracy, trained.cpu_seconds


def _served(shrunk: Shrunk, held_out: ImageSet, test: ImageSet) -> dict[str, Any]:
    """What a device costs once the supernet is there, and how well accuracies are predicted."""
    estimator, space = OnceForAll(shrunk.net, shrunk.calibration, held_out), shrunk.net.space
    start = time.process_time()
    estimator.learn(_LEARNED)
    learned = time.process_time()
    asked = space.sample(_ASKED, np.random.default_rng(2))
    best = asked[estimator.predicted_pct(asked).argmax()]
    ready_subnet(shrunk.net, best, shrunk.calibration)
    device_seconds = time.process_time() - learned
    new = space.sample(_SUBNETS, np.random.default_rng(3))
    predicted = estimator.predicted_pct(new)
    reached = OnceForAll(shrunk.net, shrunk.calibration, test).measured_pct(new)
    return {
        "device_cpu_seconds": device_seconds,
        "predictor_cpu_seconds": learned - start,
        "predictor_error_points": float(np.abs(predicted - estimator.measured_pct(new)).mean()),
        "predictor_rank_correlation": spearman(reached, predicted),
    }


def _gaps(found: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Points, [n], by which each network that was trained alone is better than the same out of the supernet."""
    alone = np.array(found["alone_pct"], np.float64)
    return alone - np.array(found["shrunk_pct"][: len(alone)], np.float64)


def _standard_error(found: Mapping[str, Any]) -> float:
    """Of the mean of `_gaps`, in points; what another seed would change is not in it."""
    gaps = _gaps(found)
    return float(gaps.std(ddof=1) / len(gaps) ** 0.5)


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The gap to training alone, what shrinking gains, and from how many devices on the supernet is the cheaper."""
    what = (
        f"{_SPACE}, {found['images']:,} images of CIFAR-10 at {_SIDE} pixels, {_TEST:,} test images, "
        f"{found['epochs']} passes over the images for each; {_times(found)}; seed 0, one thread"
    )
    gain = float(np.mean(found["shrunk_pct"]) - np.mean(found["at_once_pct"]))
    made = (
        ("ofa_mean_gap_points", float(_gaps(found).mean()), "points", 1.5, "lower",
         "each trained alone for as many epochs",
         f"mean test accuracy of {len(found['alone_pct'])} random networks trained alone, less that of the same taken "
         f"out of the shrunk supernet, standard error over networks {_standard_error(found):.1f}; {what}"),
        ("ofa_gain_of_shrinking_points", gain, "points", 0.0, "higher",
         "the same supernet, four drawn of all for each batch",
         f"mean test accuracy of {len(found['shrunk_pct'])} random sub-networks; {what}"),
        ("ofa_break_even_devices", _break_even(found), "devices", None, "lower", "a training for each device",
         f"devices from which on the supernet takes less processor time, its predictor included; {what}"),
    )  # fmt: skip
    for name, value, unit, goal, better, peer, protocol in made:
        yield Figure(
            figure=name,
            value=round(value, 2),
            unit=unit,
            goal=goal,
            better=better,  # type: ignore[arg-type]
            peer=peer,
            protocol=protocol,
            command=command,
        )


def _times(found: Mapping[str, Any]) -> str:
    """What the same number of passes took."""
    return (
        f"processor time: {found['cpu_seconds']['shrunk']:.0f} s for the shrunk supernet, with "
        f"{_networks(found, 'shrunk'):.1f} networks a batch in the mean (that without shrinking: "
        f"{_networks(found, 'at-once'):.1f}), and {_alone_seconds(found):.0f} s for a network alone, "
        f"the mean of {len(_counted(found))}"
    )


def _networks(found: Mapping[str, Any], name: str) -> float:
    """How many networks of a supernet learn from a batch, in the mean."""
    phases = _plans(found["epochs"])[name]
    return sum(phase.epochs * phase.subnets for phase in phases) / float(found["epochs"])


def _fixed_seconds(found: Mapping[str, Any]) -> float:
    """Processor time that the supernet costs before the first device."""
    return float(found["cpu_seconds"]["shrunk"] + found["predictor_cpu_seconds"])


def _counted(found: Mapping[str, Any]) -> list[float]:
    """Processor time of the trainings alone, of those whose checkpoints have counted it."""
    return [seconds for seconds in found["alone_cpu_seconds"] if seconds is not None]


def _alone_seconds(found: Mapping[str, Any]) -> float:
    """What a training alone costs in the mean."""
    return float(np.mean(_counted(found)))


def _break_even(found: Mapping[str, Any]) -> float:
    return _fixed_seconds(found) / (_alone_seconds(found) - float(found["device_cpu_seconds"]))


def draw(found: Mapping[str, Any]) -> None:
    """The cost of serving N devices, as a picture."""
    from matplotlib.figure import Figure as Picture

    devices = np.arange(1, _DEVICES + 1)
    picture = Picture(figsize=(6, 3.6), layout="constrained")
    axes = picture.subplots()
    axes.plot(devices, devices * _alone_seconds(found) / 60, label="a training for each device")
    served = (_fixed_seconds(found) + devices * found["device_cpu_seconds"]) / 60
    axes.plot(devices, served, label="one supernet, a search and a calibration for each")
    axes.set(xlabel="devices", ylabel="minutes of processor time", ylim=(0, None))
    axes.legend(frameon=False)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(PLOT, dpi=120)


def table(found: Mapping[str, Any]) -> str:
    """Accuracies side by side, as Markdown; draws the picture that it shows."""
    draw(found)
    gaps = _gaps(found)
    sides = {side: gaps[np.array(found["sides"][: len(gaps)]) == side] for side in sorted({*found["sides"]})}
    by_side = "; ".join(f"{side} pixels: {part.mean():+.1f}, {len(part)} networks" for side, part in sides.items())
    lines = [
        "## Once-for-all\n",
        f"{found['images']:,} images of CIFAR-10 at {_SIDE} pixels, and {found['epochs']} passes over them for each; "
        f"{_times(found)}. Accuracy of {_TEST:,} test images in percent, one seed: the mean over all {_SUBNETS} random "
        f"sub-networks is {np.mean(found['shrunk_pct']):.1f} after shrinking and {np.mean(found['at_once_pct']):.1f} "
        f"without. The first {len(gaps)} of them were trained alone, too; alone they reach "
        f"{np.mean(found['alone_pct']):.1f} in the mean. Accuracy alone less that in the shrunk supernet is "
        f"{gaps.mean():+.2f} points in the mean (standard error over networks {_standard_error(found):.1f}), and from "
        f"{gaps.min():+.1f} to {gaps.max():+.1f}; {by_side}.\n",
        "| pixels | M MACs | shrunk supernet | supernet without shrinking | trained alone |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    names = ("sides", "macs", "shrunk_pct", "at_once_pct", "alone_pct")
    columns = zip(*(found[name] for name in names), strict=False)  # fewer may be trained alone
    lines += [f"| {side} | {macs / 1e6:.2f} | {a:.1f} | {b:.1f} | {c:.1f} |" for side, macs, a, b, c in columns]
    lines += [
        "",
        f"Beside the training of the supernet, its predictor of accuracies took {found['predictor_cpu_seconds']:.0f} s "
        f"of processor time; of {_SUBNETS} new networks its mean error is {found['predictor_error_points']:.1f} points "
        "on held-out images, and its rank correlation with accuracies of test images "
        f"{found['predictor_rank_correlation']:.2f}. Each device then costs {found['device_cpu_seconds']:.1f} s, and "
        f"from {np.ceil(_break_even(found)):.0f} devices on the supernet is the cheaper.\n",
        f"![Minutes of processor time, by number of devices](figures/{PLOT.name})",
    ]
    return "\n".join(lines) + "\n"
