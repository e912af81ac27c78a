"""Every gradient search passes the contract."""

from typing import Any, ClassVar

import pytest

pytest.importorskip("torch")

from lutra.nas.gradient import Darts, FBNet, Proxyless, ProxylessReinforce, gradient_kinds
from lutra.nas.gradient.testing import GradientSearchContract


class TestDartsFirstOrder(GradientSearchContract):
    strategy = Darts
    parameters: ClassVar[dict[str, Any]] = {"order": 1, "most_skips": 1.0}


class TestDartsSecondOrder(GradientSearchContract):
    strategy = Darts
    parameters: ClassVar[dict[str, Any]] = {"order": 2, "most_skips": 1.0}


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
