"""How fast the microcontroller simulators are: instructions a second with the timing of each core, beside unicorn.

Both execute the shipped int8 kernels on the same operands, in turns, in one process and on one thread. unicorn alone
knows no cycles: what a timing model would need of it is a call for every instruction and every access to memory. Here
these calls go to a C function that does nothing, so that its figure is what a timing model built on it cannot reach.
"""

import ctypes
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from lutra.profiler import _native
from lutra.profiler.mcu import entry, image
from lutra.profiler.mcu.geometry import Geometry, convolution, fully_connected
from lutra.profiler.mcu.operands import random_operands

from ._results import Figure, Spread, spread

ROUNDS = 7
GOALS = {"cortex-m4": 90.0, "cortex-m7": 60.0, "rv32imc": None}
_CYCLE_LIMIT = 10**10
_KIB = 1024

BOARDS: dict[str, dict[str, Any]] = {
    "cortex-m4": {  # an STM32F446
        "flash": {
            "base": 0x08000000, "size": 512 * _KIB, "wait_states": 5, "line_bytes": 16,
            "i_lines": 64, "d_lines": 8, "prefetch": True,
        },
        "ram": [{"base": 0x20000000, "size": 128 * _KIB}],
    },
    "cortex-m7": {  # an STM32F746
        "flash": {"base": 0x08000000, "size": 1024 * _KIB, "wait_states": 7, "line_bytes": 32},
        "ram": [{"base": 0x20010000, "size": 256 * _KIB}],
        "icache": {"bytes": 4 * _KIB, "ways": 2},
        "dcache": {"bytes": 4 * _KIB, "ways": 4},
    },
    "rv32imc": {  # an ESP32-C3
        "flash": {"base": 0x42000000, "size": 1024 * _KIB, "wait_states": 347, "line_bytes": 32},
        "ram": [{"base": 0x3FC80000, "size": 400 * _KIB}],
        "icache": {"bytes": 16 * _KIB, "ways": 8},
    },
}  # fmt: skip

OPS: tuple[Geometry, ...] = (
    convolution("conv2d", (16, 16, 24), 32, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    convolution("pointwise", (20, 20, 48), 96),
    convolution("depthwise", (20, 20, 96), 96, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    fully_connected(1024, 64),
)


@dataclass(frozen=True)
class _Job:
    """An op in the memory of a simulated machine; `run` calls it and gives the number of instructions."""

    machine: Any
    placed: entry.Placed

    def run(self) -> int:
        report = self.machine.call(self.placed.symbol, self.placed.block, cycle_limit=_CYCLE_LIMIT)
        return int(report["instructions"])


def measure() -> dict[str, Any]:
    """Seconds of thread CPU time for all of OPS in each round, and their instructions; about a minute."""
    return {core: _measure_core(core) for core in BOARDS}


def _measure_core(core: str) -> dict[str, Any]:
    jobs = [_job(core, op) for op in OPS]
    instructions = sum(job.run() for job in jobs)
    tasks: dict[str, Callable[[], Any]] = {"lutra": lambda: [job.run() for job in jobs]}
    if find_spec("unicorn"):
        tasks["unicorn"] = partial(_run_all, [_Peer(core, job) for job in jobs])
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(ROUNDS + 1):
        for name, task in tasks.items():
            start = time.thread_time()
            task()
            if turn:
                times[name].append(time.thread_time() - start)
    return {"instructions": instructions, "times": times}


def _job(core: str, op: Geometry) -> _Job:
    flash, ram = BOARDS[core]["flash"], BOARDS[core]["ram"]
    elf = image.moved(image.shipped_image(core), flash["base"])
    machine = _native.mcu.Machine(elf, {"core": core, **BOARDS[core]})
    memory = entry.MemoryMap.behind(
        image.extent(elf)[1],
        entry.Region(flash["base"], flash["size"]),
        [entry.Region(region["base"], region["size"]) for region in ram],
    )
    placed = entry.place(op, random_operands(op, np.random.default_rng(0)), memory)
    for address, data in placed.writes:
        machine.write(address, data)
    return _Job(machine, placed)


def _run_all(peers: list["_Peer"]) -> None:
    for peer in peers:
        peer.run()


class _Peer:
    """unicorn with the memory of a job, and a hook on every instruction, load and store.

    Raises:
        AssertionError: it computes something else.
    """

    def __init__(self, core: str, job: _Job) -> None:
        self._unicorn = import_module("unicorn")
        self._job = job
        self._uc = self._engine(core)
        flash, ram = BOARDS[core]["flash"], BOARDS[core]["ram"][0]
        for region in (flash, ram):
            self._uc.mem_map(region["base"], region["size"])
            self._uc.mem_write(region["base"], job.machine.read(region["base"], region["size"]))
        self._ram = ram
        self._end = flash["base"] + flash["size"] - 4  # erased flash, to which the function returns
        self._function = job.machine.symbols[job.placed.symbol]
        self._hook()
        self.run()
        job.run()
        if self._uc.mem_read(ram["base"], ram["size"] // 2) != job.machine.read(ram["base"], ram["size"] // 2):
            raise AssertionError(f"unicorn computes another {job.placed.symbol}")

    def _engine(self, core: str) -> Any:
        unicorn = self._unicorn
        if core == "rv32imc":
            self._registers = _registers("riscv", ("RA", "SP", "A0"))
            return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        constants = import_module("unicorn.arm_const")
        self._registers = _registers("arm", ("LR", "SP", "R0"))
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(getattr(constants, f"UC_CPU_ARM_{core.upper().replace('-', '_')}"))
        return uc

    def _hook(self) -> None:
        # Through the C interface: a hook in Python would take longer than the instruction.
        library = import_module("unicorn.unicorn_py3.unicorn").uclib
        nothing = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p)
        for kind in (self._unicorn.UC_HOOK_CODE, self._unicorn.UC_HOOK_MEM_READ, self._unicorn.UC_HOOK_MEM_WRITE):
            handle = ctypes.c_size_t()
            everywhere = (ctypes.c_uint64(1), ctypes.c_uint64(0))
            if library.uc_hook_add(self._uc._uch, ctypes.byref(handle), kind, nothing, None, *everywhere):
                raise AssertionError("unicorn refuses a hook")

    def run(self) -> None:
        link, stack, argument = self._registers
        thumb = self._function & 1
        self._uc.reg_write(link, self._end | thumb)
        self._uc.reg_write(stack, self._ram["base"] + self._ram["size"])
        self._uc.reg_write(argument, self._job.placed.block)
        self._uc.emu_start(self._function, self._end)


def _registers(architecture: str, names: tuple[str, str, str]) -> tuple[int, int, int]:
    constants = import_module(f"unicorn.{architecture}_const")
    link, stack, argument = (getattr(constants, f"UC_{architecture.upper()}_REG_{name}") for name in names)
    return link, stack, argument


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of what `measure` has found."""
    return [figure for core in BOARDS for figure in _figures_of_core(core, found[core], command)]


def _figures_of_core(core: str, found: Mapping[str, Any], command: str) -> Iterator[Figure]:
    name = core.removeprefix("cortex-")
    instructions, times = found["instructions"], found["times"]
    protocol = (
        f"{instructions / 1e6:.3g} million instructions of the shipped kernels with the timing of {core}, one thread; "
        f"{ROUNDS} rounds in turns, thread CPU time"
    )
    ours = _rate(instructions, times["lutra"])
    beside = ""
    if "unicorn" in times:
        peer = _rate(instructions, times["unicorn"])
        beside = (
            f"; unicorn, calling a C function that does nothing for each instruction, load and store, {peer.median:.3g}"
        )
    yield Figure(
        figure=f"{name}_minstr_per_s",
        value=ours.median,
        unit="million/s",
        goal=GOALS[core],
        better="higher",
        peer="unicorn" if beside else "",
        protocol=f"{protocol}{beside}: {ours}.",
        command=command,
    )


def _rate(instructions: int, seconds: list[float]) -> Spread:
    return spread([instructions / 1e6 / value for value in seconds])
