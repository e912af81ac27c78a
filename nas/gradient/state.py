"""What a gradient search has learned, as the arrays and the JSON data of a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import torch
from numpy.typing import NDArray

from ..checkpoint import Checkpoint
from .training import EpochReport

if TYPE_CHECKING:
    from .base import GradientSearch

_NET: Final = "net/"


def identity_of(search: "GradientSearch") -> dict[str, Any]:
    """Which search it is: what must be the same for another one to go on from its state."""
    return {
        "strategy": search.kind,
        "space": search.space.name,
        "choices": [list(decision.choices) for decision in search.space.decisions],
        "latency": None if search.latency is None else search.latency.identity(),
        "parameters": search.parameters(),
        "seed": search.seed,
    }


def state_of(search: "GradientSearch") -> Checkpoint:
    """All that it has learned."""
    progress = {
        "reports": [asdict(report) for report in search.reports],
        "stopped": search.stopped,
        "rng": search.rng.bit_generator.state,
        "latency": None if search.latency is None else [search.latency.current, search.latency.memory],
        "remembered": {name: getattr(search, name) for name in search.remembered},
    }
    arrays = {f"{_NET}{name}": value.numpy(force=True) for name, value in search.net.state_dict().items()}
    arrays |= {f"logits/{i}": logits.numpy(force=True) for i, logits in enumerate(search.choices)}
    arrays |= _of_optimiser(search.weights_optimiser, "weights")
    arrays |= _of_optimiser(search.choices_optimiser, "choices")
    return Checkpoint(identity_of(search), progress, arrays)


def restore(search: "GradientSearch", saved: Checkpoint) -> None:
    """Give a search of the same identity what `state_of` took.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: something is missing, or of another form.
    """
    arrays, progress = saved.state, saved.progress
    net = {name.removeprefix(_NET): array for name, array in arrays.items() if name.startswith(_NET)}
    search.net.load_state_dict({name: torch.from_numpy(array) for name, array in net.items()})
    with torch.no_grad():
        for i, logits in enumerate(search.choices):
            logits.copy_(torch.from_numpy(arrays[f"logits/{i}"]))
    _restore_optimiser(search.weights_optimiser, "weights", arrays)
    _restore_optimiser(search.choices_optimiser, "choices", arrays)
    search.reports = [EpochReport(**report) for report in progress["reports"]]
    search.stopped = progress["stopped"]
    search.rng.bit_generator.state = progress["rng"]
    if search.latency is not None:
        search.latency.current, search.latency.memory = map(float, progress["latency"])
    for name in search.remembered:
        setattr(search, name, progress["remembered"][name])


def _of_optimiser(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, NDArray[Any]]:
    """What an optimiser remembers of each parameter, under ``prefix/number/name``."""
    remembered: dict[int, dict[str, torch.Tensor]] = optimiser.state_dict()["state"]
    return {
        f"{prefix}/{number}/{name}": value.numpy(force=True)
        for number, values in remembered.items()
        for name, value in values.items()
    }


def _restore_optimiser(optimiser: torch.optim.Optimizer, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give back what `_of_optimiser` took."""
    remembered: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        head, _, rest = key.partition("/")
        if head == prefix:
            number, _, name = rest.partition("/")
            remembered.setdefault(int(number), {})[name] = torch.from_numpy(array.copy())
    optimiser.load_state_dict({**optimiser.state_dict(), "state": remembered})
