"""Every strategy passes the contract."""

from typing import ClassVar

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


class TestReinforce(SearcherContract):
    strategy = "reinforce"
    parameters: ClassVar = {"hidden": 8}


class TestSurrogate(SearcherContract):
    strategy = "surrogate"
    parameters: ClassVar = {"initial": 8}
    exhausts = True
