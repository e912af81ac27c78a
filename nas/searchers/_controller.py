"""The controller that emits architectures choice by choice; imported only where something is searched with it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...predictors._perceptrons import one_thread
from ..spaces import Codes

_BEGINNING: Final = 0.1  # weights begin uniform in -0.1 .. 0.1, as ENAS' do (arXiv:1802.03268, appendix A)
_IMPOSSIBLE: Final = -1e9


class Controller(nn.Module):
    """An LSTM that makes one decision after the other, each seeing the choice before (NASNet, arXiv:1707.07012).

    Letters: n architectures, d decisions, h hidden units, C the most choices of a decision.

    Args:
        counts: how many choices each decision has, d.
        hidden: h, units of the LSTM and of the embeddings of choices.
        learning_rate: of Adam.
        seed: of the beginning and of all samples.
    """

    def __init__(self, counts: Sequence[int], *, hidden: int, learning_rate: float, seed: int) -> None:
        super().__init__()
        self._random = torch.Generator().manual_seed(seed)
        most = max(counts)
        # Row 0 of the embeddings stands for the beginning; then come the choices of each decision but the last.
        self._offsets = torch.tensor([0, *(1 + np.cumsum([0, *counts[:-2]]))[: len(counts) - 1]])
        with torch.random.fork_rng(devices=[]):  # they would draw from torch's own generator, for nothing
            self._embedding = nn.Embedding(1 + sum(counts[:-1]), hidden)
            self._lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self._weights = nn.Parameter(torch.empty(len(counts), hidden, most))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -_BEGINNING, _BEGINNING, generator=self._random)
        self._biases = nn.Parameter(torch.zeros(len(counts), most))
        past = np.arange(most) >= np.array(counts)[:, None]
        self._mask = torch.from_numpy(np.where(past, _IMPOSSIBLE, 0.0).astype(np.float32))
        self._optimiser = torch.optim.Adam(self.parameters(), lr=learning_rate)

    @torch.no_grad()
    def sample(self, n: int) -> Codes:
        """Rows of choices, n x d."""
        choices: list[Tensor] = []
        previous, state = torch.zeros(n, dtype=torch.long), None
        with one_thread():
            for j, offset in enumerate(self._offsets):
                output, state = self._lstm(self._embedding(offset + previous)[:, None], state)
                scores = output[:, 0] @ self._weights[j] + self._biases[j] + self._mask[j]
                previous = torch.multinomial(scores.softmax(1), 1, generator=self._random)[:, 0]
                choices.append(previous)
        return np.stack([choice.numpy() for choice in choices], axis=1)

    def learn(self, codes: Codes, used: NDArray[np.bool_], advantages: NDArray[np.float64], entropy: float) -> None:
        """One step of Adam up the gradient of REINFORCE (Williams 1992, doi:10.1007/BF00992696) and of the entropy.

        Args:
            codes: canonical, n x d.
            used: which decisions each architecture uses, n x d; the choice in others is nobody's merit.
            advantages: how much better than usual each was, ``[n]``.
            entropy: what a nat of the policy's entropy is worth.
        """
        with one_thread():
            log_probability, spread = self.log_probabilities(codes, used)
            gain = torch.from_numpy(advantages.astype(np.float32)) * log_probability + entropy * spread
            self._optimiser.zero_grad()
            (-gain.mean()).backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()

    def log_probabilities(self, codes: Codes, used: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Of architectures; and the entropies of their decisions, given the choices before, summed; ``[n]`` each."""
        choices, counted = torch.from_numpy(np.ascontiguousarray(codes)), torch.from_numpy(used)
        before = torch.cat([torch.zeros(len(codes), 1, dtype=torch.long), choices[:, :-1]], dim=1)
        outputs, _ = self._lstm(self._embedding(self._offsets + before))
        scores = torch.einsum("ndh,dhc->ndc", outputs, self._weights) + self._biases + self._mask
        logs = scores.log_softmax(2)
        chosen = logs.gather(2, choices[:, :, None])[:, :, 0]
        entropies = -(logs.exp() * logs).sum(2)
        return (chosen * counted).sum(1), (entropies * counted).sum(1)
