"""From an int8 layer to calls of the firmware: which kind computes it under an engine, and with what shapes.

An engine's own choice of kinds comes first: a lean one has kernels for the first layer and for 3x3 windows, and works
in place where a depthwise convolution lets it. What the program does not export, the general kind computes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from ...networks.errors import UnsupportedOpError
from ...networks.lowering import Kernel
from ...networks.lowering.mcu import image_of, ints_of
from . import geometry
from .engines import Engine
from .geometry import Geometry, Image

_FEW_CHANNELS: Final = 4  # of a first layer: images, and what is like them
_SAME_SHAPE: Final = ("add", "softmax", "table")


def operations_of(kernel: Kernel, engine: Engine, exported: Collection[str]) -> list[Geometry]:
    """The calls that compute a layer, in order: one, but for a concatenation one for each input.

    Args:
        kernel: an int8 layer (`lower_mcu`).
        engine: whose preferences decide between kinds.
        exported: kinds that the engine's program has.

    Raises:
        UnsupportedOpError: the program has no kind for the layer.
        ShapeError: no kind takes the layer's shapes.
    """
    kind = kernel.nodes[0].op
    for candidate in (*_special(kernel, engine), kind):
        if candidate in exported:
            return list(_shaped(kernel, candidate))
    raise UnsupportedOpError(f"engine {engine.name!r}", {kind: 1}, hint=f"export lutra_{kind}, or use another engine")


def _special(kernel: Kernel, engine: Engine) -> Iterator[str]:
    """Kinds that an engine prefers to the general one, the best first."""
    kind = kernel.nodes[0].op
    if not engine.specialised:
        return
    if kind == "conv2d":
        if image_of(kernel.inputs[0][1])[2] <= _FEW_CHANNELS:
            yield "conv2d_first"
        if ints_of(kernel, "kernel_size") == (3, 3):
            yield "conv2d_3x3"
    elif kind == "pointwise":
        yield "conv2d"  # widens two pixels once for all filters, where "pointwise" adds up every filter beforehand
    elif kind == "depthwise" and _works_in_place(kernel):
        yield "depthwise_chw"


def _works_in_place(kernel: Kernel) -> bool:
    (kernel_h, kernel_w), (stride_h, stride_w) = ints_of(kernel, "kernel_size"), ints_of(kernel, "stride")
    shrinks = kernel.outputs[0][1].numel <= kernel.inputs[0][1].numel
    return shrinks and kernel_h == kernel_w in (3, 5, 7) and stride_h == stride_w in (1, 2)


def _shaped(kernel: Kernel, kind: str) -> Iterator[Geometry]:
    image = image_of(kernel.inputs[0][1])
    if kind in geometry.CONVOLUTIONS:
        yield _convolution(kernel, kind, image)
    elif kind == "concat":
        output = image_of(kernel.outputs[0][1])
        types = dict(kernel.inputs)
        for name in kernel.nodes[0].inputs:
            yield geometry.concat(image_of(types[name]), output[2])
    else:
        yield _SHAPED[kind](kernel, image)


def _convolution(kernel: Kernel, kind: str, image: Image) -> Geometry:
    groups = ints_of(kernel, "groups")[0] if kind == "grouped_conv2d" else 1
    window, stride, padding = (ints_of(kernel, name) for name in ("kernel_size", "stride", "padding"))
    return geometry.convolution(
        kind,
        image,
        image_of(kernel.outputs[0][1])[2],
        kernel_size=(window[0], window[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        groups=groups,
    )


def _pool(kernel: Kernel, image: Image) -> Geometry:
    window, stride, padding = (ints_of(kernel, name) for name in ("kernel_size", "stride", "padding"))
    return geometry.pool(
        kernel.nodes[0].op,
        image,
        kernel_size=(window[0], window[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def _padded(kernel: Kernel, image: Image) -> Geometry:
    top, left, bottom, right = ints_of(kernel, "padding")
    return geometry.pad(image, (top, left, bottom, right))


_SHAPED: Final[Mapping[str, Callable[[Kernel, Image], Geometry]]] = {
    "fully_connected": lambda kernel, image: geometry.fully_connected(image[2], image_of(kernel.outputs[0][1])[2]),
    "avg_pool": _pool,
    "max_pool": _pool,
    "global_pool": lambda _, image: geometry.global_reduction("global_pool", image),
    "mean": lambda _, image: geometry.global_reduction("mean", image),
    "channel_shuffle": lambda kernel, image: geometry.channel_shuffle(image, ints_of(kernel, "groups")[0]),
    "pad": _padded,
    **{kind: (lambda kernel, image: geometry.elementwise(kernel.nodes[0].op, image)) for kind in _SAME_SHAPE},
}
