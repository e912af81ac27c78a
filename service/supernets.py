"""Once-for-all supernets on the command line: trained into a folder, and found again by a search."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from .images import images_for

if TYPE_CHECKING:
    from threading import Event

    from ..nas.accuracy.once_for_all import OnceForAll
    from ..nas.accuracy.training import Progress
    from ..nas.spaces import SearchSpace

Show: TypeAlias = Callable[[int, str], None]

FILE: Final = "supernet.npz"
HOW: Final = "train one with lutra supernet --space {space}, and give --supernet FILE"
DIGITS: Final = "digits"
_HELD_OUT: Final = 0.2  # share of the images
_KEPT: Final = 2000  # held-out images in the file, at most
_WATCHED: Final = 250  # of these, by which the course of the training is shown


@dataclass(frozen=True)
class Lesson:
    """What a supernet is trained on, and how.

    Attributes:
        data: images, as `lutra.nas.accuracy.load_images` takes them.
        epochs: of all phases together.
        batch: images in a step.
        learning_rate: at its height.
        seed: of weights, orders, architectures, and what is held out.
    """

    data: str
    epochs: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Reached:
    """What a trained supernet is.

    Attributes:
        space: its name.
        path: of its file.
        seconds: of training, in all processes that had a part in it.
        largest_pct: accuracy of the largest network on the held-out images that are kept.
        smallest_pct: the same of the smallest.
        held_out: how many these are.
    """

    space: str
    path: Path
    seconds: float
    largest_pct: float
    smallest_pct: float
    held_out: int


class _StoppedError(Exception):
    """Ends a training between two epochs; never leaves `trained`."""


def trained(space: "SearchSpace", lesson: Lesson, folder: Path, show: "Show", cancel: "Event") -> Reached | None:
    """Train a supernet of a space; a training that was stopped goes on, bit for bit on a CPU.

    Args:
        space: of stages.
        lesson: what it learns.
        folder: for a checkpoint of each phase, and in the end for the supernet.
        show: told after each epoch how many are done, and what it came to.
        cancel: ends the training after the epoch that is under way.

    Returns:
        What came of it; None where it was cancelled.

    Raises:
        LutraError: the space has no stages, images that do not fit, a folder of another training.
    """
    from ..nas.accuracy import Augmentation, Recipe
    from ..nas.accuracy.once_for_all import ElasticSupernet, OnceForAll, plan, save_supernet, shrink
    from ..networks.errors import CheckpointError

    phases = plan(lesson.epochs)
    net = ElasticSupernet(space, seed=lesson.seed)
    learned, held_out = images_for(net.largest_network, lesson.data).split(_HELD_OUT, lesson.seed)
    held_out = held_out.subset(np.random.default_rng(lesson.seed).permutation(len(held_out))[:_KEPT])
    # Mirror images of digits are none.
    augmentation = Augmentation(padding=max(net.resolutions) // 12, flip=lesson.data != DIGITS)
    recipe = Recipe(
        batch=lesson.batch, learning_rate=lesson.learning_rate, augmentation=augmentation, label_smoothing=0.0,
        seed=lesson.seed,
    )  # fmt: skip

    def watch(progress: "Progress") -> None:
        done, in_one = len(progress.epochs), progress.steps // lesson.epochs
        if progress.step == done * in_one:
            last = progress.epochs[-1]
            show(done, f"loss {last.loss:.3f}, {last.accuracy_pct:.1f} % of some held-out images")
        elif cancel.is_set() and progress.step == done * in_one + 1:  # the epoch before is on the disk by now
            raise _StoppedError

    try:
        watched = held_out.subset(range(min(_WATCHED, len(held_out))))
        shrunk = shrink(net, learned, watched, phases, recipe, folder=folder, on_progress=watch)
    except _StoppedError:
        return None
    except CheckpointError as error:
        raise CheckpointError(error.message, hint="go on with the options of before, or give another --out") from None
    save_supernet(net, shrunk.calibration, folder / FILE, held_out=held_out)
    ends = np.stack([net.largest, np.zeros_like(net.largest)])
    largest, smallest = OnceForAll(net, shrunk.calibration, held_out).measured_pct(ends)
    return Reached(space.name, folder / FILE, shrunk.seconds, float(largest), float(smallest), len(held_out))


def estimator_of(file: str, space: "SearchSpace", data: str | None, *, seed: int) -> "OnceForAll":
    """The estimator of a space's networks with the weights of a supernet's file.

    Args:
        file: that `trained`, or `lutra.nas.accuracy.once_for_all.save_supernet`, wrote.
        space: that is searched.
        data: images to judge by, which the supernet did not learn from; None for those that are kept in the file.
        seed: of the estimator.

    Raises:
        CheckpointError: there is no such file, it is damaged, or of another space.
        UsageError: images that do not fit; or none, and none are in the file.
    """
    from ..nas.accuracy.once_for_all import ElasticSupernet, OnceForAll, load_supernet
    from ..networks.errors import CheckpointError, UsageError

    net = ElasticSupernet(space)
    try:
        kept = load_supernet(net, file)
    except CheckpointError as error:
        hint = f"give the file of one that was trained for {space.name}, or {HOW.format(space=space.name)}"
        raise CheckpointError(error.message, hint=hint) from None
    held_out = kept.held_out if data is None else images_for(net.largest_network, data)
    if held_out is None:
        raise UsageError(
            f"{file} has no images to judge by", hint="give some that the supernet did not learn from: --data FILE"
        )
    return OnceForAll(net, kept.calibration, held_out, seed=seed)
