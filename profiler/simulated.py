"""Simulated devices: from the name of hardware, or its file, to something that computes rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..networks.errors import UsageError
from ..networks.lowering.mcu import RUNTIME as MCU
from ..networks.lowering.sim_cpu import RUNTIME as SIM_CPU
from .descriptions import CALIBRATION_SUFFIX
from .hardware import families, family_of, is_described

if TYPE_CHECKING:
    from .devices import Device

ENGINE_MARK: Final = ":"
"""Stands between a board and an engine in the name of a device, such as ``stm32f746:tflm-like``."""

KINDS: Final = {"board": ("sim-mcu", MCU), "gpu": ("sim-gpu", "cuda"), "cpu": ("sim-cpu", SIM_CPU)}
"""By ``kind`` of a file: what devices of it are called, and whose kernels they run."""


def simulated_devices() -> Iterator[tuple[str, str, str, bool, str]]:
    """Every simulated device: name, kind, runtime, that it can be used, and what it is.

    Raises:
        UsageError: a file of the user's describes nothing possible.
    """
    for kind, family in families().items():
        called, runtime = KINDS[kind]
        for name, hardware in family.all().items():
            yield name, called, runtime, True, hardware.note


def device_kind(device: "Device") -> str:
    """What `lutra.profiler.devices` calls the kind of a device."""
    kinds = {runtime: called for called, runtime in KINDS.values()}
    return kinds.get(device.runtime, device.kind) if device.kind == "simulated" else device.kind


def is_simulated(name: str) -> bool:
    """Whether a device's name means hardware that is simulated."""
    return is_described(name.partition(ENGINE_MARK)[0])


def simulated_device(
    name: str,
    *,
    engine: str | None = None,
    runtime: str | None = None,
    threads: int = 1,
    precision: str = "float32",
) -> "Device":
    """The device that a name, or the path of a YAML file, stands for; the arguments are those of `resolve_device`.

    Raises:
        UnknownNameError: no such hardware or engine.
        UsageError: the file describes nothing possible; the runtime, engine or threads do not belong to it.
        UnsupportedDtypeError: it does not compute in that precision.
    """
    family = family_of(name.partition(ENGINE_MARK)[0])
    _, expected = KINDS[family.kind]
    if runtime not in (None, expected):
        raise UsageError(f"{name} is simulated with the kernels of {expected!r}", hint="leave --runtime out")
    if family.kind == "board":
        return _board(name, engine, threads)
    if engine is not None or ENGINE_MARK in name:
        raise UsageError(f"device {name!r} has no engines", hint="leave the engine out, or name a board")
    return _analytic(name, family.kind, threads, precision)


def _board(name: str, engine: str | None, threads: int) -> "Device":
    """A board under an engine. Its networks are in int8, whatever precision is asked for."""
    from .devices import Device
    from .mcu.boards import board_of
    from .mcu.engines import DEFAULT, engine_of
    from .mcu.simulator import McuSimulator

    board_name, _, named = name.partition(ENGINE_MARK)
    if engine is not None and named not in ("", engine):
        raise UsageError(f"two engines for {board_name}: {named!r} and {engine!r}", hint="give one of them")
    if threads != 1:
        raise UsageError(f"a board runs {MCU!r} on 1 thread", hint="leave --threads out")
    board, chosen = board_of(board_name), engine_of(engine or named or DEFAULT)
    simulator = McuSimulator(board, chosen)
    full_name = board.name if chosen.name == DEFAULT else f"{board.name}{ENGINE_MARK}{chosen.name}"
    return Device(full_name, simulator.fingerprint, simulator)


def _analytic(name: str, kind: str, threads: int, precision: str) -> "Device":
    from .cpu_sim.device import CPUS
    from .cpu_sim.simulator import CpuSimulator
    from .devices import Device
    from .gpu_sim.calibration import Calibration
    from .gpu_sim.device import GPUS
    from .gpu_sim.simulator import GpuSimulator

    if kind == "cpu":
        cpu = CPUS.of(name)
        of_cpu = CpuSimulator(cpu, precision, threads)
        return Device(cpu.name, of_cpu.fingerprint, of_cpu)
    if threads != 1:
        raise UsageError(f"{name} is a GPU, which has no threads of a CPU", hint="leave --threads out")
    gpu = GPUS.of(name)
    beside = GPUS.path(name).with_suffix(CALIBRATION_SUFFIX)
    of_gpu = GpuSimulator(gpu, precision, calibration=Calibration.load(beside) if beside.exists() else None)
    return Device(gpu.name, of_gpu.fingerprint, of_gpu)
