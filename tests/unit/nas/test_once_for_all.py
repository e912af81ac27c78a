"""Once-for-all: parts of one set of weights, shrinking that goes on bit for bit, networks that are taken out."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.functional import conv2d, hardtanh  # noqa: E402

from lutra.nas import spaces  # noqa: E402
from lutra.nas.accuracy import estimator_class  # noqa: E402
from lutra.nas.accuracy.augmentation import Augmentation  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.inherit import weights_of  # noqa: E402
from lutra.nas.accuracy.once_for_all import (  # noqa: E402
    AccuracyPredictor,
    Calibration,
    ElasticSupernet,
    OnceForAll,
    Phase,
    load_supernet,
    progressive,
    ready_subnet,
    save_supernet,
    shrink,
)
from lutra.nas.accuracy.once_for_all.elastic import ElasticBlock  # noqa: E402
from lutra.nas.accuracy.once_for_all.phases import Allowed  # noqa: E402
from lutra.nas.accuracy.once_for_all.supernet import resized  # noqa: E402
from lutra.nas.accuracy.recalibration import recalibrate  # noqa: E402
from lutra.nas.accuracy.recipe import Recipe  # noqa: E402
from lutra.nas.spaces import StagedSpace  # noqa: E402
from lutra.nas.spaces._mobile import chains  # noqa: E402
from lutra.nas.spaces.staged import positions  # noqa: E402
from lutra.networks import NetworkBuilder  # noqa: E402
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck  # noqa: E402
from lutra.networks.errors import CheckpointError, NotSupportedError, UsageError  # noqa: E402

CHOICES = tuple((kernel, mid) for kernel in (3, 5, 7) for mid in (8, 16, 24))


def _stem(b: NetworkBuilder, x: str) -> str:
    return conv_norm_act(b, x, 8, 3, stride=2)


def _block(b: NetworkBuilder, x: str, *, kernel: int, mid: int, stride: int) -> str:
    return inverted_bottleneck(
        b, x, 8, mid_channels=mid, kernel_size=kernel, stride=stride, squeeze_channels=mid // 4, expand=True
    )


def _head(b: NetworkBuilder, x: str) -> str:
    return b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10)


def toy_space(name: str = "toy", sides: tuple[int, ...] = (8, 16)) -> StagedSpace:
    """A stage of one or two blocks, of squeeze and excitation."""
    blocks = [[[partial(_block, kernel=k, mid=m, stride=s) for k, m in CHOICES] for s in (2, 1)]]
    names = [f"{kernel}x{kernel} {mid}" for kernel, mid in CHOICES]
    return StagedSpace(name, sides, chains(name, sides, _stem, positions([(1, 2)], blocks), _head), [(1, 2)], names)


SPACE = toy_space()
LEARNED, JUDGED = digits(16).split(0.25)
FEW, SOME = LEARNED.subset(range(240)), JUDGED.subset(range(100))
QUICK = Recipe(batch=60, augmentation=Augmentation(padding=1, flip=False))
PHASES = progressive(7)
CALIBRATION = Calibration(FEW, FEW.channel_statistics())


@pytest.fixture
def net() -> ElasticSupernet:
    """Weights that are no beginning's: matrices of kernels are not the identity, statistics those of images."""
    made = ElasticSupernet(SPACE)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "transforms" in name:
                value += 0.1 * torch.randn(value.shape, generator=generator)
        for code in SPACE.sample(6, np.random.default_rng(0)):
            made(torch.randn(16, 3, 16, 16, generator=generator), code)
    return made.eval()


def images(n: int = 5) -> torch.Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


# -- one set of weights -----------------------------------------------------------------------------------


def depthwise_block() -> ElasticBlock:
    def built(kernel: int, channels: int):
        b = NetworkBuilder("block")
        x = b.input((1, 4, 9, 9))
        x = b.op("conv2d", x, name="in", out_channels=channels, kernel_size=1, bias=False)
        x = b.op("conv2d", x, name="dw", out_channels=channels, kernel_size=kernel, padding=kernel // 2,
                 groups=channels, bias=False)  # fmt: skip
        return b.build(b.op("conv2d", b.op("relu6", x), name="out", out_channels=4, kernel_size=1, bias=False))

    return ElasticBlock([built(kernel, channels) for kernel in (3, 5, 7) for channels in (6, 8)], "here")


def test_a_smaller_kernel_is_the_middle_of_a_larger_one_times_a_matrix():
    block, x = depthwise_block(), torch.randn(2, 4, 9, 9)
    weight = block.shared.get_parameter("dw.weight")
    first, second = block.transforms["dw_weight_5"], block.transforms["dw_weight_3"]
    assert torch.equal(first, torch.eye(25))
    assert torch.equal(second, torch.eye(9))
    assert torch.equal(block.weights(0)["dw.weight"], weight[:6, :, 2:5, 2:5])
    with torch.no_grad():
        first += torch.randn(25, 25)
        second += torch.randn(9, 9)
    # By hand, channel by channel: 7 to 5 to 3.
    kernels = []
    for channel in weight[:6, 0]:
        middle = (first @ channel[1:6, 1:6].reshape(25)).reshape(5, 5)
        kernels.append((second @ middle[1:4, 1:4].reshape(9)).reshape(1, 3, 3))
    inner = conv2d(x, block.shared.get_parameter("in.weight")[:6])
    inner = hardtanh(conv2d(inner, torch.stack(kernels), padding=1, groups=6), 0, 6)
    wanted = conv2d(inner, block.shared.get_parameter("out.weight")[:, :6])
    assert torch.allclose(block(x, 0), wanted, atol=1e-5)


def test_gradients_reach_shared_weights_and_matrices():
    block = depthwise_block()
    block(torch.randn(2, 4, 9, 9), 0).sum().backward()
    gradient = block.shared.get_parameter("dw.weight").grad
    assert gradient is not None
    assert (gradient[:6, :, 2:5, 2:5] != 0).any()
    assert (gradient[6:] == 0).all()
    assert (gradient[:, :, 0] == 0).all()
    assert block.transforms["dw_weight_3"].grad is not None


def test_sorted_channels_compute_the_same_and_the_most_important_come_first(net: ElasticSupernet):
    before = net(images(), net.largest)
    smaller = SPACE.canonical(np.array([[1, 1, 0, 3]]))[0]
    other = net(images(), smaller)
    net.sort_channels()
    assert torch.allclose(net(images(), net.largest), before, atol=1e-5)
    assert not torch.allclose(net(images(), smaller), other, atol=1e-3)
    state = net.blocks[0].shared.state_dict()
    read = state["project.conv.weight"].abs().sum(dim=(0, 2, 3)) + state["se.fc1.weight"].abs().sum(dim=(0, 2, 3))
    assert (read.diff() <= 0).all()
    squeezed = state["se.fc2.weight"].abs().sum(dim=(0, 2, 3))
    assert (squeezed.diff() <= 0).all()


def test_candidates_that_are_no_parts_are_refused():
    def built(kernel: int, name: str, channels: int):
        b = NetworkBuilder("block")
        x = b.op("conv2d", b.input((1, 4, 9, 9)), name=name, out_channels=channels, kernel_size=kernel)
        return b.build(x)

    with pytest.raises(NotSupportedError, match=r"candidate 0 of here is no part of the largest: a\.weight .*missing"):
        ElasticBlock([built(3, "a", 4), built(5, "b", 4)], "here")
    with pytest.raises(NotSupportedError, match=r"\(4, 4, 2, 2\), there \(4, 4, 5, 5\)\n.*odd, square"):
        ElasticBlock([built(2, "a", 4), built(5, "a", 4)], "here")


def test_spaces_without_stages_are_refused():
    with pytest.raises(NotSupportedError, match=r"proxyless is no space of stages\n.*ofa-small"):
        ElasticSupernet(spaces.build("proxyless"))


# -- networks taken out -----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_network_taken_out_computes_what_the_supernet_does(seed: int):
    made = ElasticSupernet(SPACE, seed=1).eval()
    code = SPACE.sample(1, np.random.default_rng(seed))[0]
    subnet = made.extract(code)
    assert subnet.network == SPACE.decode(code)
    assert sum(p.numel() for p in subnet.module.parameters()) == subnet.network.params
    scaled = resized(images(), made.resolution(code))
    assert scaled.shape[-2:] == subnet.network.inputs[0][1].shape[-2:]
    assert (subnet.module(scaled) - made(images(), code)).abs().max() < 1e-5


def test_it_does_so_with_weights_of_any_kind(net: ElasticSupernet):
    for code in SPACE.sample(12, np.random.default_rng(5)):
        found = net.extract(code).module(resized(images(), net.resolution(code)))
        assert (found - net(images(), code)).abs().max() < 1e-5


def test_taking_out_copies(net: ElasticSupernet):
    before = weights_of(net)
    subnet = net.extract(net.largest)
    with torch.no_grad():
        for value in subnet.module.parameters():
            value.zero_()
    recalibrate(subnet.module, CALIBRATION.batches(16))
    after = weights_of(net)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_statistics_are_those_of_the_images(net: ElasticSupernet):
    code = SPACE.canonical(np.array([[0, 1, 1, 1]]))[0]
    subnet = net.extract(code)
    (batch,) = CALIBRATION.batches(8)
    recalibrate(subnet.module, [batch])
    features = conv2d(batch, subnet.module.get_parameter("conv.weight"), stride=2, padding=1)
    found = subnet.module.get_submodule("norm")
    assert torch.allclose(found.running_mean, features.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(found.running_var, features.var(dim=(0, 2, 3)), rtol=1e-4)
    inside = subnet.module.train()(batch)
    assert torch.allclose(subnet.module.eval()(batch), inside, atol=2e-2)


# -- phases -----------------------------------------------------------------------------------------------


def test_each_phase_allows_more():
    net = ElasticSupernet(SPACE)
    of = {phase.name: Allowed(net, phase).choices for phase in PHASES}
    assert of["full"] == [[0, 1], [1], [8], [8]]
    assert of["kernel"] == [[0, 1], [1], [2, 5, 8], [2, 5, 8]]
    assert of["depth-1"] == of["depth-2"] == [[0, 1], [0, 1], [2, 5, 8], [2, 5, 8]]
    assert sorted(of["width-1"][2]) == [1, 2, 4, 5, 7, 8]
    assert sorted(of["width-2"][3]) == list(range(9))
    assert Allowed(net, PHASES[-1]).largest.tolist() == net.largest.tolist()
    assert Allowed(net, PHASES[-1]).smallest.tolist() == [0, 0, 0, 0]


def test_sampling_is_uniform_over_what_is_allowed():
    codes = Allowed(ElasticSupernet(SPACE), PHASES[-1]).sample(9000, np.random.default_rng(0))
    assert (SPACE.canonical(codes) == codes).all()
    assert np.allclose(np.bincount(codes[:, 2]) / 9000, 1 / 9, atol=0.02)
    assert np.allclose(np.bincount(codes[:, 1]) / 9000, 1 / 2, atol=0.02)


def test_numbers_below_one_are_refused():
    with pytest.raises(UsageError, match="'x' has a number below 1"):
        Phase(name="x", epochs=0)
    with pytest.raises(UsageError, match="5 epochs for 6 phases"):
        progressive(5)
    with pytest.raises(UsageError, match="phases lack, or have one name"):
        shrink(ElasticSupernet(SPACE), FEW, SOME, [PHASES[0], PHASES[0]])


# -- shrinking --------------------------------------------------------------------------------------------


def test_shrinking_learns():
    net = ElasticSupernet(SPACE)
    shrunk = shrink(net, LEARNED, JUDGED, progressive(12), QUICK)
    losses = [epoch.loss for epoch in shrunk.epochs[0]]
    assert losses[-1] < 0.8 * losses[0]
    assert shrunk.epochs[-1][-1].accuracy_pct > 70
    assert [len(epochs) for epochs in shrunk.epochs] == [2, 1, 1, 1, 1, 6]
    assert shrunk.seconds > 0
    estimator = OnceForAll(net, shrunk.calibration, JUDGED)
    assert estimator.measured_pct(SPACE.sample(6, np.random.default_rng(0))).min() > 40


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [3, 23])
def test_a_killed_shrinking_ends_bit_for_bit_as_one_that_was_not(tmp_path: Path, stop_at: int):
    whole, killed, resumed = (ElasticSupernet(SPACE) for _ in range(3))
    shrink(whole, FEW, SOME, PHASES, QUICK)
    told = 0

    def stop(_: object) -> None:
        nonlocal told
        told += 1
        if told == stop_at:
            raise _StopError

    with pytest.raises(_StopError):
        shrink(killed, FEW, SOME, PHASES, QUICK, folder=tmp_path, on_progress=stop)
    shrink(resumed, FEW, SOME, PHASES, QUICK, folder=tmp_path)
    wanted, found = weights_of(whole), weights_of(resumed)
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)


def test_checkpoints_of_another_space_or_another_plan_are_refused(tmp_path: Path):
    shrink(ElasticSupernet(SPACE), FEW, SOME, PHASES[:1], QUICK, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"of another training: .*space was 'toy', is 'other'"):
        shrink(ElasticSupernet(toy_space("other")), FEW, SOME, PHASES[:1], QUICK, folder=tmp_path)
    changed = Phase(name="full", epochs=1, kernels=1, depths=1, widths=1, subnets=2)
    with pytest.raises(CheckpointError, match=r"phase\.subnets was 1, is 2"):
        shrink(ElasticSupernet(SPACE), FEW, SOME, [changed], QUICK, folder=tmp_path)


def test_images_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"reads \(3, 16, 16\)"):
        shrink(ElasticSupernet(SPACE), digits(24), digits(24), PHASES, QUICK)


def test_a_kept_supernet_is_the_same(net: ElasticSupernet, tmp_path: Path):
    save_supernet(net, CALIBRATION, tmp_path / "net.npz")
    other = ElasticSupernet(SPACE, seed=9)
    calibration = load_supernet(other, tmp_path / "net.npz")
    assert np.array_equal(calibration.images.images, FEW.images)
    assert torch.equal(other.eval()(images(), net.largest), net(images(), net.largest))
    with pytest.raises(CheckpointError, match="of another supernet: space was 'toy', is 'other'"):
        load_supernet(ElasticSupernet(toy_space("other")), tmp_path / "net.npz")
    with pytest.raises(CheckpointError, match="there is no supernet at"):
        load_supernet(other, tmp_path / "none.npz")


# -- accuracies -------------------------------------------------------------------------------------------


def test_the_predictor_orders_architectures_that_it_has_not_seen():
    space = spaces.build("ofa-small")
    rng = np.random.default_rng(0)
    codes = space.sample(260, rng)
    worth = 60 + 4 * np.log(space.costs(codes).macs / 1e5) + 0.1 * rng.standard_normal(260)
    predictor = AccuracyPredictor(space, hidden=(64, 64)).fit(codes[:200], worth[:200])
    found = predictor.predict(codes[200:])
    assert np.corrcoef(found, worth[200:])[0, 1] > 0.9
    assert np.abs(found - worth[200:]).mean() < 1.5
    again = AccuracyPredictor(space, hidden=(64, 64)).fit(codes[:200], worth[:200]).predict(codes[200:])
    assert (found == again).all()


def test_a_predictor_without_samples_says_so():
    with pytest.raises(UsageError, match=r"learned nothing\n.*call fit"):
        AccuracyPredictor(SPACE).predict([[0, 0, 0, 0]])
    with pytest.raises(UsageError, match="1 architectures"):
        AccuracyPredictor(SPACE).fit([[0, 0, 0, 0]], [50.0])


def test_the_estimator_learns_and_predicts(net: ElasticSupernet):
    estimator = OnceForAll(net, CALIBRATION, SOME)
    with pytest.raises(UsageError, match="no accuracies were learned"):
        estimator.predicted_pct([[0, 0, 0, 0]])
    estimator.learn(6, hidden=(16,))
    assert estimator.seconds > 0
    codes = SPACE.sample(5, np.random.default_rng(0))
    assert estimator.predicted_pct(codes).shape == (5,)
    scores = estimator.estimate([SPACE.decode(code) for code in codes])
    assert (scores.values == estimator.measured_pct(codes)).all()
    assert scores.meaning == "shared_accuracy_pct"


def test_networks_of_other_spaces_have_no_score(net: ElasticSupernet):
    estimator = OnceForAll(net, CALIBRATION, SOME)
    other = spaces.build("ofa-small")
    scores = estimator.estimate([other.decode([0] * len(other.decisions)), SPACE.decode([0, 0, 0, 0])])
    assert scores.failures == ("it is no network that the space toy decodes to", None)


def test_an_estimator_without_a_supernet_says_what_to_do():
    with pytest.raises(UsageError, match=r"needs a trained supernet.*\n.*shrink"):
        estimator_class("once-for-all")(seed=0)


def test_a_ready_network_scales_images(net: ElasticSupernet):
    assert ready_subnet(net, [0, 0, 0, 0], CALIBRATION).module(images()).shape == (5, 10)
