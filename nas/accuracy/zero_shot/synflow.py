"""`LogSynflow`: how strongly the absolute weights carry a signal from end to end."""

import torch

from ....networks import Network
from .._registry import register
from ._base import ZeroShot
from ._graphs import without_norms
from ._modules import batch_size, fresh, layer_weights


@register("synflow")
class LogSynflow(ZeroShot):
    """Synaptic flow (Tanaka et al., arXiv:2006.05467, equation 2, summed as in Abdelfattah et al., arXiv:2101.08134),
    as a logarithm: log of the sum over the weights w of layers of |w dL/dw|.

    L is the sum of the outputs for an image of ones, with every parameter replaced by its absolute value and batch
    norms left out; in float64, since deep networks overflow float32.
    """

    def _computed(self, network: Network) -> float:
        plain = without_norms(network)
        module = fresh(plain, self.seed).double()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.abs_()
        weights = layer_weights(module, plain)
        count = batch_size(network, 1)
        output = module(torch.ones(count, *network.inputs[0][1].shape[1:], dtype=torch.float64))
        gradients = torch.autograd.grad(output.sum() / count, weights, allow_unused=True)
        flows = [(w.detach() * g).abs().sum() for w, g in zip(weights, gradients, strict=True) if g is not None]
        return float(torch.stack(flows).sum().log())
