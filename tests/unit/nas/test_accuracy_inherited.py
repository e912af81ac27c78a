"""The estimator that lets networks begin with what a relative learned: for how long, from whom, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lutra.nas import Objective, Problem, make_searcher, search  # noqa: E402
from lutra.nas.accuracy import Recipe, estimator_class  # noqa: E402
from lutra.nas.accuracy.augmentation import NO_AUGMENTATION  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.inherit import deeper, inherit, kinship, settle, to_module, weights_of  # noqa: E402
from lutra.nas.accuracy.inherit.estimator import Inherited  # noqa: E402
from lutra.nas.searchers.growing import grown  # noqa: E402
from lutra.nas.testing import ClassifierSpace, small_classifier, unreachable_classifier  # noqa: E402
from lutra.networks import Network, NetworkBuilder, blocks  # noqa: E402
from lutra.networks.errors import CheckpointError, UsageError  # noqa: E402
from lutra.networks.exporters import to_torch  # noqa: E402

IMAGES = digits(16).subset(range(240))
RECIPE = Recipe(epochs=4, batch=64, augmentation=NO_AUGMENTATION, averaging=0.9)
SPACE = ClassifierSpace((4, 6, 8, 12), (1, 2, 3))


def make(**arguments):
    return Inherited(**({"images": IMAGES, "recipe": RECIPE} | arguments))


class Steps:
    """Counts the trainings' steps, and can end one."""

    def __init__(self, most=None):
        self.count, self.most = 0, most

    def __call__(self, _):
        self.count += 1
        if self.count == self.most:
            raise KeyboardInterrupt


def test_a_child_begins_with_its_parent_and_is_trained_for_half():
    estimator = make()
    parent, child = small_classifier(4, 2), small_classifier(8, 2)
    first = estimator.estimate([parent])
    assert "from scratch: 4 epochs" in first.notes[0]
    second = estimator.estimate([child])
    account = estimator.account(child)
    assert (account.relative, account.epochs, account.epochs_before) == (parent.name, 2, 4)
    assert account.same
    assert account.share == 1
    assert account.lost == ()
    assert 0 < account.seconds <= second.seconds[0]
    assert f"100 % of its weights from {parent.name} (the same function): 2 epochs" in second.notes[0]
    assert estimator.account(small_classifier(4, 3)) is None


def test_the_weights_are_the_parents():
    """With next to no learning afterwards, a child is as accurate as its parent was."""
    estimator = make(restart=1e-9, noise=0.0, recipe=replace(RECIPE, averaging=0.0, epochs=24, learning_rate=0.3))
    parent, child = small_classifier(6, 1), small_classifier(12, 2)
    before, after = (estimator.estimate([network]).values[0] for network in (parent, child))
    assert estimator.account(child).same
    assert abs(before - after) < 5  # batch norms' statistics still move
    assert before > 25


def test_what_changes_the_function_is_trained_for_longer():
    estimator = make()
    kin = kinship(small_classifier(4, 2), small_classifier(8, 2))
    assert not kin.same
    assert estimator.recipe_of(replace(kin, share=0.1)).epochs == 4
    assert estimator.recipe_of(replace(kin, share=1.0)).epochs == 2
    assert estimator.recipe_of(replace(kin, same=True)).learning_rate == RECIPE.learning_rate * estimator.restart
    assert estimator.recipe_of(replace(kin, same=True)).averaging == pytest.approx(0.8)
    assert estimator.recipe_of(None) == RECIPE
    scores = estimator.estimate([small_classifier(8, 2), small_classifier(4, 2)])
    assert "another function: " in scores.notes[1]
    assert "reads" in estimator.account(small_classifier(4, 2)).lost[0]


def test_strangers_are_trained_from_scratch():
    b = NetworkBuilder("stranger")
    x = b.op("hard_swish", b.op("conv2d", b.input((1, 3, 16, 16)), out_channels=7, kernel_size=5, stride=4))
    stranger = b.build(b.op("linear", b.op("flatten", x), out_features=10))
    estimator = make()
    estimator.estimate([small_classifier(4, 1), stranger])
    assert estimator.account(stranger).relative == ""
    assert estimator.account(stranger).epochs == 4


def test_the_nearest_is_who_has_most_in_common_and_the_function():
    estimator = make()
    family = [small_classifier(4, 1), small_classifier(8, 3), small_classifier(4, 2)]
    estimator.estimate(family)
    child = small_classifier(4, 3)
    assert kinship(child, family[1]).same is False
    estimator.estimate([child])
    assert estimator.account(child).relative == family[2].name


def test_a_network_without_a_score_is_no_relative():
    estimator = make()
    scores = estimator.estimate([unreachable_classifier(), small_classifier(4, 1)])
    assert scores.notes[0] == ""
    assert scores.failures[0]
    assert estimator.account(small_classifier(4, 1)).relative == ""


# -- what is kept -------------------------------------------------------------------------------------------


def test_a_folder_outlives_the_process(tmp_path):
    family = [small_classifier(4, 1), small_classifier(8, 1)]
    steps = Steps()
    first = make(memory=tmp_path, on_progress=steps).estimate(family)
    trained = steps.count
    again = make(memory=tmp_path, on_progress=steps)
    second = again.estimate(family)
    assert second.values.tolist() == first.values.tolist()
    assert second.notes == first.notes
    assert steps.count == trained, "something was trained again"
    child = small_classifier(8, 2)
    apart = make().estimate([*family, child]).values[-1]
    assert again.estimate([child]).values[0] == apart
    assert again.account(child).relative == family[1].name
    assert not list(tmp_path.rglob("*.unfinished.npz"))


def test_two_estimators_share_a_folder(tmp_path):
    one, other = make(memory=tmp_path), make(memory=tmp_path)
    parent, child = small_classifier(4, 1), small_classifier(4, 2)
    other.estimate([small_classifier(12, 3)])
    one.estimate([parent])
    other.estimate([child])
    assert other.account(child).relative == parent.name


def test_a_killed_training_goes_on(tmp_path):
    family = [small_classifier(4, 1), small_classifier(4, 2)]
    whole = make().estimate(family).values
    steps_a_training = (1 + len(IMAGES) * 3 // 4 // 64) * 4
    with pytest.raises(KeyboardInterrupt):
        make(memory=tmp_path, on_progress=Steps(steps_a_training + 5)).estimate(family)
    assert len(list(tmp_path.rglob("*.unfinished.npz"))) == 1
    steps = Steps()
    resumed = make(memory=tmp_path, on_progress=steps).estimate(family)
    assert resumed.values.tolist() == whole.tolist()
    assert 0 < steps.count < steps_a_training


@pytest.mark.parametrize("folder", [False, True])
def test_weights_of_those_used_last_are_kept(tmp_path, folder):
    estimator = make(memory=tmp_path if folder else None, keep=2)
    family = [small_classifier(4, 1), small_classifier(6, 1), small_classifier(8, 1)]
    values = estimator.estimate(family).values
    kept = [entry.network.name for entry in estimator._memory(family[0]).relatives()]
    assert kept == [family[1].name, family[2].name]
    assert estimator.estimate(family).values.tolist() == values.tolist(), "what became of it is not forgotten"
    estimator.estimate([small_classifier(6, 2)])
    if folder:
        with np.load(next(tmp_path.rglob(f"{family[0].fingerprint}*"))) as file:
            assert [name for name in file.files if name.startswith("state/")] == []
        again = make(memory=tmp_path, keep=2)
        assert again.estimate(family).values.tolist() == values.tolist()
        assert len(list(again._memory(family[0]).relatives())) == 2


def test_weights_that_another_process_dropped_are_not_used(tmp_path):
    family = [small_classifier(4, 1), small_classifier(4, 2)]
    one = make(memory=tmp_path, keep=2)
    one.estimate(family)
    make(memory=tmp_path, keep=1).estimate([small_classifier(12, 1)])  # drops the first ones
    child = small_classifier(4, 3)
    one.estimate([child])
    assert one.account(child).relative in ("", family[1].name, "classifier_12_1")


def test_a_folder_of_other_trainings_is_refused(tmp_path):
    network = small_classifier(4, 1)
    make(memory=tmp_path).estimate([network])
    other = make(memory=tmp_path, recipe=replace(RECIPE, epochs=5))
    with pytest.raises(CheckpointError, match=r"recipe\.epochs was 4, is 5"):
        other.estimate([network])
    with pytest.raises(CheckpointError, match="seed was 0, is 1"):
        make(memory=tmp_path, seed=1).estimate([network])
    file = next(tmp_path.rglob("*.npz"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged"):
        make(memory=tmp_path).estimate([network])


@pytest.mark.parametrize(
    "wrong", [{"keep": 0}, {"shortened": 0.0}, {"shortened": 1.5}, {"restart": 0.0}, {"noise": -1.0}]
)
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        make(**wrong)


def test_digits_of_several_sizes_are_kept_apart(tmp_path):
    def net(size: int) -> Network:
        b = NetworkBuilder(f"of {size}")
        x = blocks.conv_norm_act(b, b.input((1, 3, size, size)), 4, stride=4)
        return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=10))

    estimator = estimator_class("inherited")(recipe=replace(RECIPE, epochs=1), memory=tmp_path)
    estimator.estimate([net(8), net(16)])
    assert estimator.account(net(16)).relative == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3x16x16", "3x8x8"]


# -- in a search --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "parameters"), [("aging", {"population": 2, "sample": 2}), ("evolution", {"population": 4})]
)
def test_children_of_an_evolution_that_grows_begin_with_their_parents(strategy, parameters):
    space = ClassifierSpace((2, 3, 4, 6, 8, 12), (1, 2, 3, 4))
    estimator = make(recipe=replace(RECIPE, epochs=2))

    def accuracy_pct(code):
        return estimator.estimate([space.decode(code)]).values[0]

    problem = Problem(space, [Objective("accuracy_pct", accuracy_pct, maximise=True, batched=False)])
    searcher = make_searcher(problem, strategy, seed=2, growth=1.0, **parameters)
    found = search(problem, searcher, evaluations=10)
    accounts = [estimator.account(space.decode(code)) for code in found.codes]
    assert sum(account.relative != "" for account in accounts) >= 8
    assert sum(account.same for account in accounts) >= 4
    assert all(account.epochs == 1 for account in accounts if account.same)


def test_without_growth_a_search_is_what_it_was():
    """Nothing is drawn for it, so that searches of earlier versions can be repeated."""
    problem = Problem(SPACE, [Objective("size", lambda codes: codes.sum(axis=1), maximise=True)])
    for strategy in ("aging", "evolution"):
        plain, zero = (make_searcher(problem, strategy, seed=3, **given) for given in ({}, {"growth": 0.0}))
        assert (
            search(problem, plain, evaluations=9).codes.tolist() == search(problem, zero, evaluations=9).codes.tolist()
        )
        with pytest.raises(UsageError, match=r"growth.*2"):
            make_searcher(problem, strategy, growth=2.0)


def test_the_largest_architecture_has_mutants_instead():
    largest = np.array([[3, 2]])
    child = grown(SPACE, largest, np.random.default_rng(0))
    assert (child != largest).sum() == 1
    assert grown(SPACE, largest[:0], np.random.default_rng(0)).shape == (0, 2)


def test_new_norms_are_an_identity_in_training_too():
    b = NetworkBuilder("small")
    x = blocks.conv_norm_act(b, b.input((1, 3, 8, 8)), 6)
    network = b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=3))
    module = to_torch(network)
    larger = deeper(network, weights_of(module), "act").network
    images = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        module.train()(images)
    heir = inherit(larger, deeper_of(network, module))
    assert heir.undone == ("act_deeper.norm",)
    child = to_module(heir)
    settle(child, heir.undone, images)
    with torch.no_grad():
        assert float((child.eval()(images) - module.eval()(images)).abs().max()) < 1e-5
        # The norm before the new one has the batch's own statistics in training, and so has what the new one reads.
        features = module.act(module.norm(module.conv(images)))
        ends = child.get_submodule("act_deeper.norm").train()(features)
        assert float((ends - features).abs().max()) < 1e-3


def deeper_of(network, module):
    from lutra.nas.accuracy.inherit import Grown

    return Grown(network, weights_of(module))
