"""Memory of a network on a microcontroller: the largest arena of activations, scratch buffers, and flash.

Activations are counted as `lutra.networks.memory` counts them, on the int8 layers that really run: a layer needs its
input and output side by side, beside what is still waiting to be read; sums and look-ups overwrite an input that dies
there. In place, a depthwise convolution writes over its input one channel at a time, which takes one channel more
(MCUNet, arXiv:2007.10319, section 4).

The rules are those of engines as they are deployed. TinyEngine's and TensorFlow Lite for Microcontrollers' measured
figures on an STM32H743 (github.com/mit-han-lab/tinyengine, README) are what constants marked as fitted were fitted on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..ops import bits_of
from .kernel import Kernel, LoweredNetwork
from .mcu import channels_of, image_of, ints_of, table_bytes_of, weights_of

_OVERWRITES: Final = frozenset({"add", "table", "softmax"})
"""Kinds whose output may lie where an input of the same size lies that dies there."""


@dataclass(frozen=True)
class MemoryRules:
    """What an engine takes of memory beside activations and weights.

    Attributes:
        engine: its name.
        inplace_depthwise: depthwise convolutions overwrite their input.
        scratch: bytes that a layer needs in the buffer that all layers share.
        first_weights: the weights of the first convolution are in RAM, too, in 16 bits.
        ram_bytes, layer_ram_bytes: RAM of the engine itself, and for each layer.
        channel_bytes: flash for the bias and the scale of a channel.
        code_bytes, layer_flash_bytes: flash of the program, and for each layer.
    """

    engine: str
    inplace_depthwise: bool
    scratch: Callable[[Kernel], int]
    first_weights: bool
    ram_bytes: int
    layer_ram_bytes: int
    channel_bytes: int
    code_bytes: int
    layer_flash_bytes: int

    def shared_bytes(self, kernels: Sequence[Kernel]) -> int:
        """The buffer that all layers share: what the neediest needs."""
        return max(map(self.scratch, kernels), default=0)

    def first_bytes(self, kernels: Sequence[Kernel]) -> int:
        """RAM for the weights of the first convolution."""
        first = next((2 * weights_of(k) for k in kernels if k.nodes[0].op == "conv2d"), 0)
        return first if self.first_weights else 0


def _lean_scratch(kernel: Kernel) -> int:
    """What TinyEngine's generator allocates, read from headers that it generated (``SBuffer_size``).

    A padded channel in 16 bits for a depthwise convolution, two columns in 16 bits for others.
    """
    kind = kernel.nodes[0].op
    if kind == "depthwise":
        return 2 * _padded_channel_bytes(kernel)
    return _columns_bytes(kernel) if kind in ("conv2d", "pointwise") else 0


def _columns_scratch(kernel: Kernel) -> int:
    """What CMSIS-NN asks for: two columns of a convolution, a window of all channels of a depthwise one, in 16 bits."""
    kind = kernel.nodes[0].op
    if kind == "depthwise":
        return 2 * _taps_of(kernel) * kernel.outputs[0][1].shape[-1]
    return _columns_bytes(kernel) if kind in ("conv2d", "pointwise", "grouped_conv2d") else 0


def _padded_channel_bytes(kernel: Kernel) -> int:
    """One channel of a convolution's input with its border, a byte an element."""
    height, width, _ = image_of(kernel.inputs[0][1])
    top, left, bottom, right = ints_of(kernel, "padding")
    return (height + top + bottom) * (width + left + right)


def _columns_bytes(kernel: Kernel) -> int:
    """Two columns of an unrolled image in 16 bits, as matrix products of DSP instructions read them."""
    return 2 * 2 * _taps_of(kernel)


def _taps_of(kernel: Kernel) -> int:
    """Products that are added up for one output of a convolution."""
    weight = next(c.type.shape for name, c in kernel.constants if name.endswith(".weight"))
    return math.prod(weight[1:])


LEAN: Final = MemoryRules(
    engine="lean",
    inplace_depthwise=True,
    scratch=_lean_scratch,
    first_weights=True,  # ``KBuffer_size`` of generated headers
    ram_bytes=0,
    layer_ram_bytes=0,
    channel_bytes=8,  # a bias and a float scale; sizes of generated models follow to the byte
    code_bytes=64_400,  # fitted: median of what is left of flash for the eight MCUNet networks, 62.6 to 65.5 kB
    layer_flash_bytes=0,
)

TFLM_LIKE: Final = MemoryRules(
    engine="tflm-like",
    inplace_depthwise=False,
    scratch=_columns_scratch,
    first_weights=False,
    ram_bytes=47_400,  # fitted with the next on SRAM of the ten networks that fit, 8 % of it left over
    layer_ram_bytes=930,
    channel_bytes=28,  # flatbuffer: bias 4, its scale 4 and zero point 8; of the weights, scale 4 and zero point 8
    code_bytes=121_800,  # fitted with the next on flash of the ten networks that fit, 0.1 % of it left over
    layer_flash_bytes=730,
)


@dataclass(frozen=True)
class Arena:
    """The most activation memory that is live at once.

    Attributes:
        bytes: how much.
        layer: label of the layer that needs it.
    """

    bytes: int
    layer: str


@dataclass(frozen=True)
class MemoryPlan:
    """What a network takes on a microcontroller under one engine.

    Attributes:
        engine: its name.
        dtype: element type of weights and activations, "int8" or "int4".
        plain: the arena where every layer has memory of its own.
        inplace: the arena where depthwise convolutions work in place.
        scratch_bytes: buffers of the layers beside the arena.
        overhead_bytes: RAM of the engine itself.
        weight_bytes: weights and look-up tables.
        channel_bytes: biases and scales.
        code_bytes: program and what describes the network to it.
        works_in_place: the engine uses ``inplace``.
    """

    engine: str
    dtype: str
    plain: Arena
    inplace: Arena
    scratch_bytes: int
    overhead_bytes: int
    weight_bytes: int
    channel_bytes: int
    code_bytes: int
    works_in_place: bool

    @property
    def arena(self) -> Arena:
        """The arena that the engine has."""
        return self.inplace if self.works_in_place else self.plain

    @property
    def sram_bytes(self) -> int:
        """Peak RAM: arena, scratch and the engine's own."""
        return self.arena.bytes + self.scratch_bytes + self.overhead_bytes

    @property
    def flash_bytes(self) -> int:
        """Program memory: weights, numbers of channels, code."""
        return self.weight_bytes + self.channel_bytes + self.code_bytes


def plan_memory(lowered: LoweredNetwork, rules: MemoryRules, *, dtype: str = "int8") -> MemoryPlan:
    """What the layers of a network take under an engine.

    Args:
        lowered: int8 layers (`lower_mcu`).
        rules: the engine's.
        dtype: "int8", or "int4" to count weights and activations at half the bits.
    """
    kernels = lowered.kernels
    bits = bits_of(dtype)
    layers = len(kernels)
    weights = sum(weights_of(kernel) for kernel in kernels)
    return MemoryPlan(
        engine=rules.engine,
        dtype=dtype,
        plain=peak_arena(kernels, bits=bits, inplace_depthwise=False),
        inplace=peak_arena(kernels, bits=bits, inplace_depthwise=True),
        scratch_bytes=rules.shared_bytes(kernels) + rules.first_bytes(kernels),
        overhead_bytes=rules.ram_bytes + layers * rules.layer_ram_bytes,
        weight_bytes=(weights * bits + 7) // 8 + sum(table_bytes_of(kernel) for kernel in kernels),
        channel_bytes=rules.channel_bytes * sum(channels_of(kernel) for kernel in kernels),
        code_bytes=rules.code_bytes + layers * rules.layer_flash_bytes,
        works_in_place=rules.inplace_depthwise,
    )


def peak_arena(kernels: Sequence[Kernel], *, bits: int = 8, inplace_depthwise: bool) -> Arena:
    """The most activation memory that is live at once while the layers run in order.

    Args:
        kernels: in execution order; what nobody makes is an input of the network, what nobody reads an output.
        bits: of an activation.
        inplace_depthwise: depthwise convolutions overwrite an input that dies there.
    """
    last_read = {name: step for step, kernel in enumerate(kernels) for name, _ in kernel.inputs}
    made = {name for kernel in kernels for name, _ in kernel.outputs}
    live = _Live(last_read, len(kernels))
    for kernel in kernels:
        for name, type_ in kernel.inputs:
            if name not in made:
                live.add(name, type_.numel * bits)
    peak = Arena(_bytes(live.bits), "the network's input")
    for step, kernel in enumerate(kernels):
        extra = 0
        target = _overwritten(kernel, live, step, inplace_depthwise)
        for name, type_ in kernel.outputs:
            if target is None:
                live.add(name, type_.numel * bits)
            else:
                live.take_over(target, name, type_.numel * bits)
                if kernel.nodes[0].op == "depthwise":
                    extra = type_.numel * bits // type_.shape[-1]
        needed = _bytes(live.bits + extra)
        if needed > peak.bytes:
            peak = Arena(needed, kernel.label)
        live.drop(step)
    return peak


class _Live:
    """Activations that are in memory, and when each is read for the last time."""

    def __init__(self, last_read: dict[str, int], never: int) -> None:
        self._last_read, self._never = last_read, never
        self._sizes: dict[str, int] = {}
        self.bits = 0

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def size(self, name: str) -> int:
        return self._sizes[name]

    def dies(self, name: str, step: int) -> bool:
        """Whether nobody reads ``name`` after ``step``; outputs of the network never die."""
        return self._last_read.get(name, self._never) <= step

    def add(self, name: str, bits: int) -> None:
        if name not in self._sizes:
            self._sizes[name] = bits
            self.bits += bits

    def take_over(self, name: str, by: str, bits: int) -> None:
        """``by`` lies where ``name`` lay, in the larger of both sizes."""
        held = self._sizes.pop(name)
        self._sizes[by] = max(held, bits)
        self.bits += self._sizes[by] - held

    def drop(self, step: int) -> None:
        """Forget what died in a step."""
        for name in [name for name in self._sizes if self.dies(name, step)]:
            self.bits -= self._sizes.pop(name)


def _overwritten(kernel: Kernel, live: _Live, step: int, inplace_depthwise: bool) -> str | None:
    """The input in whose place the output may lie; None where it needs memory of its own."""
    kind = kernel.nodes[0].op
    depthwise = inplace_depthwise and kind == "depthwise"
    if not depthwise and kind not in _OVERWRITES:
        return None
    for name, type_ in kernel.inputs:
        fits = depthwise or type_ == kernel.outputs[0][1]
        if fits and name in live and live.dies(name, step):
            return name
    return None


def _bytes(bits: int) -> int:
    return math.ceil(bits / 8)
