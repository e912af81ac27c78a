"""Torch pieces shared by op declarations. Imported only when a torch module is really built."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Functional(nn.Module):
    """A module without weights that calls ``function`` and prints as ``label``.

    Args:
        label: the op's kind.
        function: what it calls on its inputs.
        code: the same call as source code, with ``torch``, ``functional`` (torch.nn.functional) and in place of the
            inputs ``{0}``, ``{1}``, or ``{inputs}`` for all of them, with commas.
    """

    def __init__(self, label: str, function: Callable[..., Any], code: str) -> None:
        super().__init__()
        self.label = label
        self.function = function
        self.code = code

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)

    def extra_repr(self) -> str:
        return self.label


class Source(nn.Module):
    """Holds one tensor and returns it: a learned parameter, or a constant buffer."""

    def __init__(self, value: torch.Tensor, *, learned: bool) -> None:
        super().__init__()
        if learned:
            self.weight = nn.Parameter(value)
        else:
            self.register_buffer("weight", value)

    def forward(self) -> torch.Tensor:
        return self.weight


def dtype_of(name: str) -> torch.dtype:
    """Torch's element type for one of Lutra's names."""
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype
