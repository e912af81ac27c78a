"""`ElasticBlock`: the candidates of one position as parts of one set of weights (arXiv:1908.09791, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ....networks import Network
from ....networks.errors import NotSupportedError
from ....networks.exporters import to_torch
from ._sorting import importances, permuted, varying_layers


class ElasticBlock(nn.Module):
    """The largest candidate's weights, and what makes those of the others out of them.

    A narrower candidate takes the first channels. A smaller kernel is the middle of the next larger one, multiplied by
    a learned matrix (25 x 25 for the middle of 7 x 7, 9 x 9 for that of 5 x 5) that all channels share and that begins
    as the identity. A candidate that does nothing has no weights.

    Args:
        networks: the candidates, each as a network of its own (`block_network`), nodes that correspond named alike.
        where: they stand, for messages.

    Attributes:
        networks: the same.
        largest: the number of the largest.
        shared: the module of the largest.
        transforms: the matrices, by weight and size.

    Raises:
        NotSupportedError: a candidate is no part of the largest.
    """

    def __init__(self, networks: Sequence[Network], where: str) -> None:
        super().__init__()
        self.networks = tuple(networks)
        self.largest = max(range(len(networks)), key=lambda i: self.networks[i].params)
        self.shared = to_torch(self.networks[self.largest])
        with torch.device("meta"):  # only their form is needed; in a tuple they are no submodules
            self._forms = tuple(to_torch(network) for network in networks)
        self._shapes = [{name: value.shape for name, value in form.state_dict().items()} for form in self._forms]
        for number, shapes in enumerate(self._shapes):
            self._require_part(shapes, f"candidate {number} of {where}")
        self._sizes = {name: self._kernel_sizes(name) for name in self._shapes[self.largest]}
        self.transforms = nn.ParameterDict(
            {
                _key(name, size): nn.Parameter(torch.eye(size * size))
                for name, sizes in self._sizes.items()
                for size in sizes[1:]
            }
        )

    def forward(self, x: Tensor, choice: int) -> Tensor:
        """What candidate ``choice`` makes of its input, [n, c, h, w]."""
        if not self.networks[choice].nodes:
            return x
        form = self._forms[choice].train(self.training)
        made: Tensor = functional_call(form, self.weights(choice), (x,))
        return made

    def weights(self, choice: int) -> dict[str, Tensor]:
        """Parameters and buffers of a candidate by name, as functions of the shared ones.

        Buffers are views: what a step in training mode makes of running statistics, it makes of the shared ones.
        """
        shared = {**dict(self.shared.named_parameters()), **dict(self.shared.named_buffers())}
        return {name: self._part(name, shared[name], shape) for name, shape in self._shapes[choice].items()}

    def sort_channels(self) -> None:
        """Put the channels that matter most first, wherever candidates have different numbers; nothing else changes.

        What matters is the sum of the absolute weights that read a channel.
        """
        network = self.networks[self.largest]
        state = self.shared.state_dict()
        for layer in varying_layers(network, self.networks):
            order = importances(network, state, layer).argsort(descending=True, stable=True)
            state = permuted(network, state, layer, order)
        self.shared.load_state_dict(state)

    def _part(self, name: str, weight: Tensor, shape: torch.Size) -> Tensor:
        for axis, length in enumerate(shape[:2]):
            weight = weight.narrow(axis, 0, length)
        for size in self._sizes[name][1:]:
            if weight.dim() == 4 and weight.shape[-1] > shape[-1]:
                margin = (weight.shape[-1] - size) // 2
                middle = weight[:, :, margin : margin + size, margin : margin + size]
                mixed = middle.flatten(2) @ self.transforms[_key(name, size)].T
                weight = mixed.unflatten(2, (size, size))
        return weight

    def _kernel_sizes(self, name: str) -> list[int]:
        """Of a convolution's weight in all candidates, falling."""
        found = [shapes[name] for shapes in self._shapes if name in shapes]
        return sorted({shape[-1] for shape in found if len(shape) == 4}, reverse=True)

    def _require_part(self, shapes: dict[str, torch.Size], what: str) -> None:
        whole = self._shapes[self.largest]
        for name, shape in shapes.items():
            there = whole.get(name)
            if there is None or not _is_part(shape, there):
                found = "missing" if there is None else tuple(there)
                raise NotSupportedError(
                    f"{what} is no part of the largest: {name} is {tuple(shape)}, there {found}",
                    hint="let candidates differ in channels and in odd, square kernels only",
                )


def _is_part(shape: torch.Size, whole: torch.Size) -> bool:
    """Whether a weight of a shape is made out of one of another: of fewer channels, of the middle of its kernel."""
    if len(shape) != len(whole) or any(a > b for a, b in zip(shape, whole, strict=True)):
        return False
    kernels = {shape[2:], whole[2:]}
    return len(kernels) == 1 or (
        all(len(kernel) == 2 and kernel[0] == kernel[1] for kernel in kernels) and (whole[-1] - shape[-1]) % 2 == 0
    )


def _key(name: str, size: int) -> str:
    return f"{name.replace('.', '_')}_{size}"
