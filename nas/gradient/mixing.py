"""What a position makes of its candidates: one of them, a weighted sum, or one whose gate still has a gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .supernet import Mix


def one_path(choices: Sequence[int]) -> Mix:
    """Candidate ``choices[i]`` alone at position i; nothing else is computed or kept."""

    def mix(number: int, candidates: nn.ModuleList, x: Tensor) -> Tensor:
        made: Tensor = candidates[choices[number]](x)
        return made

    return mix


def weighted(weights: Sequence[Tensor]) -> Mix:
    """The sum of all candidates, each times its weight: ``weights[i]`` has as many numbers as position i candidates.

    Equation 2 of DARTS (arXiv:1806.09055); FBNet (arXiv:1812.03443, section 3.3). All candidates are computed and
    kept for the gradient.
    """

    def mix(number: int, candidates: nn.ModuleList, x: Tensor) -> Tensor:
        total: Tensor | None = None
        for weight, candidate in zip(weights[number], candidates, strict=True):
            part = weight * candidate(x)
            total = part if total is None else total + part
        assert total is not None  # a position has a candidate
        return total

    return mix


def gated(gates: Sequence[Tensor], drawn: Sequence[Sequence[int]]) -> Mix:
    """One candidate at each position, with the gradient of the gates of several.

    The output is ``sum_j g_j o_j(x)`` with a one-hot g, so candidate ``drawn[i][0]`` alone is computed; the gradient of
    gate j is ``<dL/dy, o_j(x)>`` (ProxylessNAS, arXiv:1812.00332, section 3.2.1). In the backward pass the other
    candidates are computed one by one, without anything kept, so that memory is that of one path. Their weights, and
    those of the active one, get no gradient.

    Args:
        gates: of each position, as many numbers as it has candidates. Their values are not read.
        drawn: of each position, the active candidate and behind it the others whose gates get a gradient.
    """

    def mix(number: int, candidates: nn.ModuleList, x: Tensor) -> Tensor:
        made: Tensor = _Gated.apply(x, gates[number], candidates, drawn[number])  # type: ignore[no-untyped-call]
        return made

    return mix


class _Gated(torch.autograd.Function):
    """`gated`, at one position."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor, candidates: nn.ModuleList, drawn: Sequence[int]) -> Tensor:
        with torch.enable_grad():
            ctx.inside = x.detach().requires_grad_(x.requires_grad)
            ctx.active = candidates[drawn[0]](ctx.inside)
        ctx.candidates, ctx.drawn, ctx.count = candidates, drawn, len(gates)
        # A copy where the candidate does nothing: the output of a function must not be its input.
        made: Tensor = ctx.active.clone() if ctx.active is ctx.inside else ctx.active.detach()
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (gradient,) = gradients
        of_gates = gradient.new_zeros(ctx.count)
        with torch.no_grad():
            of_gates[ctx.drawn[0]] = _product(gradient, ctx.active)
            for number in ctx.drawn[1:]:
                of_gates[number] = _product(gradient, ctx.candidates[number](ctx.inside))
        if not ctx.needs_input_grad[0]:
            return None, of_gates, None, None
        (of_x,) = torch.autograd.grad(ctx.active, ctx.inside, gradient)
        return of_x, of_gates, None, None


def _product(gradient: Tensor, made: Tensor) -> Tensor:
    product: Tensor = torch.dot(gradient.reshape(-1), made.reshape(-1))
    return product
