"""Compiled torch: the kernels that inductor generates and the operators between them, one behind the other.

Only the worker process imports torch.
"""

from collections.abc import Iterator

from ...networks import Network
from ...networks.lowering import Kernel
from ._base import Overhead, Prepared, register_runtime
from .torch_eager import TorchRuntime


@register_runtime
class CompiledTorch(TorchRuntime):
    """PyTorch on the CPU, through torch.compile."""

    name = "torch-compile"
    extra = "learn"
    silence_timeout_s = 900.0  # a large network is compiled for minutes

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        from .torch_generated import replayed

        return replayed(kernel, copies, seed, self._activations)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # torch compiles modules, not files
        from .torch_generated import compiled_network

        return compiled_network(network, seed, self._activations)

    def overheads(self) -> Iterator[Overhead]:
        from .torch_generated import empty_call, single_relu

        yield Overhead("call", "a replay of nothing", empty_call())
        yield Overhead("run", "one call of a compiled module", single_relu(), base="call")
