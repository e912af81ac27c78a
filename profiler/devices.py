"""Devices: this machine under each runtime, the null device, and simulated hardware."""

from dataclasses import dataclass, field

from ..luts import Fingerprint
from ..luts.host import DEFAULT_CACHE, default_runtime, host_fingerprint
from ..networks.errors import MissingDependencyError, NotSupportedError, UnknownNameError, UsageError
from .runtimes import RuntimeInfo, runtime_class, runtime_classes
from .simulation import Simulator


@dataclass(frozen=True)
class Device:
    """Hardware under one runtime, precision and thread count.

    Attributes:
        name: what people call it.
        fingerprint: its identity; the key of its rows.
        simulator: what computes its rows; None for devices that are timed.
    """

    name: str
    fingerprint: Fingerprint
    simulator: Simulator | None = field(default=None, compare=False, repr=False)

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.fingerprint.runtime_name

    @property
    def threads(self) -> int:
        return self.fingerprint.threads

    @property
    def precision(self) -> str:
        """Number format that networks are run in."""
        return self.fingerprint.precision

    @property
    def cache(self) -> str:
        """What is in the caches when a kernel starts."""
        return str(dict(self.fingerprint.settings).get("cache", DEFAULT_CACHE))

    @property
    def in_sequence(self) -> bool:
        """Whether kernels are timed in the order of their network only (`Runtime.in_sequence`)."""
        return self.simulator is None and runtime_class(self.runtime).in_sequence

    @property
    def on_host(self) -> bool:
        """Whether this machine's processor is what is timed, so that other programs disturb it."""
        return self.kind == "real" and runtime_class(self.runtime).device == "host"

    @property
    def kind(self) -> str:
        """What stands behind it: "real", "simulated" or "null"."""
        return self.fingerprint.kind

    def __str__(self) -> str:
        plural = "s" if self.threads > 1 else ""
        cache = f", caches {self.cache}" * (self.cache != DEFAULT_CACHE)
        return f"{self.name} ({self.runtime}, {self.precision}, {self.threads} thread{plural}{cache})"


@dataclass(frozen=True)
class DeviceInfo:
    """A device that could be profiled here, and whether it can be now.

    Attributes:
        name: what to ask for.
        kind: "real", "null", or what is simulated: "sim-mcu", "sim-gpu", "sim-cpu".
        runtime: what runs networks on it.
        available: it can be used now.
        note: what it is, or what it lacks.
    """

    name: str
    kind: str
    runtime: str
    available: bool
    note: str


def runtimes() -> list[RuntimeInfo]:
    """Every runtime and whether it can be used here."""
    return [cls.info() for cls in runtime_classes().values()]


def devices() -> list[DeviceInfo]:
    """Every device that can be profiled from this machine, the usable ones first."""
    from .simulated import simulated_devices

    listed = []
    for info in runtimes():
        name = "null" if info.kind == "null" else runtime_class(info.name).device
        note = f"{info.note}, version {info.version}" if info.available else info.note
        listed.append(DeviceInfo(name, info.kind, info.name, info.available, note))
    listed += [DeviceInfo(*told) for told in simulated_devices()]
    return sorted(listed, key=lambda d: (not d.available, d.kind != "real", d.runtime != default_runtime()))


def resolve_device(
    name: str = "host",
    *,
    runtime: str | None = None,
    threads: int = 1,
    precision: str = "float32",
    cache: str = DEFAULT_CACHE,
    engine: str | None = None,
) -> Device:
    """The device called ``name``.

    Args:
        name: "host" for this machine, "cuda" for its NVIDIA GPU, "null", or what is simulated: the name of a board,
            GPU or CPU (``stm32f746``, ``h100_sxm``), one of a board with an engine (``stm32f746:tflm-like``), or the
            path of a device's YAML file.
        runtime: what runs the networks; None takes the best one installed.
        threads: how many threads it may use.
        precision: number format that networks are run in.
        cache: what is in the caches when a kernel starts: "warm", "cold-weights" (as in a network) or "cold-all".
        engine: of a board: "lean", "tflm-like", or the path of an ELF file; None for what the name says, or "lean".

    Raises:
        UnknownNameError: no such device, runtime or engine.
        UsageError: the runtime does not belong to the device or does not run in that precision, or a wrong number of
            threads.
        UnsupportedDtypeError: simulated hardware does not compute in that precision; lists those it does.
        MissingDependencyError: the runtime is not installed.
    """
    from .hardware import described_names
    from .simulated import is_simulated, simulated_device

    if is_simulated(name):
        return simulated_device(name, engine=engine, runtime=runtime, threads=threads, precision=precision)
    if name not in ("host", "cuda", "null"):
        raise UnknownNameError("device", name, ("host", "cuda", "null", *described_names()))
    if engine is not None:
        raise UsageError(f"device {name!r} has no engines", hint="leave --engine out, or name a board with --device")
    if name == "null":
        if runtime not in (None, "null"):
            raise UsageError(f"device 'null' has no runtime {runtime!r}", hint="leave --runtime out")
        runtime_class("null").check_precision(precision)
        return Device(name, host_fingerprint("null", threads=threads, precision=precision, cache=cache))
    runtime = runtime or ("cuda" if name == "cuda" else default_runtime())
    info = runtime_class(runtime).info()
    if info.kind == "null":
        raise UsageError(f"device {name!r} has no runtime 'null'", hint="use --device null")
    if runtime_class(runtime).device != name:
        right = runtime_class(runtime).device
        raise UsageError(f"device {name!r} has no runtime {runtime!r}", hint=f"use --device {right}")
    if not info.available:
        if name == "cuda":
            raise NotSupportedError(
                f"no GPU can be profiled here: {info.note}", hint="lutra doctor says what is missing"
            )
        raise MissingDependencyError(runtime, runtime_class(runtime).extra, f"runtime {runtime!r}")
    if threads > runtime_class(runtime).max_threads:
        most = runtime_class(runtime).max_threads
        raise UsageError(f"runtime {runtime!r} runs on {most} thread(s), not {threads}", hint=f"give --threads {most}")
    runtime_class(runtime).check_precision(precision)
    if cache == "warm" and runtime_class(runtime).in_sequence:
        raise UsageError(
            f"runtime {runtime!r} times kernels in the order of their network, where weights are never warm",
            hint="leave --cache out",
        )
    if name == "cuda":
        return _gpu_device(runtime, precision, cache)
    fingerprint = host_fingerprint(runtime, threads=threads, precision=precision, cache=cache, version=info.version)
    return Device(name, fingerprint)


def _gpu_device(runtime: str, precision: str, cache: str) -> Device:
    """The first GPU that the driver shows (``CUDA_VISIBLE_DEVICES`` chooses another)."""
    from .nvidia.discovery import gpu_fingerprint, gpu_report, require_precision

    report = gpu_report()
    require_precision(report, precision)
    version = runtime_class(runtime).device_version()
    return Device("cuda", gpu_fingerprint(report, runtime, version=version, precision=precision, cache=cache))
