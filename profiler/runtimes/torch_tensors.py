"""Stand-ins for what surrounds a kernel in a network that torch runs: activations just written, weights long unused.

Kernels read their activations from a few buffers that all of them share, as activations of a network live in a few
blocks that the allocator hands out again and again. In front of each sample the buffers are rewritten, as the
kernel's producer would have done.
"""

import math
from collections.abc import Callable

import torch

from ...networks import TensorType
from ...networks.lowering import Kernel
from ...networks.lowering.torch_calls import strides_of

_NOISE_NUMBERS = (1 << 20) - 3
"""Random numbers that are really drawn; longer activations repeat them."""

_POSITIVE = frozenset({"sqrt", "rsqrt", "log", "pow", "div", "reciprocal"})
"""Operators whose inputs must be well above zero for their outputs to be finite."""

Strides = tuple[int, ...] | None


class Activations:
    """Buffers that stand in for activations, shared by all kernels of a worker.

    Args:
        seed: of the random numbers that are written into them.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._slots: list[torch.UntypedStorage] = []
        self._noise: dict[tuple[torch.dtype, bool], torch.Tensor] = {}

    def stand_in(
        self, slot: int, type_: TensorType, strides: Strides, *, positive: bool = False
    ) -> tuple[torch.Tensor, Callable[[], object]]:
        """A tensor in buffer number ``slot``, and what rewrites it.

        Whole numbers are 0, an index that is always valid, and truth values are true; they have memory of their own.
        """
        dtype = getattr(torch, type_.dtype)
        if not dtype.is_floating_point:
            fixed = torch.full(type_.shape, dtype == torch.bool, dtype=dtype)
            return fixed, lambda: None
        strides = strides or contiguous(type_.shape)
        extent = 1 + sum((length - 1) * stride for length, stride in zip(type_.shape, strides, strict=True))
        storage = self._slot(slot, extent * dtype.itemsize)
        buffer = torch.empty(0, dtype=dtype).set_(storage, 0, (extent,), (1,))
        tensor = torch.empty(0, dtype=dtype).set_(storage, 0, type_.shape, strides)
        numbers = self._numbers(extent, dtype, positive)
        return tensor, lambda: buffer.copy_(numbers)

    def stand_ins(self, kernel: Kernel) -> tuple[dict[str, torch.Tensor], Callable[[], None]]:
        """Tensors for the inputs of ``kernel`` in buffers 0, 1, ..., and what rewrites them all."""
        positive = any(node.op.split(".")[0] in _POSITIVE for node in kernel.nodes)
        strides = {name: s for node in kernel.nodes for name, s in zip(node.inputs, strides_of(node), strict=False)}
        tensors: dict[str, torch.Tensor] = {}
        writers: list[Callable[[], object]] = []
        for slot, (name, type_) in enumerate(kernel.inputs):
            tensors[name], write = self.stand_in(slot, type_, strides[name], positive=positive)
            writers.append(write)

        def rewrite() -> None:
            for write in writers:
                write()

        return tensors, rewrite

    def _slot(self, slot: int, nbytes: int) -> torch.UntypedStorage:
        """The buffer, at least so large; it may move when it grows, and the tensors in it move along."""
        while len(self._slots) <= slot:
            self._slots.append(torch.empty(0, dtype=torch.uint8).untyped_storage())
        if self._slots[slot].nbytes() < nbytes:
            self._slots[slot].resize_(nbytes)
        return self._slots[slot]

    def _numbers(self, count: int, dtype: torch.dtype, positive: bool) -> torch.Tensor:
        """Random numbers to copy from, shape [count]; shared by all who ask for as many or fewer."""
        have = self._noise.get((dtype, positive))
        if have is None or len(have) < count:
            drawn = torch.randn(min(count, _NOISE_NUMBERS), generator=self._generator)
            drawn = drawn.abs_() + 0.5 if positive else drawn
            have = drawn.to(dtype).repeat(-(-count // len(drawn)))
            self._noise[dtype, positive] = have
        return have[:count]


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous tensor of that shape, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def draw(type_: TensorType, strides: Strides, generator: torch.Generator) -> torch.Tensor:
    """A stored tensor: matrices and filters keep the variance of what they multiply; vectors are positive.

    Whole numbers are 0, an index that is always valid.
    """
    shape, dtype = type_.shape, getattr(torch, type_.dtype)
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    if len(shape) < 2:  # scales, shifts and variances
        drawn = torch.rand(shape, generator=generator) + 0.5
    else:
        summed = max(shape) if len(shape) == 2 else math.prod(shape[1:])
        drawn = torch.randn(shape, generator=generator) * summed**-0.5
    return torch.empty_strided(shape, strides or contiguous(shape), dtype=dtype).copy_(drawn)
