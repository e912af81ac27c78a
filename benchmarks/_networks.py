"""The networks that predictions are scored on: fixed, and none of them used to choose a constant."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lutra.networks import Network, zoo

AT_224 = (
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mnasnet1_0",
    "efficientnet_b0",
    "shufflenet_v2_x1_0",
    "proxyless_mobile",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "densenet121",
)
AT_160 = ("mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0", "shufflenet_v2_x1_0", "resnet18")
TRANSFORMERS = ("vit_tiny", "vit_b_32", "swin_t")
SAMPLES = 4
SEED = 3


def networks() -> list[Network]:
    """The zoo at 224 and 160, transformers, and random samples of two search spaces; names tell them apart."""
    return [
        *(zoo.build(name) for name in AT_224),
        *(_named(zoo.build(name, resolution=160), f"{name}@160") for name in AT_160),
        *(zoo.build(name) for name in TRANSFORMERS),
        *_ofa_samples(np.random.default_rng(SEED)),
        *_cell_samples(np.random.default_rng(SEED)),
    ]


def _named(network: Network, name: str) -> Network:
    return replace(network, name=name)


def _ofa_samples(random: np.random.Generator) -> Iterator[Network]:
    """Sub-nets of Once-for-All's MobileNetV3 space, every choice uniform."""
    for index in range(SAMPLES):
        network = zoo.build(
            "ofa_mobilenet_v3",
            resolution=int(random.choice((160, 176, 192, 208, 224))),
            ks=[int(k) for k in random.choice((3, 5, 7), 20)],
            e=[int(e) for e in random.choice((3, 4, 6), 20)],
            d=[int(d) for d in random.choice((2, 3, 4), 5)],
        )
        yield _named(network, f"ofa sample {index}")


def _cell_samples(random: np.random.Generator) -> Iterator[Network]:
    """Cells of NAS-Bench-201, uniform."""
    for index in random.choice(15_625, SAMPLES, replace=False):
        yield zoo.build(f"nasbench201/{index}")
