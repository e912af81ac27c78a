"""Eager torch: the operators of each node, replayed one node behind the other.

Only the worker process imports torch.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from ...luts.host import runtime_version
from ...networks import Network
from ...networks.lowering import Kernel
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime

_PINNED_BYTES = 1 << 34
_LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20  # glibc ignores larger ones
_TOP_PAD_BYTES = 64 << 20


class TorchRuntime(Runtime):
    """What eager and compiled torch have in common.

    Torch finds each operator cold behind the ones before it, and its activations as their producer left them; run by
    itself an operator looks 15 to 40 % faster than that. So kernels are timed in the order of a network, one call
    each, their activations rewritten just before.
    """

    in_sequence = True

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        import torch

        from .torch_tensors import Activations

        torch.set_num_threads(threads)
        if torch.get_num_interop_threads() != 1:
            torch.set_num_interop_threads(1)
        self._activations = Activations(seed=0)

    @classmethod
    def info(cls) -> RuntimeInfo:
        version = runtime_version(cls.name)
        note = cls.__doc__.partition("\n")[0].rstrip(".") if cls.__doc__ else ""
        return RuntimeInfo(
            cls.name, cls.kind, bool(version), version, note if version else "not installed: pip install 'lutra[learn]'"
        )

    @classmethod
    def environment(cls) -> dict[str, str]:
        """Keeps glibc from giving memory back, or some forward passes would fault all of their pages in again."""
        return {
            "MALLOC_MMAP_THRESHOLD_": str(_LARGEST_MMAP_THRESHOLD_BYTES),
            "MALLOC_TOP_PAD_": str(_TOP_PAD_BYTES),
            "MALLOC_TRIM_THRESHOLD_": str(_PINNED_BYTES),
        }

    def describe(self) -> dict[str, str]:
        import torch

        return {"torch": str(torch.__version__), "torch cpu": torch.backends.cpu.get_cpu_capability()}

    def measuring(self) -> AbstractContextManager[Any]:
        import torch

        return torch.inference_mode()


@register_runtime
class EagerTorch(TorchRuntime):
    """PyTorch on the CPU, operator by operator."""

    name = "torch"
    extra = "learn"
    processes = 3  # fresh processes differ by a tenth, in two clusters

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        from .torch_replay import replayed

        return replayed(kernel, copies, seed, self._activations)

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model  # torch runs modules, not files
        from .torch_replay import loaded_module, whole

        return whole(loaded_module(network, seed), network, self._activations)

    def overheads(self) -> Iterator[Overhead]:
        from .torch_replay import empty_call, empty_network

        yield Overhead("call", "a replay of nothing", empty_call())
        yield Overhead("run", "one call of a module without nodes", empty_network(), base="call")
