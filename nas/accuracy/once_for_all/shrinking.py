"""`shrink`: progressive shrinking, from the largest network of a space to all of them (arXiv:1908.09791)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from ....networks.errors import UsageError
from ...spaces import Codes
from ..data import ImageSet, Statistics
from ..data_augmentation import Batches
from ..lessons import Lesson, evaluate, mixed_precision
from ..recipe import Recipe
from ..training import Epoch, OnProgress, Progress, cpu_seconds, train_module, weights_digest
from .phases import Allowed, Phase
from .serving import Calibration, ready_subnet
from .supernet import ElasticSupernet

_CALIBRATED: Final = 500  # images for batch norms' statistics
_WITH_SMALLEST: Final = 5  # of fewer networks in a step, the smallest would take the place of one that is drawn


@dataclass(frozen=True)
class Shrunk:
    """A supernet that was trained.

    Attributes:
        net: the supernet.
        statistics: of the training images, by which whatever it reads is normalised.
        calibration: training images for the statistics of sub-networks.
        epochs: what became of each, phase by phase; accuracies are the mean of the largest and the smallest network
            that the phase allows.
    """

    net: ElasticSupernet
    statistics: Statistics
    calibration: Calibration
    epochs: tuple[tuple[Epoch, ...], ...]

    @property
    def seconds(self) -> float:
        """What training took."""
        return sum(epoch.seconds for phase in self.epochs for epoch in phase)

    @property
    def cpu_seconds(self) -> float | None:
        """What training took of processors; None if a checkpoint that it went on from had not counted it."""
        return cpu_seconds(chain.from_iterable(self.epochs))


def shrink(
    net: ElasticSupernet,
    images: ImageSet,
    held_out: ImageSet,
    phases: Sequence[Phase],
    recipe: Recipe | None = None,
    *,
    folder: str | Path | None = None,
    on_progress: OnProgress | None = None,
    device: str | None = None,
) -> Shrunk:
    """Train a supernet phase by phase, in place.

    In each step the largest network that the phase allows and others, which are drawn uniformly, learn from one batch:
    the largest from the labels, the others half from these and half from what the largest makes of the same images.
    (The paper's teacher is the largest network as the first phase left it; where training is short, it would be a weak
    one.) Their gradients are added up and divided by the root of their number. One curve of the learning rate goes
    through all phases, so that none undoes what was learned before.
    Channels are sorted by importance before a phase that allows narrower blocks than the one before.

    Args:
        net: with the weights to begin from.
        images: to learn from, of the largest size.
        held_out: to judge by.
        phases: in order (`plan`).
        recipe: how; the epochs are those of the phases.
        folder: for a checkpoint of each phase; a training that was killed goes on from there, bit for bit on a CPU.
        on_progress: see `train`; told of steps and epochs of all phases together.
        device: see `train`.

    Raises:
        UsageError: no phase, or images that the networks do not read.
        CheckpointError: a checkpoint is damaged, or of another training or space.
        DivergedError, TrainingError: as `train`.
    """
    recipe = recipe or Recipe()
    if not phases or len({phase.name for phase in phases}) < len(phases):
        raise UsageError("phases lack, or have one name", hint="use plan(...), or name each of them")
    for each in (images, held_out):
        each.require_fit(net.largest_network)
    some = np.random.default_rng(recipe.seed).permutation(len(images))[:_CALIBRATED]  # sets may be in order of class
    calibration = Calibration(images.subset(some), images.channel_statistics())
    in_all = sum(phase.epochs for phase in phases)
    epochs: list[tuple[Epoch, ...]] = []
    for number, phase in enumerate(phases):
        if number and _narrower(phase, phases[number - 1]):
            net.sort_channels()
        own = replace(recipe, epochs=phase.epochs, seed=recipe.seed + number)
        trained = train_module(
            net,
            Subnets(Allowed(net, phase), phase, own, calibration),
            images,
            held_out,
            own,
            name=f"the supernet of {net.space.name}",
            identity=net.identity | {"phase": asdict(phase), "initial": weights_digest(net)},
            part=(sum(earlier.epochs for earlier in phases[:number]), in_all),
            checkpoint=None if folder is None else Path(folder) / f"{number}-{phase.name}.npz",
            on_progress=_of_all(on_progress, phases, number, epochs),
            device=device,
        )
        epochs.append(trained.epochs)
    return Shrunk(net, images.channel_statistics(), calibration, tuple(epochs))


def _of_all(
    on_progress: OnProgress | None, phases: Sequence[Phase], number: int, earlier: Sequence[tuple[Epoch, ...]]
) -> OnProgress | None:
    """What tells the progress of a phase as that of all phases."""
    if on_progress is None:
        return None
    done, total = tuple(chain.from_iterable(earlier)), sum(phase.epochs for phase in phases)

    def tell(progress: Progress) -> None:
        steps = progress.steps // phases[number].epochs  # of an epoch
        told = replace(progress, step=progress.step + len(done) * steps, steps=total * steps)
        on_progress(replace(told, epochs=(*done, *progress.epochs)))

    return tell


class Subnets(Lesson):
    """What the sub-networks of a phase learn from a batch.

    Args:
        allowed: those that are drawn.
        phase: how many for each batch, and which are always among them.
        recipe: its seed and its smoothing of labels.
        calibration: for judging.
    """

    def __init__(self, allowed: Allowed, phase: Phase, recipe: Recipe, calibration: Calibration) -> None:
        self._allowed, self._phase, self._recipe, self._calibration = allowed, phase, recipe, calibration

    def drawn(self, step: int) -> Codes:
        """The architectures of a step, [n, d]: of two in a sandwich the largest first, of five the smallest last."""
        codes = self._allowed.sample(self._phase.subnets, np.random.default_rng((self._recipe.seed, step)))
        if self._phase.sandwich and len(codes) > 1:
            codes[0] = self._allowed.largest
        if self._phase.sandwich and len(codes) >= _WITH_SMALLEST:
            codes[-1] = self._allowed.smallest
        return codes

    def gradients(self, module: nn.Module, inputs: Tensor, targets: Tensor, step: int) -> float:
        taught: Tensor | None = None
        total, share = 0.0, self._phase.subnets**-0.5
        for code in self.drawn(step):
            with mixed_precision(inputs):
                outputs = module(inputs, code)
            outputs = outputs[:, : targets.shape[1]].float()
            loss = cross_entropy(outputs, targets, label_smoothing=self._recipe.label_smoothing)
            if taught is not None:
                loss = (loss + cross_entropy(outputs, taught)) / 2
            elif self._phase.sandwich:
                taught = softmax(outputs.detach(), dim=1)
            (share * loss).backward()
            total += loss.item()
        return total / self._phase.subnets

    def accuracy_pct(self, module: nn.Module, batches: Batches) -> float:
        assert isinstance(module, ElasticSupernet)
        codes = (self._allowed.largest, self._allowed.smallest)
        return sum(evaluate(ready_subnet(module, code, self._calibration).module, batches) for code in codes) / 2


def _narrower(phase: Phase, before: Phase) -> bool:
    """Whether a phase allows widths that the one before did not."""
    return before.widths is not None and (phase.widths is None or phase.widths > before.widths)
