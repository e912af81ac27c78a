"""Once-for-all: parts of one set of weights, shrinking that goes on bit for bit, networks that are taken out."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.functional import conv2d, cross_entropy, hardtanh  # noqa: E402

from lutra.nas import spaces  # noqa: E402
from lutra.nas.accuracy import estimator_class  # noqa: E402
from lutra.nas.accuracy.augmentation import Augmentation  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.data_augmentation import Batches  # noqa: E402
from lutra.nas.accuracy.inherit import weights_of  # noqa: E402
from lutra.nas.accuracy.once_for_all import (  # noqa: E402
    AccuracyPredictor,
    Calibration,
    ElasticSupernet,
    OnceForAll,
    Phase,
    load_supernet,
    plan,
    ready_subnet,
    save_supernet,
    shrink,
)
from lutra.nas.accuracy.once_for_all.elastic import ElasticBlock  # noqa: E402
from lutra.nas.accuracy.once_for_all.phases import Allowed  # noqa: E402
from lutra.nas.accuracy.once_for_all.serving import Scaled  # noqa: E402
from lutra.nas.accuracy.once_for_all.shrinking import Subnets  # noqa: E402
from lutra.nas.accuracy.once_for_all.supernet import resized  # noqa: E402
from lutra.nas.accuracy.recalibration import recalibrate  # noqa: E402
from lutra.nas.accuracy.recipe import Recipe  # noqa: E402
from lutra.nas.spaces import StagedSpace  # noqa: E402
from lutra.nas.spaces._mobile import chains  # noqa: E402
from lutra.nas.spaces.staged import positions  # noqa: E402
from lutra.networks import NetworkBuilder  # noqa: E402
from lutra.networks.blocks import conv_norm_act, inverted_bottleneck  # noqa: E402
from lutra.networks.errors import (  # noqa: E402
    CheckpointError,
    FormatVersionError,
    NotSupportedError,
    UsageError,
)

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
PHASES = plan(7)
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


def test_statistics_are_those_of_the_whole_set_of_images(net: ElasticSupernet):
    """Also behind other norms, which no batch of its own has changed."""
    code = SPACE.canonical(np.array([[1, 1, 3, 8]]))[0]
    subnet = ready_subnet(net, code, CALIBRATION)
    assert isinstance(subnet.module, Scaled)
    seen: dict[str, torch.Tensor] = {}
    norms = {name: norm for name, norm in subnet.module.named_modules() if isinstance(norm, torch.nn.BatchNorm2d)}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    whole = Batches(FEW, len(FEW), statistics=CALIBRATION.statistics)
    with torch.no_grad():
        subnet.module(next(iter(whole.in_order()))[0])
    assert len(norms) > 4
    for name, norm in norms.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert torch.allclose(norm.running_mean, seen[name].mean(dim=(0, 2, 3)), atol=1e-3)
        assert torch.allclose(norm.running_var, seen[name].var(dim=(0, 2, 3)), rtol=1e-2, atol=1e-5)


# -- phases -----------------------------------------------------------------------------------------------


def test_each_phase_allows_more():
    net = ElasticSupernet(SPACE)
    of = {phase.name: Allowed(net, phase).choices for phase in PHASES}
    assert of["full"] == [[0, 1], [1], [8], [8]]
    assert of["kernel"] == [[0, 1], [1], [2, 5, 8], [2, 5, 8]]
    assert of["depth"] == [[0, 1], [0, 1], [2, 5, 8], [2, 5, 8]]
    assert [sorted(choices) for choices in of["width"]] == [[0, 1], [0, 1], list(range(9)), list(range(9))]
    two_widths = Allowed(net, Phase(name="x", epochs=1, widths=2)).choices
    assert sorted(two_widths[2]) == [1, 2, 4, 5, 7, 8]
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
    with pytest.raises(UsageError, match="phases lack, or have one name"):
        shrink(ElasticSupernet(SPACE), FEW, SOME, [PHASES[0], PHASES[0]])


# -- shrinking --------------------------------------------------------------------------------------------


def test_shrinking_learns():
    net = ElasticSupernet(SPACE)
    shrunk = shrink(net, LEARNED, JUDGED, plan(15), QUICK)
    losses = [epoch.loss for epoch in shrunk.epochs[0]]
    assert losses[-1] < 0.8 * losses[0]
    assert shrunk.epochs[-1][-1].accuracy_pct > 70
    assert [len(epochs) for epochs in shrunk.epochs] == [2, 1, 2, 10]
    assert shrunk.seconds > 0
    assert shrunk.cpu_seconds is not None
    assert shrunk.cpu_seconds > 0
    estimator = OnceForAll(net, shrunk.calibration, JUDGED)
    assert estimator.measured_pct(SPACE.sample(6, np.random.default_rng(0))).min() > 40


def test_smaller_networks_are_parts_of_one_that_was_trained_alone():
    """After the first phase nothing but the largest network has changed: the others are cut out of it."""
    net = ElasticSupernet(SPACE)
    shrink(net, FEW, SOME, PHASES[:1], QUICK)
    for block in net.blocks:
        assert isinstance(block, ElasticBlock)
        assert all(torch.equal(matrix, torch.eye(len(matrix))) for matrix in block.transforms.values())
        whole, part = block.weights(block.largest), block.weights(0)  # 3 x 3, 8 channels
        assert torch.equal(part["depthwise.conv.weight"], whole["depthwise.conv.weight"][:8, :, 2:5, 2:5])
        assert torch.equal(part["project.conv.weight"], whole["project.conv.weight"][:, :8])
        assert torch.equal(part["expand.norm.weight"], whole["expand.norm.weight"][:8])
    deep, shallow = (net.extract(code).module.state_dict() for code in ([1, 1, 8, 8], [1, 0, 8, 0]))
    assert all(torch.equal(value, deep[name]) for name, value in shallow.items())


def test_one_curve_of_the_learning_rate_goes_through_all_phases():
    recipe = replace(QUICK, learning_rate=0.08)
    shrunk = shrink(ElasticSupernet(SPACE), FEW, SOME, PHASES, recipe)
    found = [epoch.learning_rate for phase in shrunk.epochs for epoch in phase]
    assert found == [recipe.learning_rate_at(4 * epoch + 3, 28) for epoch in range(7)]  # four steps an epoch
    assert found == sorted(found, reverse=True)


def test_the_largest_teaches_the_others_and_the_smallest_is_always_there():
    net, images_ = ElasticSupernet(SPACE).train(), images()
    labels = torch.eye(10)[:5]
    phases = [
        Phase(name="x", epochs=1, subnets=n, sandwich=sandwich)
        for n, sandwich in ((1, True), (2, True), (5, True), (4, False))
    ]
    one, two, five, others = (Subnets(Allowed(net, phase), phase, QUICK, CALIBRATION) for phase in phases)
    for step in range(5):
        assert two.drawn(step)[0].tolist() == net.largest.tolist()
        first, *_, last = five.drawn(step).tolist()
        assert (first, last) == (net.largest.tolist(), [0, 0, 0, 0])
    assert len({tuple(one.drawn(step)[0]) for step in range(20)}) > 5
    assert len({tuple(others.drawn(step)[0]) for step in range(20)}) > 5
    found = two.gradients(net, images_, labels, 0)
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    big, other = (net(images_, code) for code in two.drawn(0))
    losses = (
        cross_entropy(big, labels, label_smoothing=QUICK.label_smoothing),
        (
            cross_entropy(other, labels, label_smoothing=QUICK.label_smoothing)
            + cross_entropy(other, big.detach().softmax(1))
        )
        / 2,
    )
    (sum(losses) / 2**0.5).backward()
    assert found == pytest.approx(sum(loss.item() for loss in losses) / 2, rel=1e-5)
    assert all(torch.allclose(p.grad, gradients[n], atol=1e-5) for n, p in net.named_parameters() if p.grad is not None)


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


def test_progress_is_that_of_all_phases():
    seen = []
    shrink(ElasticSupernet(SPACE), FEW, SOME, PHASES, QUICK, on_progress=seen.append)
    ends = [progress for progress in seen if progress.step == len(progress.epochs) * 4]  # 240 images of 60 in a step
    assert [len(progress.epochs) for progress in ends] == [1, 2, 3, 4, 5, 6, 7]
    assert {progress.steps for progress in seen} == {28}
    assert [progress.step for progress in seen if progress not in ends[:-1]] == [*range(1, 29), 28]


def test_a_plan_has_all_epochs_and_each_phase_some():
    for epochs in (*range(4, 200), 10_000):
        phases = plan(epochs)
        assert sum(phase.epochs for phase in phases) == epochs
        assert phases[-1].epochs == max(phase.epochs for phase in phases)
        assert [phase.name for phase in phases] == [phase.name for phase in PHASES]
    assert [phase.epochs for phase in plan(60)] == [6, 4, 6, 44]
    with pytest.raises(UsageError, match="3 epochs for 4 phases"):
        plan(3)


def test_a_kept_supernet_is_the_same(net: ElasticSupernet, tmp_path: Path):
    save_supernet(net, CALIBRATION, tmp_path / "net.npz")
    other = ElasticSupernet(SPACE, seed=9)
    kept = load_supernet(other, tmp_path / "net.npz")
    assert np.array_equal(kept.calibration.images.images, FEW.images)
    assert kept.held_out is None
    assert torch.equal(other.eval()(images(), net.largest), net(images(), net.largest))
    with pytest.raises(CheckpointError, match="of another supernet: space was 'toy', is 'other'"):
        load_supernet(ElasticSupernet(toy_space("other")), tmp_path / "net.npz")
    with pytest.raises(CheckpointError, match="there is no supernet at"):
        load_supernet(other, tmp_path / "none.npz")


def test_images_to_judge_by_are_kept_with_it(net: ElasticSupernet, tmp_path: Path):
    save_supernet(net, CALIBRATION, tmp_path / "net.npz", held_out=SOME)
    kept = load_supernet(ElasticSupernet(SPACE, seed=9), tmp_path / "net.npz")
    assert kept.held_out is not None
    assert np.array_equal(kept.held_out.images, SOME.images)
    assert np.array_equal(kept.held_out.labels, SOME.labels)
    with pytest.raises(UsageError, match=r"images of 'digits' are \(3, 24, 24\)"):
        save_supernet(net, CALIBRATION, tmp_path / "other.npz", held_out=digits(24))


@pytest.fixture(scope="module")
def kept_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("kept") / "net.npz"
    few = FEW.subset(range(4))
    save_supernet(ElasticSupernet(SPACE), Calibration(few, few.channel_statistics()), path, held_out=few)
    return path.read_bytes()


@given(share=st.floats(0, 0.99), bits=st.integers(1, 255), at_end=st.booleans(), cut=st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_damaged_file_is_refused_or_is_the_same(kept_file, tmp_path_factory, share, bits, at_end, cut):
    """Cut off anywhere, or with any byte changed: never another error, never other weights."""
    path, length = tmp_path_factory.getbasetemp() / "damaged.npz", len(kept_file)
    place = length - 1 - int(share * 7000) if at_end else int(share * length)  # at the end is the list of arrays
    changed = bytearray(kept_file)
    changed[place] ^= bits
    path.write_bytes(kept_file[:place] if cut else bytes(changed))
    net = ElasticSupernet(SPACE, seed=9)
    try:
        load_supernet(net, path)
    except (CheckpointError, FormatVersionError):
        return
    whole = ElasticSupernet(SPACE)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), whole.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"state/mean": np.zeros(2, np.float32)},
        {"state/deviation": np.full(3, np.nan, np.float32)},
        {"state/images": np.zeros((4, 3, 8, 8), np.uint8)},
        {"state/labels": np.full(4, 10)},
        {"state/held_out/labels": np.full(4, -1)},
        {"state/held_out/images": np.zeros((4, 3, 16, 16), np.float32)},
        {"state/weights/head.shared.classifier.weight": np.zeros(3, np.float32)},
    ],
)
def test_a_file_whose_parts_do_not_fit_is_damaged(kept_file: bytes, tmp_path: Path, change):
    path = tmp_path / "net.npz"
    path.write_bytes(kept_file)
    with np.load(path) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    np.savez(path, **(arrays | change))
    with pytest.raises(CheckpointError, match=r"is damaged \(.*\n.*train the supernet again"):
        load_supernet(ElasticSupernet(SPACE), path)


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
