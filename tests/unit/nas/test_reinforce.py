"""The recurrent controller, and what it learns from."""

import numpy as np
import pytest

from lutra.nas import Constraint, Evaluations, Objective, Problem, make_searcher, search, spaces
from lutra.nas.testing import ToySpace, toy_cost, toy_gain
from lutra.networks.errors import UsageError

torch = pytest.importorskip("torch")

SPACE = ToySpace(6, 5)


def controller(counts=(3, 2, 4), **changed):
    from lutra.nas.searchers._controller import Controller

    return Controller(counts, **{"hidden": 8, "learning_rate": 1e-2, "seed": 0} | changed)


def every_code(counts):
    return np.indices(counts).reshape(len(counts), -1).T.astype(np.int64)


def test_probabilities_of_all_architectures_are_one():
    codes = every_code((3, 2, 4))
    logs, _ = controller().log_probabilities(codes, np.ones_like(codes, bool))
    assert logs.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_the_entropy_of_a_fresh_policy_is_nearly_that_of_chance():
    codes = every_code((3, 2, 4))
    logs, entropies = controller().log_probabilities(codes, np.ones_like(codes, bool))
    assert (logs.exp() @ entropies).item() == pytest.approx(np.log(24), abs=0.01)


def test_samples_are_choices_as_often_as_their_probability_says():
    policy = controller(hidden=4)
    codes = every_code((3, 2, 4))
    for _ in range(60):
        policy.learn(codes, np.ones_like(codes, bool), np.where(codes[:, 0] == 2, 1.0, -0.5), 0.2)
    logs, _ = policy.log_probabilities(codes, np.ones_like(codes, bool))
    expected = logs.exp().detach().numpy()
    drawn = policy.sample(20_000)
    shares = np.bincount(drawn @ (8, 4, 1), minlength=24) / len(drawn)
    assert expected.max() > 2 / 24  # it has learnt something
    assert shares == pytest.approx(expected, abs=0.012)


def test_a_decision_that_is_not_used_counts_for_nothing():
    codes = every_code((3, 2, 4))
    used = np.ones_like(codes, bool)
    used[:, 2] = False
    logs, entropies = controller().log_probabilities(codes, used)
    assert logs.exp().sum().item() == pytest.approx(4, abs=1e-4)
    assert entropies.max().item() <= np.log(6) + 1e-5


def test_the_step_is_that_of_reinforce():
    """The gradient of the mean of advantage times log-probability, against finite differences."""
    policy = controller(learning_rate=1e-9)
    codes, advantages = every_code((3, 2, 4))[:5], np.array([1.0, -0.5, 0.2, 0.0, 2.0])
    used = np.ones_like(codes, bool)
    policy.learn(codes, used, advantages, 0.0)
    gradient = policy._biases.grad.clone()
    step = 1e-2
    for place in [(0, 0), (1, 1), (2, 3)]:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                policy._biases[place] += sign * step
                logs, _ = policy.log_probabilities(codes, used)
                ends.append(float((torch.from_numpy(advantages).float() * logs).mean()))
                policy._biases[place] -= sign * step
        assert float(gradient[place]) == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=2e-3)


def test_nothing_of_torchs_own_randomness_is_used():
    before = torch.random.get_rng_state()
    assert controller().sample(20).tolist() == controller().sample(20).tolist()
    assert torch.random.get_rng_state().equal(before)


def test_one_decision_and_one_choice():
    assert set(controller((3,)).sample(64).ravel().tolist()) == {0, 1, 2}
    assert controller((1, 1)).sample(3).tolist() == [[0, 0]] * 3


def problem(most=None, space=SPACE):
    bounds = [] if most is None else [Constraint("cost", toy_cost, most)]
    return Problem(space, [Objective("gain", toy_gain, maximise=True)], bounds)


def told(searcher, codes, losses):
    losses = np.asarray(losses, float)
    failures = tuple("failed" if np.isnan(loss) else None for loss in losses)
    searcher.tell(np.asarray(codes), Evaluations(losses[:, None], np.zeros(len(losses)), failures))


def test_rewards_are_ranks_and_failures_the_worst():
    searcher = make_searcher(problem(), "reinforce", hidden=4)
    codes = SPACE.sample(200, np.random.default_rng(0))
    codes = np.unique(codes, axis=0)[:5]
    told(searcher, codes, [3.0, 1.0, np.nan, 1.0, 1e9])
    assert searcher._rewards(codes) == pytest.approx([0.0, 0.6, -0.8, 0.6, -0.4])


def test_the_scale_of_the_losses_does_not_matter():
    found = []
    for scale in (1.0, 1e-6):
        task = Problem(SPACE, [Objective("gain", lambda codes, s=scale: s * toy_gain(codes), maximise=True)])
        found.append(search(task, make_searcher(task, "reinforce", hidden=8), evaluations=60).codes.tolist())
    assert found[0] == found[1]


def test_it_finds_better_than_chance():
    space = ToySpace(10, 6)
    task = problem(most=30, space=space)
    best = {
        kind: np.mean(
            [search(task, make_searcher(task, kind, seed=seed), evaluations=150).best_so_far[-1] for seed in range(4)]
        )
        for kind in ("reinforce", "random")
    }
    assert best["reinforce"] > best["random"] + 0.2


def test_it_learns_to_keep_the_constraints():
    """One in a thousand random architectures keeps the bound; the controller comes to give mostly those that do."""
    space = ToySpace(10, 6)
    task = problem(most=12, space=space)
    searcher = make_searcher(task, "reinforce", seed=0)
    before = (toy_cost(space.repair(searcher._controller.sample(1000))) <= 12).mean()
    search(task, searcher, evaluations=200)
    after = (toy_cost(space.repair(searcher._controller.sample(1000))) <= 12).mean()
    assert after > before + 0.3


def test_choices_that_do_not_go_together_are_repaired():
    space = spaces.build("autodeeplab")
    codes = make_searcher(Problem(space, [Objective("zero", lambda codes: np.zeros(len(codes)))]), "reinforce").ask(20)
    assert (space.canonical(space.validate(codes)) == codes).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"hidden": 0}, "hidden is 0"), ({"learning_rate": -1.0}, "positive rate"), ({"decay": 1.0}, "decay 1.0")],
)
def test_parameters_that_make_no_sense(parameters, words):
    with pytest.raises(UsageError, match=words):
        make_searcher(problem(), "reinforce", **parameters)
