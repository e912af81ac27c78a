"""What is measured of a real GPU: networks, batch sizes and precisions, in the order in which they are taken."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lutra.networks import Network, NetworkBuilder, zoo

NETWORKS = ("mobilenet_v2", "shufflenet_v2_x1_0", "resnet50", "vit_b_16")
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
EIGHT_BITS = ("int8", "float8")
BATCHES = (1, 8, 64)
MODES = ("torch-cuda", "torch-cuda-compile", "torch-cudagraph")
"""Eager, through torch.compile, and eager in a CUDA graph."""

PRODUCTS = (1024, 2048, 4096, 8192)
"""Sides of the square products that are timed by other tools as well."""

CONVOLUTIONS = (
    # channels, side, kernel, stride, groups; 0 groups: depthwise
    *((32, 112, 3, 1, 0), (96, 112, 3, 2, 0), (144, 56, 3, 1, 0), (384, 14, 3, 1, 0), (960, 7, 3, 1, 0)),
    *((72, 56, 5, 2, 0), (240, 28, 5, 1, 0), (672, 14, 5, 2, 0), (96, 56, 7, 1, 0)),
    *((128, 56, 3, 1, 32), (256, 28, 3, 1, 32), (512, 14, 3, 1, 32), (240, 28, 1, 1, 3), (384, 28, 1, 1, 8)),
)
"""Depthwise and grouped convolutions as networks have them, which no published data of GPUs covers."""


@dataclass(frozen=True)
class Case:
    """A network as it is run.

    Attributes:
        network: its name in the zoo, or "depthwise and grouped".
        batch: images at once.
        precision: number format.
    """

    network: str
    batch: int
    precision: str

    def build(self) -> Network:
        """The network itself."""
        return (
            convolutions(self.batch)
            if self.network == "depthwise and grouped"
            else zoo.build(self.network, batch=self.batch)
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def kernel_cases() -> Iterator[Case]:
    """Networks whose kernels are measured, the cheapest first, 8 bits last."""
    for batch in BATCHES:
        for name in ("depthwise and grouped", *NETWORKS):
            for precision in PRECISIONS:
                yield Case(name, batch, precision)
    for name in NETWORKS:
        for precision in EIGHT_BITS:
            yield Case(name, BATCHES[1], precision)


def network_cases() -> Iterator[Case]:
    """Networks that torch runs in each of `MODES`, the cheapest first; TF32 is how torch is told to multiply."""
    for batch in BATCHES:
        for name in NETWORKS:
            for precision in ("float16", "float32", "bfloat16"):
                yield Case(name, batch, precision)


def convolutions(batch: int) -> Network:
    """`CONVOLUTIONS` side by side, each with an input and an output of its own."""
    b = NetworkBuilder("depthwise and grouped")
    made = []
    for channels, side, kernel, stride, groups in CONVOLUTIONS:
        x = b.input((batch, channels, side, side))
        options: dict[str, Any] = {"stride": stride, "padding": kernel // 2, "groups": groups or channels}
        made.append(b.op("conv2d", x, out_channels=channels, kernel_size=kernel, **options))
    return b.build(*made)


def product(size: int) -> Network:
    """A product of two square activations."""
    b = NetworkBuilder(f"product {size}")
    return b.build(b.op("matmul", b.input((size, size)), b.input((size, size))))
