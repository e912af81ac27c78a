"""Published figures of known networks, and how many of them Lutra's own counting reproduces to the printed digit.

Sources: torchvision's model metadata; the papers and repositories of MobileNetV2, ShuffleNet, ProxylessNAS, MCUNet and
Once-for-All. MACs are those of convolutions and matrix products; activation memory is int8 or int4, the largest sum of
inputs and outputs that are live at once, residuals included, nothing in place.
"""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lutra.networks import zoo

from ._results import ROOT

SHARED = Path(os.environ.get("LUTRA_SHARED_DATA", ROOT.parent / "shared" / "data"))
"""Published data, beside the repository or where ``LUTRA_SHARED_DATA`` says; never part of the repository."""

# name, MACs in millions, parameters
_WHOLE = """
resnet18 1814.073 11689512
resnet34 3663.761 21797672
resnet50 4089.184 25557032
resnext50_32x4d 4230.480 25028904
resnext101_32x8d 16414.015 88791336
mobilenet_v2 300.774 3504872
mobilenet_v3_large 216.590 5483032
mobilenet_v3_small 56.510 2542856
vit_b_16 17563.8 86567656
shufflenet_v2_x0_5 40.476 1366792
shufflenet_v2_x1_0 144.908 2278604
shufflenet_v2_x1_5 295.759 3503624
shufflenet_v2_x2_0 583.253 7393996
mnasnet1_0 314.416 4383312
efficientnet_b0 385.815 5288548
vgg16 15470.264 138357544
densenet121 2834.162 7978856
swin_t 4490.567 28288354
proxyless_mobile 320.428 4080512
proxyless_cpu 439.244 4361648
proxyless_gpu 465.260 7119848
proxyless_mobile_14 580.883 6857568
"""

# name, MACs in millions, parameters in millions
_ROUNDED = """
mobilenet_v2_w0.35 59.286 1.677
mobilenet_v2_w0.5 97.132 1.969
mobilenet_v2_w0.75 209.07 2.636
mobilenet_v2_w1.4 582.196 6.109
shufflenet_v1_g1 143.08 1.53
shufflenet_v1_g2 140.84 1.73
shufflenet_v1_g3 137.46 1.87
shufflenet_v1_g4 134.34 1.97
shufflenet_v1_g8 138.37 2.43
mcunet_in0 6.364 0.750
mcunet_in1 12.790 0.636
mcunet_in2 67.287 0.729
mcunet_in3 81.786 0.737
mcunet_in4 125.874 1.733
mcunet_256kb_int4 134.493 1.405
mcunet_320kb_int4 169.953 1.400
mcunet_512kb_int4 466.768 3.262
mcunet_proxyless_w0.3 38.282 0.754
mcunet_proxyless_w0.25 10.691 0.570
mcunet_mbv2_w0.35 23.499 0.750
"""

# name, element type, peak activation in kB as published
_ACTIVATION = """
mcunet_in2 int8 325
mcunet_in3 int8 333
mcunet_in4 int8 413
mcunet_256kb_int4 int4 244
mcunet_320kb_int4 int4 295
mcunet_512kb_int4 int4 495
mcunet_proxyless_w0.3 int8 242
mcunet_proxyless_w0.25 int8 98
"""

MISPRINTED = {("note10_lat@8ms_top1@71.4_finetune@25", "MACs")}
"""Published numbers that do not follow from the published configuration; no counting reproduces them."""


@dataclass(frozen=True)
class Fact:
    """One published number and ours.

    Attributes:
        network: whose.
        quantity: "MACs", "params" or "activation".
        published: as printed, in the unit it is printed in.
        counted: ours, in that unit.
        tolerance: how far apart they may be: half of the last printed digit, or what the source's own rounding allows.
    """

    network: str
    quantity: str
    published: str
    counted: float
    tolerance: float

    @property
    def misprinted(self) -> bool:
        """Whether the published number is known to be wrong."""
        return (self.network, self.quantity) in MISPRINTED

    @property
    def reproduced(self) -> bool:
        return abs(self.counted - float(self.published)) <= self.tolerance * (1 + 1e-9)


def _printed(network: str, quantity: str, published: str, counted: float) -> Fact:
    decimals = len(published.partition(".")[2])
    return Fact(network, quantity, published, counted, 0.5 * 10.0**-decimals)


def zoo_facts() -> Iterator[Fact]:
    """MACs, parameters and activation memory of the zoo's networks."""
    for name, macs, params in map(str.split, _WHOLE.strip().splitlines()):
        network = zoo.build(name)
        yield _printed(name, "MACs", macs, network.macs / 1e6)
        yield _printed(name, "params", params, network.params)
    for name, macs, params in map(str.split, _ROUNDED.strip().splitlines()):
        network = zoo.build(name)
        yield _printed(name, "MACs", macs, network.macs / 1e6)
        yield _printed(name, "params", params, network.params / 1e6)
    for name, dtype, kilobytes in map(str.split, _ACTIVATION.strip().splitlines()):
        peak_bytes = zoo.build(name).peak_activation_bytes(dtype=dtype)
        yield _printed(name, "activation", kilobytes, peak_bytes / 1024)


def once_for_all_facts(folder: Path = SHARED) -> Iterator[Fact]:
    """MACs (within a million) and parameters of the released Once-for-All nets; nothing where the data is absent."""
    configurations, points = folder / "ofa" / "arch_configs.json", folder / "ofa" / "specialized_points.csv"
    if not configurations.is_file() or not points.is_file():
        return
    documents = json.loads(configurations.read_text(encoding="utf-8"))["ofa_specialized"]
    with points.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            network = zoo.from_config(documents[row["net_id"]], resolution=int(row["image_size"]))
            yield Fact(row["net_id"], "MACs", row["readme_macs_M"], network.macs / 1e6, 1.0)
            yield _printed(row["net_id"], "params", row["readme_params_M"], network.params / 1e6)


def facts() -> list[Fact]:
    """Every fact that can be checked here."""
    return [*zoo_facts(), *once_for_all_facts()]
