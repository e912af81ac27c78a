"""`Zen`: how much the features of a random network change with its input, batch norms' scales given back."""

import torch
from torch import Tensor, nn

from ....networks import Network
from .._registry import register
from ..base import NoScoreError
from ._base import ZeroShot
from ._graphs import trunk, without_shortcuts
from ._modules import batch_size, fresh, layer_weights, modules_of, noise

_STEP = 0.01  # of the perturbation


@register("zen")
class Zen(ZeroShot):
    """Zen-score (Lin et al., arXiv:2102.01063, algorithm 1): log of the mean over a batch of sum |f(x) - f(x + 0.01 n)|
    plus the sum over batch norms of log sqrt(mean variance of their channels).

    f is the network up to its global average pool, with weights of N(0, 1), x and n are normal deviates. Variances are
    those of the batch itself; the authors' code takes them from running averages instead, which have not yet arrived
    there. A batch norm that nothing but zeros reaches has no variance, and the network no score.

    Args:
        shortcuts: whether sums of branches stay, as where a cell is made of them; in the paper, the longer branch alone
            stays.
        batch: images.
        seed: of weights and images.
    """

    def __init__(self, *, shortcuts: bool = False, batch: int = 8, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.shortcuts = shortcuts
        self.batch = batch

    def _computed(self, network: Network) -> float:
        features = trunk(network if self.shortcuts else without_shortcuts(network))
        if features is None:
            raise NoScoreError("it has no global average pool")
        module = fresh(features, self.seed)
        random = torch.Generator().manual_seed(self.seed)
        norms = [norm for norm in modules_of(module, features, ("batch_norm",)) if isinstance(norm, nn.BatchNorm2d)]
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
            for weight in layer_weights(module, features):
                weight.normal_(generator=random)
            for norm in norms:
                norm.momentum = 1.0  # running statistics are then those of the last batch
                if norm.weight is not None:
                    norm.weight.fill_(1.0)
            x = noise(network, batch_size(network, self.batch), random)
            nearby = x + _STEP * noise(network, len(x), random)
            difference = (module(x) - module(nearby)).abs().flatten(1).sum(dim=1).mean()
            scales: list[Tensor] = [norm.running_var.mean().sqrt() for norm in norms if norm.running_var is not None]
        if float(difference) == 0 or any(float(scale) == 0 for scale in scales):
            raise NoScoreError("a batch norm of it sees nothing but zeros")
        return float(difference.log() + sum(float(scale.log()) for scale in scales))
