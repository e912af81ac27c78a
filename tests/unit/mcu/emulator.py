"""unicorn, an independent emulator, as a board with the memory map of the tests' simulated ones."""

from typing import Any

import pytest

unicorn = pytest.importorskip("unicorn", reason="the emulator to compare with: pip install unicorn")
from unicorn import arm_const  # noqa: E402

FLASH_BASE, FLASH_BYTES = 0x08000000, 1 << 22
RAM_BASE, RAM_BYTES = 0x20000000, 1 << 20
STACK_TOP = RAM_BASE + RAM_BYTES
MODELS = {
    "cortex-m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
}


def board(core: str) -> dict[str, Any]:
    """The same memory for the simulator."""
    return {
        "core": core,
        "fpu": core in ("cortex-m4", "cortex-m33", "cortex-m7"),
        "flash": {"base": FLASH_BASE, "size": FLASH_BYTES},
        "ram": [{"base": RAM_BASE, "size": RAM_BYTES}],
    }


class Emulator:
    """A core with `code` at the start of flash."""

    def __init__(self, code: bytes, core: str = "cortex-m4") -> None:
        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._engine.ctl_set_cpu_model(MODELS[core])
        self._engine.mem_map(FLASH_BASE, FLASH_BYTES)
        self._engine.mem_map(RAM_BASE, RAM_BYTES)
        self._stop = FLASH_BASE + FLASH_BYTES - 16  # where calls return to
        self.write(FLASH_BASE, code)

    def write(self, address: int, content: bytes) -> None:
        self._engine.mem_write(address, content)

    def read(self, address: int, count: int) -> bytes:
        return bytes(self._engine.mem_read(address, count))

    def call(self, function: int, argument: int) -> int:
        """Runs a function to its return; gives r0."""
        engine = self._engine
        engine.reg_write(arm_const.UC_ARM_REG_SP, STACK_TOP)
        engine.reg_write(arm_const.UC_ARM_REG_LR, self._stop | 1)
        engine.reg_write(arm_const.UC_ARM_REG_R0, argument)
        engine.emu_start(function | 1, self._stop)
        assert engine.reg_read(arm_const.UC_ARM_REG_PC) == self._stop, "the program did not return"
        return int(engine.reg_read(arm_const.UC_ARM_REG_R0))
