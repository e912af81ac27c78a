"""What an optimiser remembers, as arrays, for the checkpoint of a search."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray


def optimiser_arrays(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, NDArray[Any]]:
    """What an optimiser remembers of each parameter, under ``prefix/number/name``."""
    remembered: dict[int, dict[str, torch.Tensor]] = optimiser.state_dict()["state"]
    return {
        f"{prefix}/{number}/{name}": value.numpy(force=True)
        for number, values in remembered.items()
        for name, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give back what `optimiser_arrays` took."""
    remembered: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        head, _, rest = key.partition("/")
        if head == prefix:
            number, _, name = rest.partition("/")
            remembered.setdefault(int(number), {})[name] = torch.from_numpy(array.copy())
    optimiser.load_state_dict({**optimiser.state_dict(), "state": remembered})
