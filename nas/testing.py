"""What every search space, strategy and estimator of accuracy must pass, for the tests of ours and of others'; and a
space to test with.

::

    class TestMySpace(SpaceContract):
        def make(self) -> SearchSpace:
            return my_space()

    class TestMyStrategy(SearcherContract):
        strategy = "mine"
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt
import pytest

from ..networks import Network, NetworkBuilder
from ..networks.errors import InfeasibleError, UsageError
from ..networks.lowering import lower
from ..networks.lowering.blocks import lower_blocks
from .accuracy import AccuracyEstimator, Meaning, estimator_class
from .problem import Constraint, Evaluations, Objective, Problem
from .search import make_searcher, search
from .searchers import Searcher, searcher_class
from .spaces import Codes, Decision, SearchSpace

_FEW = 3  # networks to lower whole
_MANY = 64


class SpaceContract(ABC):
    """Subclass it and say how to make the space."""

    runtimes: tuple[str, ...] = ("null",)
    """Whose kernels are looked at: those of blocks must be those of whole networks."""

    @abstractmethod
    def make(self) -> SearchSpace:
        """The space."""

    def test_size_is_exact_and_no_larger_than_all_codes(self) -> None:
        space = self.make()
        assert isinstance(space.size, int)
        assert 1 <= space.size <= prod(len(decision.choices) for decision in space.decisions)
        assert all(len(set(decision.choices)) == len(decision.choices) for decision in space.decisions)

    def test_samples_are_valid_canonical_and_follow_the_seed(self) -> None:
        space = self.make()
        codes = space.sample(_MANY, np.random.default_rng(1))
        assert codes.shape == (_MANY, len(space.decisions))
        assert codes.dtype == np.int64
        assert (space.validate(codes) == codes).all()
        assert (space.canonical(codes) == codes).all()
        assert (space.sample(_MANY, np.random.default_rng(1)) == codes).all()
        assert space.sample(0, np.random.default_rng(1)).shape == (0, len(space.decisions))

    def test_every_choice_is_sampled(self) -> None:
        space = self.make()
        most = max(len(decision.choices) for decision in space.decisions)
        codes = space.sample(100 * most, np.random.default_rng(2))
        for decision, column in zip(space.decisions, codes.T, strict=True):
            assert set(column.tolist()) == set(range(len(decision.choices))), decision.name

    @pytest.mark.parametrize("seed", [0, 1])
    def test_mutants_and_children_stay_inside(self, seed: int) -> None:
        space, rng = self.make(), np.random.default_rng(seed)
        parents, others = space.sample(_MANY, rng), space.sample(_MANY, rng)
        for rate in (0.0, 0.1, 1.0):
            mutants = space.mutate(parents, rng, rate)
            assert (space.canonical(space.validate(mutants)) == mutants).all()
        changed = (space.mutate(parents, rng) != parents).any(axis=1)
        assert changed.any() or space.size == 1
        children = space.crossover(parents, others, rng)
        assert (space.canonical(space.validate(children)) == children).all()
        assert ((children == parents) | (children == others) | (children == 0)).all()
        assert (space.crossover(parents, parents, rng) == parents).all()

    def test_any_choices_are_an_architecture_or_can_become_one(self) -> None:
        space, rng = self.make(), np.random.default_rng(6)
        counts = [len(decision.choices) for decision in space.decisions]
        codes = rng.integers(0, counts, (_MANY, len(counts)))
        allowed = space.allowed(codes)
        assert allowed.shape == (_MANY,)
        repaired = space.repair(codes)
        assert space.allowed(repaired).all()
        assert (space.canonical(space.validate(repaired)) == repaired).all()
        assert (repaired[allowed] == space.canonical(space.validate(codes[allowed]))).all()
        for row in codes[~allowed][:3]:
            with pytest.raises(UsageError, match="no architecture of the space"):
                space.validate(row)

    def test_costs_are_those_of_the_networks(self) -> None:
        space = self.make()
        codes = space.sample(2 * _FEW, np.random.default_rng(7))
        networks = [space.decode(code) for code in codes]
        found = space.costs(codes)
        assert found.macs.tolist() == [network.macs for network in networks]
        assert found.params.tolist() == [network.params for network in networks]
        assert space.costs(codes[:0]).macs.shape == (0,)

    def test_codes_become_networks(self) -> None:
        space = self.make()
        codes = space.sample(_FEW, np.random.default_rng(3))
        networks = [space.decode(code) for code in codes]
        assert [space.decode(code).fingerprint for code in codes] == [n.fingerprint for n in networks]
        assert len({n.name for n in networks}) == len(np.unique(codes, axis=0))
        assert all(n.name == space.label(code) for n, code in zip(networks, codes, strict=True))

    def test_what_is_no_code_is_refused(self) -> None:
        space = self.make()
        good = space.sample(2, np.random.default_rng(4))
        too_large, negative = good.copy(), good.copy()
        too_large[1, -1], negative[0, 0] = len(space.decisions[-1].choices), -1
        wide, none = np.hstack([good, good]), good[:, :0]
        for bad in (too_large, negative, wide, none, good.astype(float), good.astype(str), good[None], 7, [[0], []]):
            with pytest.raises(UsageError):
                space.validate(bad)
        with pytest.raises(UsageError, match="no code of one"):
            space.decode(good)
        with pytest.raises(UsageError, match="no pairs"):
            space.crossover(good, good[:1], np.random.default_rng(0))
        with pytest.raises(UsageError, match="mutation rate"):
            space.mutate(good, np.random.default_rng(0), 1.5)
        with pytest.raises(UsageError, match="sample -1"):
            space.sample(-1, np.random.default_rng(0))

    def test_its_kernels_are_known_beforehand(self) -> None:
        """Kernels put together block by block are those of whole networks; or those of the covering networks."""
        space = self.make()
        codes = space.sample(_FEW, np.random.default_rng(5))
        for runtime in self.runtimes:
            if runtime == "onnxruntime":
                pytest.importorskip("onnxruntime")
            whole = [lower(space.decode(code), runtime).kernels for code in codes]
            if not space.chains():
                known = {key for network in space.covering() for key in lower(network, runtime).distinct}
                assert {kernel.key for kernels in whole for kernel in kernels} <= known
                continue
            chain, choices = space.chain_of(codes)
            used = {int(i) for i in chain}
            lowered = {i: lower_blocks(space.chains()[i], runtime) for i in used}
            for i, row, kernels in zip(chain, choices, whole, strict=True):
                put_together = lowered[int(i)].kernels(row.tolist())
                assert [k.key for k in put_together] == [k.key for k in kernels]
                assert {k.key for k in kernels} <= lowered[int(i)].distinct.keys()


class ToySpace(SearchSpace):
    """A depth and a width for each layer; the widths of layers that are not there are 0 in canonical codes.

    Args:
        depth: the largest.
        widths: how many there are to choose from.
    """

    def __init__(self, depth: int = 4, widths: int = 3) -> None:
        names = tuple(str(4 * (width + 1)) for width in range(widths))
        layers = [Decision(f"width {i}", names, (0, i) if i else None) for i in range(depth)]
        super().__init__("toy", [Decision("depth", tuple(str(d + 1) for d in range(depth))), *layers])

    def _network(self, code: Codes) -> Network:
        b = NetworkBuilder("toy")
        x = b.input((1, 8))
        for decision, choice in list(zip(self.decisions, code[0], strict=True))[1 : code[0, 0] + 2]:
            x = b.op("relu", b.op("linear", x, out_features=int(decision.choices[choice])))
        return b.build(x)


def toy_cost(codes: Codes) -> npt.NDArray[np.float64]:
    """The sum of the widths of the layers that are there, in units of the smallest; [n]."""
    used = _layers(codes)
    cost: npt.NDArray[np.float64] = ((codes[:, 1:] + 1) * used).sum(axis=1).astype(float)
    return cost


def toy_gain(codes: Codes) -> npt.NDArray[np.float64]:
    """Something to be made large, that grows with the cost, and in which layers differ; [n]."""
    used = _layers(codes)
    worth = 1 / (1 + np.arange(codes.shape[1] - 1) % 3)
    gain: npt.NDArray[np.float64] = (np.sqrt(codes[:, 1:] + 1) * worth * used).sum(axis=1)
    return gain


def _layers(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.arange(codes.shape[1] - 1) <= codes[:, :1]


class SearcherContract(ABC):
    """Subclass it and name the strategy.

    Attributes:
        strategy: its name.
        parameters: what it is made with; small numbers keep the tests fast.
        exhausts: it asks for every architecture of a small space before it has nothing left to try.
        follows_seed: another seed gives another search.
    """

    strategy: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]] = {}
    exhausts: ClassVar[bool] = False
    follows_seed: ClassVar[bool] = True

    def problem(self, space: SearchSpace, *, most: float | None = None, objectives: int = 1) -> Problem:
        """Gain to be made large, and cost where there are two objectives; with a bound on the cost."""
        both = [Objective("gain", toy_gain, maximise=True), Objective("cost", toy_cost)]
        bounds = [] if most is None else [Constraint("cost", toy_cost, most)]
        return Problem(space, both[:objectives], bounds)

    def make(self, problem: Problem, seed: int = 1) -> Searcher:
        return make_searcher(problem, self.strategy, seed=seed, **self.parameters)

    def play(self, problem: Problem, rounds: int = 12, seed: int = 1, *, failing: int = 0) -> list[Codes]:
        """What is asked for, round by round; each ``failing``-th evaluation fails."""
        searcher, asked = self.make(problem, seed), []
        for number in range(rounds):
            codes = searcher.ask(1 + number % 7)
            if not len(codes):
                break
            asked.append(codes.copy())
            searcher.tell(codes, self._evaluated(problem, codes, failing))
        return asked

    def _evaluated(self, problem: Problem, codes: Codes, failing: int = 0) -> Evaluations:
        signs = [-1.0 if objective.maximise else 1.0 for objective in problem.objectives]
        losses = np.stack([s * o.measure(codes) for s, o in zip(signs, problem.objectives, strict=True)], axis=1)
        failures: list[str | None] = [None] * len(codes)
        for i in range(len(codes)):
            if failing and (codes[i].sum() + i) % failing == 0:
                losses[i], failures[i] = np.nan, "out of memory"
        return Evaluations(losses, problem.violations(codes), tuple(failures))

    def test_asks_are_valid_canonical_and_not_more_than_asked_for(self) -> None:
        space = ToySpace(12, 6)
        for number, codes in enumerate(self.play(self.problem(space), 20)):
            assert 1 <= len(codes) <= 1 + number % 7
            assert codes.dtype == np.int64
            assert (space.canonical(space.validate(codes)) == codes).all()

    def test_nothing_is_asked_where_nothing_is_wanted(self) -> None:
        space = ToySpace(12, 6)
        assert self.make(self.problem(space)).ask(0).shape == (0, len(space.decisions))

    def test_a_search_follows_its_seed_alone(self) -> None:
        """So it is also resumed by being told again what it was told."""
        problem = self.problem(ToySpace(12, 6), most=30)
        first = self.play(problem, 20, failing=5)
        np.random.default_rng().random()
        again = self.play(problem, 20, failing=5)
        assert [codes.tolist() for codes in first] == [codes.tolist() for codes in again]
        other = np.concatenate(self.play(problem, 20, seed=2, failing=5))
        assert self.follows_seed == (np.concatenate(first).tolist() != other.tolist())

    def test_a_journal_is_gone_on_from(self, tmp_path: Path) -> None:
        problem = self.problem(ToySpace(12, 6), most=30)
        whole = search(problem, self.make(problem), evaluations=40, batch=4)
        search(problem, self.make(problem), evaluations=20, batch=4, journal=tmp_path / "j")
        lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
        (tmp_path / "j").write_bytes(b"".join(lines[:-2]) + lines[-2][:9])  # as if it had been killed
        resumed = search(problem, self.make(problem), evaluations=40, batch=4, journal=tmp_path / "j")
        assert resumed.codes.tolist() == whole.codes.tolist()
        assert resumed.evaluations.losses.tolist() == whole.evaluations.losses.tolist()

    @pytest.mark.parametrize("most", [40.0, 14.0, 1.0])
    def test_nothing_beyond_the_constraint_is_asked(self, most: float) -> None:
        """Of all the architectures, most keep the first bound, few the second, one the third."""
        asked = np.concatenate(self.play(self.problem(ToySpace(12, 6), most=most), 20))
        assert (toy_cost(asked) <= most).all()

    def test_a_budget_that_nothing_keeps_is_an_error(self) -> None:
        for space in (ToySpace(3, 3), ToySpace(20, 8)):
            problem = self.problem(space, most=0.5)
            with pytest.raises(InfeasibleError, match="share of their bounds"):
                self.make(problem).ask(4)
            with pytest.raises(InfeasibleError, match=r"cost <= 0\.5: the least is 1") as caught:
                search(problem, self.make(problem), evaluations=4)
            assert caught.value.least == 1

    @pytest.mark.parametrize("failing", [1, 2, 5])
    def test_failed_evaluations_are_survived(self, failing: int) -> None:
        asked = self.play(self.problem(ToySpace(12, 6), most=60), 20, failing=failing)
        assert len(asked) == 20

    def test_a_small_space_comes_to_an_end(self) -> None:
        space = ToySpace(3, 3)
        problem = self.problem(space)
        found = search(problem, self.make(problem), evaluations=10 * space.size)
        assert found.stopped in ("exhausted", "repeating")
        assert len(np.unique(found.codes, axis=0)) == len(found) <= space.size
        if self.exhausts:
            assert found.stopped == "exhausted"
            assert len(found) == space.size
            few = self.problem(space, most=4)
            assert len(search(few, self.make(few), evaluations=10 * space.size)) == 13

    def test_a_space_of_one_architecture(self) -> None:
        problem = self.problem(ToySpace(1, 1))
        assert len(search(problem, self.make(problem), evaluations=5)) == 1

    def test_several_objectives(self) -> None:
        problem = self.problem(ToySpace(12, 6), objectives=2)
        if not searcher_class(self.strategy).several:
            with pytest.raises(UsageError, match="cannot trade 2 objectives off"):
                self.make(problem)
            return
        found = search(problem, self.make(problem), evaluations=60)
        assert found.evaluations.losses.shape == (60, 2)
        assert 2 <= len(found.front) <= 60

    def test_parameters_make_the_same_strategy(self) -> None:
        problem = self.problem(ToySpace(12, 6))
        searcher = self.make(problem)
        kept = json.loads(json.dumps(searcher.parameters()))
        assert kept == searcher.parameters()
        again = make_searcher(problem, self.strategy, seed=1, **kept)
        assert again.parameters() == kept
        assert again.ask(3).tolist() == searcher.ask(3).tolist()
        with pytest.raises(UsageError, match="no parameter 'nonsense'"):
            make_searcher(problem, self.strategy, nonsense=1)


def small_classifier(width: int, blocks: int) -> Network:
    """A convolution and residual blocks of ``width`` channels, 3 x 16 x 16 pixels to 10 classes."""
    b = NetworkBuilder(f"classifier_{width}_{blocks}")
    x = b.op("conv2d", b.input((1, 3, 16, 16)), name="stem", out_channels=width, kernel_size=3, stride=2, padding=1)
    for i in range(blocks):
        with b.scope(f"blocks.{i}"):
            y = b.op("conv2d", x, out_channels=width, kernel_size=3, padding=1, bias=False)
            y = b.op("relu", b.op("batch_norm", y))
            y = b.op("batch_norm", b.op("conv2d", y, out_channels=width, kernel_size=1, bias=False))
            x = b.op("add", x, y)
    x = b.op("flatten", b.op("global_avg_pool2d", x))
    return b.build(b.op("linear", x, out_features=10))


class ClassifierSpace(SearchSpace):
    """`small_classifier`s by their width and their number of blocks."""

    def __init__(self, widths: Sequence[int] = (4, 8), blocks: Sequence[int] = (1, 2)) -> None:
        choices = (("width", widths), ("blocks", blocks))
        super().__init__("classifiers", [Decision(name, tuple(map(str, numbers))) for name, numbers in choices])
        self._widths, self._blocks = widths, blocks

    def _network(self, code: Codes) -> Network:
        width, blocks = code[0]
        return small_classifier(self._widths[width], self._blocks[blocks])


def unreachable_classifier() -> Network:
    """A network whose output does not depend on its input."""
    b = NetworkBuilder("unreachable")
    b.op("relu", b.input((1, 3, 16, 16)))
    x = b.op("flatten", b.op("global_avg_pool2d", b.op("constant", shape=(1, 3, 16, 16))))
    return b.build(b.op("linear", x, out_features=10))


class EstimatorContract(ABC):
    """Subclass it and say how to make the estimator; networks read 3 x 16 x 16 pixels and know 10 classes."""

    relative: bool = False
    """Whether scores compare the networks of one call, and say nothing beyond it."""

    remembers: bool = False
    """Whether a score depends on the networks that were estimated before, and then stays."""

    @abstractmethod
    def make(self, seed: int = 0) -> AccuracyEstimator:
        """A new estimator, as cheap as it can be."""

    def networks(self) -> list[Network]:
        """A few different networks that it can score."""
        return [small_classifier(width, blocks) for width, blocks in ((4, 2), (8, 2), (8, 3))]

    def test_it_is_known_by_name(self) -> None:
        estimator = self.make()
        assert estimator_class(estimator.kind) is type(estimator)
        assert estimator.meaning in get_args(Meaning)

    def test_every_network_has_a_score_and_a_cost(self) -> None:
        networks = self.networks()
        scores = self.make().estimate(networks)
        assert len(scores) == len(networks)
        assert scores.values.shape == scores.seconds.shape == (len(networks),)
        assert np.isfinite(scores.values).all()
        assert (scores.seconds >= 0).all()
        assert scores.failures == (None,) * len(networks)
        assert scores.meaning == self.make().meaning
        assert sorted(scores.ranks().tolist())[-1] <= len(networks)

    def test_scores_follow_from_seed_and_network(self) -> None:
        networks = self.networks()
        first = self.make(seed=3).estimate(networks).values
        assert (self.make(seed=3).estimate(networks).values == first).all()
        estimator = self.make(seed=3)
        if self.remembers:
            assert (estimator.estimate(networks).values == first).all(), "another estimator says something else"
        assert (estimator.estimate(networks[::-1]).values[::-1] == first).all()
        assert (estimator.estimate(networks).values == first).all(), "the second call differs from the first"
        if not self.relative:
            assert estimator.estimate(networks[1:2]).values[0] == first[1]

    def test_the_global_random_state_is_left_alone(self) -> None:
        import torch

        before = torch.random.get_rng_state()
        self.make().estimate(self.networks()[:1])
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_nothing_asked_nothing_answered(self) -> None:
        assert len(self.make().estimate([])) == 0

    def test_what_is_no_network_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"entry 1 is a ndarray, no Network\n.*decode"):
            self.make().estimate([*self.networks()[:1], np.zeros(3)])  # type: ignore[list-item]

    def test_a_network_that_cannot_be_scored_says_why_and_stops_no_other(self) -> None:
        estimator = self.make()
        if estimator.meaning == "count":
            return  # what is counted is counted of any network
        scores = estimator.estimate([*self.networks(), unreachable_classifier()])
        assert np.isnan(scores.values[-1])
        assert scores.failures[-1]
        assert np.isfinite(scores.values[:-1]).all()
        assert scores.ranks()[-1] == 1
