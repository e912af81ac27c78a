"""Strategies that train a supernet instead of asking for evaluations, run from the command line."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..images import images_for

if TYPE_CHECKING:
    from threading import Event

    from ...nas.accuracy import ImageSet
    from ...nas.gradient import EpochReport, GradientSearch
    from ...nas.spaces import Codes, SearchSpace
    from .accuracy import Accuracy
    from .runs import Prepared, Run
    from .settings import Settings

CHECKPOINT: Final = "supernet.npz"
DIGITS: Final = "digits"
_HELD_OUT, _FOR_CHOICES = 0.2, 0.5  # shares of the images, and of those that are left
_DRAWN: Final = 24  # architectures drawn by the probabilities and judged beside the one that is derived
_BUILT_IN: Final = ("darts", "fbnet", "proxyless", "proxyless-r")
_NOT_SET: Final = ("augmentation",)  # of a training: nothing that a word can say


def is_kind(strategy: str) -> bool:
    """Whether a strategy is one of these; torch is loaded only where the others have none of that name.

    Raises:
        MissingDependencyError: it is, but torch is not installed.
    """
    from ...nas.searchers import searcher_kinds
    from ...networks.errors import MissingDependencyError

    if strategy in searcher_kinds():
        return False
    if strategy in _BUILT_IN and find_spec("torch") is None:
        raise MissingDependencyError("torch", "learn", f"the strategy {strategy!r}")
    return strategy in kinds()


def kinds() -> tuple[str, ...]:
    """Names of these strategies; none without torch."""
    if find_spec("torch") is None:
        return ()
    from ...nas.gradient import gradient_kinds

    return gradient_kinds()


def defaults(kind: str) -> dict[str, Any]:
    """What ``--set`` can set, with defaults: those of the training, and the strategy's own."""
    from ...nas.gradient import GradientSearch, Training, gradient_class

    common = signature(GradientSearch).parameters
    own = {n: p.default for n, p in signature(gradient_class(kind)).parameters.items() if n not in common}
    made = Training()
    learning = {field.name: getattr(made, field.name) for field in fields(Training) if field.name not in _NOT_SET}
    return {**learning, **own}


class Inherited:
    """The accuracy of architectures with the weights of a supernet, once there is one; a measure for a problem."""

    def __init__(self) -> None:
        self.search: GradientSearch | None = None
        self.images: tuple[ImageSet, ImageSet] | None = None

    def __call__(self, codes: "Codes") -> NDArray[np.float64]:
        """Percent of held-out images, [n]."""
        assert self.search is not None  # asked only after a search
        assert self.images is not None
        held_out, learned_from = self.images
        return np.array([self.search.inherited_accuracy_pct(code, held_out, learned_from) for code in codes])


def accuracy_of_supernet(data: str | None) -> "Accuracy":
    """What such a search makes large, named as what it is."""
    from ...nas import Objective
    from .accuracy import Accuracy

    note = (
        f"accuracies are those of a supernet trained on {data or DIGITS}: a network that is trained for itself does "
        "better, and the order may differ"
    )
    return Accuracy(Objective("shared_accuracy_pct", Inherited(), maximise=True), "accuracy in the supernet (%)", note)


def run(prepared: "Prepared", folder: Path) -> "Run":
    """Train with a progress bar (`train`); Ctrl-C ends it after the epoch, whose state the folder keeps."""
    from ..campaigns import cancel_on_interrupt
    from ..render import epoch_progress

    epochs = int(prepared.settings.parameters.get("epochs", defaults(prepared.settings.strategy)["epochs"]))
    with cancel_on_interrupt("learnt in this epoch") as cancel, epoch_progress(epochs) as show:
        return train(prepared, folder, show, cancel)


def train(prepared: "Prepared", folder: Path, on_epoch: "Callable[[EpochReport], None]", cancel: "Event") -> "Run":
    """Train, derive, and judge.

    Args:
        prepared: what is searched for.
        folder: keeps the state after each epoch.
        on_epoch: told after each.
        cancel: set it to stop after the epoch.

    Raises:
        LutraError: the space is no chain of positions; images that do not fit; a checkpoint of another search.
    """
    from ...nas import SearchResult
    from ...nas.problem import Evaluations
    from .runs import Run

    problem = prepared.problem
    weights, choices, held_out = _images(prepared.settings, prepared.space)
    search = _made(prepared)
    try:
        search.run(weights, choices, checkpoint=folder / CHECKPOINT, on_epoch=_watcher(on_epoch, cancel))
    except _CancelledError:
        none = np.empty((0, len(prepared.space.decisions)), np.int64)
        nothing = Evaluations(np.empty((0, len(problem.objectives))), np.empty(0), ())
        return Run(prepared, SearchResult(problem, none, nothing, "cancelled"))
    measure = problem.objectives[0].measure
    assert isinstance(measure, Inherited)
    measure.search, measure.images = search, (held_out, weights)
    codes = _judged(search, prepared)
    losses = -np.asarray(measure(codes), np.float64)[:, None]
    evaluations = Evaluations(losses, np.zeros(len(codes)), (None,) * len(codes))
    result = SearchResult(problem, codes, evaluations, "evaluations")
    return Run(prepared, result, derived=0)


class _CancelledError(Exception):
    """Ends a search between two epochs; never leaves `run`."""


def _watcher(show: Any, cancel: "Event") -> Any:
    def watch(report: "EpochReport") -> None:
        show(report)
        if cancel.is_set():
            raise _CancelledError

    return watch


def _made(prepared: "Prepared") -> "GradientSearch":
    from ...nas.accuracy.augmentation import Augmentation
    from ...nas.gradient import LatencyTerm, Training, gradient_class

    settings = prepared.settings
    learning = {field.name for field in fields(Training)}
    training = {n: v for n, v in settings.parameters.items() if n in learning}
    own = {n: v for n, v in settings.parameters.items() if n not in learning}
    if settings.data in (None, DIGITS):  # mirror images of digits are none
        training["augmentation"] = Augmentation(padding=2, flip=False)
    return gradient_class(settings.strategy)(
        prepared.space,
        latency=LatencyTerm(prepared.latency.oracle, settings.bounds["latency_ms"]),
        training=Training(**training),
        seed=settings.seed,
        **own,
    )


def _images(settings: "Settings", space: "SearchSpace") -> "tuple[ImageSet, ImageSet, ImageSet]":
    """Images that weights learn from, that choices learn from, and that the result is judged by."""
    network = space.decode([0] * len(space.decisions))
    images, held_out = images_for(network, settings.data or DIGITS).split(_HELD_OUT, settings.seed)
    weights, choices = images.split(_FOR_CHOICES, settings.seed)
    return weights, choices, held_out


def _judged(search: "GradientSearch", prepared: "Prepared") -> "Codes":
    """The derived architecture, and different ones drawn by the probabilities that keep the bounds."""
    rng = np.random.default_rng(prepared.settings.seed)
    columns = [rng.choice(len(p), size=8 * _DRAWN, p=p) for p in search.probabilities]
    drawn = prepared.space.canonical(np.stack(columns, axis=1).astype(np.int64))
    drawn = drawn[prepared.problem.violations(drawn) <= 0]
    every = np.concatenate([search.derive()[None], drawn])
    _, first = np.unique(every, axis=0, return_index=True)
    kept: Codes = every[np.sort(first)][: 1 + _DRAWN]
    return kept


def refuse(strategy: str, given: Iterable[str]) -> None:
    """Refuse options that mean nothing to a strategy that trains a supernet.

    Raises:
        UsageError: there are some.
    """
    from ...networks.errors import UsageError

    if told := list(given):
        raise UsageError(
            f"{strategy} and {', '.join(told)}",
            hint="it trains a supernet: set --data, and --set epochs=50 and the like, instead",
        )
