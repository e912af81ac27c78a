"""Every gradient search passes the contract."""

from typing import Any, ClassVar

import pytest

pytest.importorskip("torch")

from lutra.nas.accuracy.data import ImageSet
from lutra.nas.gradient import Darts, DartsCells, FBNet, Proxyless, ProxylessReinforce, gradient_kinds
from lutra.nas.gradient.testing import SIDE, GradientSearchContract, toy_images
from lutra.nas.spaces import SearchSpace
from lutra.nas.spaces.darts import DartsSpace


class TestDartsFirstOrder(GradientSearchContract):
    strategy = Darts
    parameters: ClassVar[dict[str, Any]] = {"order": 1, "most_skips": 1.0}


class TestDartsSecondOrder(GradientSearchContract):
    strategy = Darts
    parameters: ClassVar[dict[str, Any]] = {"order": 2, "most_skips": 1.0}


class TestDartsCells(GradientSearchContract):
    strategy = DartsCells
    parameters: ClassVar[dict[str, Any]] = {"order": 1, "most_skips": 1.0}
    has_device = False

    def space(self) -> SearchSpace:
        return DartsSpace(SIDE, channels=2, cells=3)

    def images(self) -> tuple[ImageSet, ImageSet]:
        return toy_images(16, 0), toy_images(16, 1)  # one batch an epoch: its steps take long


class TestFBNet(GradientSearchContract):
    strategy = FBNet


class TestProxylessTwo(GradientSearchContract):
    strategy = Proxyless


class TestProxylessFull(GradientSearchContract):
    strategy = Proxyless
    parameters: ClassVar[dict[str, Any]] = {"update": "full"}


class TestProxylessReinforce(GradientSearchContract):
    strategy = ProxylessReinforce
    parameters: ClassVar[dict[str, Any]] = {"networks": 3}


def test_every_gradient_search_runs_the_contract() -> None:
    assert {contract.strategy.kind for contract in GradientSearchContract.__subclasses__()} == set(gradient_kinds())
