"""Probabilities of choices, as gradient-based searchers hold them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..networks.errors import MissingDependencyError, UsageError
from ._positions import counts_of
from .space import CodedSpace

if TYPE_CHECKING:
    import torch

_SLACK: Final = 1e-3  # by which the sum of a decision's probabilities may miss 1: they may be of 16 bits


def checked_probabilities(probabilities: "Sequence[torch.Tensor]", space: CodedSpace) -> "list[torch.Tensor]":
    """The probabilities of each decision's choices in 64 bits, in which sums keep their precision.

    Raises:
        UsageError: not one tensor a decision with one number a choice, or no probabilities.
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", "learn", "an expected latency with gradient") from None
    counts = counts_of(space)
    if len(probabilities) != len(counts):
        raise UsageError(
            f"{len(probabilities)} lists of probabilities; the space {space.name!r} has {len(counts)} decisions",
            hint="give one tensor for each decision",
        )
    for decision, given, count in zip(space.decisions, probabilities, counts, strict=True):
        if not isinstance(given, torch.Tensor) or given.shape != (count,) or not given.dtype.is_floating_point:
            raise UsageError(
                f"the probabilities of {decision.name!r} are {_told(given)}",
                hint=f"give a tensor of {count} real numbers, one for each choice",
            )
        values = given.detach()
        # NaN is neither.
        if not bool((values >= -_SLACK).all()) or not abs(float(values.sum()) - 1) <= _SLACK:
            raise UsageError(
                f"the probabilities of {decision.name!r} are {values.tolist()}",
                hint="give numbers from 0 on that sum to 1, such as a softmax",
            )
    return [given.double() for given in probabilities]


def like(expected: "torch.Tensor", probabilities: "Sequence[torch.Tensor]") -> "torch.Tensor":
    """A scalar in the type that the probabilities came in."""
    return expected.to(probabilities[0].dtype)


def _told(given: object) -> str:
    name, shape = type(given).__name__, getattr(given, "shape", None)
    return f"a {name}" if shape is None else f"a {name} of shape {list(shape)}, {getattr(given, 'dtype', '?')}"
