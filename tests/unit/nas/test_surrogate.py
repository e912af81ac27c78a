"""What the surrogate learns, and by what it picks."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.nas import Constraint, Evaluations, Objective, Problem, hypervolume, make_searcher, search, spaces
from lutra.nas.searchers import _acquisition as acquisition
from lutra.nas.testing import ToySpace, toy_cost, toy_gain
from lutra.networks.errors import UsageError

GAIN = Objective("gain", toy_gain, maximise=True)
COST = Objective("cost", toy_cost)
SPACE = ToySpace(10, 6)


def problem(*objectives, most=None, space=SPACE):
    return Problem(space, objectives or [GAIN], [] if most is None else [Constraint("cost", toy_cost, most)])


# -- acquisition ------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_normal_distribution():
    losses = np.random.default_rng(0).exponential(size=(4001, 1))
    scores = acquisition.normal_scores(losses)
    assert scores.mean() == pytest.approx(0, abs=1e-3)
    assert scores.std() == pytest.approx(1, abs=1e-2)
    assert (np.argsort(scores[:, 0]) == np.argsort(losses[:, 0])).all()


def test_equal_losses_share_a_score_and_failures_are_worst():
    scores = acquisition.normal_scores(np.array([[1.0], [np.nan], [1.0], [0.5], [np.nan]]))[:, 0]
    assert scores[0] == scores[2] < scores[1] == scores[4]
    assert scores[3] == scores.min()


def test_gains_over_all_directions_are_the_hypervolume():
    """Golovin and Zhang, arXiv:2006.04655, lemma 5: the factor in two dimensions is pi / 4."""
    rng = np.random.default_rng(0)
    front = np.array([[0.1, 0.8], [0.4, 0.5], [0.7, 0.05]])
    reference = np.ones(2)
    directions = [acquisition.random_weights(2, rng) for _ in range(5_000)]
    mean = np.mean([acquisition.gains(front, weights, reference).max() ** 2 for weights in directions])
    assert np.pi / 4 * mean == pytest.approx(hypervolume(front, reference), rel=0.03)


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 4))
def test_with_one_loss_it_is_the_expected_improvement(mean, deviation, best):
    """The closed form of Jones, Schonlau and Welch, the reference at 0."""
    normal, u = NormalDist(), (-mean - best) / deviation
    expected = deviation * (u * normal.cdf(u) + normal.pdf(u))
    found = acquisition.expected_improvement(
        np.array([[mean]]), np.array([[deviation]]), np.ones(1), np.zeros(1), best
    )[0]
    assert max(found, 0) == pytest.approx(expected, abs=1e-4 * deviation)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_with_several_losses_it_agrees_with_draws(seed):
    rng = np.random.default_rng(seed)
    means, deviations = rng.uniform(-1, 1, (1, 3)), rng.uniform(0.1, 1, (1, 3))
    weights, reference, best = acquisition.random_weights(3, rng), np.full(3, 1.5), 0.5
    draws = means + deviations * rng.standard_normal((40_000, 3))
    expected = np.maximum(acquisition.gains(draws, weights, reference) ** 3 - best**3, 0)
    found = acquisition.expected_improvement(means, deviations, weights, reference, best)[0]
    assert max(found, 0) == pytest.approx(expected.mean(), abs=5 * expected.std() / 200 + 0.02 * expected.mean() + 1e-3)


def test_where_nothing_is_likely_what_is_least_unlikely_is_best():
    """All are many standard deviations away; one of them is the fewest."""
    means, deviations = np.array([[3.0], [2.0], [2.5]]), np.array([[0.1], [0.1], [0.2]])
    worth = acquisition.expected_improvement(means, deviations, np.ones(1), np.full(1, 4.0), 10.0)
    assert worth == pytest.approx([-(90**2) / 2, -(80**2) / 2, -(42.5**2) / 2])


# -- searching --------------------------------------------------------------------------------------------


def test_it_finds_better_than_chance():
    task = problem(most=30)
    found = search(task, make_searcher(task, "surrogate"), evaluations=60)
    chance = search(task, make_searcher(task, "random"), evaluations=600)
    assert found.best_so_far[-1] > chance.best_so_far[-1]


def test_it_trades_objectives_off_better_than_chance():
    """Both find a front; the surrogate's dominates more with a tenth of the evaluations."""
    task = problem(GAIN, COST)
    volumes = {}
    for strategy, evaluations in (("surrogate", 80), ("random", 800)):
        found = search(task, make_searcher(task, strategy), evaluations=evaluations)
        volumes[strategy] = hypervolume(found.evaluations.losses, np.array([0.0, 60.0]))
    assert volumes["surrogate"] > volumes["random"]


def test_picks_of_a_round_are_all_different_and_new():
    task = problem()
    searcher = make_searcher(task, "surrogate")
    asked = []
    for _ in range(5):
        asked.append(searcher.ask(20))
        losses = -toy_gain(asked[-1])[:, None]
        searcher.tell(asked[-1], Evaluations(losses, np.zeros(20), (None,) * 20))
    assert len(np.unique(np.concatenate(asked), axis=0)) == 100


def test_what_it_is_told_is_not_asked_for():
    """Architectures that others evaluated are learnt from, and take the place of random ones at the beginning."""
    space = ToySpace(3, 3)
    task = problem(space=space)
    known = np.unique(space.sample(500, np.random.default_rng(0)), axis=0)[:-3]
    searcher = make_searcher(task, "surrogate")
    searcher.tell(known, Evaluations(-toy_gain(known)[:, None], np.zeros(len(known)), (None,) * len(known)))
    assert len(searcher.ask(10)) == 3
    assert len(searcher.ask(10)) == 0


def test_more_than_it_learns_from_at_once(monkeypatch):
    monkeypatch.setattr("lutra.nas.searchers.surrogate._LEARNED", 40)
    task = problem(most=30)
    found = search(task, make_searcher(task, "surrogate"), evaluations=80)
    assert len(found) == 80
    assert found.best_so_far[-1] > found.best_so_far[39]


def test_the_order_of_losses_is_all_that_matters():
    found = []
    for warp in (lambda gain: gain, np.exp):
        task = problem(Objective("gain", lambda codes, w=warp: w(toy_gain(codes)), maximise=True))
        found.append(search(task, make_searcher(task, "surrogate"), evaluations=50).codes.tolist())
    assert found[0] == found[1]


def test_a_space_with_combinations_that_are_none():
    space = spaces.build("autodeeplab")
    task = Problem(space, [Objective("level", lambda codes: codes.sum(axis=1).astype(float))])
    found = search(task, make_searcher(task, "surrogate"), evaluations=60)
    assert (space.canonical(space.validate(found.codes)) == found.codes).all()


def test_parameters_that_make_no_sense():
    with pytest.raises(UsageError, match="initial is 1"):
        make_searcher(problem(), "surrogate", initial=1)
