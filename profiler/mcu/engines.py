"""Engines: how the layers of a network are called, which depthwise kernel they use, and what they take of memory.

Both built-in engines run Lutra's own kernels. "lean" stands for compilers that generate straight code with depthwise
convolutions in place, as TinyEngine does; "tflm-like" for an interpreter that walks a description of the network, as
TensorFlow Lite for Microcontrollers does. A user's own ELF file is an engine too (`engine_of_file`).

The rules of memory are those of the engines as they are deployed. TinyEngine's and TFLM's measured figures on an
STM32H743 (github.com/mit-han-lab/tinyengine, README) are what constants marked as fitted were fitted on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ...networks.errors import UnknownNameError, UsageError
from ...networks.lowering import Kernel
from ...networks.lowering.mcu import weights_of
from .sizes import columns_bytes, padded_channel_bytes, taps_of

Scratch = Callable[[Sequence[Kernel]], int]
"""Bytes of the buffers that all layers share."""


@dataclass(frozen=True)
class Engine:
    """One way of running a network.

    Attributes:
        name: what to ask for.
        note: what it is.
        inplace_depthwise: depthwise convolutions overwrite their input.
        specialised: it has kernels of their own for the first layer, for 3x3 windows and for depthwise in place.
        layer_cycles: what calling a layer costs beside its kernel, in cycles.
        run_cycles: what an inference costs beside its layers, in cycles.
        scratch_bytes: buffers beside the arena.
        ram_bytes, layer_ram_bytes: RAM of the engine itself, and for each layer.
        channel_bytes: flash for the bias and the scale of a channel.
        code_bytes, layer_flash_bytes: flash of the program, and for each layer.
        elf: a user's own program; None for the firmware that comes with Lutra.
    """

    name: str
    note: str
    inplace_depthwise: bool
    specialised: bool
    layer_cycles: int
    run_cycles: int
    scratch_bytes: Scratch
    ram_bytes: int
    layer_ram_bytes: int
    channel_bytes: int
    code_bytes: int
    layer_flash_bytes: int
    elf: bytes | None = None


def _lean_scratch(kernels: Sequence[Kernel]) -> int:
    """What TinyEngine's generator allocates, read from headers that it generated (``SBuffer_size``, ``KBuffer_size``).

    One buffer for all layers: a padded channel in 16 bits for a depthwise convolution, two columns in 16 bits for
    others. Another for the first convolution's weights in 16 bits.
    """
    shared = [2 * padded_channel_bytes(k) for k in kernels if k.nodes[0].op == "depthwise"]
    shared += [columns_bytes(k) for k in kernels if k.nodes[0].op in ("conv2d", "pointwise")]
    first = next((2 * weights_of(k) for k in kernels if k.nodes[0].op == "conv2d"), 0)
    return max(shared, default=0) + first


def _columns_scratch(kernels: Sequence[Kernel]) -> int:
    """What CMSIS-NN asks for: two columns of a convolution, a window of all channels of a depthwise one, in 16 bits."""
    needs = [columns_bytes(k) for k in kernels if k.nodes[0].op in ("conv2d", "pointwise", "grouped_conv2d")]
    needs += [2 * taps_of(k) * k.outputs[0][1].shape[-1] for k in kernels if k.nodes[0].op == "depthwise"]
    return max(needs, default=0)


LEAN: Final = Engine(
    name="lean",
    note="generated code, depthwise convolutions in place (as TinyEngine)",
    inplace_depthwise=True,
    specialised=True,
    layer_cycles=60,  # our estimate: a call with its argument block of 32 words
    run_cycles=0,
    scratch_bytes=_lean_scratch,
    ram_bytes=0,
    layer_ram_bytes=0,
    channel_bytes=8,  # a bias and a float scale; sizes of generated models follow to the byte
    code_bytes=64_400,  # fitted: median of what is left of flash for the eight MCUNet networks, 62.6 to 65.5 kB
    layer_flash_bytes=0,
)

TFLM_LIKE: Final = Engine(
    name="tflm-like",
    note="interpreter, every layer with memory of its own (as TensorFlow Lite for Microcontrollers)",
    inplace_depthwise=False,
    specialised=False,
    layer_cycles=495,  # MicroNAS: an invocation of one op takes 474 to 511 cycles more than the op on an STM32F446
    run_cycles=0,
    scratch_bytes=_columns_scratch,
    ram_bytes=47_400,  # fitted with the next on SRAM of the ten networks that fit, 8 % of it left over
    layer_ram_bytes=930,
    channel_bytes=28,  # flatbuffer: bias 4, its scale 4 and zero point 8; of the weights, scale 4 and zero point 8
    code_bytes=121_800,  # fitted with the next on flash of the ten networks that fit, 0.1 % of it left over
    layer_flash_bytes=730,
)

_OWN: Final = replace(
    TFLM_LIKE,
    note="your own program",
    specialised=True,
    layer_cycles=0,
    ram_bytes=0,
    layer_ram_bytes=0,
    channel_bytes=12,
    layer_flash_bytes=0,
)

DEFAULT: Final = LEAN.name
"""The engine of a board when none is asked for."""

ENGINES: Final[Mapping[str, Engine]] = {engine.name: engine for engine in (LEAN, TFLM_LIKE)}


def engine_of(name: str) -> Engine:
    """The engine called ``name``; the path of an ELF file means the program in it.

    Raises:
        UnknownNameError: no such engine.
        UsageError: the file cannot be read.
    """
    if name.endswith(".elf"):
        return engine_of_file(Path(name))
    if name not in ENGINES:
        raise UnknownNameError("engine", name, (*ENGINES, "a path of an .elf file"))
    return ENGINES[name]


def engine_of_file(path: Path) -> Engine:
    """A user's own program, built for the board's core, with the entries that docs/mcu.md describes.

    Its own RAM is not known, nor how it lays out its constants: memory is counted with bias, multiplier and shift of
    each channel, and the file's size as its code.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of an ELF file") from error
    return replace(_OWN, name=path.stem, code_bytes=len(content), elf=content)
