"""The latency in the loss: its forms, its gradient, its weight; the best architecture within a budget."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from lutra.nas.gradient import FORMS, LatencyTerm, Proxyless, Training
from lutra.nas.gradient.deriving import most_probable
from lutra.nas.gradient.testing import COSTS_MS, FIXED_MS, toy_oracle, toy_space
from lutra.nas.spaces import ChainSpace
from lutra.nas_bridge import KnownOracle
from lutra.networks.errors import InfeasibleError, UnknownNameError, UsageError

SPACE = toy_space()
ORACLE = toy_oracle(SPACE)
CODES = np.array(list(product(range(3), repeat=2)))


def entropy(value: float = 2.0) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.double)


def test_the_gradient_of_the_expectation_is_the_published_one() -> None:
    """dE/dalpha_i = p_i (F_i - E), E the position's own."""
    term = LatencyTerm(ORACLE, 4.0)
    values = ([0.3, -1.0, 0.7], [0.0, 1.0, 2.0])
    logits = [torch.tensor(position, dtype=torch.double, requires_grad=True) for position in values]
    probabilities = [alpha.softmax(0) for alpha in logits]
    expected = term.expected_ms(probabilities)
    costs = torch.tensor(COSTS_MS, dtype=torch.double)
    own = [p.detach() @ costs for p in probabilities]
    assert float(expected.detach()) == pytest.approx(FIXED_MS + float(sum(own)), abs=1e-12)
    gradients = torch.autograd.grad(expected, logits)
    for p, position, gradient in zip(probabilities, own, gradients, strict=True):
        torch.testing.assert_close(gradient, p.detach() * (costs - position), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("form", "weight", "expected"),
    [
        ("add#linear", 0.1, 2.0 + 0.1 * (5.0 - 4.0) / 4.0),
        ("mul#log", 0.3, 2.0 * 0.2 * (np.log(5000) / np.log(4000)) ** 0.3),
        ("log", 0.6, 2.0 * 0.2 * np.log(5000) ** 0.6),
    ],
)
def test_forms_are_the_published_ones(form: str, weight: float, expected: float) -> None:
    term = LatencyTerm(ORACLE, 4.0, form=form)
    assert term.current == weight == FORMS[form].weight
    assert float(term.loss(entropy(), torch.tensor(5.0, dtype=torch.double))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_forms_press_towards_less_also_below_a_millisecond(form: str) -> None:
    latency = torch.tensor(0.02, dtype=torch.double, requires_grad=True)
    loss = FORMS[form].loss(entropy(), latency, 0.01, 0.5)
    assert float(torch.autograd.grad(loss, latency)[0]) > 0


def test_the_weight_follows_the_latency_and_never_pulls() -> None:
    term = LatencyTerm(ORACLE, 4.0, weight=0.1, control=0.02)
    term.follow(4.4)
    assert term.memory == pytest.approx(0.1 + 0.02 * 0.1)
    assert term.current == pytest.approx(0.102 + 10 * 0.1)
    term.follow(9.0)  # counts as 20 % too much
    assert term.memory == pytest.approx(0.102 + 0.02 * 0.2)
    term.follow(4.0)
    assert term.current == term.memory == pytest.approx(0.106)
    term.follow(3.0)
    assert term.current == 0.0
    assert term.memory == pytest.approx(0.102)
    fixed = LatencyTerm(ORACLE, 4.0, control=0.0)
    fixed.follow(100.0)
    assert fixed.current == 0.1


def test_a_term_given_to_two_searches_serves_each_alone() -> None:
    term = LatencyTerm(ORACLE, 4.0)
    one, two = Proxyless(SPACE, latency=term), Proxyless(SPACE, latency=term)
    assert one.latency is not None
    assert two.latency is not None
    one.latency.follow(4.8)
    assert one.latency.current > 1
    assert two.latency.current == term.current == 0.1


def test_a_term_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown form of a loss 'add#linaer'") as unknown:
        LatencyTerm(ORACLE, 4.0, form="add#linaer")
    assert "add#linear" in str(unknown.value)
    for target, weight, control in ((0.0, 0.1, 0.1), (np.nan, 0.1, 0.1), (4.0, -1.0, 0.1), (4.0, 0.1, np.inf)):
        with pytest.raises(UsageError, match="give a positive target"):
            LatencyTerm(ORACLE, target, weight=weight, control=control)
    with pytest.raises(InfeasibleError, match=r"no architecture of the space 'toy-chain' keeps latency_ms <= 0\.9"):
        LatencyTerm(ORACLE, 0.9)


def test_prices_of_other_choices_are_refused() -> None:
    chain = SPACE.chains()[0]
    other = ChainSpace("other", [chain], [("3x3", "1x1", "skip")] * 2)
    with pytest.raises(UsageError, match="prices choices of the space 'toy-chain'; 'other' differs in position 0"):
        Proxyless(other, latency=LatencyTerm(ORACLE, 4.0))
    longer = ChainSpace("toy-chain", [chain], [("3x3", "1x1", "none")] * 2)
    Proxyless(longer, latency=LatencyTerm(ORACLE, 4.0))  # another space of the same choices


# -- deriving ---------------------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Log-probabilities and costs of up to five positions of up to four choices, and a budget."""
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    costs = [np.round(rng.uniform(0, 5, count), draw(st.integers(0, 3))) for count in counts]
    logs = [np.log(rng.dirichlet(np.full(count, draw(st.sampled_from([0.1, 1.0, 10.0]))))) for count in counts]
    for position in costs:
        if len(position) > 1 and draw(st.booleans()):
            position[rng.integers(len(position))] = np.nan
    share = draw(st.floats(0, 1.2))
    low, high = (sum(float(f(position)) for position in costs) for f in (np.nanmin, np.nanmax))
    return logs, costs, low + share * (high - low)


def totals(values: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
    return np.sum([position[column] for position, column in zip(values, codes.T, strict=True)], axis=0)


@settings(max_examples=200, deadline=None)
@given(problem=problems(), used=st.floats(0, 1))
def test_the_derived_architecture_is_the_best_of_all(
    problem: tuple[list[np.ndarray], list[np.ndarray], float], used: float
) -> None:
    """None is better that keeps a 4,000th of the budget away from its bounds: they are counted in 20,000 cells."""
    logs, costs, budget = problem
    least = used * budget
    code = most_probable(logs, costs, budget + 1.0, fixed_ms=1.0, space="toy", least_ms=least + 1.0)
    codes = np.array(list(product(*(range(len(position)) for position in logs))))
    cost, score = totals(costs, codes), totals(logs, codes)
    margin = (budget - sum(np.nanmin(position) for position in costs)) * len(logs) / 20_000
    (own_cost,), (own_score,) = totals(costs, code[None]), totals(logs, code[None])
    assert own_cost <= budget + 1e-6
    within = cost <= budget - margin - 1e-6
    in_band = within & (cost >= least + 2 * margin + 1e-6)
    rivals = score[in_band if in_band.any() else within & (own_cost < least)]
    assert own_score >= rivals.max(initial=-np.inf) - 1e-9
    if in_band.any():
        assert own_cost >= least - 1e-6


def test_a_space_of_any_size_is_derived_from() -> None:
    """21 positions of seven choices with prices as they come, 5.6e17 architectures: no change of two is better."""
    rng = np.random.default_rng(0)
    costs = [np.append(rng.uniform(1, 20, 6), 0.0) for _ in range(21)]
    logs = [np.log(rng.dirichlet(np.ones(7))) for _ in range(21)]
    for budget in (40.0, 100.0, 1000.0):
        code = most_probable(logs, costs, budget, fixed_ms=0.0, space="large")
        (cost,) = totals(costs, code[None])
        assert cost <= budget
        gains = [position - position[i] for position, i in zip(logs, code, strict=True)]
        extra = [position - position[i] for position, i in zip(costs, code, strict=True)]
        for a in range(21):
            for b in range(a):
                better = (gains[a][:, None] + gains[b] > 1e-9) & (cost + extra[a][:, None] + extra[b] <= 0.998 * budget)
                assert not better.any()


def test_what_a_budget_leaves_is_used_where_it_can_be() -> None:
    logs = [np.log([0.2, 0.1, 0.7])] * 2
    costs = [np.array(COSTS_MS)] * 2
    used = most_probable(logs, costs, 5.0, fixed_ms=1.0, space="toy", least_ms=3.9)
    assert sorted(used.tolist()) == [0, 2]  # 4 ms; the likeliest of all takes 1
    assert most_probable(logs, costs, 5.0, fixed_ms=1.0, space="toy").tolist() == [2, 2]
    assert most_probable(logs, costs, 9.0, fixed_ms=1.0, space="toy", least_ms=8.0).tolist() == [2, 2]  # none takes 8


def test_no_architecture_within_a_budget_says_the_least() -> None:
    with pytest.raises(InfeasibleError, match=r"the least is 4\.5") as refused:
        most_probable([np.zeros(2)], [np.array([np.nan, 2.5])], 4.0, fixed_ms=2.0, space="toy")
    assert refused.value.least == 4.5


def test_latencies_that_are_no_sums_are_drawn_from() -> None:
    latencies = FIXED_MS + np.array(COSTS_MS)[CODES].prod(axis=1) + 0.1 * CODES.sum(axis=1)
    term = LatencyTerm(KnownOracle(SPACE, CODES, latencies, device="toy"), 2.5)
    assert term.matrix is None
    search = Proxyless(SPACE, latency=term, training=Training(epochs=1))
    with torch.no_grad():
        for logits, values in zip(search.choices, ([2.0, 1.0, -3.0], [2.0, 1.0, -3.0]), strict=True):
            logits.copy_(torch.tensor(values))
    code = search.derive()
    scores = np.array([sum(np.log(p[i]) for p, i in zip(search.probabilities, code, strict=True)) for code in CODES])
    kept = latencies <= 2.5
    used = kept & (latencies >= 0.95 * 2.5)
    assert code.tolist() == CODES[used if used.any() else kept][scores[used if used.any() else kept].argmax()].tolist()
    assert search.derive(used=0.0).tolist() == CODES[kept][scores[kept].argmax()].tolist()
    with pytest.raises(InfeasibleError, match=r"keeps latency_ms <= 0\.5"):
        search.derive(0.5)
