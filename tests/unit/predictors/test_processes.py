"""Gaussian processes over choices, against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import UsageError
from lutra.predictors.processes import UNUSED, ChoiceProcess, Form, best_form, likeness_features

COUNTS = (3, 1, 5, 2)


def random_codes(n, seed=0, unused=0.2):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, COUNTS, (n, len(COUNTS)))
    return np.where(rng.random(codes.shape) < unused, UNUSED, codes)


def likeness(one, other, *, ordered):
    """The definition, one pair after the other."""
    total = 0.0
    for a, b, count in zip(one, other, COUNTS, strict=True):
        if a == b:
            total += 1
        elif ordered and UNUSED not in (a, b):
            total += 1 - abs(a - b) / (count - 1)
    return total


@given(st.integers(0, 1000), st.booleans())
def test_likeness_is_what_decisions_have_in_common(seed, ordered):
    codes = random_codes(6, seed)
    features = likeness_features(codes, COUNTS, ordered=ordered)
    expected = [[likeness(a, b, ordered=ordered) for b in codes] for a in codes]
    assert features @ features.T == pytest.approx(np.array(expected))


@pytest.mark.parametrize("form", [Form(False, 0.5, 0.0, 1e-2), Form(True, 0.85, 0.5, 1e-3)])
def test_belief_is_that_of_the_closed_form(form):
    """Rasmussen and Williams, equations 2.25 and 2.26, with a constant by generalised least squares."""
    codes, others = np.unique(random_codes(12), axis=0), random_codes(7, 1)
    values = np.random.default_rng(2).standard_normal(len(codes))
    process = ChoiceProcess.fitted(codes, values, COUNTS, form)

    def covariance(one, other):
        alike = np.array([[likeness(a, b, ordered=form.ordered) for b in other] for a in one])
        return form.additive * alike / 4 + (1 - form.additive) * form.rate ** (4 - alike)

    seen = covariance(codes, codes) + form.noise * np.eye(len(codes))
    inverse = np.linalg.inv(seen)
    constant = inverse.sum(axis=0) @ values / inverse.sum()
    cross = covariance(others, codes)
    belief = process.belief(others)
    assert belief.means == pytest.approx(constant + cross @ inverse @ (values - constant))
    relative = 1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    assert belief.deviations == pytest.approx(np.sqrt(process.variance * relative.clip(1e-9)), abs=1e-6)


def test_observing_narrows_as_if_it_had_been_seen():
    codes, others = np.unique(random_codes(10), axis=0), np.unique(random_codes(30, 1), axis=0)
    values = np.random.default_rng(2).standard_normal(len(codes))
    form = Form(False, 0.5, 0.25, 1e-2)
    belief = ChoiceProcess.fitted(codes, values, COUNTS, form).belief(others)
    before, means = belief.deviations, belief.means.copy()
    scale = ChoiceProcess.fitted(codes, values, COUNTS, form).variance
    for index in (3, 8):
        belief.observe(index)
    more = ChoiceProcess.fitted(
        np.concatenate([codes, others[[3, 8]]]), np.concatenate([values, means[[3, 8]]]), COUNTS, form
    )
    expected = more.belief(others).deviations * np.sqrt(scale / more.variance)
    assert belief.deviations == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert (belief.deviations <= before + 1e-9).all()
    assert (belief.means == means).all()


def test_the_form_follows_the_function():
    """A sum over sizes is additive and ordered; a function of which choices come together is neither."""
    rng = np.random.default_rng(0)
    counts = (6,) * 5
    codes = rng.integers(0, counts, (150, 5))
    sizes = codes @ (1.0, 0.5, 2.0, 1.0, 0.7)
    found = best_form(codes, (sizes - sizes.mean()) / sizes.std(), counts)
    assert found.ordered
    assert found.additive > 0 or found.rate > 0.9
    table = rng.standard_normal((6, 6, 6, 6, 6))
    names = (rng.standard_normal((6, 6)))[codes[:, 0], codes[:, 1]] + 0.1 * table[tuple(codes.T)]
    found = best_form(codes, (names - names.mean()) / names.std(), counts)
    assert not found.ordered
    assert found.additive < 0.9


def test_it_predicts_what_it_has_not_seen():
    rng = np.random.default_rng(0)
    counts = (5,) * 6
    codes = rng.integers(0, counts, (300, 6))
    worth, pairs = rng.standard_normal((6, 5)), rng.standard_normal((5, 5))
    values = worth[np.arange(6), codes].sum(axis=1) + pairs[codes[:, 0], codes[:, 5]]
    values = (values - values.mean()) / values.std()
    belief = ChoiceProcess.fitted(codes[:200], values[:200], counts).belief(codes[200:])
    errors = belief.means - values[200:]
    assert errors.std() < 0.25
    assert 0.5 < (np.abs(errors) < belief.deviations).mean() < 0.95


def test_a_constant_is_learnt():
    codes = np.unique(random_codes(20), axis=0)
    belief = ChoiceProcess.fitted(codes, np.full(len(codes), 0.3), COUNTS).belief(random_codes(5, 3))
    assert belief.means == pytest.approx(np.full(5, 0.3), abs=1e-6)


@pytest.mark.parametrize(
    ("codes", "values"),
    [(np.empty((0, 4), int), []), (random_codes(3), [0.0, 1.0]), (random_codes(2)[:, :3], [0.0, 1.0]),
     (random_codes(2), [0.0, np.nan])],
)  # fmt: skip
def test_shapes_that_do_not_fit(codes, values):
    with pytest.raises(UsageError, match="a row of choices and a finite value"):
        ChoiceProcess.fitted(codes, np.array(values), COUNTS)
