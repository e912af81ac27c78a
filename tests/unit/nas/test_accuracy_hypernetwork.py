"""Hypernetworks: graphs are read as they are, weights fit and are scaled, training learns and goes on bit for bit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lutra.nas.accuracy import estimator_class  # noqa: E402
from lutra.nas.accuracy.augmentation import NO_AUGMENTATION  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.hypernetwork import (  # noqa: E402
    GraphHypernetwork,
    Hypernetwork,
    Size,
    accuracy_of,
    train_hypernetwork,
    with_weights,
)
from lutra.nas.accuracy.hypernetwork.graphs import Vocabulary, depends_on_input, graph_of, side_by_side  # noqa: E402
from lutra.nas.accuracy.hypernetwork.training import judging_batches, new_hypernetwork  # noqa: E402
from lutra.nas.accuracy.recipe import Recipe  # noqa: E402
from lutra.nas.spaces.nasbench201 import NasBench201Space  # noqa: E402
from lutra.nas.testing import ClassifierSpace, small_classifier, unreachable_classifier  # noqa: E402
from lutra.networks import Network, NetworkBuilder, zoo  # noqa: E402
from lutra.networks.errors import (  # noqa: E402
    CheckpointError,
    DivergedError,
    NotSupportedError,
    UnsupportedOpError,
    UsageError,
)
from lutra.networks.exporters import to_torch  # noqa: E402

SPACE = ClassifierSpace()
LEARNED, JUDGED = digits(16).split(0.25)
FEW = LEARNED.subset(range(256))
SMALL = Size(width=8, hidden=8, tile=8, reach=5, meta_batch=2)
QUICK = Recipe(epochs=2, batch=128, learning_rate=3e-3, averaging=0.9, augmentation=NO_AUGMENTATION)
CELLS = NasBench201Space(16, channels=8, repeats=1)
SOME = [CELLS.decode(code) for code in CELLS.sample(6, np.random.default_rng(0))]


def predicted(hypernetwork: GraphHypernetwork, network: Network) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return hypernetwork.predict([network])[0]


def fresh(*networks: Network, seed: int = 0) -> GraphHypernetwork:
    return new_hypernetwork(Vocabulary.of(networks or SOME), Size(), seed)


def equal_states(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


# -- graphs -----------------------------------------------------------------------------------------------


def fork() -> Network:
    """a feeds b and d; b feeds c; c and d meet in e."""
    builder = NetworkBuilder("fork")
    a = builder.op("relu", builder.input((1, 3, 8, 8)), name="a")
    c = builder.op("relu", builder.op("relu", a, name="b"), name="c")
    return builder.build(builder.op("add", c, builder.op("relu", a, name="d"), name="e"))


def test_distances_and_groups_are_those_of_the_graph():
    network = fork()
    graph = graph_of(network, Vocabulary.of([network]))
    place = {node.name: i for i, node in enumerate(network.nodes)}
    expected = {("b", "a"): 1, ("c", "b"): 1, ("d", "a"): 1, ("e", "c"): 1, ("e", "d"): 1}
    expected |= {("c", "a"): 2, ("e", "b"): 2, ("e", "a"): 2}  # by way of d, not of b and c
    for (later, earlier), distance in expected.items():
        assert graph.distances[place[later], place[earlier]] == distance
    assert np.count_nonzero(graph.distances) == len(expected)
    names = [node.name for node in network.nodes]
    assert [{names[i] for i in group} for group in graph.forward] == [{"a"}, {"b", "d"}, {"c"}, {"e"}]
    assert [{names[i] for i in group} for group in graph.backward] == [{"e"}, {"c", "d"}, {"b"}, {"a"}]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_groups_hold_every_op_once_behind_all_that_it_reads(code):
    network = CELLS.decode(code)
    graph = graph_of(network, Vocabulary.of([network]))
    for groups, distances in ((graph.forward, graph.distances), (graph.backward, graph.distances.T)):
        assert sorted(np.concatenate(groups).tolist()) == list(range(len(network)))
        level = np.empty(len(network), np.int64)
        for number, group in enumerate(groups):
            level[group] = number
        later, earlier = np.nonzero(distances)
        assert (level[later] > level[earlier]).all()


def test_states_of_a_network_do_not_depend_on_those_beside_it():
    hypernetwork = fresh()
    vocabulary = hypernetwork.vocabulary
    with torch.no_grad():
        alone = [hypernetwork.states(graph_of(network, vocabulary)) for network in SOME[:3]]
        together = hypernetwork.states(side_by_side([graph_of(network, vocabulary) for network in SOME[:3]]))
    assert torch.allclose(torch.cat(alone), together, atol=1e-5)


def test_virtual_edges_reach_as_far_as_they_are_told():
    network = small_classifier(8, 3)
    vocabulary = Vocabulary.of([network])
    near, far = (new_hypernetwork(vocabulary, Size(reach=reach), 0) for reach in (1, 50))
    graph = graph_of(network, vocabulary)
    with torch.no_grad():
        assert not torch.allclose(near.states(graph), far.states(graph))


def test_networks_that_let_nothing_through_are_told_and_not_trained_on():
    through, closed = CELLS.decode([1, 0, 0, 0, 1, 0]), CELLS.decode([3, 3, 3, 0, 0, 0])
    assert depends_on_input(through)
    assert not depends_on_input(closed)
    assert not depends_on_input(unreachable_classifier())

    class Closed(ClassifierSpace):
        def _network(self, code):
            return unreachable_classifier() if code[0, 0] else super()._network(code)

    trained = train_hypernetwork(Closed(), FEW, JUDGED, replace(QUICK, epochs=1), size=SMALL)
    assert np.isfinite(trained.epochs[0].loss)


# -- weights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [*SOME[:3], small_classifier(4, 2), small_classifier(40, 1), zoo.build("mobilenet_v2_w0.35", resolution=32)],
    ids=lambda network: network.name,
)
def test_every_weight_of_an_unseen_network_fits_and_is_finite(network):
    hypernetwork = fresh(network)
    weights = predicted(hypernetwork, network)
    wanted = {name: value.shape for name, value in to_torch(network).named_parameters()}
    assert {name: value.shape for name, value in weights.items()} == wanted
    assert all(value.isfinite().all() for value in weights.values())


def test_shared_weights_are_predicted_once():
    b = NetworkBuilder("shared")
    x = b.op("conv2d", b.input((1, 4, 8, 8)), name="first", out_channels=4, kernel_size=3, padding=1)
    x = b.op("conv2d", x, name="second", weights_from="first", out_channels=4, kernel_size=3, padding=1)
    network = b.build(x)
    weights = predicted(fresh(network), network)
    assert set(weights) == {"first.weight", "first.bias"}
    outputs = with_weights(to_torch(network), weights, torch.ones(2, 4, 8, 8))
    twice = torch.nn.functional.conv2d(torch.ones(2, 4, 8, 8), *weights.values(), padding=1)
    assert torch.allclose(outputs, torch.nn.functional.conv2d(twice, *weights.values(), padding=1), atol=1e-5)


def test_the_same_graph_has_the_same_weights_whatever_its_name_and_seed_tells():
    first, second = predicted(fresh(), SOME[0]), predicted(fresh(), replace(SOME[0], name="another"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = predicted(fresh(seed=1), SOME[0])
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("conv.weight"))


def test_weights_of_different_layers_differ():
    weights = predicted(fresh(), SOME[0])
    same = [w for w in weights.values() if w.shape == (8, 8, 3, 3)]
    assert not any(torch.allclose(one, other, atol=1e-3) for one, other in itertools.combinations(same, 2))


@pytest.mark.parametrize("depth", [2, 12])
@pytest.mark.parametrize("width", [4, 24, 48])
def test_activations_keep_their_scale_in_each_layer_without_batch_norm(width, depth):
    b = NetworkBuilder("plain")
    x = b.input((1, 3, 16, 16))
    for _ in range(depth):
        x = b.op("relu", b.op("conv2d", x, out_channels=width, kernel_size=3, padding=1, bias=False))
    network = b.build(x)
    scales = []
    for seed in range(4):
        weights = predicted(fresh(network, seed=seed), network)
        images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        scales.append(with_weights(to_torch(network), weights, images).square().mean().sqrt().item())
        for weight in weights.values():
            assert 0.1 < weight.square().mean().item() * weight[0].numel() / 2 < 10
    # Sums of so many products would grow by the root of half their number in each layer, 4 to 15.
    assert 0.6 < np.exp(np.mean(np.log(scales)) / depth) < 1.7


def test_norms_scale_by_about_one_and_shift_by_less_than_one():
    weights = predicted(fresh(), SOME[0])
    modules = dict(to_torch(SOME[0]).named_modules())
    norms = [name for name, module in modules.items() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    for name in norms:
        assert ((weights[f"{name}.weight"] > 0) & (weights[f"{name}.weight"] < 2)).all()
        assert (weights[f"{name}.bias"].abs() < 1).all()


def test_batch_norms_see_the_batch():
    network = SOME[0]
    weights, module = predicted(fresh(), network), to_torch(network)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    alone, among = with_weights(module, weights, images[:4])[:4], with_weights(module, weights, images)[:4]
    assert not torch.allclose(alone, among)
    assert torch.equal(with_weights(module, weights, images)[:4], among), "running statistics had a part in it"


# -- what cannot be predicted -------------------------------------------------------------------------------


def test_an_op_that_was_never_seen_is_named():
    with pytest.raises(UnsupportedOpError, match=r"ops that are not supported: relu6 x\d+(.|\n)*never saw relu6"):
        predicted(fresh(), zoo.build("mobilenet_v2_w0.35", resolution=32))


def test_a_larger_window_is_refused():
    b = NetworkBuilder("wide")
    network = b.build(b.op("conv2d", b.input((1, 3, 16, 16)), name="large", out_channels=4, kernel_size=5, bias=False))
    with pytest.raises(NotSupportedError, match=r"'large' of wide has a window of \(5, 5\)(.|\n)*up to 3"):
        predicted(fresh(), network)


def test_weights_of_other_kinds_are_refused():
    b = NetworkBuilder("other")
    network = b.build(b.op("conv_transpose2d", b.input((1, 3, 16, 16)), name="up", out_channels=4, kernel_size=2))
    with pytest.raises(NotSupportedError, match=r"predicts the weights of 'up' \(conv_transpose2d\)(.|\n)*conv2d"):
        Vocabulary.of([network])


@pytest.mark.parametrize("wrong", [{"width": 0}, {"meta_batch": 1.5}, {"reach": True}])
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is"):
        Size(**wrong)


# -- training ---------------------------------------------------------------------------------------------


def test_it_learns_to_predict_weights_that_classify():
    recipe = Recipe(epochs=5, batch=64, learning_rate=5e-3, averaging=0.9, augmentation=NO_AUGMENTATION)
    unseen = SPACE.decode([1, 1])
    trained = train_hypernetwork(
        SPACE, LEARNED, JUDGED, recipe, size=Size(width=16, hidden=16, tile=16, meta_batch=2), without=[unseen]
    )
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses[-1] < losses[0] - 0.3
    batches = judging_batches(JUDGED, trained.statistics, 0, "cpu")
    untrained = new_hypernetwork(trained.module.vocabulary, Size(), 0)
    before, after = (accuracy_of(unseen, predicted(each, unseen), batches) for each in (untrained, trained.module))
    assert after > max(before, 10) + 10


class _StopError(Exception):
    pass


def test_a_stopped_training_goes_on_bit_for_bit(tmp_path):
    whole = train_hypernetwork(SPACE, FEW, JUDGED, QUICK, size=SMALL)
    path = tmp_path / "hypernetwork.npz"

    def stop(progress) -> None:
        if progress.step == 3:
            raise _StopError

    with pytest.raises(_StopError):
        train_hypernetwork(SPACE, FEW, JUDGED, QUICK, size=SMALL, checkpoint=path, on_progress=stop)
    resumed = train_hypernetwork(SPACE, FEW, JUDGED, QUICK, size=SMALL, checkpoint=path)
    assert equal_states(whole.module, resumed.module)
    assert [(e.loss, e.accuracy_pct) for e in whole.epochs] == [(e.loss, e.accuracy_pct) for e in resumed.epochs]


def test_a_checkpoint_of_another_space_size_or_rest_is_refused(tmp_path):
    path, recipe = tmp_path / "hypernetwork.npz", replace(QUICK, epochs=1)
    train_hypernetwork(SPACE, FEW, JUDGED, recipe, size=SMALL, checkpoint=path)
    for space, arguments, what in (
        (CELLS, {}, r"space was 'classifiers', is 'nasbench201'"),
        (ClassifierSpace(widths=(4, 6)), {}, "networks was"),
        (SPACE, {"size": replace(SMALL, width=16)}, r"size\.width was 8, is 16"),
        (SPACE, {"without": [small_classifier(4, 1)]}, "without was"),
    ):
        with pytest.raises(CheckpointError, match=f"another training: .*{what}"):
            train_hypernetwork(space, FEW, JUDGED, recipe, **{"size": SMALL, **arguments}, checkpoint=path)


def test_networks_that_are_left_out_leave_a_space_empty():
    networks = [SPACE.decode([width, blocks]) for width in range(2) for blocks in range(2)]
    with pytest.raises(UsageError, match="hardly an architecture besides those that are left out"):
        train_hypernetwork(SPACE, FEW, JUDGED, QUICK, size=SMALL, without=networks)


def test_images_that_the_space_does_not_read_are_refused():
    with pytest.raises(UsageError, match=r"reads \(3, 16, 16\)"):
        train_hypernetwork(SPACE, digits(8), digits(8), QUICK, size=SMALL)


def test_a_loss_that_is_no_number_stops_the_training():
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train_hypernetwork(SPACE, FEW, JUDGED, replace(QUICK, learning_rate=1e30), size=SMALL)


# -- the estimator ------------------------------------------------------------------------------------------


def test_training_is_paid_once_and_told_apart(tmp_path):
    path = tmp_path / "hypernetwork.npz"
    recipe = replace(QUICK, epochs=1)

    def make() -> Hypernetwork:
        return Hypernetwork(space=SPACE, images=FEW, held_out=JUDGED, recipe=recipe, size=SMALL, checkpoint=path)

    estimator = make()
    assert estimator.training_seconds == 0
    networks = [small_classifier(4, 1), small_classifier(8, 2)]
    scores = estimator.estimate(networks)
    assert scores.meaning == "shared_accuracy_pct"
    assert ((scores.values >= 0) & (scores.values <= 100)).all()
    assert estimator.training_seconds > scores.seconds.max() > 0
    again = make()
    assert (again.estimate(networks).values == scores.values).all()
    assert again.training_seconds == estimator.training_seconds, "it was trained again"


def test_it_needs_a_space_and_images_to_hold_others_out():
    with pytest.raises(UsageError, match=r"(?s)architectures of a space, and there is none.*give space="):
        estimator_class("hypernetwork")()
    with pytest.raises(UsageError, match="nothing to learn from"):
        Hypernetwork(space=SPACE, held_out=JUDGED)


def test_digits_are_learned_from_where_there_are_no_images():
    estimator = Hypernetwork(space=SPACE, recipe=replace(QUICK, epochs=1, batch=512), size=SMALL)
    assert np.isfinite(estimator.estimate([small_classifier(4, 1)]).values).all()
