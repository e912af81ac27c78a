"""Calls of torch on a GPU as the timing core wants them: a row of one kernel's calls, or a whole network."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...networks import Network, TensorType
from ...networks.errors import MeasurementError
from ...networks.exporters._graph_module import Step, run_steps
from ...networks.exporters.weights import WeightSource
from ...networks.lowering import Kernel
from ...networks.lowering.cuda import element_type
from ...networks.lowering.torch_calls import strides_of
from ...networks.lowering.torch_compile import refusals
from ...networks.lowering.torch_eager import ops_of
from ...networks.ops import BITS, Op
from .._native import CallableRunnable, gpu
from ._base import Prepared
from .torch_replay import _module, all_finite, loaded_module
from .torch_tensors import contiguous

ROW_NS = 300_000
"""How long a row of calls is to take, at least, so that two events can measure it."""

MOST_CALLS = 5_000

MOST_COMPILED = 100_000
"""Kernels that one process may compile; torch's own limit is for code that is compiled again by mistake."""

_POSITIVE = frozenset({"sqrt", "pow", "div"})
_DISPATCHES = 9  # calls from which the median cost of a dispatch is taken


class GpuTorch:
    """Torch on one device, in one precision.

    Args:
        device: torch's name of it.
        precision: number format, "tf32" included.
        captured: calls are captured in a CUDA graph and replayed.
        compiled: what is called went through torch.compile, all of it: what cannot is refused.
        clock: moved on by what the device took.
    """

    def __init__(
        self, device: str, precision: str, *, captured: bool, compiled: bool = False, clock: gpu.DeviceClock
    ) -> None:
        self._device, self._captured, self._compiled, self._clock = device, captured, compiled, clock
        self._dtype = getattr(torch, element_type(precision))
        self._generator = torch.Generator().manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def kernel(self, kernel: Kernel, copies: int, seed: int) -> Prepared:
        """A row of calls of ``kernel``, going round ``copies`` modules with weights of their own.

        Raises:
            MeasurementError: it does not fit into the GPU's memory; says how much was asked for.
            UnsupportedOpError: torch cannot compile it.
        """
        with self._watched():
            inputs = self._inputs(kernel)
            source, ops = WeightSource(seed), ops_of(kernel)
            pieces = [Piece(kernel, ops, source, str(copy)).to(self._device) for copy in range(copies)]
            return self._prepared([self._call(piece, inputs) for piece in pieces], executions=None)

    def network(self, network: Network, seed: int) -> Prepared:
        """One call of the whole network. Raises as `kernel`."""
        with self._watched():
            module: Any = loaded_module(network, seed).to(self._device)
            if self._dtype != torch.float32:
                module = module.to(self._dtype)
            inputs = [self._random(self._typed(type_), None, False) for _, type_ in network.inputs]
            called = _compiled(module) if self._compiled else module
            return self._prepared([lambda: called(*inputs)], executions=1)

    def nothing(self) -> Prepared:
        """As little as can be captured: a function of one number."""
        x = torch.zeros(1, device=self._device)
        return self._prepared([lambda: torch.relu(x)], executions=1)

    def _inputs(self, kernel: Kernel) -> dict[str, torch.Tensor]:
        """Random tensors for the inputs of ``kernel``, as its nodes find them in memory."""
        strides = {
            name: found for node in kernel.nodes for name, found in zip(node.inputs, strides_of(node), strict=False)
        }
        positive = any(node.op in _POSITIVE for node in kernel.nodes)
        return {name: self._random(type_, strides[name], positive) for name, type_ in kernel.inputs}

    def _call(self, piece: "Piece", inputs: Mapping[str, torch.Tensor]) -> Callable[[], Any]:
        """One execution of a kernel."""
        if not self._compiled:
            return lambda: piece.run(inputs)
        called, given = _compiled(piece), list(inputs.values())
        return lambda: called(*given)

    def _prepared(self, calls: Sequence[Callable[[], Any]], executions: int | None) -> Prepared:
        """``calls`` in a row, each as often as the others.

        Args:
            calls: what one execution each is.
            executions: of the calls in all; None for as many as make the row long enough.
        """
        self._warm_up(calls)
        with torch.inference_mode():
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
            with torch.inference_mode(), self._watched():
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

    def _warm_up(self, calls: Sequence[Callable[[], Any]]) -> None:
        """What is loaded, chosen or compiled on first use; never part of a sample."""
        with torch.inference_mode():
            if self._compiled:
                limits = torch._dynamo.config.patch(
                    recompile_limit=MOST_COMPILED, accumulated_recompile_limit=MOST_COMPILED
                )
                with limits, refusals():
                    for call in calls:
                        call()
            for call in calls[:2]:
                call()
        self._synchronize()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Torch's errors, told apart: memory that is missing, a GPU that is gone, and everything else.

        Raises:
            MeasurementError: out of memory, with the sizes in torch's words.
            gpu.GpuLost: nothing more will run in this process.
        """
        try:
            yield
        except torch.OutOfMemoryError as error:
            self._free()
            raise MeasurementError(f"out of GPU memory: {_first_sentences(error)}") from None
        except RuntimeError as error:
            if isinstance(error, gpu.GpuLost):
                raise
            try:  # what is broken for good fails again
                self._synchronize()
            except RuntimeError:
                raise gpu.GpuLost(f"the GPU is lost: {_first_sentences(error)}") from None
            raise

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

    def _free(self) -> None:
        """Give back what torch keeps for later, so that the next kernel finds it."""
        torch.cuda.empty_cache()

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


class Piece(nn.Module):
    """The nodes of one kernel, with weights of their own.

    Args:
        kernel: what it computes.
        ops: of the catalogue, one a node.
        source: of its weights.
        key: tells its weights from those of other copies.
    """

    def __init__(self, kernel: Kernel, ops: Sequence[Op], source: WeightSource, key: str) -> None:
        super().__init__()
        self._parts = nn.ModuleList(_module(op, source, f"{key}.{i}") for i, op in enumerate(ops))
        stored = dict(kernel.constants)
        self._steps = tuple(
            Step(module, tuple(name for name in node.inputs if name not in stored), node.outputs)
            for module, node in zip(self._parts, kernel.nodes, strict=True)
        )
        self._reads = tuple(name for name, _ in kernel.inputs)
        self._makes = tuple(name for name, _ in kernel.outputs)

    def run(self, inputs: Mapping[str, torch.Tensor]) -> list[Any]:
        """Its outputs for inputs by name."""
        values: dict[str, Any] = dict(inputs)
        run_steps(self._steps, values)
        return [values[name] for name in self._makes]

    def forward(self, *inputs: torch.Tensor) -> list[Any]:
        """Its outputs for inputs in the kernel's order."""
        return self.run(dict(zip(self._reads, inputs, strict=True)))


def _compiled(module: nn.Module) -> Callable[..., Any]:
    """Compiled on its first call: for these shapes only, and whole, or not at all."""
    called: Callable[..., Any] = torch.compile(module, fullgraph=True, dynamic=False)
    return called


def _first_sentences(error: Exception) -> str:
    """The beginning of what torch says; advice on its settings follows."""
    return " ".join(str(error).split())[:240]
