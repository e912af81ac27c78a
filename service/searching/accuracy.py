"""What a search calls accuracy: a function of the user's, or a stand-in that is named as what it is."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..images import images_for, loaded, side_of
from ..spaces import space_of
from ..supernets import HOW, estimator_of
from ..user_code import run_file

if TYPE_CHECKING:
    from ...nas import Objective
    from ...nas.accuracy import AccuracyEstimator
    from ...nas.spaces import Codes, SearchSpace
    from ...networks import Network
    from ...networks.errors import UsageError

ACCURACY: Final = "accuracy"
ONCE_FOR_ALL: Final = "once-for-all"
_COUNTED: Final = {"macs": "MACs", "params": "parameters"}
_ONE, _MANY = "network", "codes"


@dataclass(frozen=True)
class Accuracy:
    """What is made large, beside what it really is.

    Attributes:
        objective: gives it.
        label: for people: "accuracy (mine.py:accuracy)", "parameters".
        note: what the number is not, a sentence; "" for a function of the user's, who knows.
        counted: it is a count that every network has anyway: MACs, or parameters.
        how: how one architecture, d, came to its number, where there is something to say of that.
    """

    objective: "Objective"
    label: str
    note: str = ""
    counted: bool = False
    how: "Callable[[Codes], str] | None" = None


def accuracy_of(
    text: str,
    space: "SearchSpace",
    named: str,
    *,
    seed: int = 0,
    data: str | None = None,
    supernet: str | None = None,
    memory: Path | None = None,
) -> Accuracy:
    """What ``--accuracy`` names: ``FILE.py:FUNCTION``, ``params``, ``macs``, or an estimator of `lutra.nas.accuracy`.

    A function takes a parameter called ``network``, a `lutra.networks.Network`, and gives a number, the larger the
    better; or one called ``codes``, int64 [n, d], and gives n of them.

    Args:
        text: what was asked for.
        space: that is searched.
        named: the space as it was named on the command line, for workers to find it again.
        seed: of estimators that draw something.
        data: images for estimators that learn from some, as `lutra.nas.accuracy.load_images` takes them; None for
            what the estimator takes by itself.
        supernet: file of a trained supernet, for the estimator that asks one.
        memory: folder for estimators that remember what they trained.

    Raises:
        UnknownNameError: no such stand-in.
        UsageError: the file fails, or has no such function, or the function takes something else; or images or a
            supernet for what takes none, or no supernet for what asks one.
        CheckpointError: the supernet's file is damaged, or of another space.
    """
    if ".py" not in text and text not in _COUNTED:
        kept = None if memory is None else str(memory.absolute())
        return _estimated(OfEstimator(named, text, seed, data, supernet, kept), space)
    if data is not None:
        raise _takes_no_images(text)
    if supernet is not None:
        raise _asks_no_supernet(text)
    return _from_file(text, named) if ".py" in text else _counted(text, space)


def _asks_no_supernet(what: str) -> "UsageError":
    from ...networks.errors import UsageError

    return UsageError(f"{what} asks no supernet", hint=f"leave --supernet out, or use --accuracy {ONCE_FOR_ALL}")


def _takes_no_images(what: str) -> "UsageError":
    from ...networks.errors import UsageError

    return UsageError(f"{what} does not learn from images", hint="leave --data out, or use --accuracy from-scratch")


def _from_file(text: str, named: str) -> Accuracy:
    from ...nas import Objective
    from ...networks.errors import UsageError

    path, _, name = text.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise UsageError(f"--accuracy {text!r} names no function", hint="write it as --accuracy file.py:function")
    function = _function(path, name)
    try:
        taken = [*inspect.signature(function).parameters][:1]
    except (TypeError, ValueError):
        taken = []
    label = f"{ACCURACY} ({Path(path).name}:{name})"
    if taken == [_ONE]:
        return Accuracy(Objective(ACCURACY, OfNetwork(named, path, name), maximise=True, batched=False), label)
    if taken == [_MANY]:
        return Accuracy(Objective(ACCURACY, function, maximise=True), label)
    raise UsageError(
        f"{name} of {path} takes {taken[0] if taken else 'nothing'!r}, not a network",
        hint=f"call its first parameter {_ONE!r} (one Network), or {_MANY!r} (int64 [n, d], for all at once)",
    )


@cache
def _function(path: str, name: str) -> Callable[[Any], Any]:
    from ...networks.errors import UnknownNameError

    module = run_file(Path(path), "an accuracy function")
    found = getattr(module, name, None)
    if not callable(found):
        known = [other for other, value in vars(module).items() if inspect.isfunction(value)]
        raise UnknownNameError(f"function of {path}", name, known)
    return found  # type: ignore[no-any-return]


@cache
def _space(named: str) -> "SearchSpace":
    return space_of(named)


@dataclass(frozen=True)
class OfNetwork:
    """A user's function of one network, as a measure of a code. It goes to workers by name, and is found again there.

    Attributes:
        space: as it was named on the command line.
        path: the user's file.
        name: of the function.
    """

    space: str
    path: str
    name: str

    def __call__(self, code: "Codes") -> float:
        return float(_function(self.path, self.name)(_space(self.space).decode(code)))


def _counted(text: str, space: "SearchSpace") -> Accuracy:
    from ...nas import Objective

    def count(codes: "Codes") -> Any:
        return getattr(space.costs(codes), text)

    note = f"{_COUNTED[text]} stand in for accuracy: more of them is taken for better, and nothing was trained"
    return Accuracy(Objective(text, count, maximise=True), _COUNTED[text], note, counted=True)


_LABELS: Final = {
    "accuracy_pct": "accuracy ({}, %)",
    "shared_accuracy_pct": "accuracy with shared weights ({}, %)",
    "count": "{}",
    "order": "{} score",
}
_NOTES_OF: Final = {
    "inherited": "each network was trained and judged on {data}, most of them shortly and with the weights of a "
    "relative that was trained before: those found later have been trained for longer",
}
_NOTES: Final = {
    "accuracy_pct": "each network was trained and judged on {data}, shortly: compare the numbers with each other alone",
    "shared_accuracy_pct": "{kind} uses weights that were not trained for one network alone: its order tells, no level",
    "count": "{kind} stands in for accuracy: more of it is taken for better, and nothing was trained",
    "order": "{kind} is a score without training: only its order means something, and it is no accuracy",
}


@dataclass(frozen=True)
class OfEstimator:
    """An estimator's score of one network, as a measure of a code; it goes to workers by name.

    Attributes:
        space: as it was named on the command line.
        kind: of the estimator.
        seed: of what it draws.
        data: images that it learns from; None for its own.
        supernet: file of a trained supernet that it asks; None where it asks none.
        memory: folder for what it trained, where it remembers that; None keeps it in each process.
    """

    space: str
    kind: str
    seed: int
    data: str | None = None
    supernet: str | None = None
    memory: str | None = None

    def __call__(self, code: "Codes") -> float:
        network = _space(self.space).decode(code)
        scores = self.estimator(network).estimate([network])
        if scores.failures[0] is not None:
            raise ValueError(scores.failures[0])
        return float(scores.values[0])

    def how(self, code: "Codes") -> str:
        """How the number of a code that was measured came about."""
        network = _space(self.space).decode(code)
        return self.estimator(network).note(network)

    def estimator(self, network: "Network") -> "AccuracyEstimator":
        """The estimator for a network: made once a process, of those that learn from images one for each size."""
        return _estimator(self, None if self.data is None else side_of(network))


def _estimated(measure: OfEstimator, space: "SearchSpace") -> Accuracy:
    from ...nas import Objective
    from ...nas.accuracy import AccuracyEstimator, estimator_kinds
    from ...networks.errors import UnknownNameError, UsageError

    kind = measure.kind
    if kind not in estimator_kinds():
        raise UnknownNameError("accuracy", kind, {*estimator_kinds(), *_COUNTED, "FILE.py:FUNCTION"})
    if kind == ONCE_FOR_ALL and measure.supernet is None:
        raise UsageError(f"{kind} needs a trained supernet", hint=HOW.format(space=space.name))
    if kind != ONCE_FOR_ALL and measure.supernet is not None:
        raise _asks_no_supernet(kind)
    first = space.decode([0] * len(space.decisions))
    estimator = measure.estimator(first)
    if measure.data is not None and measure.supernet is None:
        images_for(first, measure.data)  # refuses what does not fit before anything is trained
    meaning = estimator.meaning
    how = None if type(estimator).note is AccuracyEstimator.note else measure.how
    note = _NOTES_OF.get(kind, _NOTES[meaning]).format(kind=kind, data=measure.data or "scikit-learn's digits")
    objective = Objective(kind, measure, maximise=True, batched=False)
    return Accuracy(objective, _LABELS[meaning].format(kind), note, how=how)


@cache
def _estimator(measure: OfEstimator, side: int | None) -> "AccuracyEstimator":
    from ...nas.accuracy import estimator_class

    if measure.supernet is not None:
        return estimator_of(measure.supernet, _space(measure.space), measure.data, seed=measure.seed)
    made = estimator_class(measure.kind)
    taken = inspect.signature(made).parameters
    options: dict[str, Any] = {"space": _space(measure.space)} if "space" in taken else {}
    if measure.memory is not None and "memory" in taken:
        options["memory"] = measure.memory
    if measure.data is not None and side is not None:
        if "images" not in taken:
            raise _takes_no_images(measure.kind)
        options["images"] = loaded(measure.data, side)
    return made(seed=measure.seed, **options)
