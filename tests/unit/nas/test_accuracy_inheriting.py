"""Weights from a relative: where the function is said to stay, it does; where it does not, it is said why."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lutra.nas import spaces  # noqa: E402
from lutra.nas.accuracy.inherit import Grown, inherit, kinship, to_module, weights_of  # noqa: E402
from lutra.nas.searchers.growing import grown  # noqa: E402
from lutra.nas.spaces import ChainSpace  # noqa: E402
from lutra.nas.spaces.nasbench201 import NasBench201Space  # noqa: E402
from lutra.nas.testing import ClassifierSpace, ToySpace  # noqa: E402
from lutra.networks import NetworkBuilder, TensorType, blocks, zoo  # noqa: E402
from lutra.networks.exporters import to_torch  # noqa: E402
from lutra.networks.lowering.blocks import BlockSpace  # noqa: E402


def nothing(b, x):
    del b
    return x


def residual(b, x, *, groups, kernel=3, width=8):
    y = blocks.conv_norm_act(b, x, width, 1)
    y = b.op("channel_shuffle", y, groups=2) if groups > 1 else y
    y = blocks.conv_norm_act(b, y, b.channels(x), kernel, groups=groups, activation=None)
    return b.op("relu", b.op("add", x, y))


def plain(b, x, *, kernel, width):
    return blocks.conv_norm_act(b, x, width, kernel)


def two_branches(b, x, *, width):
    left = blocks.conv_norm_act(b, x, width, 3)
    right = b.op("max_pool2d", x, kernel_size=3, stride=1, padding=1)
    return blocks.conv_norm_act(b, b.op("concat", left, right, axis=1), 8, 1)


def _chain(name, positions):
    def stem(b, x):
        return blocks.conv_norm_act(b, x, 8, 3)

    def head(b, x):
        x = b.op("flatten", b.op("adaptive_avg_pool2d", x, output_size=2))
        x = b.op("relu", b.op("linear", x, out_features=12))
        return b.op("linear", x, out_features=5)

    chain = BlockSpace(name, TensorType((1, 3, 9, 9)), stem, tuple(map(tuple, positions)), head)
    return ChainSpace(name, [chain])


def mobile():
    """Inverted bottlenecks, squeezed ones and none; all but the last choice lie in order of their size."""
    block = partial(blocks.inverted_bottleneck, out_channels=8)
    sizes = [(k, e) for k in (3, 5) for e in (16, 24, 32)]
    plain_ones = [partial(block, mid_channels=e, kernel_size=k) for k, e in sizes]
    squeezed = [
        partial(block, mid_channels=e, kernel_size=3, squeeze_channels=e // 4, activation="hard_swish")
        for e in (16, 32)
    ]
    strided = [partial(blocks.inverted_bottleneck, out_channels=12, mid_channels=e, stride=2) for e in (16, 32)]
    wide = [partial(blocks.inverted_bottleneck, out_channels=12, mid_channels=e) for e in (24, 40)]
    return _chain("mobile", [[*plain_ones, nothing], [*squeezed, nothing], strided, [*wide, nothing]])


def mixed():
    """Groups, shuffles, plain convolutions in line, branches that are joined."""
    first = [partial(residual, groups=g, kernel=k) for g in (1, 2) for k in (1, 3)]
    line = [partial(plain, kernel=k, width=8) for k in (1, 3, 5)]
    joined = [partial(two_branches, width=w) for w in (4, 6)]
    return _chain("mixed", [[*first, nothing], [*line, nothing], joined])


SPACES = {
    "mobile": mobile,
    "mixed": mixed,
    "classifiers": lambda: ClassifierSpace((4, 6, 12), (1, 2, 4)),
    "nasbench201": lambda: NasBench201Space(8, channels=4, repeats=1),
    "ofa-small": lambda: spaces.build("ofa-small"),
    "toy": ToySpace,
}
_space = cache(lambda name: SPACES[name]())


def settled(network, seed=0):
    """A module with random weights, whose batch norms have random scales and the statistics of noise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = to_torch(network)
        norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, 0, 0.2)
        if norms:
            with torch.no_grad():
                module.train()(torch.randn(16, *network.inputs[0][1].shape[1:]))
    return module.eval()


def difference(module, heir):
    """Largest difference of outputs on noise, both in evaluation mode, in float32, as a share of the largest output."""
    shape = heir.network.inputs[0][1].shape
    count = 4 if len(shape) == 4 else shape[0]
    images = torch.randn(count, *shape[1:], generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        outputs = module(images)
        return float((to_module(heir).eval()(images) - outputs).abs().max() / outputs.abs().max().clamp_min(1))


def trained(network, seed=0):
    module = settled(network, seed)
    return module, Grown(network, weights_of(module))


# -- what is claimed ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.0, 0.2, 0.9]))
def test_where_the_function_is_said_to_stay_it_does(name, seed, rate):
    space, rng = _space(name), np.random.default_rng(seed)
    code = space.sample(1, rng)
    parent, child = space.decode(code), space.decode(space.mutate(code, rng, rate))
    module, relative = trained(parent, seed % 1000)
    heir = inherit(child, relative, seed=1)
    assert heir.kinship == kinship(child, parent)
    assert 0 <= heir.kinship.share <= 1
    assert 0 <= heir.kinship.alike <= 1
    assert bool(heir.kinship.lost) or heir.kinship.same
    assert sum(p.numel() for p in to_module(heir).parameters()) == child.params
    if heir.kinship.same:
        assert difference(module, heir) < 1e-5


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 2**32 - 1))
def test_what_grows_keeps_the_function(name, seed):
    space, rng = _space(name), np.random.default_rng(seed)
    code = space.sample(1, rng)
    larger = grown(space, code, rng)
    parent, child = space.decode(code), space.decode(larger)
    if child.params > parent.params and kinship(child, parent).same:
        module, relative = trained(parent)
        assert (larger != code).any()
        assert difference(module, inherit(child, relative)) < 1e-5


@pytest.mark.parametrize("name", ["mobile", "classifiers", "ofa-small"])
def test_whatever_is_not_the_largest_of_its_space_can_grow(name):
    space, rng = _space(name), np.random.default_rng(3)
    codes = space.sample(12, rng)
    children = grown(space, codes, rng)
    largest = max(space.costs(space.sample(500, rng)).params)
    for code, child in zip(codes, children, strict=True):
        if space.costs(code[None]).params[0] < 0.8 * largest:
            assert kinship(space.decode(child), space.decode(code)).same
            assert space.costs(child[None]).params[0] > space.costs(code[None]).params[0]


def pairs():
    """(what, smaller, larger) by the kind of growth."""

    def net(build):
        b = NetworkBuilder("net")
        x = build(b, blocks.conv_norm_act(b, b.input((1, 3, 9, 9)), 8))
        return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=5))

    bottleneck = partial(blocks.inverted_bottleneck, out_channels=8)
    return {
        "wider": (net(partial(bottleneck, mid_channels=16)), net(partial(bottleneck, mid_channels=40))),
        "wider by a share": (net(partial(bottleneck, mid_channels=16)), net(partial(bottleneck, mid_channels=21))),
        "larger window": (
            net(partial(bottleneck, mid_channels=16)),
            net(partial(bottleneck, mid_channels=16, kernel_size=7)),
        ),
        "larger dense window": (net(partial(plain, kernel=1, width=8)), net(partial(plain, kernel=5, width=8))),
        "another block": (net(nothing), net(partial(bottleneck, mid_channels=16))),
        "a layer behind a rectifier": (net(nothing), net(partial(plain, kernel=3, width=8))),
        "a wider layer behind one": (net(nothing), net(partial(plain, kernel=3, width=16))),
        "a wider squeeze": (
            net(partial(bottleneck, mid_channels=16, squeeze_channels=4)),
            net(partial(bottleneck, mid_channels=24, squeeze_channels=8)),
        ),
        "a wider branch of a concat": (net(partial(two_branches, width=4)), net(partial(two_branches, width=8))),
        "an edge of a cell": (
            zoo.build("nasbench201/|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"),
            zoo.build("nasbench201/|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"),
        ),
    }


PAIRS = pairs()


@pytest.mark.parametrize("what", PAIRS)
def test_what_keeps_the_function(what):
    smaller, larger = PAIRS[what]
    module, relative = trained(smaller)
    heir = inherit(larger, relative)
    assert heir.kinship.same, heir.kinship.lost
    assert heir.kinship.lost == ()
    assert difference(module, heir) < 1e-5


@pytest.mark.parametrize("what", ["wider", "larger window", "another block", "a wider squeeze", "larger dense window"])
def test_what_shrinks_changes_the_function_and_says_why(what):
    smaller, larger = PAIRS[what]
    module, relative = trained(larger)
    heir = inherit(smaller, relative)
    assert not heir.kinship.same
    assert difference(module, heir) > 1e-3
    assert heir.kinship.share > 0.9


def test_a_network_inherits_all_of_itself():
    for name in sorted(SPACES):
        space = _space(name)
        network = space.decode(space.sample(1, np.random.default_rng(5)))
        _, relative = trained(network)
        heir = inherit(network, relative)
        assert (heir.kinship.same, heir.kinship.share, heir.kinship.alike) == (True, 1.0, 1.0)
        for array, own in relative.weights.items():
            assert np.array_equal(heir.weights[array], own) or array.endswith("num_batches_tracked")


def test_reasons_name_the_layer():
    def net(**block):
        b = NetworkBuilder("net")
        x = blocks.conv_norm_act(b, b.input((1, 3, 9, 9)), 8)
        x = blocks.inverted_bottleneck(b, x, 12, **block)
        return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=5))

    def lost(child, parent):
        found = kinship(child, parent)
        assert not found.same
        return found.lost[0]

    base = net(mid_channels=16, kernel_size=5)
    reads = "project.conv (conv2d) reads 12 channels, project.conv read 16"
    assert lost(net(mid_channels=12, kernel_size=5), base) == reads
    assert "depthwise.conv (conv2d) sees another part of the image" in lost(net(mid_channels=16), base)
    assert lost(net(mid_channels=16, kernel_size=5, stride=2), base).startswith("depthwise.conv (conv2d) is new")
    smooth = net(mid_channels=16, kernel_size=5, activation="hard_swish")
    assert lost(smooth, base) == "expand.act (hard_swish) is new, and no identity"
    space = _space("ofa-small")
    small, large = (space.decode([size, *[0] * 8]) for size in (0, 2))
    assert lost(large, small) == "it reads 1x3x24x24:float32, and the other 1x3x16x16:float32"


def test_fewer_channels_take_the_first_ones_and_smaller_windows_the_middle():
    smaller, larger = PAIRS["wider"]
    _, relative = trained(larger)
    weights = inherit(smaller, relative).weights
    assert np.array_equal(weights["expand.conv.weight"], relative.weights["expand.conv.weight"][:16])
    smaller, larger = PAIRS["larger window"]
    _, relative = trained(larger)
    weights = inherit(smaller, relative).weights
    assert np.array_equal(weights["depthwise.conv.weight"], relative.weights["depthwise.conv.weight"][..., 2:5, 2:5])


def test_noise_tells_repeated_channels_apart_and_nothing_else():
    smaller, larger = PAIRS["wider"]
    module, relative = trained(smaller)
    plain_one, noisy = (inherit(larger, relative, noise=noise).weights["expand.conv.weight"] for noise in (0.0, 0.01))
    assert len(np.unique(plain_one, axis=0)) == 16
    assert len(np.unique(noisy, axis=0)) == 40
    assert np.array_equal(noisy[:16], plain_one[:16])
    assert 0 < difference(module, inherit(larger, relative, noise=0.01)) < 0.5
    again = inherit(larger, relative, noise=0.01).weights["expand.conv.weight"]
    assert np.array_equal(noisy, again)


def test_new_layers_begin_at_random_by_the_seed_and_leave_the_global_state_alone():
    smaller, larger = PAIRS["another block"]
    _, relative = trained(smaller)
    before = torch.random.get_rng_state()
    one, same, other = (inherit(larger, relative, seed=seed).weights["expand.conv.weight"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.std() > 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_strangers_inherit_what_fits():
    one, other = zoo.build("resnet18", resolution=32, num_classes=10), ClassifierSpace().decode([0, 0])
    _, relative = trained(other)
    heir = inherit(one, relative)
    assert not heir.kinship.same
    assert heir.kinship.share < 1
    assert heir.kinship.lost


def test_what_cannot_begin_as_nothing_or_as_an_identity():
    """A norm without a scale, a layer whose weights are those of another one."""

    def net(branch=None, line=None):
        b = NetworkBuilder("net")
        x = blocks.conv_norm_act(b, b.input((1, 3, 9, 9)), 4)
        if branch is not None:
            x = b.op("add", x, branch(b, x))
        if line is not None:
            x = line(b, x)
        y = b.op("conv2d", x, name="shared", out_channels=4, kernel_size=1)
        return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", y)), out_features=5))

    def plain_norm(b, x):
        return b.op("batch_norm", b.op("conv2d", x, out_channels=4, kernel_size=1), affine=False)

    def twice(b, x):
        first = b.op("conv2d", x, name="a", out_channels=4, kernel_size=1)
        return b.op("conv2d", first, name="b", out_channels=4, kernel_size=1, weights_from="a")

    small = net()
    module, relative = trained(small)
    for larger in (net(branch=plain_norm), net(line=plain_norm), net(branch=twice), net(line=twice)):
        heir = inherit(larger, relative)
        assert not heir.kinship.same
        assert "is new, and no identity" in heir.kinship.lost[0]
        assert heir.undone == ()
        assert difference(module, heir) > 1e-3
        assert float(np.abs(to_module(heir).state_dict()["shared.weight"].numpy()).max()) > 0
