"""Once-for-all: sub-networks of a shrunk supernet beside each trained alone, and beside those of one not shrunk."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
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
_SIZES: Final = ((1_500, 50), (2_000, 60))  # images, and passes over them; the plan was chosen at the first
_HELD_OUT, _TEST, _SIDE = 1_000, 5_000, 24
_WATCHED: Final = 250  # held-out images that the course of a training is shown by; nothing is chosen by it
_SUBNETS, _ALONE, _LEARNED = 20, 6, 60
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
    most = max(images for images, _ in _SIZES)
    learned, test = _images("train", most + _HELD_OUT), _images("test", _TEST)
    held_out = learned.subset(range(most, most + _HELD_OUT))
    return {
        "sizes": [_measured(learned.subset(range(count)), epochs, held_out, test) for count, epochs in _SIZES],
    }


def _measured(images: ImageSet, epochs: int, held_out: ImageSet, test: ImageSet) -> dict[str, Any]:
    """What is measured at one size."""
    note(f"{len(images)} images, {epochs} epochs")
    space = spaces.build(_SPACE)
    codes = space.sample(_SUBNETS, np.random.default_rng(1))
    folder = WORK / "accuracy-once-for-all" / f"{len(images)}-{epochs}"
    watched, recipe = held_out.subset(range(_WATCHED)), replace(_RECIPE, epochs=epochs)
    runs = {
        name: shrink(
            ElasticSupernet(space),
            images,
            watched,
            phases,
            recipe,
            folder=folder / name,
            on_progress=partial(_tell, len(images) // recipe.batch),
            device="cpu",
        )
        for name, phases in _plans(epochs).items()
    }
    found = {
        name: OnceForAll(run.net, run.calibration, test).measured_pct(codes).tolist() for name, run in runs.items()
    }
    note(f"sub-networks: {found}")
    alone = [_alone(space, code, (images, watched, test), recipe, folder / "alone") for code in codes[:_ALONE]]
    return {
        "images": len(images),
        "epochs": epochs,
        "codes": codes.tolist(),
        "macs": space.costs(codes).macs.tolist(),
        "sides": [runs["shrunk"].net.resolution(code) for code in codes],
        "shrunk_pct": found["shrunk"],
        "at_once_pct": found["at-once"],
        "alone_pct": [accuracy for accuracy, _ in alone],
        "alone_seconds": [seconds for _, seconds in alone],
        "phases": [[epoch.accuracy_pct for epoch in phase] for phase in runs["shrunk"].epochs],
        "seconds": {name: run.seconds for name, run in runs.items()},
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
) -> tuple[float, float]:
    """Accuracy of one architecture with weights of its own after as many epochs, and the seconds that took."""
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
    return accuracy, trained.seconds


def _served(shrunk: Shrunk, held_out: ImageSet, test: ImageSet) -> dict[str, Any]:
    """What a device costs once the supernet is there, and how well accuracies are predicted."""
    estimator, space = OnceForAll(shrunk.net, shrunk.calibration, held_out), shrunk.net.space
    estimator.learn(_LEARNED)
    start = time.perf_counter()
    asked = space.sample(_ASKED, np.random.default_rng(2))
    best = asked[estimator.predicted_pct(asked).argmax()]
    ready_subnet(shrunk.net, best, shrunk.calibration)
    device_seconds = time.perf_counter() - start
    new = space.sample(_SUBNETS, np.random.default_rng(3))
    predicted = estimator.predicted_pct(new)
    reached = OnceForAll(shrunk.net, shrunk.calibration, test).measured_pct(new)
    return {
        "device_seconds": device_seconds,
        "predictor_seconds": estimator.seconds,
        "predictor_error_points": float(np.abs(predicted - estimator.measured_pct(new)).mean()),
        "predictor_rank_correlation": spearman(reached, predicted),
    }


def _gap(found: Mapping[str, Any]) -> float:
    """Points by which networks trained alone are better than the same taken out of the supernet."""
    return float(np.mean(found["alone_pct"])) - _mean_of_alone(found)


def _mean_of_alone(found: Mapping[str, Any]) -> float:
    """Mean accuracy in the shrunk supernet of those that were trained alone, too."""
    return float(np.mean(found["shrunk_pct"][: len(found["alone_pct"])]))


def figures(found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    """The gap to training alone, what shrinking gains, and from how many devices on the supernet is the cheaper."""
    for number, size in enumerate(found["sizes"]):
        suffix = f"_{size['images']}_images" if number else ""
        what = (
            f"{_SPACE}, {size['images']:,} images of CIFAR-10 at {_SIDE} pixels, {_TEST:,} test images, "
            f"{size['epochs']} passes over the images for each, {_times(size)}; seed 0, one thread"
        )
        gain = float(np.mean(size["shrunk_pct"]) - np.mean(size["at_once_pct"]))
        made = (
            ("ofa_mean_gap_points", _gap(size), "points", 1.5, "lower", "each trained alone for as many epochs",
             f"mean test accuracy of {len(size['alone_pct'])} random networks trained alone, less that of the same "
             f"taken out of the shrunk supernet; {what}"),
            ("ofa_gain_of_shrinking_points", gain, "points", 0.0, "higher",
             "the same supernet, four drawn of all for each batch",
             f"mean test accuracy of {len(size['shrunk_pct'])} random sub-networks; {what}"),
            ("ofa_break_even_devices", _break_even(size), "devices", None, "lower", "a training for each device",
             f"devices from which on the supernet is the cheaper, its predictor included; {what}"),
        )  # fmt: skip
        for name, value, unit, goal, better, peer, protocol in made:
            yield Figure(
                figure=name + suffix,
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
    seconds = found["seconds"]
    return (
        f"which took the shrunk supernet, with {_networks(found, 'shrunk'):.1f} networks a batch in the mean, "
        f"{seconds['shrunk']:.0f} s, that without shrinking, with {_networks(found, 'at-once'):.1f}, "
        f"{seconds['at-once']:.0f} s, and a network alone {np.mean(found['alone_seconds']):.0f} s "
        "(on the wall, beside other work)"
    )


def _networks(found: Mapping[str, Any], name: str) -> float:
    """How many networks of a supernet learn from a batch, in the mean."""
    phases = _plans(found["epochs"])[name]
    return sum(phase.epochs * phase.subnets for phase in phases) / float(found["epochs"])


def _fixed_seconds(found: Mapping[str, Any]) -> float:
    """What the supernet costs before the first device."""
    return float(found["seconds"]["shrunk"] + found["predictor_seconds"])


def _break_even(found: Mapping[str, Any]) -> float:
    return _fixed_seconds(found) / float(np.mean(found["alone_seconds"]) - found["device_seconds"])


def draw(found: Mapping[str, Any]) -> None:
    """The cost of serving N devices, as a picture."""
    from matplotlib.figure import Figure as Picture

    devices = np.arange(1, _DEVICES + 1)
    picture = Picture(figsize=(6, 3.6), layout="constrained")
    axes = picture.subplots()
    axes.plot(devices, devices * np.mean(found["alone_seconds"]) / 60, label="a training for each device")
    served = (_fixed_seconds(found) + devices * found["device_seconds"]) / 60
    axes.plot(devices, served, label="one supernet, a search and a calibration for each")
    axes.set(xlabel="devices", ylabel="minutes in all", ylim=(0, None))
    axes.legend(frameon=False)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(PLOT, dpi=120)


def table(found: Mapping[str, Any]) -> str:
    """Accuracies side by side, as Markdown; draws the picture that it shows."""
    first, *others = found["sizes"]
    draw(first)
    lines = [
        "## Once-for-all\n",
        *_accuracies(first),
        "",
        f"Beside the training of the supernet, its predictor of accuracies took {first['predictor_seconds']:.0f} s; of "
        f"{_SUBNETS} new networks its mean error is {first['predictor_error_points']:.1f} points on held-out images, "
        f"and its rank correlation with accuracies of test images {first['predictor_rank_correlation']:.2f}. Each "
        f"device then costs {first['device_seconds']:.1f} s.\n",
        f"![Minutes in all, by number of devices](figures/{PLOT.name})\n",
        "The plan of phases was chosen at this size, with held-out training images. Measured before it was the larger "
        "size below, at which the plan had not been tried.\n",
    ]
    for size in others:
        lines += _accuracies(size)
    return "\n".join(lines) + "\n"


def _accuracies(found: Mapping[str, Any]) -> list[str]:
    """Of one size, side by side."""
    lines = [
        f"{found['images']:,} images of CIFAR-10 at {_SIDE} pixels, and {found['epochs']} passes over them for each, "
        f"{_times(found)}. Accuracy of {_TEST:,} test images in percent: the mean over all {_SUBNETS} random "
        f"sub-networks is {np.mean(found['shrunk_pct']):.1f} after shrinking and {np.mean(found['at_once_pct']):.1f} "
        f"without; over the {len(found['alone_pct'])} that were trained alone, too, it is {_mean_of_alone(found):.1f} "
        f"after shrinking and {np.mean(found['alone_pct']):.1f} alone.\n",
        "| pixels | M MACs | shrunk supernet | supernet without shrinking | trained alone |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    names = ("sides", "macs", "shrunk_pct", "at_once_pct", "alone_pct")
    columns = zip(*(found[name] for name in names), strict=False)
    lines += [f"| {side} | {macs / 1e6:.2f} | {a:.1f} | {b:.1f} | {c:.1f} |" for side, macs, a, b, c in columns]
    return lines
