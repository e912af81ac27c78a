"""What every gradient search must pass, for the tests of ours and of others'.

::

    class TestMine(GradientSearchContract):
        strategy = MySearch
"""

from abc import ABC
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from ...luts.chain import StateCosts
from ...nas_bridge import ChainOracle, LatencyOracle
from ...networks import NetworkBuilder, TensorType
from ...networks.errors import CheckpointError, DivergedError, InfeasibleError, UsageError
from ...networks.lowering.blocks import BlockSpace
from ..accuracy.augmentation import NO_AUGMENTATION
from ..accuracy.data import ImageSet
from ..spaces import ChainSpace, SearchSpace
from .base import Batch, GradientSearch
from .latency import LatencyTerm
from .supernet import statistics_kept
from .training import EpochReport, Training

SIDE = 8
CLASSES = ("top left", "top right", "bottom left", "bottom right")
COSTS_MS = (3.0, 1.0, 0.0)
FIXED_MS = 1.0
_TARGET_MS = 3.0


def toy_space() -> ChainSpace:
    """Two positions of three blocks each, a convolution of 3 x 3, one of 1 x 1, and nothing; four classes."""

    def stem(b: NetworkBuilder, x: str) -> str:
        return b.op("relu", b.op("batch_norm", b.op("conv2d", x, out_channels=6, kernel_size=3, padding=1)))

    def block(b: NetworkBuilder, x: str, *, kernel: int) -> str:
        y = b.op("conv2d", x, out_channels=6, kernel_size=kernel, padding=kernel // 2)
        return b.op("add", x, b.op("relu", b.op("batch_norm", y)))

    def nothing(b: NetworkBuilder, x: str) -> str:
        del b
        return x

    def head(b: NetworkBuilder, x: str) -> str:
        pooled = b.op("avg_pool2d", x, kernel_size=SIDE // 2, stride=SIDE // 2)
        return b.op("linear", b.op("flatten", pooled), out_features=len(CLASSES))

    blocks = (partial(block, kernel=3), partial(block, kernel=1), nothing)
    chain = BlockSpace("toy-chain", TensorType((1, 3, SIDE, SIDE)), stem, (blocks, blocks), head)
    return ChainSpace("toy-chain", [chain], [("3x3", "1x1", "none")] * 2)


def toy_oracle(space: ChainSpace) -> LatencyOracle:
    """`FIXED_MS`, and at each position one of `COSTS_MS`."""
    positions = len(space.decisions)
    costs = np.tile(np.array(COSTS_MS), (positions, 1, 1))
    return ChainOracle(space, "toy", StateCosts(FIXED_MS, costs, np.zeros(costs.shape, np.int64), np.zeros(1)), ())


def toy_images(count: int, seed: int) -> ImageSet:
    """Noise that is brighter in the quarter which gives the class."""
    rng, half = np.random.default_rng(seed), SIDE // 2
    labels, images = rng.integers(0, len(CLASSES), count), rng.integers(0, 120, (count, 3, SIDE, SIDE))
    for quarter in range(len(CLASSES)):
        top, left = half * (quarter // 2), half * (quarter % 2)
        images[labels == quarter, :, top : top + half, left : left + half] += 120
    return ImageSet("quarters", images.astype(np.uint8), labels.astype(np.int64), CLASSES)


class GradientSearchContract(ABC):
    """Subclass it and say which class.

    Attributes:
        strategy: the class.
        parameters: of its own, small ones.
        has_device: whether a latency can be in its loss.
    """

    strategy: ClassVar[type[GradientSearch]]
    parameters: ClassVar[dict[str, Any]] = {}
    has_device: ClassVar[bool] = True

    def space(self) -> SearchSpace:
        """What is searched, with images of `SIDE` pixels; the prices are those of `toy_space`."""
        return toy_space()

    def make(self, *, target_ms: float | None = None, seed: int = 0, **training: Any) -> GradientSearch:
        latency = None
        if self.has_device:
            latency = LatencyTerm(toy_oracle(toy_space()), _TARGET_MS if target_ms is None else target_ms)
        return self.without_device(latency=latency, seed=seed, **training)

    def without_device(self, *, latency: LatencyTerm | None = None, seed: int = 0, **training: Any) -> GradientSearch:
        given: dict[str, Any] = {"epochs": 2, "batch": 16, "augmentation": NO_AUGMENTATION} | training
        return self.strategy(
            self.space(), latency=latency, training=Training(**given), choices_rate=0.05, seed=seed, **self.parameters
        )

    def require_device(self) -> None:
        if not self.has_device:
            pytest.skip("no latency can be in its loss")

    def images(self) -> tuple[ImageSet, ImageSet]:
        """What weights learn from, and what choices learn from."""
        return toy_images(48, 0), toy_images(32, 1)

    def batch(self, search: GradientSearch) -> Batch:
        weights, _ = self.images()
        return next(search.batches(weights, weights, NO_AUGMENTATION).epoch(0))

    def test_it_learns_and_derives(self) -> None:
        search, reports = self.make(epochs=4, weights_rate=0.1), list[EpochReport]()
        code = search.run(*self.images(), on_epoch=reports.append)
        assert [report.epoch for report in reports] == [1, 2, 3, 4]
        assert reports[-1].weights_loss < reports[0].weights_loss
        assert (search.space.validate(code)[0] == code).all()
        weights, choices = self.images()
        assert 0 <= search.inherited_accuracy_pct(code, choices, weights) <= 100
        if search.latency is not None:
            assert search.latency.oracle.latency_ms(code) <= _TARGET_MS

    def test_probabilities_begin_nearly_equal_and_stay_probabilities(self) -> None:
        search = self.make()
        assert search.certainty < 1e-3
        search.run(*self.images())
        assert len(search.probabilities) == len(search.net.counts)
        for probabilities, count in zip(search.probabilities, search.net.counts, strict=True):
            assert probabilities.shape == (count,)
            assert probabilities.sum() == pytest.approx(1)
            assert (probabilities > 0).all()

    def test_the_expected_latency_is_that_of_the_probabilities(self) -> None:
        self.require_device()
        search = self.make(epochs=1)
        search.run(*self.images())
        expected = FIXED_MS + sum(float(p @ np.array(COSTS_MS)) for p in search.probabilities)
        assert search.expected_ms == pytest.approx(expected, rel=1e-5)
        assert search.reports[-1].expected_ms == search.expected_ms

    def test_a_step_changes_what_it_is_for_and_nothing_else(self) -> None:
        search = self.make()
        batch = self.batch(search)
        search.net.train()
        net, logits = _net_of(search), _logits_of(search)
        with statistics_kept(search.net):
            loss = search.choices_step(batch, batch)
        assert np.isfinite(loss)
        assert all(torch.equal(value, net[name]) for name, value in search.net.state_dict().items())
        moved = _logits_of(search)
        assert any(not torch.equal(a, b) for a, b in zip(logits, moved, strict=True))
        assert np.isfinite(search.weights_step(batch))
        assert all(torch.equal(a, b) for a, b in zip(moved, _logits_of(search), strict=True))
        assert any(not torch.equal(value, net[name]) for name, value in search.net.state_dict().items())

    def test_warm_up_leaves_the_choices_alone(self) -> None:
        search = self.make(epochs=1, warm_up=1)
        before = _logits_of(search)
        search.run(*self.images())
        assert search.reports[0].choices_loss is None
        assert all(torch.equal(a, b) for a, b in zip(before, _logits_of(search), strict=True))

    def test_everything_follows_from_the_seed(self) -> None:
        one, same, other = self.make(), self.make(), self.make(seed=1)
        for search in (one, same, other):
            search.run(*self.images())
        assert one.reports == same.reports
        assert _equal(one, same)
        assert not _equal(one, other)

    def test_an_interrupted_search_goes_on_as_if_it_had_not_been(self, tmp_path: Path) -> None:
        whole, path = self.make(epochs=3), tmp_path / "state" / "search.npz"
        whole.run(*self.images())

        def interrupt(report: EpochReport) -> None:
            raise KeyboardInterrupt(report.epoch)

        for _ in whole.reports:
            with pytest.raises(KeyboardInterrupt):
                self.make(epochs=3).run(*self.images(), checkpoint=path, on_epoch=interrupt)
        resumed = self.make(epochs=3)
        code = resumed.run(*self.images(), checkpoint=path)
        assert resumed.reports == whole.reports
        assert _equal(resumed, whole)
        assert (code == whole.derive()).all()
        assert [file.name for file in path.parent.iterdir()] == ["search.npz"]

    def test_what_is_no_state_of_this_search_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "search.npz"
        self.make().save(path)
        with pytest.raises(CheckpointError, match="seed was 0, is 1"):
            self.make(seed=1).load(path)
        if self.has_device:
            with pytest.raises(CheckpointError, match=r"target_ms was 3\.0, is 4\.0"):
                self.make(target_ms=4.0).load(path)
        with pytest.raises(CheckpointError, match="epochs was 2, is 5"):
            self.make(epochs=5).load(path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(CheckpointError, match="damaged"):
            self.make().load(path)
        with pytest.raises(CheckpointError, match="no search at"):
            self.make().load(tmp_path / "nowhere.npz")

    def test_a_search_without_a_device_has_no_budget(self) -> None:
        search = self.without_device(epochs=1)
        search.run(*self.images())
        assert search.expected_ms is None
        with pytest.raises(UsageError, match="without a device"):
            search.derive(3.0)

    def test_budgets_that_cannot_be_kept_are_refused(self) -> None:
        self.require_device()
        with pytest.raises(InfeasibleError, match="the least is 1"):
            self.make(target_ms=0.5)
        with pytest.raises(InfeasibleError):
            self.make().derive(0.9)
        with pytest.raises(UsageError, match="share from 0 to 1"):
            self.make().derive(used=1.5)

    def test_a_loss_that_is_no_number_ends_it_with_the_epoch_before_kept(self, tmp_path: Path) -> None:
        search, path = self.make(epochs=3), tmp_path / "search.npz"

        def spoil(report: EpochReport) -> None:
            del report
            with torch.no_grad():
                next(search.net.parameters()).fill_(np.nan)

        with pytest.raises(DivergedError, match="lower weights_rate"):
            search.run(*self.images(), checkpoint=path, on_epoch=spoil)
        again = self.make(epochs=3)
        again.load(path)
        assert len(again.reports) == 1
        assert all(bool(value.isfinite().all()) for value in again.net.state_dict().values())

    def test_images_that_do_not_fit_are_refused(self) -> None:
        search, (weights, choices) = self.make(), self.images()
        with pytest.raises(UsageError, match="make no batch of 16"):
            search.run(weights.subset(range(15)), choices)
        large = ImageSet("large", np.zeros((20, 3, 9, 9), np.uint8), np.zeros(20, np.int64), CLASSES)
        with pytest.raises(UsageError, match=r"\(3, 9, 9\)"):
            search.run(large, choices)
        many = ImageSet("many", choices.images, choices.labels, tuple(map(str, range(11))))
        with pytest.raises(UsageError, match="11 classes"):
            search.run(weights, many)


def _net_of(search: GradientSearch) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in search.net.state_dict().items()}


def _logits_of(search: GradientSearch) -> list[torch.Tensor]:
    return [logits.detach().clone() for logits in search.choices]


def _equal(one: GradientSearch, other: GradientSearch) -> bool:
    """Whether all weights and choices of two searches are the same, bit for bit."""
    logits = zip(_logits_of(one), _logits_of(other), strict=True)
    net = other.net.state_dict()
    return all(torch.equal(a, b) for a, b in logits) and all(
        torch.equal(value, net[name]) for name, value in one.net.state_dict().items()
    )
