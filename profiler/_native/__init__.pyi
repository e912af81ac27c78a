"""Compiled timing core and the runtimes it drives (built from csrc/).

Times are integer nanoseconds. Errors: `RuntimeError` with the cause for a runtime that cannot be loaded or
refuses a model, `ValueError` and `TypeError` for arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import cpu_sim as cpu_sim
from . import gpu as gpu
from . import gpu_sim as gpu_sim
from . import mcu as mcu

# --- clocks ---------------------------------------------------------------------------------------------------

class ClockCalibration:
    @property
    def resolution_ns(self) -> int:
        """Smallest step seen between two successive readings of the wall clock."""
    @property
    def overhead_ns(self) -> int:
        """Wall time that an empty sample shows."""
    @property
    def cpu_overhead_ns(self) -> int:
        """Thread-CPU time that an empty sample shows."""
    @property
    def min_sample_ns(self) -> int:
        """How long a sample must be so that the clock matters little: 1000 resolutions and 100 overheads."""

def calibrate_clock() -> ClockCalibration:
    """Measures the machine's clocks; takes well under a millisecond."""

class Clock:
    """Where a measurement takes its time from."""

class FakeClock(Clock):
    """A clock that moves only when told to, so that a measurement takes no time and is exact."""

    def __init__(self, *, tick_ns: int = 0) -> None:
        """`tick_ns` is what each reading of the wall clock costs."""
    def advance(self, ns: int) -> None: ...
    @property
    def now_ns(self) -> int: ...

# --- what can be timed ----------------------------------------------------------------------------------------

class Runnable:
    """Base of everything that can be timed."""

    def run(self) -> None:
        """One execution, as a measurement does it."""

    def before(self) -> None:
        """Untimed work in front of each sample; nothing for most."""

class Fatal(RuntimeError):  # noqa: N818 - a state, in the words of its message
    """What raises it will never run again in this process: a measurement ends, instead of noting a failed entry."""

class CallableRunnable(Runnable):
    """Times the Python callable `run`; `before` is called, untimed, in front of each sample.

    Taking the GIL is part of the sample: time an empty callable as well to know how much that is.
    """

    def __init__(self, run: Callable[[], object], before: Callable[[], object] | None = None) -> None: ...

class NullRunnable(Runnable):
    """Computes nothing; each run moves its clock by `duration_ns` and up to `jitter` (a share) more."""

    def __init__(self, clock: FakeClock, duration_ns: int, *, jitter: float = 0.0, seed: int = 0) -> None: ...

class Scrubber:
    """A buffer of `size` bytes that `scrub` writes through, to push everything else out of the caches."""

    def __init__(self, size: int) -> None: ...
    def scrub(self) -> None: ...

class ScrubbedRunnable(Runnable):
    """`inner` with cold caches: `scrubber` passes, untimed, in front of each sample."""

    def __init__(self, inner: Runnable, scrubber: Scrubber) -> None: ...

class ComputeReference(Runnable):
    """Fixed multiply-add work on registers: follows the clock frequency."""

    def __init__(self) -> None: ...

class MemoryReference(Runnable):
    """Reads the next 4 MiB of 64, over and over: follows the speed of memory or of a very large last cache."""

    def __init__(self) -> None: ...

# --- measuring ------------------------------------------------------------------------------------------------

class Series:
    """Samples of one entry in the order they were taken; all arrays have the same length."""

    @property
    def batch(self) -> int:
        """Executions in each sample; `wall_ns / batch` is the time of one."""
    def __len__(self) -> int: ...
    @property
    def start_ns(self) -> NDArray[np.int64]:
        """Since the start of the measurement."""
    @property
    def wall_ns(self) -> NDArray[np.int64]:
        """Wall time of the whole batch."""
    @property
    def cpu_ns(self) -> NDArray[np.int64]:
        """CPU time of the measuring thread for the whole batch; other threads' work is not in it."""
    @property
    def involuntary_switches(self) -> NDArray[np.int64]: ...
    @property
    def minor_faults(self) -> NDArray[np.int64]: ...
    @property
    def cpu(self) -> NDArray[np.int64]:
        """Logical CPU at the end of the sample; -1 where it cannot be known."""
    @property
    def round(self) -> NDArray[np.int64]: ...

class EntryResult:
    @property
    def samples(self) -> Series: ...
    @property
    def converged(self) -> bool: ...
    @property
    def halfwidth(self) -> float:
        """Relative half-width of the 95 % interval of p25; NaN with fewer than two rounds."""
    @property
    def error(self) -> str | None:
        """Why the entry was given up: what its run raised. Samples taken before are kept."""

class Measured:
    @property
    def entries(self) -> list[EntryResult]:
        """In the order of the entries given."""
    @property
    def compute_reference(self) -> Series: ...
    @property
    def memory_reference(self) -> Series: ...
    @property
    def clock(self) -> ClockCalibration: ...
    @property
    def rounds(self) -> int:
        """Rounds begun."""
    @property
    def elapsed_s(self) -> float: ...
    @property
    def interrupted(self) -> bool:
        """The cancel flag ended it; what was measured until then is here."""
    @property
    def out_of_time(self) -> bool:
        """The time budget ended it before every entry had converged."""

class CancelFlag:
    """Ends a measurement from a signal handler or another thread."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def is_set(self) -> bool: ...

def measure_interleaved(
    entries: Sequence[Runnable],
    *,
    min_rounds: int = 8,
    max_rounds: int = 64,
    samples_per_visit: int = 3,
    warmup_runs: int = 3,
    time_budget_s: float = ...,
    target_halfwidth: float = 0.02,
    metric: Literal["wall", "cpu"] = "wall",
    min_sample_ns: int = 0,
    reference_interval_s: float = 0.1,
    every_round: Sequence[int] = (),
    sequences: Sequence[Sequence[int]] = (),
    seed: int,
    progress: Callable[[int, int, int, int, float], Any] | None = None,
    cancel: CancelFlag | None = None,
    clock: Clock | None = None,
    references: tuple[Runnable, Runnable] | None = None,
) -> Measured:
    """Times all entries against each other, in rounds of random order, with the GIL released.

    Each entry is warmed up and given a batch size; then every round visits all entries that have not converged
    and the two references (at each round's start and at least every `reference_interval_s`). An entry has
    converged after `min_rounds` once the relative half-width of the bootstrap interval of p25 over rounds is
    below `target_halfwidth` (0: never), judged by wall or thread-CPU time. The time budget (default: none) is
    looked at between entries once `min_rounds` are complete. `min_sample_ns=0` takes what the clock asks for.
    Entries whose indices are in `every_round` are visited in every one, converged or not, while others need more.
    Entries in one of `sequences` are run in that very order (an index may come several times), one sample of a single
    execution each; the sequence takes one place in the random order, and goes on until all in it are converged.

    `progress(converged, entries, current, round, seconds)` is called at most five times a second, between entries;
    signal handlers run there as well. What it raises ends the measurement. With `clock`, time is that
    clock's; under a fake one the references are fakes of 0.1 and 1 ms. `references` takes the place of the two.

    Raises `ValueError` for an option out of range.
    """

# --- statistics -----------------------------------------------------------------------------------------------

class TukeyCounts:
    """Values inside Tukey's fences, and mildly (1.5 IQR) or severely (3 IQR) outside of them."""

    @property
    def low_severe(self) -> int: ...
    @property
    def low_mild(self) -> int: ...
    @property
    def inside(self) -> int: ...
    @property
    def high_mild(self) -> int: ...
    @property
    def high_severe(self) -> int: ...

class Summary:
    """Figures of one series; NaN where there is no value."""

    @property
    def count(self) -> int: ...
    @property
    def min(self) -> float: ...
    @property
    def p10(self) -> float: ...
    @property
    def p25(self) -> float: ...
    @property
    def median(self) -> float: ...
    @property
    def p75(self) -> float: ...
    @property
    def p90(self) -> float: ...
    @property
    def max(self) -> float: ...
    @property
    def mean(self) -> float: ...
    @property
    def iqr(self) -> float: ...
    @property
    def mdape(self) -> float: ...
    @property
    def outliers(self) -> TukeyCounts: ...

class Interval:
    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def relative_halfwidth(self) -> float: ...

def quantile(values: ArrayLike, q: float) -> float:
    """Linear interpolation between order statistics (numpy's default); NaN without values."""

def mdape(values: ArrayLike) -> float:
    """Median absolute percent error around the median, as a fraction."""

def summarize(values: ArrayLike) -> Summary: ...
def bootstrap_interval(
    values: ArrayLike,
    rounds: ArrayLike,
    *,
    q: float = 0.25,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile-bootstrap interval of a quantile, drawing whole rounds; NaN bounds below two rounds."""

# --- ONNX Runtime ---------------------------------------------------------------------------------------------

class OrtLibrary:
    """The shared library of an installed onnxruntime, 1.17 or newer. It is never unloaded."""

    def __init__(self, path: str) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> str: ...

class OrtEnvironment:
    """Threads and memory arena that all sessions share.

    One thread count per process: while one environment lives, another with the same count is the same one,
    and another count is refused with `RuntimeError`.
    """

    def __init__(self, library: OrtLibrary, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...
    def session(
        self,
        model: bytes,
        *,
        optimize: bool,
        inputs: Mapping[str, NDArray[Any]] = ...,
        seed: int = 0,
        config: Mapping[str, str] = ...,
    ) -> OrtSession:
        """Loads a serialised ONNX model, binds inputs and outputs, and runs it once.

        Inputs are copied. Those not given are filled with seeded values of mean 0 and variance 1 if they are
        float32 or float64 of a static shape; any other must be given. `optimize=False` runs the graph as it
        is. `config` holds session configuration entries by ONNX Runtime's own keys.

        Raises `ValueError` for inputs that the model lacks or that must be given, `RuntimeError` for a model
        that ONNX Runtime refuses.
        """

class OrtSession(Runnable):
    @property
    def input_names(self) -> list[str]: ...
    @property
    def output_names(self) -> list[str]: ...
    def outputs(self) -> dict[str, NDArray[Any]]:
        """Copies of what the last run left."""
    def outputs_finite(self) -> bool:
        """Whether no output holds an infinity or NaN."""

# --- oneDNN ---------------------------------------------------------------------------------------------------

class OneDnnLibrary:
    """The shared library of an installed oneDNN, version 3, with OpenMP. It is never unloaded."""

    def __init__(self, path: str) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> str: ...

class OneDnnEnvironment:
    """The CPU as oneDNN sees it, with a number of threads."""

    def __init__(self, library: OneDnnLibrary, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...
    def program(
        self,
        tensors: Sequence[tuple[str, Sequence[int], str, str]],
        steps: Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]],
        *,
        copies: int = 1,
        seed: int = 0,
    ) -> OneDnnProgram:
        """Tensors are (name, shape, layout, role), all float32; layouts are "plain", "channels_last", "blocked8" and
        "blocked16", roles those of `CpuProgram`. Steps are (primitive, inputs, outputs, attributes), inputs in the
        order activations, weights, bias, residual.

        Raises `ValueError`, naming the primitive and its shapes, for what oneDNN does not implement.
        """

class OneDnnProgram(Runnable):
    """A list of oneDNN primitives, ready to run; see `CpuProgram` for copies and random content."""

    def set_input(self, name: str, values: ArrayLike) -> None:
        """Content row by row, whatever the layout of the tensor."""
    def set_constant(self, name: str, values: ArrayLike) -> None:
        """Gives all copies this content, row by row."""
    def output(self, name: str) -> NDArray[np.float32]:
        """A copy of an output, row by row."""
    @property
    def copies(self) -> int: ...
    @property
    def implementations(self) -> list[str]:
        """What oneDNN calls the implementation of each primitive, in order ("brgconv:avx2")."""

# --- XNNPACK ---------------------------------------------------------------------------------------------------

class XnnLibrary:
    """A shared library that exports XNNPACK's C interface. It is never unloaded."""

    def __init__(self, path: str) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def build(self) -> str:
        """Hex digits that tell builds of its kernels apart; "" where it does not say."""

class XnnEnvironment:
    """The threads that sessions share: the caller's alone, or one pool."""

    def __init__(self, library: XnnLibrary, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...
    def session(
        self,
        values: Sequence[tuple[str, Sequence[int], str]],
        nodes: Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]],
        *,
        contents: Mapping[str, ArrayLike],
        memory_of_outputs: Mapping[str, str] = ...,
    ) -> XnnSession:
        """Builds a graph in float32, packs its weights and runs it once.

        Values are (name, shape in memory order, "input" | "output" | "constant" | "internal"); nodes are (operator by
        its name behind ``xnn_define_``, inputs, outputs, attributes). Every input and constant needs its content,
        which is copied. Outputs that `memory_of_outputs` gives the same text share memory.

        Raises `ValueError` for a graph that does not hang together, `RuntimeError` with XNNPACK's status for one that
        it refuses.
        """

class XnnSession(Runnable):
    def outputs(self) -> dict[str, NDArray[np.float32]]:
        """Copies of what the last run left; outputs that share memory show what the last of them wrote."""
    def outputs_finite(self) -> bool:
        """Whether no output holds an infinity or NaN."""

def xnn_operators() -> list[str]:
    """Operators that `XnnEnvironment.session` knows how to define."""

# --- our own kernels ------------------------------------------------------------------------------------------

class CpuProgram(Runnable):
    """A list of operations of the op catalogue, in float32 on one thread, ready to run.

    One run executes all steps once per copy; each copy has constants of its own, with distinct content. Inputs and
    constants are random until they are set. Running allocates nothing.
    """

    def __init__(
        self,
        tensors: Sequence[tuple[str, Sequence[int], str, str]],
        steps: Sequence[tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]],
        *,
        copies: int = 1,
        seed: int = 0,
        isa: str | None = None,
    ) -> None:
        """Tensors are (name, shape, "float32" | "int64", "input" | "constant" | "intermediate" | "output"); steps are
        (op, inputs, outputs, attributes), with the inputs of an op first, then its weights, then a residual.

        Raises `ValueError`, naming the step and what is expected, for whatever does not fit.
        """
    def run_reference(self) -> None:
        """One execution by naive twins of the kernels, with the constants of the last copy."""
    def set_input(self, name: str, values: ArrayLike) -> None: ...
    def set_constant(self, name: str, values: ArrayLike) -> None:
        """Gives all copies this content."""
    def output(self, name: str) -> NDArray[Any]:
        """A copy of an output."""
    @property
    def copies(self) -> int: ...
    @property
    def peak_bytes(self) -> int:
        """Everything the program holds: constants of all copies, activations, workspace."""
    @property
    def activation_bytes(self) -> int: ...

def supported_ops() -> list[str]:
    """Ops that `CpuProgram` has kernels for."""

def isa_name() -> str:
    """Instruction set that kernels use on this machine: "avx512", "avx2", "sse2", "neon" or "generic"."""

def available_isas() -> list[str]:
    """Instruction sets this machine has kernels for, the best last."""
