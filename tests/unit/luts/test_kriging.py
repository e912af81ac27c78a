"""Interpolation of scattered points."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lutra.luts.kriging import SIZES, Kriging, Points, chosen_parameters, correlations, default_parameters


def line(values: NDArray[np.float64], **groups: NDArray[np.float64]) -> Points:
    columns = {name: column[:, None] for name, column in groups.items()}
    return Points({SIZES: values[:, None]} | columns, np.zeros(len(values), np.intp))


def smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.3 * np.sin(1.5 * x) + 0.1 * x, np.float64)


def test_between_exact_points_it_follows_the_curve() -> None:
    x = np.linspace(-2, 2, 15)
    noise = np.full(15, 1e-4)
    kriging = Kriging(line(x), smooth(x), noise, chosen_parameters(line(x), smooth(x), noise))
    between = np.linspace(-1.9, 1.9, 40)
    means, variances = kriging.predict(line(between))
    assert np.abs(means - smooth(between)).max() < 0.01
    assert (variances > 0).all()


def test_it_is_less_sure_farther_away_and_where_the_kind_is_another() -> None:
    x = np.linspace(-1, 1, 9)
    kriging = Kriging(line(x), smooth(x), np.full(9, 0.01), default_parameters())
    at = Points({SIZES: np.array([[0.0], [1.5], [4.0]])}, np.zeros(3, np.intp))
    _, variances = kriging.predict(at)
    assert variances[0] < variances[1] < variances[2]
    _, strange = kriging.predict(Points(at.groups, np.full(3, -1)))
    assert (strange > variances).all()


def test_noisy_points_are_followed_less() -> None:
    x = np.linspace(-1, 1, 9)
    values = np.zeros(9)
    values[4] = 0.5
    means = []
    for noise_there in (0.001, 1.0):
        noise = np.full(9, 0.01)
        noise[4] = noise_there
        means.append(float(Kriging(line(x), values, noise, default_parameters()).predict(line(x[4:5]))[0][0]))
    assert means[0] > 0.25
    assert abs(means[1]) < 0.05


def test_a_group_of_coordinates_is_used_where_it_helps_and_only_there() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 40)
    step, idle = rng.integers(0, 2, 40).astype(np.float64), rng.uniform(size=40)
    points = line(x, step=step, idle=idle)
    chosen = chosen_parameters(points, smooth(x) + 0.2 * step, np.full(40, 0.005))
    assert "step" in chosen
    assert "idle" not in chosen


def test_few_points_leave_the_parameters_as_they_are() -> None:
    x = np.linspace(0, 1, 5)
    assert chosen_parameters(line(x), smooth(x), np.full(5, 0.01)) == default_parameters()


def test_many_points_rest_on_their_neighbours() -> None:
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(-2, 2, 700))
    noise = np.full(700, 0.01)
    values = smooth(x) + rng.normal(size=700) * 0.01
    kriging = Kriging(line(x), values, noise, chosen_parameters(line(x), values, noise))
    between = np.linspace(-1.9, 1.9, 300)
    means, variances = kriging.predict(line(between))
    errors = np.abs(means - smooth(between))
    assert np.median(errors) < 0.005
    assert np.mean(errors < 1.645 * np.sqrt(variances)) > 0.9


def test_the_nearest_come_first() -> None:
    x = np.linspace(-2, 2, 9)
    kriging = Kriging(line(x), smooth(x), np.full(9, 0.01), default_parameters())
    assert kriging.nearest(line(np.array([0.05, 2.0])), 2).tolist() == [[4, 5], [8, 7]]
    assert kriging.nearest(line(np.array([0.0])), 20).shape == (1, 9)


def test_a_point_is_wholly_related_to_itself() -> None:
    points = line(np.array([0.0, 1.0, 5.0]))
    related = correlations(points, points, default_parameters())
    assert np.diag(related) == pytest.approx(1)
    assert 1 > related[0, 1] > related[0, 2] > 0
