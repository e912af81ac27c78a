"""Paths through a trellis: counted, numbered, sampled, changed, and the likeliest one against brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.nas import spaces
from lutra.nas.spaces.autodeeplab import AutoDeepLabSpace
from lutra.nas.spaces.trellis import Trellis
from lutra.networks.errors import UsageError

SEEDS = st.integers(0, 2**32 - 1)
FULL = Trellis(4, 11)


def probabilities(trellis: Trellis, rng: np.random.Generator, zeros: float = 0.0) -> np.ndarray:
    """A softmax over the arrows that leave each node and stay in the trellis; a share of the arrows is closed."""
    weights = np.exp(2 * rng.standard_normal((trellis.steps, trellis.levels, 3)))
    weights[:, 0, 0] = weights[:, -1, 2] = 0
    weights *= rng.random(weights.shape) >= zeros
    return weights / np.maximum(weights.sum(axis=2, keepdims=True), 1e-300)


def products(trellis: Trellis, paths: np.ndarray, arrows: np.ndarray) -> np.ndarray:
    """Of the probabilities along each path."""
    before = np.pad(paths, ((0, 0), (1, 0)))[:, :-1]
    return arrows[np.arange(trellis.steps), before, paths - before + 1].prod(axis=1)


@pytest.mark.parametrize(("steps", "size"), [(10, 10_946), (11, 28_657), (12, 75_025)])
def test_paths_are_as_many_as_published(steps: int, size: int) -> None:
    assert Trellis(4, steps).size == size


def test_the_space_has_the_published_size() -> None:
    assert spaces.build("autodeeplab").size == 28_657


@pytest.mark.parametrize(("levels", "steps"), [(2, 1), (2, 6), (3, 5), (4, 6), (6, 4)])
def test_paths_are_those_that_brute_force_finds(levels: int, steps: int) -> None:
    trellis = Trellis(levels, steps)
    rows = np.array(list(product(range(levels), repeat=steps)))
    steps_of = np.abs(np.diff(np.pad(rows, ((0, 0), (1, 0))), axis=1))
    assert (trellis.paths() == rows[(steps_of <= 1).all(axis=1)]).all()
    assert (trellis.allowed(rows) == (steps_of <= 1).all(axis=1)).all()


def test_every_path_is_enumerated_once_and_in_order() -> None:
    paths = FULL.paths()
    assert paths.shape == (28_657, 11)
    assert FULL.allowed(paths).all()
    numbers = paths @ 4 ** np.arange(10, -1, -1)
    assert (np.diff(numbers) > 0).all()


def test_paths_are_sampled_uniformly() -> None:
    trellis = Trellis(4, 4)
    codes = trellis.sample(50_000, np.random.default_rng(0))
    found, counts = np.unique(codes, axis=0, return_counts=True)
    assert (found == trellis.paths()).all()
    expected = len(codes) / trellis.size
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < trellis.size + 5 * (2 * trellis.size) ** 0.5


def test_viterbi_finds_what_brute_force_finds_among_all_paths() -> None:
    paths = FULL.paths()
    for seed in range(20):
        arrows = probabilities(FULL, np.random.default_rng(seed))
        best = products(FULL, paths, arrows)
        assert (FULL.likeliest(arrows) == paths[best.argmax()]).all()


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, levels=st.integers(2, 5), steps=st.integers(1, 6), zeros=st.floats(0, 0.6))
def test_viterbi_is_right_where_arrows_are_closed(seed: int, levels: int, steps: int, zeros: float) -> None:
    trellis = Trellis(levels, steps)
    arrows = probabilities(trellis, np.random.default_rng(seed), zeros)
    all_products = products(trellis, trellis.paths(), arrows)
    if all_products.max() == 0:
        with pytest.raises(UsageError, match="no path has a probability above 0"):
            trellis.likeliest(arrows)
        return
    path = trellis.likeliest(arrows)
    assert trellis.allowed(path[None]).all()
    assert products(trellis, path[None], arrows)[0] == pytest.approx(all_products.max(), rel=1e-12)


def test_a_path_of_tiny_probabilities_is_still_found() -> None:
    trellis = Trellis(4, 39)
    arrows = np.full((39, 4, 3), 1e-12)
    arrows[:, :, 1] = 2e-12
    assert trellis.likeliest(arrows).tolist() == [0] * 39


@pytest.mark.parametrize(
    ("arrows", "message"),
    [
        (np.ones((11, 4, 2)), "have the shape"),
        (np.ones((10, 4, 3)), "have the shape"),
        (np.full((11, 4, 3), -0.1), "not all from 0 to 1"),
        (np.full((11, 4, 3), np.nan), "not all from 0 to 1"),
        (np.zeros((11, 4, 3)), "no path has a probability"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(arrows: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FULL.likeliest(arrows)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, levels=st.integers(2, 5), steps=st.integers(1, 8), n=st.integers(0, 20))
def test_changed_paths_are_paths(seed: int, levels: int, steps: int, n: int) -> None:
    trellis, rng = Trellis(levels, steps), np.random.default_rng(seed)
    one, other = trellis.sample(n, rng), trellis.sample(n, rng)
    changed = rng.random(one.shape) < 0.3
    mutants = trellis.mutants(one, changed, rng)
    assert trellis.allowed(mutants).all()
    assert (mutants != one)[changed.any(axis=1)].any(axis=1).all()
    assert (mutants == one)[~changed.any(axis=1)].all()
    children = trellis.children(one, other, rng)
    assert trellis.allowed(children).all()
    assert ((children == one) | (children == other)).all()
    rows = rng.integers(0, levels, (n, steps))
    repaired = trellis.repaired(rows)
    assert trellis.allowed(repaired).all()
    assert (repaired == rows)[trellis.allowed(rows)].all()


def test_children_of_parents_that_meet_take_after_both() -> None:
    trellis = Trellis(4, 3)
    one, other = np.array([[0, 0, 0]]).repeat(6000, axis=0), np.array([[1, 1, 2]]).repeat(6000, axis=0)
    children, counts = np.unique(trellis.children(one, other, np.random.default_rng(0)), axis=0, return_counts=True)
    # Of the eight ways of crossing over, two would go from 0 to 2 at the end.
    assert children.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 2], [1, 0, 0], [1, 1, 0], [1, 1, 2]]
    assert counts == pytest.approx([1000] * 6, abs=150)


@pytest.mark.parametrize(("levels", "steps"), [(1, 3), (4, 0), (4, 40), (40, 3)])
def test_a_trellis_that_makes_no_sense_is_refused(levels: int, steps: int) -> None:
    with pytest.raises(UsageError, match="no trellis"):
        Trellis(levels, steps)


# -- the space --------------------------------------------------------------------------------------------


def test_rows_that_are_no_path_are_refused_and_can_be_repaired() -> None:
    space = spaces.build("autodeeplab")
    row = [0, 2, *[0] * 9]
    with pytest.raises(UsageError, match="no architecture of the space 'autodeeplab'") as refused:
        space.decode(row)
    assert "repair" in str(refused.value.hint)
    assert space.repair(row).tolist() == [[0, 1, *[0] * 9]]


def test_layers_are_at_the_levels_of_the_code() -> None:
    space = AutoDeepLabSpace(128, layers=6)
    assert space.size == Trellis(4, 5).size
    network = space.decode([1, 2, 3, 2, 1])
    made = {node.name: node.op.outputs[0].shape for node in network}
    assert [made[f"layers.{i}.add"][1:] for i in range(1, 7)] == [
        (40, 32, 32),
        (80, 16, 16),
        (160, 8, 8),
        (320, 4, 4),
        (160, 8, 8),
        (80, 16, 16),
    ]
    assert network.types[network.outputs[0]].shape == (1, 19, 128, 128)


def test_the_likeliest_architecture_is_a_code() -> None:
    space = AutoDeepLabSpace(64)
    code = space.likeliest(probabilities(space.trellis, np.random.default_rng(0)))
    assert (space.validate(code) == code).all()
    assert len(space.paths()) == space.size
