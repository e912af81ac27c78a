"""Calls of torch on a GPU as the timing core wants them: a row of one kernel's calls, or a whole network."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...networks import Network, TensorType
from ...networks.exporters._graph_module import Step, run_steps
from ...networks.exporters.weights import WeightSource
from ...networks.lowering import Kernel
from ...networks.lowering.cuda import element_type
from ...networks.lowering.torch_calls import strides_of
from ...networks.lowering.torch_eager import op_of
from ...networks.ops import BITS
from .._native import CallableRunnable, gpu
from ._base import Prepared
from .torch_replay import _module, all_finite, loaded_module
from .torch_tensors import contiguous

ROW_NS = 300_000
"""How long a row of calls is to take, at least, so that two events can measure it."""

MOST_CALLS = 5_000

_POSITIVE = frozenset({"sqrt", "pow", "div"})
_DISPATCHES = 9  # calls from which the median cost of a dispatch is taken


class GpuTorch:
    """Torch on one device, in one precision.

    Args:
        device: torch's name of it.
        precision: number format, "tf32" included.
        captured: calls are captured in a CUDA graph and replayed.
        clock: moved on by what the device took.
    """

    def __init__(self, device: str, precision: str, *, captured: bool, clock: gpu.DeviceClock) -> None:
        self._device, self._captured, self._clock = device, captured, clock
        self._dtype = getattr(torch, element_type(precision))
        self._generator = torch.Generator().manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def kernel(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        """A row of calls of ``kernel``, going round ``copies`` modules with weights of their own."""
        node, op, source = kernel.nodes[0], op_of(kernel), WeightSource(seed)
        strides = dict(zip(node.inputs, strides_of(node), strict=False))
        inputs = {name: self._random(t, strides.get(name), op.kind in _POSITIVE) for name, t in kernel.inputs}
        reads = tuple(name for name in node.inputs if name in inputs)
        modules = [_module(op, source, str(copy)).to(self._device) for copy in range(copies)]
        turns = [(Step(module, reads, node.outputs),) for module in modules]

        def call(turn: Any) -> Any:
            values: dict[str, Any] = dict(inputs)
            run_steps(turn, values)
            return [values[name] for name in node.outputs]

        calls = [lambda turn=turn: call(turn) for turn in turns]
        return self._prepared(calls, executions=None)

    def network(self, network: Network, seed: int) -> Prepared:
        """One call of the whole network."""
        module = loaded_module(network, seed).to(self._device)
        if self._dtype != torch.float32:
            module = module.to(self._dtype)
        inputs = [self._random(self._typed(type_), None, False) for _, type_ in network.inputs]
        return self._prepared([lambda: module(*inputs)], executions=1)

    def nothing(self) -> Prepared:
        """As little as can be captured: a function of one number."""
        x = torch.zeros(1, device=self._device)
        return self._prepared([lambda: torch.relu(x)], executions=1)

    def _prepared(self, calls: Sequence[Callable[[], Any]], executions: int | None) -> Prepared:
        """``calls`` in a row, each as often as the others.

        Args:
            calls: what one execution each is.
            executions: of the calls in all; None for as many as make the row long enough.
        """
        with torch.inference_mode():
            for call in calls[:2]:  # what is loaded or chosen on first use
                call()
            self._synchronize()
            if executions is None:
                once_ns = max(self._time(calls[0]), 1_000)
                repeats = max(1, min(-(-ROW_NS // (once_ns * len(calls))), MOST_CALLS // len(calls)))
            else:
                repeats = executions

        def row() -> None:
            for _ in range(repeats):
                for call in calls:
                    call()

        dispatch_ns = self._dispatch(calls[0])
        launch = self._capture(row) if self._captured else row

        def run() -> None:
            began = time.perf_counter_ns()
            with torch.inference_mode():
                device_ns = self._time(launch)
            self._clock.spent(time.perf_counter_ns() - began, device_ns)

        def finite() -> bool:
            with torch.inference_mode():
                return all_finite(calls[0]())

        return Prepared(
            CallableRunnable(run, self._clock.catch_up),
            repeats * len(calls),
            finite,
            {"run": 1} if executions is None else {},
            observed=lambda: {"dispatch_ns": dispatch_ns},
        )

    def _dispatch(self, call: Callable[[], Any]) -> int:
        """Median time that a call takes the host, in ns, the device left behind."""
        taken = []
        with torch.inference_mode():
            for _ in range(_DISPATCHES):
                self._synchronize()
                began = time.perf_counter_ns()
                call()
                taken.append(time.perf_counter_ns() - began)
            self._synchronize()
        return sorted(taken)[_DISPATCHES // 2]

    def _capture(self, row: Callable[[], None]) -> Callable[[], None]:
        """``row`` as a CUDA graph; warmed up on another stream before, as torch asks for."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            row()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            row()
        graph.replay()
        self._synchronize()
        return graph.replay

    def _time(self, work: Callable[[], Any]) -> int:
        """Device time of ``work`` between two events, in ns."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        work()
        end.record()
        end.synchronize()
        milliseconds: float = begin.elapsed_time(end)
        return round(milliseconds * 1e6)

    def _synchronize(self) -> None:
        torch.cuda.synchronize()

    def _typed(self, type_: TensorType) -> TensorType:
        dtype = str(self._dtype).removeprefix("torch.")
        assert dtype in BITS
        return TensorType(type_.shape, dtype) if type_.dtype == "float32" else type_

    def _random(self, type_: TensorType, strides: tuple[int, ...] | None, positive: bool) -> torch.Tensor:
        """A tensor of normal numbers; whole numbers are 0, an index that is always valid."""
        dtype = getattr(torch, type_.dtype)
        if not dtype.is_floating_point:
            return torch.zeros(type_.shape, dtype=dtype, device=self._device)
        drawn = torch.randn(type_.shape, generator=self._generator)
        drawn = drawn.abs() + 0.5 if positive else drawn
        placed = torch.empty_strided(type_.shape, strides or contiguous(type_.shape), dtype=dtype)
        return placed.copy_(drawn).to(self._device)
