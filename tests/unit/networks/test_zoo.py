"""Every network of the zoo: names, options, JSON, running in torch, and errors."""

import json
import math

import pytest

from lutra.networks import Network, prune, zoo
from lutra.networks.errors import ShapeError, UnknownNameError, UsageError

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|"
EVERY = (*zoo.names(), f"nasbench201/{CELL}", "nasbench201/0", "mobilenet_v2_w0.35", "mobilenet_v1_w0.5")


@pytest.mark.parametrize("name", EVERY)
def test_json_round_trip(name):
    network = zoo.build(name)
    again = Network.from_json(json.loads(json.dumps(network.to_json())))
    assert again == network
    assert again.fingerprint == network.fingerprint
    assert again.macs == network.macs


@pytest.mark.parametrize("name", EVERY)
def test_counts_are_pure_sums(name):
    network = zoo.build(name)
    assert network.macs == sum(node.op.macs for node in network)
    assert network.params == sum(math.prod(shape) for node in network for shape in node.op.weights.values())


@pytest.mark.parametrize("name", EVERY)
def test_batch_scales_macs_and_leaves_params(name):
    one, three = zoo.build(name), zoo.build(name, batch=3)
    assert three.macs == 3 * one.macs
    assert three.params == one.params
    assert three.types[three.outputs[0]].shape == (3, zoo.entry(name).num_classes)


def test_names_match_patterns():
    assert zoo.names("resnet*") == ("resnet101", "resnet152", "resnet18", "resnet34", "resnet50")
    assert zoo.names("no such thing") == ()
    assert list(zoo.names()) == sorted(zoo.names())


def test_fingerprints_tell_all_networks_apart():
    """A network of MCUNet may be another's equal only under another resolution."""
    networks = [zoo.build(name) for name in EVERY]
    assert len({network.fingerprint for network in networks}) == len(EVERY)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_small", "densenet121", "vit_tiny", "swin_t", "mcunet_in0"])
def test_everything_that_is_built_is_used(name):
    network = zoo.build(name)
    assert prune(network) == network


# --- parameters


def test_num_classes_changes_only_the_last_layer():
    small, large = zoo.build("resnet18", num_classes=10), zoo.build("resnet18", num_classes=1000)
    assert large.params - small.params == 513 * 990


def test_resolution_may_be_rectangular():
    network = zoo.build("mobilenet_v2", resolution=(96, 160))
    assert network.inputs[0][1].shape == (1, 3, 96, 160)


def test_width_in_the_name_is_the_option():
    assert zoo.build("mobilenet_v2_w0.35").fingerprint == zoo.build("mobilenet_v2", width_mult=0.35).fingerprint
    assert zoo.build("mobilenet_v2_w1.0").fingerprint == zoo.build("mobilenet_v2").fingerprint


def test_dashes_may_stand_for_underscores():
    assert zoo.build("mcunet-in0").fingerprint == zoo.build("mcunet_in0").fingerprint


@pytest.mark.parametrize(("name", "shape"), [("mlperf_tiny_kws", (3, 1, 49, 10)), ("mlperf_tiny_ad", (3, 640))])
def test_inputs_of_another_shape(name, shape):
    assert zoo.build(name, batch=3).inputs[0][1].shape == shape
    with pytest.raises(UsageError, match="does not read square images"):
        zoo.build(name, resolution=64)


def test_nasbench201_by_index_and_by_string():
    arch = zoo.architecture_of(6111)
    assert zoo.build("nasbench201/6111").fingerprint == zoo.build(f"nasbench201/{arch}").fingerprint


@pytest.mark.parametrize(
    ("index", "arch"),
    [
        (0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"),
        (6111, "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"),
    ],
)
def test_index_order_is_the_benchmarks(index, arch):
    assert zoo.architecture_of(index) == arch


def test_a_disconnected_cell_returns_zeros():
    network = zoo.build("nasbench201/|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", repeats=1)
    assert network.op_counts()["constant"] == 3


def test_ofa_uses_only_the_first_blocks_of_a_stage():
    """Entries of blocks that a depth cuts off do not matter."""
    ks = [3] * 20
    cut = ks.copy()
    cut[3] = 7
    same = {zoo.build("ofa_mobilenet_v3", ks=k, e=4, d=3).fingerprint for k in (3, ks, cut)}
    assert len(same) == 1
    assert zoo.build("ofa_mobilenet_v3", ks=cut, e=4, d=4).fingerprint not in same


# --- errors


@pytest.mark.parametrize(
    "name", ["resnet5", "", "nasbench201/", "nasbench201", "resnet18_w0.5", "mobilenet_v2_w", "x/1"]
)
def test_unknown_names(name):
    with pytest.raises(UnknownNameError, match="unknown network") as caught:
        zoo.build(name)
    assert caught.value.what == "network"
    assert caught.value.known


def test_unknown_names_suggest_close_ones():
    with pytest.raises(UnknownNameError, match="resnet50"):
        zoo.build("restnet50")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"width": 2}, "no option 'width'"),
        ("resnet18", {"depths": (1, 1, 1, 1)}, "no option 'depths'"),
        ("nasbench201/3", {"cell": "4"}, "no option 'cell'"),
        ("mobilenet_v2_w0.5", {"width_mult": 1.0}, "no option 'width_mult'"),
        ("mobilenet_v2", {"width_mult": 0}, "width_mult must be a number above 0"),
        ("mobilenet_v2", {"width_mult": -1.5}, "width_mult must be a number above 0"),
        ("mobilenet_v2", {"width_mult": math.nan}, "width_mult must be a number above 0"),
        ("mobilenet_v2", {"width_mult": "1"}, "width_mult must be a number above 0"),
        ("mobilenet_v2_w0", {}, "width_mult must be a number above 0"),
        ("resnet18", {"batch": 0}, "batch must be a positive integer"),
        ("resnet18", {"batch": 1.0}, "batch must be a positive integer"),
        ("resnet18", {"num_classes": 0}, "num_classes must be a positive integer"),
        ("resnet18", {"resolution": 0}, "resolution must be a positive integer"),
        ("resnet18", {"resolution": (32, 32, 32)}, "resolution must be a positive integer"),
        ("nasbench201/15625", {}, "no cell 15625"),
        ("nasbench201/-1", {}, "not a NAS-Bench-201 cell"),
        ("nasbench201/0", {"repeats": 0}, "repeats must be"),
        ("ofa_mobilenet_v3", {"ks": 4}, "ks can be 3, 5, 7, not 4"),
        ("ofa_mobilenet_v3", {"e": [3] * 19}, "one number or 20 of them, not 19"),
        ("ofa_mobilenet_v3", {"d": [2, 2, 2, 2, 5]}, "d can be 2, 3, 4, not 5"),
        ("ofa_mobilenet_v3", {"d": None}, "d can be"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(UsageError, match=message):
        zoo.build(name, **options)


@pytest.mark.parametrize(
    ("name", "resolution", "message"),
    [
        ("vgg16", 16, "16x16 images: features.30: max_pool2d"),
        ("densenet121", 16, "published resolution of densenet121 is 224"),
        ("vit_b_16", 100, "patches do not tile"),
        ("swin_t", 3, "window"),
    ],
)
def test_resolutions_that_do_not_fit(name, resolution, message):
    with pytest.raises(ShapeError, match=message):
        zoo.build(name, resolution=resolution)


# --- block lists

CONFIG = {
    "stem": {"cout": 16, "k": 3, "s": 2, "act": "relu6"},
    "blocks": [
        {"cin": 16, "cout": 8, "k": 3, "s": 1, "mid": 16, "act": "relu6", "se": False, "skip": False},
        {"cin": 8, "cout": 8, "k": 5, "s": 1, "mid": 24, "act": "h_swish", "se": True, "skip": True},
    ],
    "feature_mix": {"cout": 32},
    "classifier": {"cout": 7},
    "bn_eps": 0.001,
    "image_size": 40,
}


def test_block_list_from_json():
    network = zoo.from_config(json.loads(json.dumps(CONFIG)), name="mine")
    assert network.name == "mine"
    assert network.inputs[0][1].shape == (1, 3, 40, 40)
    assert network.types[network.outputs[0]].shape == (1, 7)
    assert network.op_counts()["hard_sigmoid"] == 1
    assert zoo.from_config(CONFIG, resolution=80, num_classes=3, batch=2).types["input"].shape == (2, 3, 80, 80)


@pytest.mark.parametrize(
    "damage",
    [
        {"stem": None},
        {"blocks": [{}]},
        {"blocks": 5},
        {"bn_eps": "x"},
        {"stem": {"cout": 16, "act": "mish"}},
        {"stem": {"cout": 0, "act": "relu"}},
        {"feature_mix": 12},
        {"classifier": {}},
        {"feature_mix": {"cout": "wide"}},
        {"image_size": None},
    ],
)
def test_damaged_block_lists(damage):
    with pytest.raises(UsageError):
        zoo.from_config(CONFIG | damage)


def test_block_list_whose_blocks_do_not_fit():
    wrong = [CONFIG["blocks"][0] | {"skip": True}]
    with pytest.raises(ShapeError, match="no shortcut from 16 to 8"):
        zoo.from_config(CONFIG | {"blocks": wrong})


# --- torch


def small(name: str) -> Network:
    """The network on small images, with seven classes."""
    entry = zoo.entry(name)
    resolution = None if entry.input_shape else min(entry.resolution, 64)
    return zoo.build(name, resolution=resolution, num_classes=7, batch=2)


@pytest.fixture
def torch():
    """Torch on one thread: small images do not fill more, and on a busy machine threads wait for each other."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: learn)")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


BIG = 40_000_000
"""Parameters above which a network is not run by default."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if zoo.build(n).params > BIG else []) for n in EVERY]
)
def test_runs_in_torch(name, torch):
    from lutra.networks.exporters.torch import to_torch

    network = small(name)
    module = to_torch(network).eval()
    with torch.inference_mode():
        logits = module(torch.randn(network.inputs[0][1].shape))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    assert sum(p.numel() for p in module.parameters()) == network.params


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mcunet_in0"])
def test_macs_agree_with_torchs_own_counter(name, torch):
    from torch.utils.flop_counter import FlopCounterMode

    from lutra.networks.exporters.torch import to_torch

    network = small(name)
    module, counter = to_torch(network).eval(), FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        module(torch.randn(network.inputs[0][1].shape))
    assert counter.get_total_flops() == 2 * network.macs
