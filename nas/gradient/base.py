"""`GradientSearch`: the contract of searches that train one supernet, its weights and its choices in turn."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...networks.errors import CheckpointError, DivergedError, UsageError
from ..accuracy.augmentation import NO_AUGMENTATION, Augmentation
from ..accuracy.data import ImageSet
from ..accuracy.data_augmentation import Batches
from ..accuracy.training import memory_explained
from ..checkpoint import read_checkpoint, write_checkpoint
from ..spaces import Codes, SearchSpace
from .deriving import drawn_within, most_probable
from .latency import LatencyTerm
from .mixing import one_path
from .state import identity_of, restore, state_of
from .supernet import Mix, MixedNet, Supernet, chain_of_positions, statistics_kept
from .training import EpochReport, Training

Floats: TypeAlias = npt.NDArray[np.float64]
Batch: TypeAlias = tuple[Tensor, Tensor]
"""n images, float32 [n, c, h, w], normalised; and for each a row of shares of k classes, float32 [n, k]."""
OnEpoch: TypeAlias = Callable[[EpochReport], None]

_WHAT: Final = "search"
_INITIAL_SPREAD: Final = 1e-3  # of the choices' logits: DARTS and ProxylessNAS
_MOST_GRADIENT: Final = 5.0
_PASSES: Final = 10_000  # more than an epoch makes over the images that choices learn from


class Common(TypedDict, total=False):
    """What all gradient searches take by name besides what is their own; see `GradientSearch`."""

    latency: LatencyTerm | None
    training: Training | None
    choices_rate: float | None
    seed: int
    torch_device: str


class GradientSearch(ABC):
    """Trains a supernet of a space and, in turn, the probabilities of its choices.

    A subclass says what a step on the weights and one on the choices are, and registers itself under a name
    (`register`). `lutra.nas.gradient.testing.GradientSearchContract` holds the tests that it must pass.

    All that happens follows from the parameters, the seed and the images; it is the same on one machine with the same
    number of threads, also where the search was interrupted between two epochs.

    Args:
        space: a chain with one decision for each position.
        latency: the device in the loss; None searches for accuracy alone.
        training: how long and how fast.
        choices_rate: learning rate of the choices; None takes that of the strategy's paper.
        seed: of all random choices.
        torch_device: where torch computes.

    Attributes:
        kind: the name it is registered under.
        default_rate, betas, choices_decay: of Adam on the choices, as in the strategy's paper.
        remembered: names of attributes that a resumed search needs besides, plain JSON data.
        net: the supernet.
        choices: logits of the choices, one tensor for each place of the supernet: for each decision of a chain.
        weights_optimiser, choices_optimiser: take the steps.
        reports: of the epochs that are done.
        stopped: why the search ended before its last epoch, or None.

    Raises:
        NotSupportedError: the space is no such chain, or its blocks fix the number of images.
        UsageError: a rate that makes no sense; or the device prices other choices than the space has.
    """

    kind: ClassVar[str]
    default_rate: ClassVar[float]
    betas: ClassVar[tuple[float, float]]
    choices_decay: ClassVar[float] = 0.0
    remembered: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        space: SearchSpace,
        *,
        latency: LatencyTerm | None = None,
        training: Training | None = None,
        choices_rate: float | None = None,
        seed: int = 0,
        torch_device: str = "cpu",
    ) -> None:
        self.space, self.training = space, training or Training()
        self.latency = None if latency is None else latency.anew()
        if self.latency is not None:
            self.latency.require_fit(space)
        self.choices_rate = self.default_rate if choices_rate is None else choices_rate
        self.seed, self.torch_device = seed, torch_device
        if not 0 < self.choices_rate < math.inf:
            raise UsageError(f"learning rate {self.choices_rate} of the choices", hint="give a positive number")
        self.rng = np.random.default_rng(seed)
        self.net = self.supernet().to(torch_device)
        begin = [_INITIAL_SPREAD * self.rng.standard_normal(count) for count in self.net.counts]
        self.choices = [nn.Parameter(torch.from_numpy(logits).float().to(torch_device)) for logits in begin]
        self.reports: list[EpochReport] = []
        self.stopped: str | None = None
        self.weights_optimiser = torch.optim.SGD(
            self.net.parameters(),
            self.training.weights_rate,
            momentum=self.training.momentum,
            weight_decay=self.training.weight_decay,
        )
        self.choices_optimiser = torch.optim.Adam(
            self.choices, self.choices_rate, betas=self.betas, weight_decay=self.choices_decay
        )

    # -- what a subclass gives ----------------------------------------------------------------------------

    def supernet(self) -> MixedNet:
        """The network that is trained; its places are the decisions of the space unless `path` and `derive` differ."""
        return Supernet(chain_of_positions(self.space), seed=self.seed)

    def path(self, code: Codes) -> list[int]:
        """The candidate at each place of the supernet of one architecture, [d]."""
        return [int(choice) for choice in code]

    @abstractmethod
    def weights_step(self, batch: Batch) -> float:
        """One step on the weights, the choices as they are; returns the cross entropy."""

    @abstractmethod
    def choices_step(self, batch: Batch, other: Batch) -> float:
        """One step on the choices, weights and running statistics as they are; returns the loss.

        Args:
            batch: images that choices learn from.
            other: those that weights learn from next.
        """

    def collapsed(self) -> str | None:
        """Why the choices are no longer to be trusted, or None; asked behind each epoch that trained them.

        A reason ends the search, with the choices from before that epoch.
        """
        return None

    # -- the contract -------------------------------------------------------------------------------------

    def run(
        self,
        weights_images: ImageSet,
        choices_images: ImageSet,
        *,
        checkpoint: Path | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Codes:
        """Search to the end.

        Args:
            weights_images: what weights learn from.
            choices_images: what choices learn from; no image of the other set, or the choices learn what overfits.
            checkpoint: the file that each epoch's state is written to, whole or not at all; where it exists, the search
                goes on from it.
            on_epoch: called with the report of each epoch, after its state was written.

        Returns:
            The derived architecture, int64 [d]; see `derive`.

        Raises:
            UsageError: images that the supernet cannot learn from.
            CheckpointError: the checkpoint is of another search, or damaged.
            DivergedError: the loss is no number any more; the checkpoint is of the epoch before.
            TrainingError: out of memory; says what to lower.
            InfeasibleError: as `derive`.
        """
        learning = self.batches(weights_images, weights_images, self.training.augmentation)
        choosing = self.batches(choices_images, weights_images, NO_AUGMENTATION)
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        while len(self.reports) < self.training.epochs and self.stopped is None:
            with memory_explained(f"the supernet of {self.space.name}", self.training.batch):
                self.reports.append(self._epoch(learning, choosing))
            if checkpoint is not None:
                self.save(checkpoint)
            if on_epoch is not None:
                on_epoch(self.reports[-1])
        return self.derive()

    @property
    def probabilities(self) -> tuple[Floats, ...]:
        """Of the candidates at each place, summing to 1."""
        return tuple(np.exp(logs) for logs in self._log_probabilities())

    @property
    def certainty(self) -> float:
        """1 - entropy of the choices / that of equal probabilities, mean over places with two candidates or more."""
        logs = [position for position in self._log_probabilities() if len(position) > 1]
        shares = [1 + float(np.exp(position) @ position) / math.log(len(position)) for position in logs]
        return float(np.mean(shares)) if shares else 1.0

    @property
    def expected_ms(self) -> float | None:
        """Latency expected of an architecture drawn by the probabilities; None without a device."""
        if self.latency is None:
            return None
        with torch.no_grad():
            return float(self.latency.expected_ms(self.softmax()))

    def derive(self, budget_ms: float | None = None, *, used: float = 0.95) -> Codes:
        """The most probable architecture that uses a budget, int64 [d].

        It takes from ``used`` of the budget to all of it; where none does, it is the most probable one within the
        budget. Before the probabilities have become ones and zeros, the likeliest architecture of all is not one of
        the latency that the search has settled on: leaving out blocks saves much at once.

        Where latencies are sums over positions, it is found by dynamic programming (`deriving.most_probable`); else it
        is the most probable of those that are drawn by the probabilities.

        Args:
            budget_ms: None takes the target of the search; without a device there is none.
            used: share of the budget that is to be used, 0 to 1.

        Raises:
            UsageError: a budget, but no device; or a share outside 0 .. 1.
            InfeasibleError: no architecture within the budget was found.
        """
        logs = self._log_probabilities()
        if not 0 <= used <= 1:
            raise UsageError(f"{used} of a budget", hint="give a share from 0 to 1")
        if self.latency is None:
            if budget_ms is not None:
                raise UsageError(f"a budget of {budget_ms} ms without a device", hint="give the search a LatencyTerm")
            return np.array([int(np.argmax(position)) for position in logs], np.int64)
        budget = self.latency.target_ms if budget_ms is None else budget_ms
        matrix, name = self.latency.matrix, self.space.name
        if matrix is None:
            return drawn_within(logs, self.latency.oracle, budget, least_ms=used * budget, seed=self.seed, space=name)
        costs = [row[: len(position)] for row, position in zip(matrix.costs_ms, logs, strict=True)]
        return most_probable(logs, costs, budget, fixed_ms=matrix.fixed_ms, space=name, least_ms=used * budget)

    def inherited_accuracy_pct(self, code: npt.ArrayLike, images: ImageSet, like: ImageSet) -> float:
        """Accuracy of an architecture with the supernet's weights, batch norms normalising by each batch.

        Args:
            code: int64 [d].
            images: to be told apart.
            like: the images that weights learned from, by which they are normalised.

        Raises:
            UsageError: no valid code, or images that do not fit.
        """
        path = one_path(self.path(self.space.validate(code)[0]))
        right = 0
        with torch.no_grad(), statistics_kept(self.net):
            for pixels, labels in self.batches(images, like, NO_AUGMENTATION).in_order():
                outputs = self.net(pixels, path)[:, : len(images.classes)]
                right += int((outputs.argmax(dim=1) == labels).sum())
        return 100 * right / len(images)

    def parameters(self) -> dict[str, Any]:
        """What the search was made with besides space, latency and seed, as JSON data."""
        common = inspect.signature(GradientSearch).parameters
        given = inspect.signature(type(self)).parameters.values()
        own = [p.name for p in given if p.kind is p.KEYWORD_ONLY and p.name not in common]
        made = {name: getattr(self, name) for name in ("choices_rate", *own)}
        return {**made, "training": asdict(self.training)}

    def save(self, path: Path) -> None:
        """Write all that the search has learned: all of it, or nothing.

        Raises:
            CheckpointError: the place cannot be written.
        """
        write_checkpoint(state_of(self), path, _WHAT)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: there is no such file, it is of another search, or damaged.
            FormatVersionError: written by a newer version.
        """
        saved = read_checkpoint(path, identity_of(self), _WHAT)
        if saved is None:
            raise CheckpointError(f"there is no search at {path}", hint="give the file that save wrote")
        try:
            restore(self, saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} is damaged ({error})", hint="remove it, and begin anew") from None

    def batches(self, images: ImageSet, like: ImageSet, augmentation: Augmentation) -> Batches:
        """Batches that the supernet can learn from.

        Args:
            images: what is in them.
            like: the images that weights learn from, by which all are normalised.
            augmentation: of ``images``.

        Raises:
            UsageError: images of another size, of more classes than the head has, or too few for a batch.
        """
        images.require_fit(self.space.decode([0] * len(self.space.decisions)))
        if len(images) < self.training.batch:
            raise UsageError(
                f"{len(images)} images of {images.name!r} make no batch of {self.training.batch}",
                hint="give more images, or a smaller batch",
            )
        return Batches(
            images,
            self.training.batch,
            augmentation=augmentation,
            statistics=like.channel_statistics(),
            seed=self.seed + (images is not like),
            device=self.torch_device,
        )

    # -- for subclasses -----------------------------------------------------------------------------------

    def softmax(self) -> list[Tensor]:
        """Probabilities of the choices, with gradient."""
        return [logits.softmax(dim=0) for logits in self.choices]

    def entropy(self, batch: Batch, mix: Mix) -> Tensor:
        """Cross entropy of the supernet with positions mixed by ``mix``, a scalar."""
        images, targets = batch
        return cross_entropy(self.net(images, mix)[:, : targets.shape[1]], targets)

    def drawn(self) -> list[int]:
        """One architecture, drawn by the probabilities."""
        return [int(self.rng.choice(len(p), p=p)) for p in self.probabilities]

    def with_latency(self, entropy: Tensor, probabilities: Sequence[Tensor]) -> Tensor:
        """The whole loss, a scalar; the weight of the latency follows."""
        if self.latency is None:
            return entropy
        expected = self.latency.expected_ms(probabilities)
        loss = self.latency.loss(entropy, expected)
        self.latency.follow(float(expected.detach()))
        return loss

    def learn_weights(self, entropy: Tensor) -> float:
        """A step on the weights down a cross entropy; returns it."""
        self.weights_optimiser.zero_grad()
        entropy.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), _MOST_GRADIENT)
        self.weights_optimiser.step()
        return float(entropy.detach())

    def learn_choices(self, gradients: Sequence[Tensor]) -> None:
        """A step on the choices down their gradients."""
        for logits, gradient in zip(self.choices, gradients, strict=True):
            logits.grad = gradient
        self.choices_optimiser.step()

    # -- inside -------------------------------------------------------------------------------------------

    def _log_probabilities(self) -> list[Floats]:
        with torch.no_grad():
            return [logits.double().log_softmax(dim=0).cpu().numpy() for logits in self.choices]

    def _epoch(self, learning: Batches, choosing: Batches) -> EpochReport:
        """One pass over the images that weights learn from."""
        self.net.train()
        searching = len(self.reports) >= self.training.warm_up
        before = [logits.detach().clone() for logits in self.choices]
        passes = range(len(self.reports) * _PASSES, (len(self.reports) + 1) * _PASSES)
        others = chain.from_iterable(map(choosing.epoch, passes))
        losses: list[float] = []
        choice_losses: list[float] = []
        for step, batch in enumerate(learning.epoch(len(self.reports))):
            progress = (len(self.reports) + step / len(learning)) / self.training.epochs
            rate = self.training.rate_at(progress)
            self.weights_optimiser.param_groups[0]["lr"] = rate
            if searching and step % self.training.choices_every == 0:
                with statistics_kept(self.net):
                    choice_losses.append(_finite(self.choices_step(next(others), batch), step, rate))
            losses.append(_finite(self.weights_step(batch), step, rate))
        if searching and (reason := self.collapsed()) is not None:
            self.stopped = reason
            with torch.no_grad():
                for logits, old in zip(self.choices, before, strict=True):
                    logits.copy_(old)
        return EpochReport(
            epoch=len(self.reports) + 1,
            weights_loss=float(np.mean(losses)),
            choices_loss=float(np.mean(choice_losses)) if choice_losses else None,
            certainty=self.certainty,
            expected_ms=self.expected_ms,
            latency_weight=None if self.latency is None else self.latency.current,
        )


def _finite(loss: float, step: int, rate: float) -> float:
    if not math.isfinite(loss):
        raise DivergedError(step, rate, hint="lower weights_rate; the state of the epoch before is kept")
    return loss
