"""What sets the strategies apart: second derivatives, masks, pairs, rewards; the guard against collapse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lutra.nas.gradient import (
    Darts,
    FBNet,
    GradientSearch,
    LatencyTerm,
    Proxyless,
    ProxylessReinforce,
    Training,
    gradient_class,
    gradient_kinds,
    register,
)
from lutra.nas.gradient.darts import hessian_vector_product
from lutra.nas.gradient.mixing import weighted
from lutra.nas.gradient.proxyless import reinforce_gradient, rescale
from lutra.nas.gradient.supernet import statistics_kept
from lutra.nas.gradient.testing import COSTS_MS, toy_images, toy_oracle, toy_space
from lutra.networks.errors import TrainingError, UnknownNameError, UsageError

SPACE = toy_space()


def with_logits(search: GradientSearch, *values: list[float]) -> None:
    with torch.no_grad():
        for logits, new in zip(search.choices, values, strict=True):
            logits.copy_(torch.tensor(new))


# -- DARTS ------------------------------------------------------------------------------------------------


class Tiny(nn.Module):
    """A mixed layer and a linear one: ``softmax(a)_0 tanh(W x) + softmax(a)_1 x``, then classes."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, choices: Tensor) -> Tensor:
        first, second = choices.softmax(0)
        outputs: Tensor = self.last(first * self.mixed(x).tanh() + second * x)
        return outputs


def tiny(seed: int) -> tuple[Tiny, nn.Parameter, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """A network in 64 bits, its choices, images of the weights and of the choices."""
    torch.manual_seed(seed)
    sets = [(torch.randn(20, 5).double(), torch.randint(3, (20,))) for _ in range(2)]
    return Tiny().double(), nn.Parameter(torch.randn(2).double()), sets[0], sets[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_hessian_vector_product_is_that_of_automatic_differentiation(seed: int) -> None:
    net, choices, (x, y), _ = tiny(seed)
    weights = list(net.parameters())
    direction = [torch.randn_like(weight) for weight in weights]
    before = [weight.detach().clone() for weight in weights]
    of_choices = torch.autograd.grad(cross_entropy(net(x, choices), y), choices, create_graph=True)[0]
    (exact,) = hessian_transposed(of_choices, weights, direction, choices)
    (found,) = hessian_vector_product(lambda: cross_entropy(net(x, choices), y), weights, [choices], direction)
    assert float((found - exact).norm() / exact.norm()) < 1e-3
    assert all(torch.equal(weight, old) for weight, old in zip(weights, before, strict=True))
    still = hessian_vector_product(
        lambda: cross_entropy(net(x, choices), y), weights, [choices], [torch.zeros_like(w) for w in weights]
    )
    assert (still[0] == 0).all()


def hessian_transposed(
    of_choices: Tensor, weights: list[nn.Parameter], direction: list[Tensor], choices: nn.Parameter
) -> tuple[Tensor]:
    """(d2L / da dw) v, each row by another backward pass."""
    rows = []
    for i in range(len(choices)):
        parts = torch.autograd.grad(of_choices[i], weights, retain_graph=True)
        rows.append(sum((part * v).sum() for part, v in zip(parts, direction, strict=True)))
    return (torch.stack(rows),)


def smooth(module: nn.Module) -> nn.Module:
    """The module, or a smooth one where finite differences would meet the kink of a rectifier."""
    return nn.Softplus() if isinstance(module, nn.ReLU) else module


def test_the_second_order_step_is_the_gradient_through_an_unrolled_step() -> None:
    """Against automatic differentiation through w' = w - xi (dL/dw + decay w), in a supernet of smooth blocks."""
    search = Darts(SPACE, training=Training(batch=16, momentum=0.9, weight_decay=0.01, weights_rate=0.2), seed=3)
    net = search.net.double()
    for part in (net.stem, net.head, *(c for position in net.positions for c in position)):
        part.steps = tuple(s._replace(module=smooth(s.module)) for s in part.steps)
    search.choices = [nn.Parameter(logits.detach().double()) for logits in search.choices]
    taken: list[list[Tensor]] = []
    search.learn_choices = lambda gradients: taken.append(list(gradients))  # type: ignore[method-assign]
    sets = [toy_images(16, seed) for seed in (0, 1)]
    (x, y), (x2, y2) = ((torch.from_numpy(i.images).double() / 255, torch.eye(4).double()[i.labels]) for i in sets)
    with statistics_kept(net):
        search.choices_step((x2, y2), (x, y))
        names, weights = zip(*net.named_parameters(), strict=True)
        mix = weighted([logits.softmax(0) for logits in search.choices])
        gradients = torch.autograd.grad(cross_entropy(net(x, mix), y), weights, create_graph=True)
        moved = {n: w - 0.2 * (g + 0.01 * w) for n, w, g in zip(names, weights, gradients, strict=True)}
        mix = weighted([logits.softmax(0) for logits in search.choices])
        exact = torch.autograd.grad(cross_entropy(functional_call(net, moved, (x2, mix)), y2), search.choices)
    for found, wanted in zip(taken[0], exact, strict=True):
        assert float((found - wanted).norm() / wanted.norm()) < 1e-3


def test_both_orders_differ() -> None:
    codes = []
    for order in (1, 2):
        search = Darts(SPACE, training=Training(epochs=1, batch=16, weights_rate=0.5), order=order, choices_rate=0.1)
        search.run(toy_images(64, 0), toy_images(64, 1))
        codes.append(np.concatenate(search.probabilities))
    assert np.abs(codes[0] - codes[1]).max() > 1e-4


def test_the_guard_stops_a_collapse_with_the_choices_from_before() -> None:
    search = Darts(SPACE, training=Training(epochs=9, batch=16), order=1, choices_rate=0.5)
    steps = iter(range(1000))

    def collapse(*_: object) -> float:
        if next(steps) >= 4:  # the second epoch
            with_logits(search, [0.0, 0.0, 9.0], [0.0, 0.0, 9.0])
        return 0.0

    search.choices_step = collapse  # type: ignore[method-assign]
    before = [logits.detach().clone() for logits in search.choices]
    search.run(toy_images(64, 0), toy_images(64, 1))
    assert len(search.reports) == 2
    assert search.stopped == "2 of the 2 blocks that can be left out would be"
    assert all(torch.equal(a, b) for a, b in zip(before, search.choices, strict=True))
    with_logits(search, [0.0, 0.0, 9.0], [9.0, 0.0, 0.0])
    assert search.collapsed() is None  # no more than half


def test_a_stopped_search_stays_stopped(tmp_path) -> None:
    search = Darts(SPACE, training=Training(epochs=3, batch=16), order=1)
    search.stopped = "collapsed"
    search.save(tmp_path / "s.npz")
    again = Darts(SPACE, training=Training(epochs=3, batch=16), order=1)
    again.run(toy_images(64, 0), toy_images(64, 1), checkpoint=tmp_path / "s.npz")
    assert (again.stopped, again.reports) == ("collapsed", [])


# -- FBNet ------------------------------------------------------------------------------------------------


def test_masks_choose_as_often_as_the_probabilities_say() -> None:
    """The largest of logits with Gumbel noise is a draw from their softmax, at any temperature."""
    search = FBNet(SPACE)
    with_logits(search, [0.0, 1.0, -1.0], [2.0, 0.0, 0.0])
    drawn = np.array([[int(mask.argmax()) for mask in search.masks()] for _ in range(4000)])
    for column, probabilities in zip(drawn.T, search.probabilities, strict=True):
        shares = np.bincount(column, minlength=3) / len(column)
        assert np.abs(shares - probabilities).max() < 0.03


def test_masks_harden_as_the_temperature_falls() -> None:
    search = FBNet(SPACE, training=Training(epochs=200, warm_up=2))
    largest = []
    for epochs in (0, 2, 3, 120):
        search.reports = [None] * epochs  # type: ignore[list-item]
        largest.append(
            (search.temperature, float(np.mean([float(search.masks()[0].detach().max()) for _ in range(200)])))
        )
    temperatures, shares = zip(*largest, strict=True)
    assert temperatures == pytest.approx((5.0, 5.0, 5.0 * 0.956, 5.0 * 0.956**118))
    assert shares[0] < 0.5
    assert shares[3] > 0.95


# -- ProxylessNAS -----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0, 5), count=st.integers(2, 9))
def test_after_a_rescale_all_other_probabilities_are_what_they_were(seed: int, size: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(3 * rng.standard_normal(count)).float()
    before, pair = logits.clone(), rng.permutation(count)[:2].tolist()
    logits[pair] += torch.from_numpy(size * rng.standard_normal(2)).float()
    difference = logits[pair[0]] - logits[pair[1]]
    rescale(logits, before, pair)
    others = [i for i in range(count) if i not in pair]
    now, then = logits.softmax(0), before.softmax(0)
    assert float((now - then)[others].abs().max() if others else 0.0) <= 1e-6
    assert float(now[pair].sum()) == pytest.approx(float(then[pair].sum()), abs=1e-6)
    assert float(logits[pair[0]] - logits[pair[1]]) == pytest.approx(float(difference), abs=1e-4)


def test_a_two_path_step_moves_the_two_that_were_drawn_alone() -> None:
    latency = LatencyTerm(toy_oracle(SPACE), 3.0)
    search = Proxyless(SPACE, latency=latency, training=Training(batch=16), choices_rate=0.3)
    with_logits(search, [0.5, -0.5, 1.0], [0.0, 1.0, 0.3])
    batch = next(search.batches(*[toy_images(64, 0)] * 2, search.training.augmentation).epoch(0))
    drawn: list[list[int]] = []
    draw = search._draw
    search._draw = lambda p: drawn.append(draw(p)) or drawn[-1]  # type: ignore[method-assign, func-returns-value]
    for step in range(5):
        before = search.probabilities
        with statistics_kept(search.net):
            search.choices_step(batch, batch)
        for pair, then, now in zip(drawn[2 * step :], before, search.probabilities, strict=True):
            assert len(set(pair)) == 2
            (other,) = {0, 1, 2} - set(pair)
            assert now[other] == pytest.approx(then[other], abs=1e-6)
            assert abs(now[pair[0]] - then[pair[0]]) > 1e-4


def test_pairs_are_drawn_by_the_probabilities_and_one_of_them_is_active() -> None:
    search = Proxyless(SPACE)
    p = np.array([0.7, 0.2, 0.1])
    drawn = np.array([search._draw(p) for _ in range(4000)])
    # Without replacement: i first and j second with p_i p_j / (1 - p_i), or the other way round.
    pair = {i: {j: p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j])) for j in range(3) if j != i} for i in range(3)}
    for i in range(3):
        active = sum(chance * p[i] / (p[i] + p[j]) for j, chance in pair[i].items())
        assert (drawn[:, 0] == i).mean() == pytest.approx(active, abs=0.03)
        assert (drawn == i).any(axis=1).mean() == pytest.approx(sum(pair[i].values()), abs=0.03)
    assert search._draw(np.array([1.0])) == [0]
    assert search._draw(np.array([0.0, 1.0])) == [1]


def test_the_latency_of_a_pair_is_that_of_all_with_a_gradient_for_two() -> None:
    """Value of the full expectation; gradient q_i (F_i - q F) of the two that were drawn."""
    search = Proxyless(SPACE, latency=LatencyTerm(toy_oracle(SPACE), 3.0, weight=1.0))
    with_logits(search, [0.5, -0.5, 1.0], [0.0, 1.0, 0.3])
    seen: list[tuple[Tensor, ...]] = []

    def only_latency(_: Tensor, probabilities: list[Tensor]) -> Tensor:
        assert search.latency is not None
        expected = search.latency.expected_ms(probabilities)
        assert float(expected.detach()) == pytest.approx(search.expected_ms, rel=1e-6)
        return expected

    search.with_latency = only_latency  # type: ignore[method-assign, assignment]
    search._draw = lambda _: [2, 0]  # type: ignore[method-assign]
    search.learn_choices = lambda gradients: seen.append(tuple(gradients))  # type: ignore[method-assign]
    batch = next(search.batches(*[toy_images(64, 0)] * 2, search.training.augmentation).epoch(0))
    search.choices_step(batch, batch)
    costs = torch.tensor(COSTS_MS)
    for logits, gradient in zip(search.choices, seen[0], strict=True):
        q = logits.detach()[[0, 2]].softmax(0)
        assert gradient[1] == 0
        torch.testing.assert_close(gradient[[0, 2]], q * (costs[[0, 2]] - q @ costs[[0, 2]]), rtol=1e-5, atol=1e-6)


def test_the_reinforce_gradient_is_that_of_the_log_probability() -> None:
    logits = torch.tensor([0.1, -0.4, 0.9], dtype=torch.double, requires_grad=True)
    drawn, advantages = torch.tensor([0, 2, 2, 1]), torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=torch.double)
    loss = -(advantages * logits.log_softmax(0)[drawn]).mean()
    (exact,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(reinforce_gradient(logits.detach(), drawn, advantages), exact)


def test_reinforce_learns_what_is_rewarded_without_a_gradient_of_the_latency() -> None:
    """With accuracies alike, what is faster is rewarded."""
    latency = LatencyTerm(toy_oracle(SPACE), 2.0, weight=1.0, control=0.0)
    latency.oracle.expected_ms = None  # type: ignore[method-assign, assignment]
    search = ProxylessReinforce(SPACE, latency=latency, training=Training(batch=16), choices_rate=0.05)
    batch = next(search.batches(*[toy_images(64, 0)] * 2, search.training.augmentation).epoch(0))
    with statistics_kept(search.net):
        for _ in range(60):
            search.choices_step(batch, batch)
    assert all(p[2] > 0.6 for p in search.probabilities)
    assert search.baseline is not None


# -- names ------------------------------------------------------------------------------------------------


def test_strategies_are_found_by_name() -> None:
    assert {gradient_class(kind).kind for kind in gradient_kinds()} == {
        "darts",
        "darts-cells",
        "fbnet",
        "proxyless",
        "proxyless-r",
    }
    with pytest.raises(UnknownNameError, match="unknown gradient search 'proxless'"):
        gradient_class("proxless")
    with pytest.raises(UsageError, match="gradient search 'darts' is there twice"):
        register("darts")(FBNet)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Darts(SPACE, order=3), "DARTS of order 3"),
        (lambda: Darts(SPACE, most_skips=1.5), r"at most 1\.5"),
        (lambda: Proxyless(SPACE, update="one"), "no update 'one'"),
        (lambda: ProxylessReinforce(SPACE, networks=0), "0 networks a step"),
        (lambda: FBNet(SPACE, choices_rate=0.0), r"learning rate 0\.0 of the choices"),
        (lambda: Training(epochs=0), "0 epochs"),
        (lambda: Training(epochs=2, warm_up=3), "3 of warm-up"),
        (lambda: Training(batch=1), "batches of 1"),
        (lambda: Training(choices_every=0), "every 0"),
        (lambda: Training(weights_rate=float("nan")), "learning rate nan"),
        (lambda: Training(momentum=1.0), r"momentum 1\.0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make, message) -> None:
    with pytest.raises(UsageError, match=message):
        make()


# -- memory -----------------------------------------------------------------------------------------------


def test_out_of_memory_says_what_to_lower() -> None:
    search = Proxyless(SPACE, training=Training(epochs=1, batch=16))

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    search.net.register_forward_pre_hook(fail)
    with pytest.raises(TrainingError, match=r"does not fit into memory at a batch of 16\n.*lower the batch"):
        search.run(toy_images(48, 0), toy_images(32, 1))
