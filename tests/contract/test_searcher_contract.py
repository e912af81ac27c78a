"""Every strategy passes the contract."""

from typing import ClassVar

from lutra.nas.searchers import searcher_kinds
from lutra.nas.testing import SearcherContract


class TestRandom(SearcherContract):
    strategy = "random"
    exhausts = True


class TestGrid(SearcherContract):
    strategy = "grid"
    exhausts = True
    follows_seed = False


class TestAging(SearcherContract):
    strategy = "aging"
    parameters: ClassVar = {"population": 8, "sample": 4}
    exhausts = True


class TestEvolution(SearcherContract):
    strategy = "evolution"
    parameters: ClassVar = {"population": 8}
    exhausts = True


class TestNsga2(SearcherContract):
    strategy = "nsga2"
    parameters: ClassVar = {"population": 6, "children": 3}
    exhausts = True


class TestReinforce(SearcherContract):
    strategy = "reinforce"
    parameters: ClassVar = {"hidden": 8}


class TestSurrogate(SearcherContract):
    strategy = "surrogate"
    parameters: ClassVar = {"initial": 8}
    exhausts = True


def test_every_strategy_is_tested():
    assert {cls.strategy for cls in SearcherContract.__subclasses__()} == set(searcher_kinds())
