"""`Jacov`: how differently the output of an untrained network depends on different images."""

import torch

from ....networks import Network
from .._registry import register
from ..base import NoScoreError
from ._base import BatchScore
from ._modules import fresh

_SMALL = 1e-5


@register("jacov")
class Jacov(BatchScore):
    """Covariance of Jacobians (Mellor et al., arXiv:2006.04647v1, equation 2): minus the sum over the eigenvalues v of
    the correlations of d(sum of outputs)/d(image) between images of log(v + 1e-5) + 1 / (v + 1e-5)."""

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        images, _ = self._labelled(network)
        images.requires_grad_()
        (jacobian,) = torch.autograd.grad(module(images).sum(), images)
        rows = jacobian.flatten(1).double()
        if not bool((rows.std(dim=1) > 0).all()):
            raise NoScoreError("its output does not depend on every image")
        eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(rows)).clamp_min(0) + _SMALL
        return -float((eigenvalues.log() + 1 / eigenvalues).sum())
