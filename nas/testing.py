"""What every search space and every estimator of accuracy must pass, for the tests of ours and of others'.

::

    class TestMine(SpaceContract):
        def make(self) -> SearchSpace:
            return my_space()
"""

from abc import ABC, abstractmethod
from math import prod
from typing import get_args

import numpy as np
import pytest

from ..networks import Network, NetworkBuilder
from ..networks.errors import UsageError
from ..networks.lowering import lower
from ..networks.lowering.blocks import lower_blocks
from .accuracy import AccuracyEstimator, Meaning, estimator_class
from .spaces import SearchSpace

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
