"""`train`: a network from its first weights, resumed after a kill as if there had been none."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...networks import Network
from ...networks.errors import CheckpointError, DivergedError, NotSupportedError, TrainingError
from ...networks.exporters import to_torch
from ..checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ..layout import layout_for
from .data import ImageSet, Statistics
from .data_augmentation import Batches
from .lessons import Labels, Lesson
from .recipe import Recipe

_EVALUATED: Final = 500  # images at once
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """What became of one epoch.

    Attributes:
        number: from 0.
        loss: mean of its steps, on augmented images and smoothed labels.
        accuracy_pct: of held-out images after it.
        learning_rate: of its last step.
        seconds: it took, the evaluation included.
        cpu_seconds: of processor time, on all threads of the process, that it took; other work on the machine hardly
            changes it. None in checkpoints of versions that did not count it.
    """

    number: int
    loss: float
    accuracy_pct: float
    learning_rate: float
    seconds: float
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Progress:
    """Where a training is, after a step.

    Attributes:
        step: steps that are done, of ``steps``.
        steps: of the whole training.
        loss: of the last step.
        learning_rate: of the last step.
        epochs: those that are done.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    epochs: tuple[Epoch, ...]


OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        module: in evaluation mode, with averaged weights where the recipe averages.
        epochs: what became of each.
        statistics: of the training images; what the module reads is normalised by them.
        stopped_early: whether patience ran out.
    """

    module: nn.Module
    epochs: tuple[Epoch, ...]
    statistics: Statistics
    stopped_early: bool

    @property
    def accuracy_pct(self) -> float:
        """Of held-out images, after the last epoch."""
        return self.epochs[-1].accuracy_pct

    @property
    def seconds(self) -> float:
        """What training took, in all processes that had a part in it."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def cpu_seconds(self) -> float | None:
        """What training took of processors, in all processes that had a part in it; None if that was not counted."""
        return cpu_seconds(self.epochs)


def cpu_seconds(epochs: Iterable[Epoch]) -> float | None:
    """Processor time of epochs together; None if that of some was not counted."""
    found = [epoch.cpu_seconds for epoch in epochs]
    counted = [seconds for seconds in found if seconds is not None]
    return sum(counted) if len(counted) == len(found) else None


def train(
    network: Network,
    images: ImageSet,
    held_out: ImageSet,
    recipe: Recipe | None = None,
    *,
    module: nn.Module | None = None,
    checkpoint: str | Path | None = None,
    on_progress: OnProgress | None = None,
    device: str | None = None,
) -> Trained:
    """Train a network.

    Everything follows from the arguments on one machine with one number of threads: a training that was killed and goes
    on from its checkpoint ends with the same weights, bit for bit, as one that was not (on a CPU).

    Args:
        network: of c x h x w images to classes.
        images: to learn from.
        held_out: to judge by, after each epoch.
        recipe: how; the defaults if omitted.
        module: `to_torch(network)` with weights to begin from; None begins with random ones.
        checkpoint: an .npz file for the state after each epoch; where it is there already, training goes on from it.
        on_progress: told after every step and every epoch, for a progress bar.
        device: torch's name of it; None takes a GPU where there is one. On a GPU, layers compute in bfloat16.

    Raises:
        UsageError: images that the network does not read, or of more classes than it knows.
        NotSupportedError: the network computes with the batch that it was built for.
        DivergedError: the loss is no number any more; the last checkpoint is of a good epoch.
        TrainingError: out of memory; says what to lower.
        CheckpointError: the checkpoint is damaged, or another training's.
    """
    images.require_fit(network)
    held_out.require_fit(network)
    recipe = recipe or Recipe()
    initial = "" if module is None else weights_digest(module)
    module = fresh_module(network, recipe.seed) if module is None else module
    require_any_batch(module, network)
    return train_module(
        module,
        Labels(recipe.label_smoothing),
        images,
        held_out,
        recipe,
        name=network.name,
        identity={"network": network.fingerprint, "initial": initial},
        checkpoint=checkpoint,
        on_progress=on_progress,
        device=device,
    )


def train_module(
    module: nn.Module,
    lesson: Lesson,
    images: ImageSet,
    held_out: ImageSet,
    recipe: Recipe,
    *,
    name: str,
    identity: Mapping[str, Any],
    part: tuple[int, int] | None = None,
    checkpoint: str | Path | None = None,
    on_progress: OnProgress | None = None,
    device: str | None = None,
) -> Trained:
    """Train a module in place by a lesson of one's own; else as `train`, with its errors.

    Args:
        module: with the weights to begin from.
        lesson: what each step learns.
        images: to learn from.
        held_out: to judge by, after each epoch.
        recipe: how; its ``label_smoothing`` is for the lesson to keep.
        name: what the module is called in messages.
        identity: what tells this training from others besides images and recipe, plain JSON data; for checkpoints.
        part: epochs before this training, and epochs in all, where it is one of several that follow one curve of the
            learning rate; None for a curve of its own.
        checkpoint: see `train`.
        on_progress: see `train`.
        device: see `train`.
    """
    run = _Run(module, lesson, images, held_out, recipe, identity, part or (0, recipe.epochs), device)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and (saved := read_checkpoint(path, run.identity, "training")) is not None:
        run.restore(saved)
    with memory_explained(name, recipe.batch):
        while not run.done:
            run.epoch(on_progress)
            if path is not None:
                write_checkpoint(run.checkpoint(), path, "training")
                run.saved_epochs = len(run.epochs)
    return Trained(run.result(), tuple(run.epochs), run.statistics, run.impatient)


class _Run:
    """A training under way."""

    def __init__(
        self,
        module: nn.Module,
        lesson: Lesson,
        images: ImageSet,
        held_out: ImageSet,
        recipe: Recipe,
        identity: Mapping[str, Any],
        part: tuple[int, int],
        device: str | None,
    ) -> None:
        self.recipe, self.lesson, self.part = recipe, lesson, part
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.statistics = images.channel_statistics()
        self.epochs: list[Epoch] = []
        self.averaged_steps = 0
        self.saved_epochs = 0
        self.identity = {
            **identity,
            "images": digest(images.images, images.labels),
            "held_out": digest(held_out.images, held_out.labels),
            "recipe": recipe.to_dict(),
            "part": list(part),
        }
        self.module = module
        self._layout = layout_for(module)
        self.module.to(self.device, memory_format=self._layout)  # type: ignore[call-overload]
        self.averages = {n: t.clone() for n, t in self.module.state_dict().items()} if recipe.averaging else {}
        self.optimiser = lesson.optimiser(self.module, recipe)
        self.learned = Batches(
            images,
            recipe.batch,
            augmentation=recipe.augmentation,
            statistics=self.statistics,
            seed=recipe.seed,
            device=self.device,
        )
        self.judged = Batches(held_out, _EVALUATED, statistics=self.statistics, device=self.device)

    @property
    def steps(self) -> int:
        return self.recipe.epochs * len(self.learned)

    @property
    def impatient(self) -> bool:
        """Whether the best accuracy is ``patience`` epochs old."""
        if self.recipe.patience is None or not self.epochs:
            return False
        accuracies = [epoch.accuracy_pct for epoch in self.epochs]
        return len(self.epochs) - 1 - accuracies.index(max(accuracies)) >= self.recipe.patience

    @property
    def done(self) -> bool:
        return len(self.epochs) >= self.recipe.epochs or self.impatient

    def epoch(self, on_progress: OnProgress | None) -> None:
        """One pass over the images, and its evaluation."""
        number, start, cpu_start = len(self.epochs), time.perf_counter(), time.process_time()
        total, step, rate, loss = 0.0, number * len(self.learned), 0.0, 0.0
        self.module.train()
        for inputs, targets in self.learned.epoch(number):
            before, in_all = (epochs * len(self.learned) for epochs in self.part)
            rate = self.recipe.learning_rate_at(before + step, in_all)
            loss = self._step(inputs, targets, rate, step)
            if not math.isfinite(loss):
                raise self._diverged(step, rate)
            total += loss
            step += 1
            if on_progress is not None:
                on_progress(Progress(step, self.steps, loss, rate, tuple(self.epochs)))
        if not all(bool(p.isfinite().all()) for p in self.module.parameters()):
            raise self._diverged(step - 1, rate)
        with self._averaged():
            accuracy = self.lesson.accuracy_pct(self.module, self.judged)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        self.epochs.append(Epoch(number, total / len(self.learned), accuracy, rate, seconds, cpu))
        _log.info("epoch %d: loss %.3f, accuracy %.2f %%, %.0f s", number, total / len(self.learned), accuracy, seconds)
        if on_progress is not None:
            on_progress(Progress(step, self.steps, loss, rate, tuple(self.epochs)))

    def _step(self, inputs: Tensor, targets: Tensor, rate: float, step: int) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        inputs = inputs.contiguous(memory_format=self._layout)
        loss = self.lesson.gradients(self.module, inputs, targets, step)
        self.optimiser.step()
        self._average()
        return loss

    def _average(self) -> None:
        """Move the averaged weights; a short memory at first, so that the random beginning is forgotten."""
        if not self.averages:
            return
        self.averaged_steps += 1
        keep = min(self.recipe.averaging, self.averaged_steps / (self.averaged_steps + 9))
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.averages[name].lerp_(value, 1 - keep)
            else:
                self.averages[name].copy_(value)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The module with averaged weights, where there are any."""
        if not self.averages:
            yield
            return
        last = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.averages)
        try:
            yield
        finally:
            self.module.load_state_dict(last)

    def _diverged(self, step: int, rate: float) -> DivergedError:
        kept = f"; the checkpoint after epoch {self.saved_epochs} is kept" if self.saved_epochs else ""
        return DivergedError(step, rate, hint=f"lower the learning rate, or raise the share of warm_up{kept}")

    def result(self) -> nn.Module:
        """The module as it is to be used."""
        if self.averages:
            self.module.load_state_dict(self.averages)
        return self.module.eval()

    def checkpoint(self) -> Checkpoint:
        """The state after the last epoch."""
        state = {f"weights/{name}": value for name, value in self.module.state_dict().items()}
        state |= {f"averages/{name}": value for name, value in self.averages.items()}
        for i, parameter in enumerate(self.module.parameters()):
            for key, value in self.optimiser.state[parameter].items():
                if value is not None:
                    state[f"optimiser/{i}/{key}"] = value
        progress = {"epochs": [asdict(epoch) for epoch in self.epochs], "averaged_steps": self.averaged_steps}
        return Checkpoint(self.identity, progress, {name: value.numpy(force=True) for name, value in state.items()})

    def restore(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint of this training.

        Raises:
            CheckpointError: it lacks something.
        """
        try:
            self.module.load_state_dict(_part(saved, "weights", self.device))
            averages = _part(saved, "averages", self.device)
            self.averages = {name: averages[name] for name in self.averages}
            parameters = list(self.module.parameters())
            for name, value in _part(saved, "optimiser", self.device).items():
                number, key = name.split("/")
                self.optimiser.state[parameters[int(number)]][key] = value
            self.epochs = [Epoch(**epoch) for epoch in saved.progress["epochs"]]
            self.saved_epochs = len(self.epochs)
            self.averaged_steps = int(saved.progress["averaged_steps"])
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            what = " ".join(str(error).split())
            raise CheckpointError(f"the checkpoint is damaged ({what})", hint="remove it, and begin anew") from None


def _part(saved: Checkpoint, part: str, device: str) -> dict[str, Tensor]:
    start = f"{part}/"
    found = {name.removeprefix(start): a for name, a in saved.state.items() if name.startswith(start)}
    return {name: torch.from_numpy(array).to(device) for name, array in found.items()}


def fresh_module(network: Network, seed: int) -> nn.Module:
    """A network's module with first weights; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return to_torch(network)


def require_any_batch(module: nn.Module, network: Network) -> None:
    """Refuse a network that computes with the batch it was built for.

    Args:
        module: `to_torch(network)`.
        network: which.

    Raises:
        NotSupportedError: it does not turn a batch of any size into a row of numbers an image.
    """
    device = next((str(parameter.device) for parameter in module.parameters()), "cpu")
    try:
        with torch.no_grad():
            outputs = module.eval()(torch.zeros(2, *network.inputs[0][1].shape[1:], device=device))
        fits = outputs.dim() == 2 and len(outputs) == 2
    except RuntimeError:
        fits = False
    if not fits:
        raise NotSupportedError(
            f"{network.name} does not turn a batch of any size into a row of numbers an image",
            hint="take a network without reshapes and constants of a fixed batch",
        )


def weights_digest(module: nn.Module) -> str:
    """Tells weights and buffers of modules apart."""
    return digest(*(value.numpy(force=True) for value in module.state_dict().values()))


def digest(*arrays: NDArray[Any]) -> str:
    """Tells arrays apart by what they hold."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


@contextmanager
def memory_explained(name: str, batch: int) -> Iterator[None]:
    """Say what to lower where memory runs out.

    Raises:
        TrainingError: it did inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is one; on CPUs it is a plain one
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise TrainingError(
            f"{name} does not fit into memory at a batch of {batch}",
            hint="lower the batch, the size of the images, or the network's width",
        ) from None
