"""Published multiply-accumulates, parameters and activation sizes of the zoo, to the last printed digit.

Convolutions and linear layers count, as in torchvision's own figures; batch norm does not cost MACs.
"""

import pytest

from lutra.networks import zoo

TORCHVISION = {
    "resnet18": (1814.073, 11_689_512),
    "resnet34": (3663.761, 21_797_672),
    "resnet50": (4089.184, 25_557_032),
    "resnext50_32x4d": (4230.480, 25_028_904),
    "resnext101_32x8d": (16414.015, 88_791_336),
    "mobilenet_v2": (300.774, 3_504_872),
    "mobilenet_v3_large": (216.590, 5_483_032),
    "mobilenet_v3_small": (56.510, 2_542_856),
    "vit_b_16": (17563.828, 86_567_656),
    "shufflenet_v2_x0_5": (40.476, 1_366_792),
    "shufflenet_v2_x1_0": (144.908, 2_278_604),
    "shufflenet_v2_x1_5": (295.759, 3_503_624),
    "shufflenet_v2_x2_0": (583.253, 7_393_996),
    "mnasnet1_0": (314.416, 4_383_312),
    "efficientnet_b0": (385.815, 5_288_548),
    "vgg16": (15470.264, 138_357_544),
    "densenet121": (2834.162, 7_978_856),
    "swin_t": (4490.567, 28_288_354),
}
"""Millions of MACs and parameters of torchvision's models."""


@pytest.mark.parametrize(("name", "fact"), TORCHVISION.items())
def test_torchvision_models(name, fact):
    network = zoo.build(name)
    assert (round(network.macs / 1e6, 3), network.params) == fact


@pytest.mark.parametrize(
    ("width", "macs_m", "params_m"),
    [(0.35, 59.286, 1.677), (0.5, 97.132, 1.969), (0.75, 209.07, 2.636), (1.4, 582.196, 6.109)],
)
def test_mobilenet_v2_multipliers(width, macs_m, params_m):
    network = zoo.build("mobilenet_v2", width_mult=width)
    assert (round(network.macs / 1e6, 3), round(network.params / 1e6, 3)) == (macs_m, params_m)


@pytest.mark.parametrize(
    ("groups", "macs_m", "params_m"),
    [(1, 143.08, 1.53), (2, 140.84, 1.73), (3, 137.46, 1.87), (4, 134.34, 1.97), (8, 138.37, 2.43)],
)
def test_shufflenet_v1(groups, macs_m, params_m):
    network = zoo.build(f"shufflenet_v1_g{groups}")
    assert (round(network.macs / 1e6, 2), round(network.params / 1e6, 2)) == (macs_m, params_m)


@pytest.mark.parametrize(
    ("name", "macs_m", "params"),
    [
        ("proxyless_mobile", 320.428, 4_080_512),
        ("proxyless_cpu", 439.244, 4_361_648),
        ("proxyless_gpu", 465.260, 7_119_848),
        ("proxyless_mobile_14", 580.883, 6_857_568),
    ],
)
def test_proxyless(name, macs_m, params):
    network = zoo.build(name)
    assert (round(network.macs / 1e6, 3), network.params) == (macs_m, params)


MCUNET = {
    "mcunet_in0": (6_364_224, 749_840, "int8", 45.0),
    "mcunet_in1": (12_790_096, 636_232, "int8", 90.0),
    "mcunet_in2": (67_287_200, 729_392, "int8", 325.0),
    "mcunet_in3": (81_785_520, 737_408, "int8", 332.75),
    "mcunet_in4": (125_874_400, 1_732_640, "int8", 412.5),
    "mcunet_256kb_int4": (134_492_600, 1_404_688, "int4", 243.75),
    "mcunet_320kb_int4": (169_952_528, 1_400_448, "int4", 294.9375),
    "mcunet_512kb_int4": (466_767_552, 3_262_488, "int4", 495.0),
    "mcunet_proxyless_w0.25": (10_691_008, 569_600, "int8", 98.0),
    "mcunet_proxyless_w0.3": (38_282_216, 754_280, "int8", 242.0),
    "mcunet_mbv2_w0.35": (23_499_152, 750_280, "int8", 303.75),
}
"""MACs, parameters, element type and peak activation in kB (1024 bytes) at the published resolution."""


@pytest.mark.parametrize(("name", "fact"), MCUNET.items())
def test_mcunet(name, fact):
    macs, params, dtype, peak_kb = fact
    network = zoo.build(name)
    assert (network.macs, network.params) == (macs, params)
    assert network.peak_activation_bytes(dtype=dtype) == peak_kb * 1024


@pytest.mark.parametrize(
    ("name", "macs_m"),
    [
        ("mcunet_vww0", "6.0"),
        ("mcunet_vww1", "11.6"),
        ("mcunet_vww2", "55.8"),
        ("mcunet_mbv2_w0.3", "7.3"),
        ("mlperf_tiny_ic", "12.5"),
        ("mlperf_tiny_vww", "7.5"),
        ("mlperf_tiny_kws", "2.7"),
        ("mlperf_tiny_ad", "0.3"),
    ],
)
def test_networks_of_microcontrollers(name, macs_m):
    """Millions of MACs as MCUNet and MLPerf Tiny print them."""
    assert f"{zoo.build(name).macs / 1e6:.1f}" == macs_m


def test_mobilenet_v1_from_its_own_table():
    """The sum over table 1 of the paper, written out once more."""
    channels = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    sizes = [112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
    macs, params, before = 27 * 32 * 112**2, 27 * 32 + 64, 32
    for after, size in zip(channels, sizes, strict=True):
        macs += size**2 * before * (9 + after)
        params += before * (9 + after) + 2 * before + 2 * after
        before = after
    network = zoo.build("mobilenet_v1")
    assert (network.macs, network.params) == (macs + 1024 * 1000, params + 1025 * 1000)


def test_vit_tiny_parameters():
    """DeiT-Ti: 5.7 M by the formula 12 D^2 + 13 D per block."""
    d, depth, tokens = 192, 12, 197
    blocks = depth * (12 * d * d + 13 * d)
    assert zoo.build("vit_tiny").params == blocks + (768 + 1) * d + d + tokens * d + 2 * d + (d + 1) * 1000


def test_largest_and_smallest_ofa_sub_net():
    largest, smallest = zoo.build("ofa_mobilenet_v3"), zoo.build("ofa_mobilenet_v3", ks=3, e=3, d=2)
    assert round(largest.params / 1e6, 2) == 7.66
    assert smallest.macs < largest.macs / 3
