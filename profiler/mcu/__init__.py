"""Microcontrollers: boards as data, int8 firmware, and latencies from running the firmware's machine code."""

if __name__ != "lutra.profiler.mcu":
    raise ImportError("import lutra.profiler.mcu, not mcu")
