"""The null runtime: follows the whole path in no time, with latencies that follow from costs by a formula.

It makes campaigns, tables, predictors and the command line testable to the last digit on any machine.
"""

from collections.abc import Iterator

from ...luts.host import KERNEL_CODE_VERSION
from ...networks import Network
from ...networks.lowering import Kernel, lower
from .._native import FakeClock, NullRunnable
from ._base import Overhead, Prepared, Runtime, RuntimeInfo, register_runtime

MACS_PER_NS = 8
BYTES_PER_NS = 4
RUN_OVERHEAD_NS = 2_000


def null_latency_ns(kernel: Kernel) -> int:
    """What the null runtime takes for ``kernel``: a roofline of 8 MACs and 4 bytes per ns, and 50 ns per node."""
    return max(kernel.macs // MACS_PER_NS, kernel.bytes_moved // BYTES_PER_NS) + 50 * len(kernel.nodes)


@register_runtime
class NullRuntime(Runtime):
    """Deterministic stand-in on a fake clock."""

    name, kind = "null", "null"
    precisions = ("float32", "int8")

    def __init__(self, threads: int, precision: str = "float32") -> None:
        super().__init__(threads, precision)
        self.clock = self._clock = FakeClock()

    @classmethod
    def info(cls) -> RuntimeInfo:
        return RuntimeInfo(cls.name, cls.kind, True, str(KERNEL_CODE_VERSION), "deterministic stand-in, for tests")

    def describe(self) -> dict[str, str]:
        return {"null": str(KERNEL_CODE_VERSION)}

    def prepare(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        del seed
        duration = RUN_OVERHEAD_NS + copies * null_latency_ns(kernel)
        return self._prepared(duration, copies, {"run": 1})

    def prepare_network(self, network: Network, model: bytes | None, seed: int) -> Prepared:
        del model, seed
        kernels = lower(network, self.name, precision=self.precision).kernels
        return self._prepared(RUN_OVERHEAD_NS + sum(map(null_latency_ns, kernels)), 1, {})

    def overheads(self) -> Iterator[Overhead]:
        yield Overhead("run", "one call of the runtime", self._prepared(RUN_OVERHEAD_NS, 1, {}))

    def _prepared(self, duration_ns: int, executions: int, overheads: dict[str, int]) -> Prepared:
        return Prepared(NullRunnable(self._clock, duration_ns), executions, lambda: True, overheads)
