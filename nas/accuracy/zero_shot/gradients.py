"""Scores of one gradient of the loss: its norm, and what pruning at initialisation makes of it."""

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import cross_entropy

from ....networks import Network
from .._registry import register
from ._base import BatchScore
from ._graphs import is_layer
from ._modules import fresh, layer_weights


def _kept(gradients: tuple[Tensor | None, ...], like: list[nn.Parameter]) -> list[Tensor]:
    """Gradients, zeros where the loss does not depend on a weight."""
    return [torch.zeros_like(w) if g is None else g for g, w in zip(gradients, like, strict=True)]


class _LossScore(BatchScore):
    """A score of the cross-entropy of a batch."""

    def _loss(self, module: nn.Module, network: Network) -> Tensor:
        images, labels = self._labelled(network)
        return cross_entropy(module(images), labels)


@register("grad_norm")
class GradNorm(_LossScore):
    """Sum over layers of the Euclidean norm of the gradient of their weights (Abdelfattah et al., arXiv:2101.08134,
    section 3.1)."""

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        weights = layer_weights(module, network)
        gradients = grad(self._loss(module, network), weights, allow_unused=True)
        return float(sum(float(g.norm()) for g in _kept(gradients, weights)))


@register("snip")
class Snip(_LossScore):
    """Sum over the weights of layers of |w dL/dw|: by how much the loss changes if they are taken away one by one
    (Lee et al., arXiv:1810.02340, equation 3), with weights as Glorot and Bengio initialise them, as there."""

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        weights = layer_weights(module, network)
        random = torch.Generator().manual_seed(self.seed)
        for weight in weights:
            nn.init.xavier_normal_(weight, generator=random)
        gradients = grad(self._loss(module, network), weights, allow_unused=True)
        pairs = zip(weights, _kept(gradients, weights), strict=True)
        return float(sum(float((w.detach() * g).abs().sum()) for w, g in pairs))


@register("grasp")
class Grasp(_LossScore):
    """Minus the sum over the weights of layers of w (H g): how taking them away changes the flow of gradients (Wang et
    al., arXiv:2002.07376, equation 8); H is the Hessian of the loss, g its gradient."""

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        weights = layer_weights(module, network)
        gradients = grad(self._loss(module, network), weights, create_graph=True, allow_unused=True)
        used = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
        product = torch.stack([(g.detach() * g).sum() for _, g in used]).sum()
        alive = [w for w, _ in used]
        flows = _kept(grad(product, alive, allow_unused=True), alive)
        return -float(sum(float((w.detach() * hg).sum()) for w, hg in zip(alive, flows, strict=True)))


@register("fisher")
class Fisher(_LossScore):
    """Sum over the output channels of layers of the mean over images of (sum over positions of a dL/da)² / 2: by how
    much the loss changes if a channel is taken away (Theis et al., arXiv:1801.05787, equation 8)."""

    def _computed(self, network: Network) -> float:
        module = fresh(network, self.seed)
        named = dict(module.named_modules(remove_duplicate=False))
        outputs: list[Tensor] = []

        def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            outputs.append(output)

        for node in network:
            if is_layer(node):
                named[node.name].register_forward_hook(keep)
        gradients = grad(self._loss(module, network), outputs, allow_unused=True)
        total = 0.0
        for output, gradient in zip(outputs, gradients, strict=True):
            if gradient is not None:
                effect = (
                    (output.detach() * gradient).flatten(2).sum(dim=2)
                    if output.dim() > 2
                    else output.detach() * gradient
                )
                total += float(effect.square().mean(dim=0).sum()) / 2
        return total
