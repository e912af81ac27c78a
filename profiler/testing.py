"""What every runtime must do, as a test class: built-in runtimes run it, and those of other packages can.

Subclass it and name the runtime::

    class TestMyRuntime(RuntimeContract):
        name = "mine"
"""

from typing import ClassVar

import pytest

from ..networks import Network, NetworkBuilder
from ..networks.errors import UsageError
from ..networks.lowering import PRECISIONS, LoweredNetwork, lower
from ._native import measure_interleaved
from .runtimes import Prepared, Runtime, runtime_class


def small_network() -> Network:
    """A convolution, a residual block and a classifier: a few kernels of different kinds."""
    b = NetworkBuilder("small")
    x = b.input((1, 3, 16, 16))
    x = b.op("relu", b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1))
    y = b.op("conv2d", x, out_channels=16, kernel_size=3, padding=1, groups=16)
    x = b.op("add", x, b.op("conv2d", b.op("relu6", y), out_channels=16, kernel_size=1))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10))


class RuntimeContract:
    """The contract; see `lutra.profiler.runtimes.Runtime`."""

    name: ClassVar[str]

    @pytest.fixture(params=PRECISIONS)
    def runtime(self, request: pytest.FixtureRequest) -> Runtime:
        cls, precision = runtime_class(self.name), request.param
        info = cls.info()
        if not info.available:
            pytest.skip(f"runtime {self.name!r} is not here: {info.note}")
        if precision not in cls.precisions:
            pytest.skip(f"runtime {self.name!r} does not run in {precision}")
        return cls(1, precision)

    @pytest.fixture
    def lowered(self, runtime: Runtime) -> LoweredNetwork:
        return lower(small_network(), self.name, precision=runtime.precision)

    def test_another_precision_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(UsageError, match="does not run in 'int3'") as caught:
            type(runtime)(1, "int3")
        assert caught.value.hint == f"it runs in {', '.join(type(runtime).precisions)}"

    def test_it_says_what_it_is(self, runtime: Runtime) -> None:
        info = type(runtime).info()
        assert info.name == self.name
        assert info.kind in ("real", "null")
        assert info.version
        assert info.note
        assert all(runtime.describe().values())

    def test_every_kernel_runs_and_computes_numbers(self, runtime: Runtime, lowered: LoweredNetwork) -> None:
        for kernel in lowered.distinct.values():
            prepared = runtime.prepare(kernel, 3, seed=0)
            prepared.runnable.run()
            # Where samples must be longer than a round of all copies, each copy runs as often as the others.
            assert prepared.executions == 1 if runtime.in_sequence else prepared.executions % 3 == 0
            assert prepared.finite()

    def test_more_copies_take_longer(self, runtime: Runtime, lowered: LoweredNetwork) -> None:
        if runtime.in_sequence:
            pytest.skip("one call runs one copy")
        kernel = max(lowered.kernels, key=lambda k: k.macs)
        few, many = (runtime.prepare(kernel, copies, seed=0) for copies in (1, 32))
        if many.executions < 2 * few.executions:
            pytest.skip("samples are as long with few copies as with many")
        assert self._total_ns(runtime, many) > self._total_ns(runtime, few)

    def test_whole_networks_run(self, runtime: Runtime) -> None:
        prepared = runtime.prepare_network(small_network(), None, seed=0)
        prepared.runnable.run()
        assert prepared.executions == 1
        assert prepared.finite()
        assert not prepared.overheads

    def test_constants_come_behind_their_base_and_include_one_run(self, runtime: Runtime) -> None:
        seen: set[str | None] = {None}
        for overhead in runtime.overheads():
            assert overhead.base in seen
            assert overhead.name not in seen
            assert overhead.prepared.finite()
            seen.add(overhead.name)
        assert "run" in seen

    def test_kernels_name_only_constants_that_exist(self, runtime: Runtime, lowered: LoweredNetwork) -> None:
        known = {overhead.name for overhead in runtime.overheads()}
        for kernel in lowered.distinct.values():
            assert known.issuperset(runtime.prepare(kernel, 2, seed=0).overheads)

    @staticmethod
    def _total_ns(runtime: Runtime, prepared: Prepared) -> float:
        """Least time of a call: of two amounts of work that differ 32-fold, noise cannot swap the order."""
        measured = measure_interleaved(
            [prepared.runnable],
            seed=0,
            max_rounds=8,
            metric="cpu",
            clock=runtime.clock,
            references=runtime.references(),
        )
        samples = measured.entries[0].samples
        return float(samples.cpu_ns.min() / samples.batch)
