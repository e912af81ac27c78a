"""`Naswot`: how differently the rectifiers of an untrained network see different images."""

import torch
from torch import Tensor, nn

from ....networks import Network
from .._registry import register
from ..base import NoScoreError
from ._base import BatchScore
from ._modules import fresh, modules_of

_RECTIFIERS = ("relu", "relu6", "leaky_relu")


@register("naswot")
class Naswot(BatchScore):
    """NASWOT (Mellor et al., arXiv:2006.04647, equation 2): log |det K| of the kernel of binary codes.

    With B the signs (1 where positive) of the inputs of a rectifier, one row an image, K is the sum over rectifiers of
    B Bᵀ + (1 - B)(1 - B)ᵀ: on how many units two images agree.
    """

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        rectifiers = modules_of(module, network, _RECTIFIERS)
        if not rectifiers:
            raise NoScoreError("it has no rectifiers (ReLU, ReLU6, leaky ReLU)")
        images, _ = self._labelled(network)
        kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

        def count(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> None:
            code = (inputs[0].flatten(1) > 0).float()
            if len(code) == len(kernel):  # what does not depend on the image has one row, on which all agree
                kernel.add_(code @ code.T + (1 - code) @ (1 - code).T)
            else:
                kernel.add_(float(code.shape[1]))

        for rectifier in rectifiers:
            rectifier.register_forward_hook(count)
        with torch.no_grad():
            module(images)
        return float(torch.linalg.slogdet(kernel).logabsdet)
