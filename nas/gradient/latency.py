"""`LatencyTerm`: what the expected latency adds to a loss, and how hard it has to press to reach a target."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ...nas_bridge import CostMatrix, LatencyOracle
from ...networks.errors import InfeasibleError, NotSupportedError, UnknownNameError, UsageError
from ..spaces import SearchSpace

Loss: TypeAlias = Callable[[Tensor, Tensor, float, float], Tensor]
"""The whole loss, from the cross entropy, the expected latency in ms, the target in ms, and the weight."""

_SCALE: Final = 0.2
_US_PER_MS: Final = 1000.0
_PROPORTIONAL: Final = 500.0  # times the integral gain
_MOST_ERROR: Final = 0.2


def _add_linear(entropy: Tensor, expected_ms: Tensor, target_ms: float, weight: float) -> Tensor:
    return entropy + weight * (expected_ms / target_ms - 1)


def _mul_log(entropy: Tensor, expected_ms: Tensor, target_ms: float, weight: float) -> Tensor:
    target = torch.log(torch.as_tensor(target_ms * _US_PER_MS, dtype=expected_ms.dtype))
    return entropy * _SCALE * (torch.log(expected_ms * _US_PER_MS) / target) ** weight


def _log(entropy: Tensor, expected_ms: Tensor, target_ms: float, weight: float) -> Tensor:
    del target_ms
    return entropy * _SCALE * torch.log(expected_ms * _US_PER_MS) ** weight


@dataclass(frozen=True)
class Form:
    """A form of the loss.

    Attributes:
        loss: computes it.
        weight: that its paper gives.
    """

    loss: Loss
    weight: float


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "add#linear": Form(_add_linear, 0.1),
        "mul#log": Form(_mul_log, 0.3),
        "log": Form(_log, 0.6),
    }
)
"""ProxylessNAS's two, ``CE + w (E - T) / T`` and ``CE * 0.2 (log E / log T)^w`` (github.com/mit-han-lab/proxylessnas,
search/nas_manager.py), and FBNet's ``CE * 0.2 (log E)^w`` (arXiv:1812.03443, section 3.2): E is the latency expected,
T the target, w the weight. Logarithms are of microseconds, so that they are positive for networks faster than 1 ms."""


class LatencyTerm:
    """The latency of a device in the loss of a search.

    A fixed weight leaves it to chance where a search ends: the papers tried several. Here, unless ``control`` is 0,
    the weight is a Lagrange multiplier that a proportional-integral controller sets: after each step on the choices,
    with e = (E - T) / T held within -0.2 .. 0.2, its memory grows by ``control * e``, and the weight is the memory and
    ``500 * control * e``, both never below 0. It comes to rest where the expected latency is the target; the
    proportional part damps it, and the bounds keep the memory from overfilling on the way.

    Args:
        oracle: knows latencies; for all searches but those by REINFORCE it must have a gradient.
        target_ms: T, what the architecture may take.
        form: of the loss, a key of `FORMS`.
        weight: to begin with; None takes the form's own.
        control: how fast the weight follows; 0 keeps it fixed.

    Each search takes a copy (`anew`), so that a term can be given to several.

    Attributes:
        current: the weight now.
        memory: the part of it that has been added up.

    Raises:
        UnknownNameError: no such form.
        UsageError: a target, weight or control that makes no sense.
        InfeasibleError: the cheapest architecture takes longer than the target.
    """

    def __init__(
        self,
        oracle: LatencyOracle,
        target_ms: float,
        *,
        form: str = "add#linear",
        weight: float | None = None,
        control: float = 0.02,
    ) -> None:
        if form not in FORMS:
            raise UnknownNameError("form of a loss", form, FORMS)
        weight = FORMS[form].weight if weight is None else weight
        if not (0 < target_ms < np.inf and 0 <= weight < np.inf and 0 <= control < np.inf):
            raise UsageError(
                f"a target of {target_ms} ms, weight {weight}, control {control}",
                hint="give a positive target, and a weight and a control of 0 or more",
            )
        self.oracle, self.target_ms, self.form = oracle, target_ms, form
        self.weight, self.control = weight, control
        self.current = self.memory = weight
        bound = oracle.cheapest(evaluations=1).bound_ms  # None where it could only be searched for
        if bound is not None and bound > target_ms:
            raise InfeasibleError("latency_ms", target_ms, bound, space=oracle.space.name)

    @cached_property
    def matrix(self) -> CostMatrix | None:
        """What each choice of each decision takes; None where latencies are no such sums."""
        try:
            return self.oracle.cost_matrix()
        except NotSupportedError:
            return None

    def require_fit(self, space: SearchSpace) -> None:
        """Refuse a space with other choices than those that the device prices.

        Sizes of blocks may differ: a small supernet can stand for the network that is priced.

        Raises:
            UsageError: says which decision differs.
        """
        priced = [(decision.name, decision.choices) for decision in self.oracle.space.decisions]
        wanted = [(decision.name, decision.choices) for decision in space.decisions]
        if priced != wanted:
            which = next((a[0] for a, b in zip(wanted, priced, strict=False) if a != b), "the number of decisions")
            raise UsageError(
                f"{self.oracle.device} prices choices of the space {self.oracle.space.name!r}; {space.name!r} differs "
                f"in {which}",
                hint="give an oracle of the space that is searched",
            )

    def anew(self) -> Self:
        """A copy that begins with the weight that this one began with."""
        term = copy(self)
        term.current = term.memory = self.weight
        return term

    def identity(self) -> dict[str, Any]:
        """What the term was made with, as JSON data."""
        made = {name: getattr(self, name) for name in ("target_ms", "form", "weight", "control")}
        return {"device": self.oracle.device, **made}

    def expected_ms(self, probabilities: Sequence[Tensor]) -> Tensor:
        """The expected latency, a scalar in ms, with its gradient; see `LatencyOracle.expected_ms`."""
        return self.oracle.expected_ms([position.cpu() for position in probabilities])

    def loss(self, entropy: Tensor, expected_ms: Tensor) -> Tensor:
        """The whole loss, a scalar, of a cross entropy and an expected latency."""
        return FORMS[self.form].loss(entropy, expected_ms.to(entropy), self.target_ms, self.current)

    def follow(self, expected_ms: float) -> None:
        """Press harder if the latency is above the target, less if it is below."""
        if self.control:
            error = min(max(expected_ms / self.target_ms - 1, -_MOST_ERROR), _MOST_ERROR)
            self.memory = max(self.memory + self.control * error, 0.0)
            self.current = max(self.memory + _PROPORTIONAL * self.control * error, 0.0)
